"""The scope that each root field needs from an access token. Fields outside the table reject access tokens.

Sessions may use every field. The service limits the results inside a field to the communities of the token.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import strawberry
from graphql import GraphQLResolveInfo

from schema.cursors import BadArgument
from service.accounts.access_tokens import Scope
from service.languages import sentence

# INVITE includes READ (`service.accounts.access_tokens`): the result of an invite has the invitation and its community.
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
    """Wraps the resolver of every root field of a new schema with the check of its scope."""
    for root, scopes in GRANTS.items():
        kind: Any = schema._schema.get_type(root)  # noqa: SLF001 -- Strawberry has no public access to it
        for name, field in kind.fields.items() if kind is not None else ():
            attribute = "subscribe" if root == "Subscription" else "resolve"
            setattr(field, attribute, _guarded(getattr(field, attribute), name, scopes.get(name)))


def _guarded(resolve: Callable[..., Any], name: str, scope: Scope | None) -> Callable[..., Any]:
    @wraps(resolve)
    def guarded(source: Any, info: "GraphQLResolveInfo[Any]", **arguments: Any) -> Any:
        caller = info.context.caller
        if caller is not None and caller.grant is not None and scope not in caller.grant.scopes:
            reason = sentence("NOT_GRANTED", "This access token may not ask for %(field)s.", field=name)
            raise BadArgument(reason, code="NOT_GRANTED")
        return resolve(source, info, **arguments)

    return guarded
