"""What can be asked."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Self

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
from service import lookup
from service.accounts import access_tokens, sessions
from service.accounts.sessions import Caller
from service.addresses import masked
from service.communities import access as communities
from service.errors import InviteLinkInvalid, NotFound, NotSignedIn, RateLimited
from service.invitations import manage, respond
from service.invitations.accept import AcceptanceStatus
from service.invitations.links import LinkFacts, by_id, by_token
from service.models import Flow, FlowKind, Role
from service.sign_in import flows as sign_in
from service.sign_in import proposed_address
from service.sign_in.flows import SignInStatus


@strawberry.type
class Viewer:
    member: Member

    @strawberry.field(description="By the communities' names; at most 200.")
    async def memberships(self, info: Info) -> list[Membership]:
        context = info.context
        if context.caller is None:
            return []
        found = await communities.memberships_of(context.caller, context.settings)
        return [Membership.of(view) for view in found]

    @strawberry.field(description="The sign-ins that open this account; at most 100.")
    async def identities(self, info: Info) -> list[Identity]:
        found = [] if person(info) is None else await lookup.identities(str(self.member.id))
        return [Identity.of(identity, info) for identity in found]

    @strawberry.field(description="Where this person is signed in; the current session comes first; at most 100.")
    async def sessions(self, info: Info) -> list[Session]:
        context, caller = info.context, person(info)
        if caller is None:
            return []
        found = await sessions.of_member(caller, now=context.now, settings=context.settings)
        return [Session.of(session, info) for session in found]

    @strawberry.field(description="Whether createCommunity is open to this person.")
    async def may_create_communities(self, info: Info) -> bool:
        return communities.may_create(info.context.caller, info.context.settings)

    @strawberry.field(description="The live access tokens of this person's scripts, the newest first.")
    async def access_tokens(self, info: Info) -> list[AccessToken]:
        caller = person(info)
        found = [] if caller is None else await access_tokens.of_member(caller, now=info.context.now)
        return [AccessToken.of(view) for view in found]


def person(info: Info) -> Caller | None:
    """The caller where they are signed in themselves; an access token sees nothing of what opens the account."""
    caller = info.context.caller
    return None if caller is None or caller.grant is not None else caller


@strawberry.type
class InvitePreview:
    community_name: str
    inviter_name: str | None
    masked_email: str = strawberry.field(
        description="Enough for the invitee to recognise, too little for a stranger to learn: a•••@example.com; a"
        " one-letter local part is •••@example.com."
    )
    role: Role
    message: str | None
    link_expires_at: datetime
    providers: list[Provider]

    @classmethod
    def of(cls, link: LinkFacts, info: Info) -> Self:
        return cls(
            community_name=link.community_name,
            inviter_name=invited_by(link),
            masked_email=masked(link.email),
            role=link.role,
            message=link.message,
            link_expires_at=link.expires_at,
            providers=_providers(info),
        )


def invited_by(link: LinkFacts) -> str:
    """Who invites, as the invitee may know it; an account need not have a name, and the operator has no account."""
    if link.inviter_id is None:
        return "The operator of this service"
    return link.inviter_name or f"An admin of {link.community_name}"


@strawberry.type
class Acceptance:
    id: strawberry.ID
    status: AcceptanceStatus
    community_name: str
    membership: Membership | None = strawberry.field(description="Set once accepted.")
    masked_email: str
    signed_in_email: str | None = strawberry.field(
        description="The address the person signed in with, where the sign-in succeeded."
    )
    provider: Provider | None
    message: str = strawberry.field(description="A sentence for a person, with what they can do next.")
    can_retry: bool = strawberry.field(
        description="Whether acceptInvite without a token will try again with the same link."
    )
    reason: str | None = strawberry.field(
        description="Why it was refused, as a stable word for clients that have words of their own: email_unverified,"
        " access_denied, inviter_not_entitled, ... Null while nothing was refused."
    )
    can_request_other_address: bool = strawberry.field(
        description="Whether requestOtherAddress would tell the admins of the address that was signed in with. The first"
        " address that was asked for stays; a later one is only recorded in the timeline."
    )
    other_address_requested: bool = strawberry.field(
        description="Whether the admins are asked already to invite the address that was signed in with. False after"
        " requestOtherAddress means that they have a request for another address already, which stays."
    )

    @classmethod
    async def of(cls, flow: Flow, info: Info) -> Self | None:
        context = info.context
        link = await by_id(flow.link_id or "", now=context.now)
        if link is None:
            return None
        return cls(
            id=strawberry.ID(flow.id),
            status=AcceptanceStatus(flow.status),
            community_name=link.community_name,
            membership=await _own_membership(flow.membership_id, link, info),
            masked_email=masked(link.email),
            signed_in_email=flow.signed_in_email,
            provider=Provider.maybe(context.provider(flow.provider_id)),
            message=flow.message or "You were sent to sign in. Come back here when you have done so.",
            can_retry=sign_in.may_retry(flow, link, context.now),
            reason=flow.reason,
            can_request_other_address=proposed_address.may_request(flow, link, context.now),
            other_address_requested=proposed_address.is_requested(flow, link),
        )


async def _own_membership(membership_id: str | None, link: LinkFacts, info: Info) -> Membership | None:
    """The membership that this browser's acceptance made, while it is signed in to it."""
    context = info.context
    if membership_id is None or context.caller is None:
        return None
    found = await communities.memberships_of(context.caller, context.settings, community_id=link.community_id)
    return next((Membership.of(view) for view in found if view.id == membership_id), None)


@strawberry.type
class SignInOutcome:
    status: SignInStatus
    provider: Provider | None
    message: str


def _providers(info: Info) -> list[Provider]:
    return [Provider.of(label) for label in info.context.relying_party.providers]


@strawberry.type
class Query:
    @strawberry.field(description="Anything with an id that the caller may see.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await _node(str(id), info)

    @strawberry.field(description="The signed-in person; null when nobody is signed in.")
    async def viewer(self, info: Info) -> Viewer | None:
        if info.context.caller is None:
            return None
        return Viewer(member=Member.of(await lookup.member(info.context.caller.member_id)))

    @strawberry.field(description="The OpenID Providers that a person may sign in with, in the operator's order.")
    def providers(self, info: Info) -> list[Provider]:
        return _providers(info)

    @strawberry.field(
        description="What the holder of a live link may know before proving who they are; null for any dead or unknown"
        " token. Without a token: the link of this browser's newest flow."
    )
    async def invite_preview(self, info: Info, token: str | None = None) -> InvitePreview | None:
        context = info.context
        try:
            await context.count_attempt()
            if token is None:
                link, _ = await sign_in.link_of_flow(context.flow_cookie, now=context.now)
            else:
                link = respond.open_link(await by_token(token, now=context.now), context.now)
        except InviteLinkInvalid:
            return None
        except RateLimited as limited:
            raise BadArgument(limited.message, code="RATE_LIMITED") from None
        return InvitePreview.of(link, info)

    @strawberry.field(
        description="How an accept flow of this browser came out; the newest without an id; null when it began none."
    )
    async def acceptance(self, info: Info, id: strawberry.ID | None = None) -> Acceptance | None:
        flow_id = None if id is None else str(id)
        flow = await sign_in.newest(info.context.flow_cookie, FlowKind.ACCEPT, flow_id=flow_id)
        return None if flow is None else await Acceptance.of(flow, info)

    @strawberry.field(description="How this browser's newest sign-in came out; null when it began none.")
    async def sign_in_outcome(self, info: Info) -> SignInOutcome | None:
        flow = await sign_in.newest(info.context.flow_cookie, FlowKind.SIGN_IN, FlowKind.LINK_IDENTITY)
        if flow is None:
            return None
        return SignInOutcome(
            status=SignInStatus(flow.status),
            provider=Provider.maybe(info.context.provider(flow.provider_id)),
            message=flow.message or "You were sent to sign in. Come back here when you have done so.",
        )

    @strawberry.field
    async def community(self, info: Info, id: strawberry.ID) -> Community | None:
        return await _community(str(id), info)

    @strawberry.field
    async def invitation(self, info: Info, id: strawberry.ID) -> Invitation | None:
        return await _invitation(str(id), info)


async def _community(community_id: str, info: Info) -> Community | None:
    context = info.context
    try:
        return Community.of(await communities.community_access(context.caller, community_id, context.settings))
    except (NotSignedIn, NotFound):
        return None


async def _invitation(invitation_id: str, info: Info) -> Invitation | None:
    context = info.context
    try:
        view = await manage.find(invitation_id, caller=context.caller, now=context.now, settings=context.settings)
    except (NotSignedIn, NotFound):
        return None
    return Invitation.of(view)


async def _node(node_id: str, info: Info) -> Any:
    """Each type's ids begin with its own three letters; what the caller may not see is null like what is not."""
    find = _BY_PREFIX.get(node_id[:4])
    return None if find is None or info.context.caller is None else await find(node_id, info, info.context.caller)


async def _find_community(node_id: str, info: Info, _: Caller) -> Community | None:
    return await _community(node_id, info)


async def _find_invitation(node_id: str, info: Info, _: Caller) -> Invitation | None:
    return await _invitation(node_id, info)


async def _find_membership(node_id: str, info: Info, caller: Caller) -> Membership | None:
    found = await lookup.membership(node_id, caller, info.context.settings)
    return None if found is None else Membership.of(found)


async def _find_member(node_id: str, _: Info, caller: Caller) -> Member | None:
    return Member.maybe(await lookup.visible_member(node_id, caller))


async def _find_event(node_id: str, info: Info, caller: Caller) -> AuditEvent | None:
    event = await lookup.audit_event(node_id, caller, info.context.settings)
    if event is None:
        return None
    invitation = await _invitation(event.invitation_id, info) if event.invitation_id else None
    return AuditEvent.of(event, invitation)


async def _find_session(node_id: str, info: Info, caller: Caller) -> Session | None:
    context = info.context
    if caller.grant is not None:
        return None
    found = await sessions.of_member(caller, now=context.now, settings=context.settings)
    return next((Session.of(session, info) for session in found if session.id == node_id), None)


async def _find_access_token(node_id: str, info: Info, caller: Caller) -> AccessToken | None:
    if caller.grant is not None:
        return None
    found = await access_tokens.of_member(caller, now=info.context.now)
    return next((AccessToken.of(view) for view in found if view.id == node_id), None)


async def _find_identity(node_id: str, info: Info, caller: Caller) -> Identity | None:
    if caller.grant is not None:
        return None
    own = await lookup.identities(caller.member_id)
    return next((Identity.of(identity, info) for identity in own if identity.id == node_id), None)


_BY_PREFIX: Final[dict[str, Callable[[str, Info, Caller], Awaitable[Any]]]] = {
    "com_": _find_community,
    "inv_": _find_invitation,
    "mem_": _find_membership,
    "per_": _find_member,
    "evt_": _find_event,
    "ses_": _find_session,
    "idn_": _find_identity,
    "tok_": _find_access_token,
}
