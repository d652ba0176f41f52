"""Limits the size of an operation after parsing, before validation. `schema.limits.cost` limits its cost after validation.

The size of each fragment is computed once and reused at each spread. Strawberry's limiters walk a fragment at every
spread: forty small fragments, each of which spreads the next one twice, would take 2^40 steps (H121).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    ASTValidationRule,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    ListValueNode,
    NoSchemaIntrospectionCustomRule,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    ValueNode,
)

MOST_TOKENS: Final = 1500
MOST_LEVELS: Final = 12
MOST_ALIASES: Final = 15
MOST_DIRECTIVES: Final = 20
MOST_FIELDS: Final = 600
# Validation compares fields of the same name pairwise, with their selections.
MOST_NESTED: Final = 150
# In the variables of a request. A thousand invitees have at most eight values each.
MOST_VALUES: Final = 10_000
# Validation and the coercion of variables stop after this number of errors: each takes time to find and to format (H202).
MOST_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a selection. Fragments count at each spread."""

    levels: int = 0
    fields: int = 0
    nested: int = 0
    aliases: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            max(self.levels, other.levels),
            self.fields + other.fields,
            self.nested + other.nested,
            self.aliases + other.aliases,
        )


class _SizeCounter:
    """Computes the sizes of selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        self._fragment_sizes: dict[str, Size] = {}

    def operation(self, node: OperationDefinitionNode) -> Size:
        """The size of an operation, including the default values of its variables."""
        defaults = sum(_values(each.default_value) for each in node.variable_definitions or () if each.default_value)
        return Size(fields=defaults) + self._selections(node.selection_set)

    def _selections(self, node: SelectionSetNode) -> Size:
        return sum((self._selection(selection) for selection in node.selections), Size())

    def _selection(self, node: SelectionNode) -> Size:
        if isinstance(node, FieldNode):
            return self._field(node)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        return self._selections(node.selection_set) if isinstance(node, InlineFragmentNode) else Size()

    def _field(self, node: FieldNode) -> Size:
        name, below = node.name.value, Size()
        # A separate rule covers introspection.
        if node.selection_set is not None and not name.startswith("__"):
            below = self._selections(node.selection_set)
        return Size(
            1 + below.levels,
            1 + below.fields + sum(_values(argument.value) for argument in node.arguments or ()),
            below.nested + (node.selection_set is not None),
            below.aliases + (node.alias is not None),
        )

    def _fragment(self, name: str) -> Size:
        """The size of a fragment. An unknown or recursive one counts as empty here, and fails validation."""
        if name not in self._fragment_sizes:
            self._fragment_sizes[name] = Size()
            fragment = self._fragments.get(name)
            self._fragment_sizes[name] = self._selections(fragment.selection_set) if fragment else Size()
        return self._fragment_sizes[name]


def _values(node: ValueNode) -> int:
    """The number of fields and items of a literal value, at all levels."""
    if isinstance(node, ObjectValueNode):
        return sum(1 + _values(field.value) for field in node.fields)
    return sum(1 + _values(value) for value in node.values) if isinstance(node, ListValueNode) else 0


def check_size(document: DocumentNode) -> OperationDefinitionNode:
    """Returns the document's one operation. Raises GraphQLError for another number of operations, and over a limit."""
    operation = _operation(document)
    size = _size(document, operation)
    bounds = (
        ("levels", size.levels, MOST_LEVELS),
        ("fields and values in arguments", size.fields, MOST_FIELDS),
        ("fields with fields of their own", size.nested, MOST_NESTED),
        ("aliases", size.aliases, MOST_ALIASES),
    )
    for amount, number, most in bounds:
        if number > most:
            raise GraphQLError(f"{number_in_words(number)} {amount} found. Allowed: {most}")
    return operation


def number_in_words(number: int) -> str:
    """A number for an error message. Nested fragments reach numbers of hundreds of digits."""
    return str(number) if number < 10**9 else "Far too many"


def refuse_many_values(variables: Mapping[str, Any]) -> None:
    """Raises GraphQLError for too many values in variables, including those that the operation does not declare."""
    number, waiting = 0, list[Any]([variables])
    while waiting:
        value = waiting.pop()
        parts = value if isinstance(value, list) else value.values()
        number += len(parts)
        if number > MOST_VALUES:
            raise GraphQLError(f"More than {MOST_VALUES} values found in variables.")
        waiting.extend(part for part in parts if isinstance(part, dict | list))


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    """The one operation of a document. With several, each limit would apply several times."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        raise GraphQLError(f"{len(operations)} operations found. Exactly one was expected.")
    return operations[0]


def _size(document: DocumentNode, operation: OperationDefinitionNode) -> Size:
    try:
        return _SizeCounter(document).operation(operation)
    except RecursionError:
        raise GraphQLError("The selections are nested too deeply.") from None


class FewDirectives(ValidationRule):
    """Limits the number of directives: thousands on one field take much time in validation (H121)."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._number = 0

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self._number += 1
        if self._number == MOST_DIRECTIVES + 1:
            self.report_error(GraphQLError(f"More than {MOST_DIRECTIVES} directives found.", node))


_ALWAYS: Final[list[type[ASTValidationRule]]] = [FewDirectives]
_IN_PRODUCTION: Final = [*_ALWAYS, NoSchemaIntrospectionCustomRule]


def rules(*, development: bool) -> list[type[ASTValidationRule]]:
    """The validation rules in addition to GraphQL's own. Production rejects introspection (H116)."""
    return _ALWAYS if development else _IN_PRODUCTION
