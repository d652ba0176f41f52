"""The signed-in person."""

import strawberry

from schema.context import Info
from schema.types.account import AccessToken, Identity, Session
from schema.types.communities import membership_with_community
from schema.types.members import Member, Membership
from service.accounts.access_tokens import access_tokens_of
from service.accounts.caller import Caller
from service.accounts.identities import identities_of
from service.accounts.sessions import sessions_of
from service.communities.communities import may_create
from service.communities.members import memberships_of


@strawberry.type
class Viewer:
    member: Member

    @strawberry.field(description="Sorted by the names of the communities; at most 200.")
    async def memberships(self, info: Info) -> list[Membership]:
        context = info.context
        if context.caller is None:
            return []
        views = await memberships_of(context.caller, context.settings)
        return [membership_with_community(view) for view in views]

    @strawberry.field(description="The sign-ins that open this account; at most 100.")
    async def identities(self, info: Info) -> list[Identity]:
        identities = [] if session_caller(info) is None else await identities_of(str(self.member.id))
        return [Identity.from_view(identity, info) for identity in identities]

    @strawberry.field(description="Where this person is signed in; the current session comes first; at most 100.")
    async def sessions(self, info: Info) -> list[Session]:
        context, caller = info.context, session_caller(info)
        if caller is None:
            return []
        own = await sessions_of(caller, now=context.now, settings=context.settings)
        return [Session.from_view(session, info) for session in own]

    @strawberry.field(description="Whether the viewer may create communities.")
    async def may_create_communities(self, info: Info) -> bool:
        return may_create(info.context.caller, info.context.settings)

    @strawberry.field(description="The valid access tokens of the viewer's scripts, newest first.")
    async def access_tokens(self, info: Info) -> list[AccessToken]:
        caller = session_caller(info)
        views = [] if caller is None else await access_tokens_of(caller, now=info.context.now)
        return [AccessToken.from_view(view) for view in views]


def session_caller(info: Info) -> Caller | None:
    """The caller of a session; None for an access token, which must not read the account's credentials."""
    caller = info.context.caller
    return None if caller is None or caller.grant is not None else caller
