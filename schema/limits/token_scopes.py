"""What an access token may ask for: a table of root fields, and everything that is not in it is refused.

Sessions pass. What a token may see inside a field is decided where it is read, by its communities.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import strawberry
from graphql import GraphQLResolveInfo

from schema.cursors import BadArgument
from service.accounts.access_tokens import Scope

# INVITE includes READ (`service.accounts.access_tokens`), because what was invited is answered, with all around it.
GRANTS: Final[dict[str, dict[str, Scope]]] = {
    "Query": {
        "viewer": Scope.READ,
        "node": Scope.READ,
        "community": Scope.READ,
        "invitation": Scope.READ,
    },
    "Mutation": {
        "inviteMember": Scope.INVITE,
        "inviteMembers": Scope.INVITE,
        "resendInvite": Scope.INVITE,
        "revokeInvite": Scope.INVITE,
    },
    "Subscription": {"invitationChanged": Scope.READ},
}


def guard(schema: strawberry.Schema) -> None:
    """Puts the table before every root field of the schema, once, when it is made."""
    for root, granted in GRANTS.items():
        kind: Any = schema._schema.get_type(root)  # noqa: SLF001 -- the executor's own schema has no other door
        for name, field in kind.fields.items() if kind is not None else ():
            attribute = "subscribe" if root == "Subscription" else "resolve"
            setattr(field, attribute, _guarded(getattr(field, attribute), name, granted.get(name)))


def _guarded(work: Callable[..., Any], name: str, needed: Scope | None) -> Callable[..., Any]:
    @wraps(work)
    def guarded(source: Any, info: "GraphQLResolveInfo[Any]", **arguments: Any) -> Any:
        caller = info.context.caller
        if caller is not None and caller.grant is not None and needed not in caller.grant.scopes:
            raise BadArgument(f"This access token may not ask for {name}.", code="NOT_GRANTED")
        return work(source, info, **arguments)

    return guarded
