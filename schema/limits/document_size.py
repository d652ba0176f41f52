"""How large an operation may be: judged on its document once it is parsed, before anything is validated or resolved.
What its lists may hold is weighed after the validation, by the schema's types (`schema.limits.cost`).

Each fragment is weighed once, however often it is spread. Strawberry's limiters walk a fragment anew at every spread, so
that forty small fragments, each spreading the next one twice, keep a process busy for ever (H121).
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
# Comparing fields of one name, all that they select with them, takes the square of their number.
MOST_NESTED: Final = 150
# In a request's variables: a thousand invitees have at most eight each.
MOST_VALUES: Final = 10_000
# Validation, and the reading of variables, stop after so many errors: each is found and worded at a cost (H202).
MOST_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class OperationCost:
    """What a selection costs at most, with every fragment counted where it is spread."""

    levels: int = 0
    fields: int = 0
    nested: int = 0
    aliases: int = 0

    def __add__(self, other: "OperationCost") -> "OperationCost":
        return OperationCost(
            max(self.levels, other.levels),
            self.fields + other.fields,
            self.nested + other.nested,
            self.aliases + other.aliases,
        )


class _Scales:
    """Weighs the selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        self._weighed: dict[str, OperationCost] = {}

    def operation(self, node: OperationDefinitionNode) -> OperationCost:
        """The weight of the operation, with the default values of its variables."""
        defaults = sum(_values(each.default_value) for each in node.variable_definitions or () if each.default_value)
        return OperationCost(fields=defaults) + self._selections(node.selection_set)

    def _selections(self, node: SelectionSetNode) -> OperationCost:
        return sum((self._selection(selection) for selection in node.selections), OperationCost())

    def _selection(self, node: SelectionNode) -> OperationCost:
        if isinstance(node, FieldNode):
            return self._field(node)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        return self._selections(node.selection_set) if isinstance(node, InlineFragmentNode) else OperationCost()

    def _field(self, node: FieldNode) -> OperationCost:
        name, below = node.name.value, OperationCost()
        # What begins with two underscores tells of the schema: a matter of the rule against introspection.
        if node.selection_set is not None and not name.startswith("__"):
            below = self._selections(node.selection_set)
        return OperationCost(
            1 + below.levels,
            1 + below.fields + sum(_values(argument.value) for argument in node.arguments or ()),
            below.nested + (node.selection_set is not None),
            below.aliases + (node.alias is not None),
        )

    def _fragment(self, name: str) -> OperationCost:
        """Nothing for one that is unknown or spreads itself: the validation that follows says so."""
        if name not in self._weighed:
            self._weighed[name] = OperationCost()
            found = self._fragments.get(name)
            self._weighed[name] = self._selections(found.selection_set) if found else OperationCost()
        return self._weighed[name]


def _values(node: ValueNode) -> int:
    """How many fields and items a literal value has, at all its levels."""
    if isinstance(node, ObjectValueNode):
        return sum(1 + _values(field.value) for field in node.fields)
    return sum(1 + _values(value) for value in node.values) if isinstance(node, ListValueNode) else 0


def check_cost(document: DocumentNode) -> OperationDefinitionNode:
    """The document's operation. Raises GraphQLError for a document of anything but one operation, or of too large a one."""
    operation = _operation(document)
    weight = _weight(document, operation)
    bounds = (
        ("levels", weight.levels, MOST_LEVELS),
        ("fields and values in arguments", weight.fields, MOST_FIELDS),
        ("fields with fields of their own", weight.nested, MOST_NESTED),
        ("aliases", weight.aliases, MOST_ALIASES),
    )
    for what, found, most in bounds:
        if found > most:
            number = str(found) if found < 10**9 else "Far too many"
            raise GraphQLError(f"{number} {what} found. Allowed: {most}")
    return operation


def refuse_many_values(variables: Mapping[str, Any]) -> None:
    """Raises GraphQLError for variables of too many values, whether or not the operation declares them."""
    found, waiting = 0, list[Any]([variables])
    while waiting:
        value = waiting.pop()
        parts = value if isinstance(value, list) else value.values()
        found += len(parts)
        if found > MOST_VALUES:
            raise GraphQLError(f"More than {MOST_VALUES} values found in variables.")
        waiting.extend(part for part in parts if isinstance(part, dict | list))


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    """The document's one operation: a second one would be a way around every other limit."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        raise GraphQLError(f"{len(operations)} operations found. Exactly one was expected.")
    return operations[0]


def _weight(document: DocumentNode, operation: OperationDefinitionNode) -> OperationCost:
    try:
        return _Scales(document).operation(operation)
    except RecursionError:
        raise GraphQLError("The selections are nested too deeply.") from None


class FewDirectives(ValidationRule):
    """Thousands of directives on one field cost much and say nothing (H121)."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._found = 0

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self._found += 1
        if self._found == MOST_DIRECTIVES + 1:
            self.report_error(GraphQLError(f"More than {MOST_DIRECTIVES} directives found.", node))


_ALWAYS: Final[list[type[ASTValidationRule]]] = [FewDirectives]
_IN_PRODUCTION: Final = [*_ALWAYS, NoSchemaIntrospectionCustomRule]


def rules(*, development: bool) -> list[type[ASTValidationRule]]:
    """The process's one list of extra rules; introspection is for development only (H116)."""
    return _ALWAYS if development else _IN_PRODUCTION
