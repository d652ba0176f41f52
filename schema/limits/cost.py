"""The cost of an operation, computed from the schema's types before anything is resolved (H200).

Every list of the schema declares in `ROWS` how many items it holds at most, and lists multiply: a list inside a list
counts as often as the outer one has rows. An operation has three amounts, each with a bound:

- rows: objects in lists
- points: the work of loading and completing them, in microseconds of processor time; docs/performance.md has the figures
- counts: numbers that the database computes over all invitations or members of a community

Where a variable decides, a list counts with the request's own value, so that a page of five rows is never refused as a
page of a hundred. The caller's own communities count as many as they are.
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

from schema.limits.selection_plans import is_attribute
from service import lookup, settings
from service.accounts import access_tokens, sessions
from service.communities import access as communities
from service.communities import invitation_policy
from service.invitations import invite_many as invite_many_module

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """How many items a list holds: `most`, or what an argument of it or of a field around it says.

    `usual` applies where the argument is left out. `one_community`: all rows belong to the same community, so that a
    count that each of them selects is computed once. `points` are those of reading one row.
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

ROWS: Final[dict[str, Rows]] = {
    "AccessToken.communityIds": Rows(access_tokens.MOST_COMMUNITIES),
    "AccessToken.scopes": Rows(len(access_tokens.Scope)),
    "AuditEventConnection.edges": _PAGE,
    "AuditEventConnection.nodes": _PAGE,
    "Community.invitationFunnel": Rows(26, "weeks", 8, one_community=True),
    "EmailDomainNotAllowed.allowedDomains": Rows(invitation_policy.MOST_DOMAINS),
    "InvitationConnection.edges": _PAGE_OF_INVITATIONS,
    "InvitationConnection.nodes": _PAGE_OF_INVITATIONS,
    "InvitationPolicy.allowedEmailDomains": Rows(invitation_policy.MOST_DOMAINS),
    "InviteMembersSuccess.outcomes": Rows(invite_many_module.MOST, "invitees", one_community=True),
    "InvitePreview.providers": _PROVIDERS,
    "MembershipConnection.edges": _PAGE,
    "MembershipConnection.nodes": _PAGE,
    "Query.providers": _PROVIDERS,
    "Viewer.accessTokens": Rows(access_tokens.MOST_LIVE),
    "Viewer.identities": Rows(lookup.MOST_IDENTITIES),
    MEMBERSHIPS: Rows(communities.MOST_OF_MEMBER),
    "Viewer.sessions": Rows(sessions.MOST_LISTED),
}
"""The most items of every list of the schema, by type and field; whatever returns the list keeps to it."""

COUNTS: Final = frozenset({
    "Community.invitationCounts",
    "Community.invitationFunnel",
    "Community.memberCount",
    "InvitationConnection.totalCount",
    "MembershipConnection.totalCount",
})  # fmt: skip
"""Fields that the database computes over all rows of a community; one that is a list counts once for each item."""

# Points; about the microseconds of processor time that each takes (docs/performance.md).
_PLAIN: Final = 1  # an attribute that a plan reads
_SINGLE: Final = 5  # an attribute beside a field with a resolver: graphql-core resolves each by itself
_RESOLVED: Final = 75  # a field with a resolver
_HEAVIER: Final[dict[str, int]] = {
    "Community.auditLog": 250,
    "Community.invitationFunnel": 500,
    "Community.invitations": 250,
    "Community.memberships": 250,
    "Invitation.timeline": 200,
}
_PER_INVITEE: Final = 200  # a row of inviteMembers: checked, written and read back, whatever is selected

MOST_ROWS: Final = 20_000  # two full pages one inside the other, twice
MOST_POINTS: Final = 400_000
MOST_COUNTS: Final = 1000
# An event of a subscription costs each listener as much; a page of a hundred is the most that one may ask for.
_OF_EVENT: Final = " in one event of a subscription, which may cost as much as one page of 100"
MOST_ROWS_OF_EVENT: Final = 100
MOST_POINTS_OF_EVENT: Final = 5000
MOST_COUNTS_OF_EVENT: Final = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """What a selection costs at most. `fields` are its own fields, whose points depend on whether all is `plain`."""

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
        """The points, with those of the selection's own fields."""
        return self.points + self.fields * (_PLAIN if self.plain else _SINGLE)


@dataclass(slots=True)
class Scales:
    """Weighs a valid operation. `variables` are the request's, or None for the most that any request can ask for.

    `memberships` is how many communities the caller belongs to, or None for the most that a list of them holds.
    `varies` is set when a variable or that number decided how long a list is, `asks_memberships` when that number did.
    """

    schema: GraphQLSchema
    document: DocumentNode
    variables: Variables | None = None
    memberships: int | None = None
    varies: bool = False
    asks_memberships: bool = False
    _fragments: dict[str, FragmentDefinitionNode] = field(init=False)
    _weighed: dict[Any, Cost] = field(init=False, default_factory=dict)
    _defaults: dict[str, ValueNode | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        definitions = self.document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}

    def operation(self, node: OperationDefinitionNode) -> Cost:
        """The cost of the operation, or of one event of it where it is a subscription."""
        self._defaults = {each.variable.name.value: each.default_value for each in node.variable_definitions or ()}
        root = self.schema.get_root_type(node.operation)
        return Cost() if root is None else self._selections(node.selection_set, root, {})

    def _selections(self, node: SelectionSetNode, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        """The cost of a selection of a type, inside fields whose arguments named these sizes."""
        return sum((self._selection(each, kind, sizes) for each in node.selections), Cost())

    def _selection(self, node: Any, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        if isinstance(node, FieldNode):
            return self._field(node, kind, sizes)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, kind, sizes)
        return self._selections(node.selection_set, self._condition(node, kind), sizes)

    def _fragment(self, name: str, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        """Each fragment is weighed once for the same sizes, however often it is spread (H121)."""
        key = name, *sorted(sizes.items())
        if key not in self._weighed:
            node = self._fragments[name]
            self._weighed[key] = self._selections(node.selection_set, self._condition(node, kind), sizes)
        return self._weighed[key]

    def _condition(self, node: Any, kind: GraphQLNamedType) -> GraphQLNamedType:
        named = None if node.type_condition is None else self.schema.get_type(node.type_condition.name.value)
        return named or kind

    def _field(self, node: FieldNode, kind: GraphQLNamedType, sizes: Mapping[str, int]) -> Cost:
        name = node.name.value
        found = self.schema.get_field(cast("GraphQLCompositeType", kind), name)
        # Fields with two underscores describe the schema: introspection, which production refuses.
        if found is None or name.startswith("__"):
            return Cost(fields=1)
        sizes = {**sizes, **self._sizes(node, found)}
        below = Cost()
        if node.selection_set is not None:
            below = self._selections(node.selection_set, get_named_type(found.type), sizes)
        return self._own(f"{kind.name}.{name}", found, sizes) + self._inner(f"{kind.name}.{name}", found, below, sizes)

    def _own(self, name: str, found: GraphQLField, sizes: Mapping[str, int]) -> Cost:
        """The cost of the field itself, once."""
        invited = sizes.get("invitees", 0) if name == "Mutation.inviteMembers" else 0
        counts = (_items(ROWS[name], sizes) if name in ROWS else 1) if name in COUNTS else 0
        if is_attribute(found) and not counts:
            return Cost(fields=1, plain=not is_abstract_type(get_named_type(found.type)))
        points = _HEAVIER.get(name, _RESOLVED) + invited * _PER_INVITEE
        return Cost(rows=invited, points=points, counts=counts, fields=1, plain=False)

    def _inner(self, name: str, found: GraphQLField, below: Cost, sizes: Mapping[str, int]) -> Cost:
        """The cost of the selection in the field, as often as the field may have items."""
        if not is_list_type(get_nullable_type(found.type)):
            return Cost(below.rows, below.total, below.counts, plain=below.plain)
        rows = ROWS[name]
        number = self._memberships() if name == MEMBERSHIPS else _items(rows, sizes)
        if is_leaf_type(get_named_type(found.type)):
            return Cost(points=number)
        counts = below.counts * (1 if rows.one_community else number)
        return Cost(number * (1 + below.rows), number * (rows.points + below.total), counts, plain=below.plain)

    # ------------------------------------------------------------------------------------------------ sizes of lists

    def _memberships(self) -> int:
        self.varies = self.asks_memberships = True
        most = ROWS[MEMBERSHIPS].most
        return most if self.memberships is None else min(self.memberships, most)

    def _sizes(self, node: FieldNode, found: GraphQLField) -> dict[str, int]:
        """What the field's arguments say of the lists in it; an argument left out resets what a field around it said."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = {}
        for name, argument in found.args.items():
            if name in _SIZED:
                sizes[name] = self._size(given.get(name), _SIZED[name])
            kind = get_named_type(argument.type)
            for part in _SIZED.keys() & kind.fields.keys() if is_input_object_type(kind) else ():
                sizes[part] = self._size(self._part(given.get(name), part), _SIZED[part])
        return sizes

    def _part(self, argument: Any, name: str) -> Any:
        """The field of an input object, as a node or as JSON."""
        value = self._value(argument)
        if isinstance(value, ObjectValueNode):
            return next((part.value for part in value.fields if part.name.value == name), None)
        return value.get(name) if isinstance(value, dict) else value

    def _size(self, value: Any, rows: Rows) -> int:
        """The number that a value stands for: itself, or the length of a list; between 0 and the most."""
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
        """The node or the JSON that a node stands for: `_ANY` for a variable whose value is not known yet."""
        if not isinstance(value, VariableNode):
            return value
        self.varies = True
        if self.variables is None:
            return _ANY
        name = value.name.value
        return self.variables[name] if name in self.variables else self._defaults.get(name)


def _items(rows: Rows, sizes: Mapping[str, int]) -> int:
    """How many items the list holds inside fields whose arguments named these sizes."""
    usual = rows.most if rows.usual is None else rows.usual
    return min(sizes.get(rows.argument or "", usual), rows.most)


class _Any:
    """Stands for whatever a variable may hold."""


_ANY: Final = _Any()
_SIZED: Final = {rows.argument: rows for rows in ROWS.values() if rows.argument is not None}


def refuse_costly(cost: Cost, operation: OperationDefinitionNode) -> None:
    """Raises GraphQLError for an operation over a bound; the message names the bound."""
    event = operation.operation is OperationType.SUBSCRIPTION
    bounds = (
        ("rows in lists", cost.rows, MOST_ROWS_OF_EVENT if event else MOST_ROWS),
        ("points of cost", cost.total, MOST_POINTS_OF_EVENT if event else MOST_POINTS),
        ("counts over whole communities", cost.counts, MOST_COUNTS_OF_EVENT if event else MOST_COUNTS),
    )
    for what, found, most in bounds:
        if found > most:
            where = _OF_EVENT if event else ""
            advice = "Ask for shorter pages (first), fewer lists inside lists, or fewer fields."
            raise GraphQLError(
                f"{_number(found)} {what} found{where}. Allowed: {most}. {advice}", extensions=_TOO_COSTLY
            )


_TOO_COSTLY: Final = {"code": "TOO_COSTLY"}


def _number(found: int) -> str:
    return str(found) if found < 10**9 else "Far too many"
