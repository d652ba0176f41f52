"""Computes the cost of an operation from the types of the schema, before its execution (H200).

`ROWS` declares the maximum length of every list of the schema. Nested lists multiply. A cost has three amounts, each with
a limit:

- rows: objects in lists
- points: the work of loading and completing them, in microseconds of processor time (figures: docs/performance.md)
- counts: numbers that the database computes over all invitations or members of a community

The cost of a request uses the values of its variables and the number of the caller's communities: a page of 5 rows never
costs as much as a page of 100.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
)

from schema.limits.document_size import number_in_words
from schema.limits.selection_plans import is_attribute
from service import settings
from service.accounts.access_tokens import MOST_COMMUNITIES, MOST_LIVE, Scope
from service.accounts.identities import MOST_IDENTITIES
from service.accounts.sessions import MOST_LISTED
from service.communities.invitation_policy import MOST_DOMAINS
from service.communities.members import MOST_MEMBERSHIPS
from service.invitations.invite_many import MOST_INVITEES

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The length of a list: `most`, or the value of `argument` of the field or of an enclosing field.

    `usual` is the default of the argument. `one_community` is true when all rows belong to one community: a count that each
    of them selects is computed once. `points` is the cost of reading one row.
    """

    most: int
    argument: str | None = None
    usual: int | None = None
    one_community: bool = False
    points: int = 15


_PAGE: Final = Rows(most=100, argument="first", usual=50, one_community=True)
_PAGE_OF_INVITATIONS: Final = replace(_PAGE, points=30)
_PROVIDERS: Final = Rows(settings.MOST_PROVIDERS)

MEMBERSHIPS: Final = "Viewer.memberships"

_MOST_DETAILS: Final = 10

ROWS: Final[dict[str, Rows]] = {
    "AccessToken.communityIds": Rows(MOST_COMMUNITIES),
    "AccessToken.scopes": Rows(len(Scope)),
    "AuditEvent.details": Rows(_MOST_DETAILS, points=2),
    "AuditEventConnection.edges": _PAGE,
    "AuditEventConnection.nodes": _PAGE,
    "Community.invitationFunnel": Rows(26, "weeks", 8, one_community=True),
    "EmailDomainNotAllowed.allowedDomains": Rows(MOST_DOMAINS),
    "InvitationConnection.edges": _PAGE_OF_INVITATIONS,
    "InvitationConnection.nodes": _PAGE_OF_INVITATIONS,
    "InvitationPolicy.allowedEmailDomains": Rows(MOST_DOMAINS),
    "InvitationPolicy.displayEmailDomains": Rows(MOST_DOMAINS),
    "InviteMembersSuccess.outcomes": Rows(MOST_INVITEES, "invitees", one_community=True),
    "InvitePreview.providers": _PROVIDERS,
    "MembershipConnection.edges": _PAGE,
    "MembershipConnection.nodes": _PAGE,
    "Query.providers": _PROVIDERS,
    "Viewer.accessTokens": Rows(MOST_LIVE),
    "Viewer.identities": Rows(MOST_IDENTITIES),
    MEMBERSHIPS: Rows(MOST_MEMBERSHIPS),
    "Viewer.sessions": Rows(MOST_LISTED),
}
"""The maximum length of every list of the schema, by type and field. The resolvers keep to it."""

COUNTS: Final = frozenset({
    "Community.invitationCounts",
    "Community.invitationFunnel",
    "Community.memberCount",
    "InvitationConnection.totalCount",
    "MembershipConnection.totalCount",
})  # fmt: skip
"""Fields that the database computes over all rows of a community. A list of them counts once for each item."""

# Points are about microseconds of processor time (docs/performance.md).
_PLAIN: Final = 1  # an attribute in a selection of attributes only, which a plan completes
_SINGLE: Final = 5  # an attribute in a selection with resolvers, where graphql-core resolves each field
_RESOLVED: Final = 75  # a field with a resolver
_HEAVIER: Final[dict[str, int]] = {
    "Community.auditLog": 250,
    "Community.invitationFunnel": 500,
    "Community.invitations": 250,
    "Community.memberships": 250,
    "Invitation.timeline": 200,
}
_PER_INVITEE: Final = 200  # checks, writes and reads a row of inviteMembers, for every selection

MOST_ROWS: Final = 20_000  # two selections of 100 pages of 100 rows
MOST_POINTS: Final = 400_000
MOST_COUNTS: Final = 1000
# An event costs its amounts once for each subscriber. One may cost at most as much as a page of 100 rows.
_OF_EVENT: Final = " in one event of a subscription, which may cost as much as one page of 100"
MOST_ROWS_OF_EVENT: Final = 100
MOST_POINTS_OF_EVENT: Final = 5000
MOST_COUNTS_OF_EVENT: Final = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """The maximum cost of a selection. `fields` counts its fields; their points depend on `plain`: whether all are attributes."""

    rows: int = 0
    points: int = 0
    counts: int = 0
    fields: int = 0
    plain: bool = True

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.rows + other.rows,
            self.points + other.points,
            self.counts + other.counts,
            self.fields + other.fields,
            plain=self.plain and other.plain,
        )

    @property
    def total(self) -> int:
        """The points, including those of the selection's own fields."""
        return self.points + self.fields * (_PLAIN if self.plain else _SINGLE)


@dataclass(slots=True)
class CostCounter:
    """Computes the cost of a valid operation for given variables, or the maximum of all requests without them.

    `memberships` is the number of the caller's communities, or None for the maximum. `varies` becomes true when a variable or
    this number determines the length of a list, and `needs_memberships` when this number does.
    """

    schema: GraphQLSchema
    document: DocumentNode
    variables: Variables | None = None
    memberships: int | None = None
    varies: bool = False
    needs_memberships: bool = False
    _fragments: dict[str, FragmentDefinitionNode] = field(init=False)
    _fragment_costs: dict[Any, Cost] = field(init=False, default_factory=dict)
    _defaults: dict[str, ValueNode | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        definitions = self.document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}

    def operation(self, node: OperationDefinitionNode) -> Cost:
        """The cost of a query or mutation, or of one event of a subscription."""
        self._defaults = {each.variable.name.value: each.default_value for each in node.variable_definitions or ()}
        root = self.schema.get_root_type(node.operation)
        return Cost() if root is None else self._selections(node.selection_set, root, {})

    def _selections(self, node: SelectionSetNode, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        """The cost of a selection. `sizes` are the list lengths in the arguments of enclosing fields."""
        return sum((self._selection(each, kind, sizes) for each in node.selections), Cost())

    def _selection(self, node: Any, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        if isinstance(node, FieldNode):
            return self._field(node, kind, sizes)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, kind, sizes)
        return self._selections(node.selection_set, self._condition(node, kind), sizes)

    def _fragment(self, name: str, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        """Computes the cost of a fragment once for the same sizes, and reuses it at each spread (H121)."""
        key = name, *sorted(sizes.items())
        if key not in self._fragment_costs:
            node = self._fragments[name]
            self._fragment_costs[key] = self._selections(node.selection_set, self._condition(node, kind), sizes)
        return self._fragment_costs[key]

    def _condition(self, node: Any, kind: GraphQLNamedType) -> GraphQLNamedType:
        condition = None if node.type_condition is None else self.schema.get_type(node.type_condition.name.value)
        return condition or kind

    def _field(self, node: FieldNode, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        name = node.name.value
        definition = self.schema.get_field(cast("GraphQLCompositeType", kind), name)
        # Introspection, which production rejects.
        if definition is None or name.startswith("__"):
            return Cost(fields=1)
        sizes = {**sizes, **self._sizes(node, definition)}
        below = Cost()
        if node.selection_set is not None:
            below = self._selections(node.selection_set, get_named_type(definition.type), sizes)
        return self._own(f"{kind.name}.{name}", definition, sizes) + self._inner(
            f"{kind.name}.{name}", definition, below, sizes
        )

    def _own(self, name: str, definition: GraphQLField, sizes: Mapping[str, int]) -> Cost:
        """The cost of the field without its selection."""
        invited = sizes.get("invitees", 0) if name == "Mutation.inviteMembers" else 0
        counts = (_items(ROWS[name], sizes) if name in ROWS else 1) if name in COUNTS else 0
        if is_attribute(definition) and not counts:
            return Cost(fields=1, plain=not is_abstract_type(get_named_type(definition.type)))
        points = _HEAVIER.get(name, _RESOLVED) + invited * _PER_INVITEE
        return Cost(rows=invited, points=points, counts=counts, fields=1, plain=False)

    def _inner(self, name: str, definition: GraphQLField, below: Cost, sizes: Mapping[str, int]) -> Cost:
        """The cost of the field's selection, multiplied by the length of the list."""
        if not is_list_type(get_nullable_type(definition.type)):
            return Cost(below.rows, below.total, below.counts, plain=below.plain)
        rows = ROWS[name]
        number = self._memberships() if name == MEMBERSHIPS else _items(rows, sizes)
        if is_leaf_type(get_named_type(definition.type)):
            return Cost(points=number)
        counts = below.counts * (1 if rows.one_community else number)
        return Cost(number * (1 + below.rows), number * (rows.points + below.total), counts, plain=below.plain)

    # ------------------------------------------------------------------------------------------------ sizes of lists

    def _memberships(self) -> int:
        self.varies = self.needs_memberships = True
        most = ROWS[MEMBERSHIPS].most
        return most if self.memberships is None else min(self.memberships, most)

    def _sizes(self, node: FieldNode, definition: GraphQLField) -> dict[str, int]:
        """The list lengths in the field's arguments. They replace those of enclosing fields, also by a default."""
        arguments = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = {}
        for name, argument in definition.args.items():
            if name in _SIZED:
                sizes[name] = self._size(arguments.get(name), _SIZED[name])
            kind = get_named_type(argument.type)
            for part in _SIZED.keys() & kind.fields.keys() if is_input_object_type(kind) else ():
                sizes[part] = self._size(self._part(arguments.get(name), part), _SIZED[part])
        return sizes

    def _part(self, argument: Any, name: str) -> Any:
        """A field of an input object, as a node or as JSON."""
        value = self._value(argument)
        if isinstance(value, ObjectValueNode):
            return next((part.value for part in value.fields if part.name.value == name), None)
        return value.get(name) if isinstance(value, dict) else value

    def _size(self, value: Any, rows: Rows) -> int:
        """The length that a value gives: a number, or the length of a list, limited to between 0 and the maximum."""
        value = self._value(value)
        if value is None or isinstance(value, NullValueNode):
            return rows.most if rows.usual is None else rows.usual
        if isinstance(value, ListValueNode | list):
            return min(len(value.values if isinstance(value, ListValueNode) else value), rows.most)
        if isinstance(value, IntValueNode):
            value = int(value.value) if len(value.value) <= len(str(rows.most)) else rows.most
        if isinstance(value, bool) or not isinstance(value, int):
            return rows.most
        return min(max(value, 0), rows.most)

    def _value(self, value: Any) -> Any:
        """Replaces a variable by its value: JSON, its default as a node, or `_ANY` without the variables of a request."""
        if not isinstance(value, VariableNode):
            return value
        self.varies = True
        if self.variables is None:
            return _ANY
        name = value.name.value
        return self.variables[name] if name in self.variables else self._defaults.get(name)


def _items(rows: Rows, sizes: Mapping[str, int]) -> int:
    """The length of a list. `sizes` are the list lengths in the arguments of enclosing fields."""
    usual = rows.most if rows.usual is None else rows.usual
    return min(sizes.get(rows.argument or "", usual), rows.most)


class _Any:
    """Represents every possible value of a variable."""


_ANY: Final = _Any()
_SIZED: Final = {rows.argument: rows for rows in ROWS.values() if rows.argument is not None}


def refuse_costly(cost: Cost, operation: OperationDefinitionNode) -> None:
    """Raises GraphQLError for an operation over a limit. The message names the limit."""
    event = operation.operation is OperationType.SUBSCRIPTION
    bounds = (
        ("rows in lists", cost.rows, MOST_ROWS_OF_EVENT if event else MOST_ROWS),
        ("points of cost", cost.total, MOST_POINTS_OF_EVENT if event else MOST_POINTS),
        ("counts over whole communities", cost.counts, MOST_COUNTS_OF_EVENT if event else MOST_COUNTS),
    )
    for amount, number, most in bounds:
        if number > most:
            where = _OF_EVENT if event else ""
            advice = "Ask for shorter pages (first), fewer lists inside lists, or fewer fields."
            raise GraphQLError(
                f"{number_in_words(number)} {amount} found{where}. Allowed: {most}. {advice}", extensions=_TOO_COSTLY
            )


_TOO_COSTLY: Final = {"code": "TOO_COSTLY"}
