"""What an operation may cost: judged on its document once it is parsed, before anything is validated or resolved.

Each fragment is weighed once, however often it is spread. Strawberry's limiters walk a fragment anew at every spread, so
that forty small fragments, each spreading the next one twice, keep a process busy for ever (H121).
"""

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
    IntValueNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

MOST_TOKENS: Final = 1500
MOST_LEVELS: Final = 12
MOST_ALIASES: Final = 15
MOST_DIRECTIVES: Final = 20
MOST_FIELDS: Final = 600
# Comparing fields of one name, all that they select with them, takes the square of their number.
MOST_NESTED: Final = 150
# Two full pages one inside the other; a third would be a million rows.
MOST_ROWS: Final = 20_000

# The fields of a page that stand for its rows, and how many there are where the operation does not say so in figures.
ROWS: Final = frozenset({"nodes", "edges"})
_USUAL_PAGE: Final = 50
_LONGEST_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Weight:
    """What a selection costs at most, with every fragment counted where it is spread."""

    levels: int = 0
    fields: int = 0
    nested: int = 0
    aliases: int = 0
    rows: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(
            max(self.levels, other.levels),
            self.fields + other.fields,
            self.nested + other.nested,
            self.aliases + other.aliases,
            self.rows + other.rows,
        )


class _Scales:
    """Weighs the selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        self._weighed: dict[tuple[str, int], Weight] = {}

    def selections(self, node: SelectionSetNode, page: int) -> Weight:
        """The weight of a selection of something that, where it is a page, has so many rows."""
        return sum((self._selection(selection, page) for selection in node.selections), Weight())

    def _selection(self, node: SelectionNode, page: int) -> Weight:
        if isinstance(node, FieldNode):
            return self._field(node, page)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, page)
        return self.selections(node.selection_set, page) if isinstance(node, InlineFragmentNode) else Weight()

    def _field(self, node: FieldNode, page: int) -> Weight:
        name, below = node.name.value, Weight()
        # What begins with two underscores tells of the schema: a matter of the rule against introspection.
        if node.selection_set is not None and not name.startswith("__"):
            below = self.selections(node.selection_set, _page(node))
        rows = page * (1 + below.rows) if name in ROWS else below.rows
        return Weight(
            1 + below.levels,
            1 + below.fields,
            below.nested + (node.selection_set is not None),
            below.aliases + (node.alias is not None),
            rows,
        )

    def _fragment(self, name: str, page: int) -> Weight:
        """Nothing for one that is unknown or spreads itself: the validation that follows says so."""
        if (name, page) not in self._weighed:
            self._weighed[name, page] = Weight()
            found = self._fragments.get(name)
            self._weighed[name, page] = self.selections(found.selection_set, page) if found else Weight()
        return self._weighed[name, page]


def _page(node: FieldNode) -> int:
    """How many rows a page has at most; more than the longest is refused where it is resolved."""
    first = next((argument.value for argument in node.arguments or () if argument.name.value == "first"), None)
    if first is None:
        return _USUAL_PAGE
    return int(first.value) if isinstance(first, IntValueNode) and len(first.value) <= 2 else _LONGEST_PAGE  # noqa: PLR2004 -- figures


def refuse_heavy(document: DocumentNode) -> None:
    """Raises GraphQLError for a document that holds anything but one operation, or costs too much."""
    weight = _weight(document, _operation(document))
    bounds = (
        ("levels", weight.levels, MOST_LEVELS),
        ("fields", weight.fields, MOST_FIELDS),
        ("fields with fields of their own", weight.nested, MOST_NESTED),
        ("aliases", weight.aliases, MOST_ALIASES),
        ("rows in pages inside pages", weight.rows, MOST_ROWS),
    )
    for what, found, most in bounds:
        if found > most:
            number = str(found) if found < 10**9 else "Far too many"
            raise GraphQLError(f"{number} {what} found. Allowed: {most}")


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    """The document's one operation: a second one would be a way around every other limit."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        raise GraphQLError(f"{len(operations)} operations found. Exactly one was expected.")
    return operations[0]


def _weight(document: DocumentNode, operation: OperationDefinitionNode) -> Weight:
    try:
        return _Scales(document).selections(operation.selection_set, _USUAL_PAGE)
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
