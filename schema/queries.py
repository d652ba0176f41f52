"""The queries."""

from collections.abc import Awaitable, Callable
from typing import Final

import strawberry

from schema.context import Info
from schema.cursors import BadArgument
from schema.types import (
    AccessToken,
    AuditEvent,
    Community,
    Identity,
    Invitation,
    Member,
    Membership,
    Node,
    Provider,
    Session,
)
from schema.types.acceptance import Acceptance, InvitePreview, SignInOutcome
from schema.types.communities import invitation_with_community, membership_with_community
from schema.types.providers import providers_of
from schema.types.viewer import Viewer, session_caller
from service.accounts.access_tokens import access_tokens_of
from service.accounts.caller import Caller
from service.accounts.identities import identities_of
from service.accounts.sessions import sessions_of
from service.audit_log.log import find_event
from service.communities.access import community_access
from service.communities.members import find_member, find_membership, find_visible_member
from service.errors import InviteLinkInvalid, NotFound, NotSignedIn, RateLimited
from service.invitations.links import link_by_token
from service.invitations.manage import find_invitation
from service.invitations.respond import open_link
from service.models import FlowKind
from service.sign_in.flows import link_for_retry, newest_flow


@strawberry.type
class Query:
    @strawberry.field(description="Anything with an id that the caller may see.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await _node(str(id), info)

    @strawberry.field(description="The signed-in person; null when nobody is signed in.")
    async def viewer(self, info: Info) -> Viewer | None:
        if info.context.caller is None:
            return None
        return Viewer(member=Member.from_view(await find_member(info.context.caller.member_id)))

    @strawberry.field(description="The OpenID Providers that a person may sign in with, in the operator's order.")
    def providers(self, info: Info) -> list[Provider]:
        return providers_of(info)

    @strawberry.field(
        description="What the holder of a live link may know before proving who they are; null for any dead or unknown"
        " token. Without a token: the link of the acceptance named, or of this browser's newest flow."
    )
    async def invite_preview(
        self, info: Info, token: str | None = None, acceptance_id: strawberry.ID | None = None
    ) -> InvitePreview | None:
        context = info.context
        try:
            await context.count_attempt()
            if token is None:
                link, _ = await link_for_retry(context.flow_cookie, flow_id=acceptance_id, now=context.now)
            else:
                link = open_link(await link_by_token(token, now=context.now), context.now)
        except InviteLinkInvalid:
            return None
        except RateLimited as error:
            raise BadArgument(error.sentence, code="RATE_LIMITED") from None
        return InvitePreview.from_link(link, info)

    @strawberry.field(
        description="How an accept flow of this browser came out; the newest without an id; null when it began none."
    )
    async def acceptance(self, info: Info, id: strawberry.ID | None = None) -> Acceptance | None:
        flow = await newest_flow(info.context.flow_cookie, FlowKind.ACCEPT, flow_id=id)
        return None if flow is None else await Acceptance.from_flow(flow, info)

    @strawberry.field(
        description="How a sign-in of this browser came out; the newest without an id; null when it began none."
    )
    async def sign_in_outcome(self, info: Info, id: strawberry.ID | None = None) -> SignInOutcome | None:
        kinds = (FlowKind.SIGN_IN, FlowKind.LINK_IDENTITY)
        flow = await newest_flow(info.context.flow_cookie, *kinds, flow_id=id)
        return None if flow is None else SignInOutcome.from_flow(flow, info)

    @strawberry.field
    async def community(self, info: Info, id: strawberry.ID) -> Community | None:
        return await _community(str(id), info)

    @strawberry.field
    async def invitation(self, info: Info, id: strawberry.ID) -> Invitation | None:
        return await _invitation(str(id), info)


async def _community(community_id: str, info: Info) -> Community | None:
    context = info.context
    try:
        return Community.from_view(await community_access(context.caller, community_id, context.settings))
    except (NotSignedIn, NotFound):
        return None


async def _invitation(invitation_id: str, info: Info) -> Invitation | None:
    context = info.context
    try:
        view = await find_invitation(invitation_id, caller=context.caller, now=context.now, settings=context.settings)
    except (NotSignedIn, NotFound):
        return None
    return invitation_with_community(view)


async def _node(node_id: str, info: Info) -> Node | None:
    """Finds a node by the prefix of its id. Gives None for an unknown id, and for a node that the caller may not see."""
    prefix = node_id[:4]
    caller = session_caller(info) if prefix in _OF_ACCOUNT else info.context.caller
    find = _BY_PREFIX.get(prefix)
    return None if find is None or caller is None else await find(node_id, info, caller)


async def _find_community(node_id: str, info: Info, _: Caller) -> Community | None:
    return await _community(node_id, info)


async def _find_invitation(node_id: str, info: Info, _: Caller) -> Invitation | None:
    return await _invitation(node_id, info)


async def _find_membership(node_id: str, info: Info, caller: Caller) -> Membership | None:
    view = await find_membership(node_id, caller, info.context.settings)
    return None if view is None else membership_with_community(view)


async def _find_member(node_id: str, _: Info, caller: Caller) -> Member | None:
    return Member.from_optional(await find_visible_member(node_id, caller))


async def _find_event(node_id: str, info: Info, caller: Caller) -> AuditEvent | None:
    found = await find_event(node_id, caller, info.context.settings)
    if found is None:
        return None
    event, access = found
    invitation = await _invitation(event.invitation_id, info) if event.invitation_id else None
    return AuditEvent.from_view(event, invitation, Community.from_view(access))


async def _find_session(node_id: str, info: Info, caller: Caller) -> Session | None:
    context = info.context
    own = await sessions_of(caller, now=context.now, settings=context.settings)
    return next((Session.from_view(session, info) for session in own if session.id == node_id), None)


async def _find_access_token(node_id: str, info: Info, caller: Caller) -> AccessToken | None:
    views = await access_tokens_of(caller, now=info.context.now)
    return next((AccessToken.from_view(view) for view in views if view.id == node_id), None)


async def _find_identity(node_id: str, info: Info, caller: Caller) -> Identity | None:
    identities = await identities_of(caller.member_id)
    return next((Identity.from_view(identity, info) for identity in identities if identity.id == node_id), None)


_OF_ACCOUNT: Final = frozenset({"ses_", "idn_", "tok_"})  # sessions, identities and access tokens

_BY_PREFIX: Final[dict[str, Callable[[str, Info, Caller], Awaitable[Node | None]]]] = {
    "com_": _find_community,
    "inv_": _find_invitation,
    "mem_": _find_membership,
    "per_": _find_member,
    "evt_": _find_event,
    "ses_": _find_session,
    "idn_": _find_identity,
    "tok_": _find_access_token,
}
