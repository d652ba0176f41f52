"""Flows: a sign-in or an acceptance on its way through an OpenID Provider, bound to the browser that began it.

A flow is a row. It is found by the OAuth state and the flow cookie together (H058, H059). `service.sign_in.callback` handles
its return, and `service.sign_in.confirm` the code from the mailbox.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service import audit
from service.accounts.sessions import Caller
from service.changes import Changed, notify
from service.database import execute, transaction
from service.errors import InviteLinkInvalid, UnknownProvider
from service.invitations.links import LinkFacts, by_id
from service.models import Flow, FlowKind
from service.openid import RelyingParty
from service.settings import Settings
from service.sign_in.flow_cookie import FlowCookie, rotate
from service.sign_in.return_to import allowed_return
from service.tokens import Digest, digest_of, is_id, new_id

RETURN_WITHIN: Final = timedelta(minutes=15)
RETRY_WITHIN: Final = timedelta(minutes=30)


class SignInStatus(StrEnum):
    """How a sign-in stands; the words of the API."""

    STARTED = "STARTED"
    SIGNED_IN = "SIGNED_IN"
    NOT_INVITED = "NOT_INVITED"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    IDENTITY_LINKED = "IDENTITY_LINKED"
    IDENTITY_IN_USE = "IDENTITY_IN_USE"


# ----------------------------------------------------------------------------------------------------------- beginning


@dataclass(frozen=True, slots=True)
class Begun:
    """A flow on its way: where to send the browser, until when it may return, and the flow cookie to give it."""

    flow_id: str
    authorization_url: str
    expires_at: datetime
    cookie: FlowCookie


async def begin_acceptance(
    link: LinkFacts, provider_id: str, return_to: str | None, *, cookie: FlowCookie, relying_party: RelyingParty,
    now: datetime, settings: Settings, first_started_at: datetime | None = None,
) -> Begun:  # fmt: skip
    """Binds a link to a login that begins now in this browser; consumes nothing. A retry keeps its first start."""
    flow = Flow(kind=FlowKind.ACCEPT, link_id=link.id, first_started_at=first_started_at or now)
    begun = await _prepare(flow, provider_id, return_to or "/confirm", cookie, relying_party, now, settings)
    started = audit.Event(
        "invitation.sign_in_started", link.community_id, None, link.invitation_id, {"provider": provider_id}
    )
    async with transaction():
        # The invitation's row is locked before the flow locks the link's, in the order of an erasure.
        await execute(_OPEN, now, link.invitation_id)
        await flow.save(force_create=True)
        await audit.record_anonymous(now, started)
        await notify(Changed(link.community_id, link.invitation_id))
    return begun


_OPEN: Final = "UPDATE invitations SET opened_at = $1 WHERE id = $2 AND opened_at IS NULL RETURNING id"


async def begin_sign_in(
    provider_id: str, return_to: str | None, *, cookie: FlowCookie, relying_party: RelyingParty, now: datetime,
    settings: Settings,
) -> Begun:  # fmt: skip
    flow = Flow(kind=FlowKind.SIGN_IN, first_started_at=now)
    return await _begin(flow, provider_id, return_to or "/", cookie, relying_party, now, settings)


async def begin_linking(
    caller: Caller, provider_id: str, return_to: str | None, *, cookie: FlowCookie, relying_party: RelyingParty,
    now: datetime, settings: Settings,
) -> Begun:  # fmt: skip
    """Adds another sign-in to the caller's account, by a fresh login with it; bound to the caller's session."""
    flow = Flow(kind=FlowKind.LINK_IDENTITY, session_id=caller.credential_id, first_started_at=now)
    return await _begin(flow, provider_id, return_to or "/", cookie, relying_party, now, settings)


async def _begin(
    flow: Flow, provider_id: str, return_to: str, cookie: FlowCookie, relying_party: RelyingParty, now: datetime,
    settings: Settings,
) -> Begun:  # fmt: skip
    begun = await _prepare(flow, provider_id, return_to, cookie, relying_party, now, settings)
    await flow.save(force_create=True)
    return begun


async def _prepare(
    flow: Flow, provider_id: str, return_to: str, cookie: FlowCookie, relying_party: RelyingParty, now: datetime,
    settings: Settings,
) -> Begun:  # fmt: skip
    """Asks the provider's metadata and fills the flow in; its caller saves it, with what it tells of."""
    if not relying_party.knows(provider_id):
        raise UnknownProvider
    flow.return_to = allowed_return(return_to, settings)
    started = await relying_party.begin(provider_id, now=now)
    rotated, browser_digest = await rotate(cookie)
    flow.id, flow.provider_id, flow.browser_digest = new_id("flw"), provider_id, browser_digest
    flow.state_digest, flow.nonce_digest = digest_of(started.state), digest_of(started.nonce)
    flow.code_verifier = started.code_verifier
    flow.started_at, flow.expires_at = now, now + RETURN_WITHIN
    return Begun(flow.id, started.authorization_url, flow.expires_at, rotated)


# ---------------------------------------------------------------------------------------------------------- looking up


async def newest(cookie: FlowCookie, *kinds: FlowKind, flow_id: str | None = None) -> Flow | None:
    """This browser's newest flow of these kinds, or the one named; never another browser's."""
    if not cookie.tokens or not (flow_id is None or is_id(flow_id)):
        return None
    digests = cookie.digests
    flows = Flow.filter(browser_digest__in=digests, kind__in=[kind.value for kind in kinds])
    if flow_id is not None:
        flows = flows.filter(id=flow_id)
    return min(await flows, key=lambda flow: digests.index(Digest(flow.browser_digest)), default=None)


async def link_of_flow(cookie: FlowCookie, *, flow_id: str | None = None, now: datetime) -> tuple[LinkFacts, Flow]:
    """The link that this browser bound, for another try: within half an hour of its first start, whatever became of
    the link's own minutes. Raises InviteLinkInvalid otherwise.
    """
    flow = await newest(cookie, FlowKind.ACCEPT, flow_id=flow_id)
    link = await by_id(flow.link_id, now=now) if flow is not None and flow.link_id is not None else None
    if flow is None or link is None or not may_retry(flow, link, now):
        raise InviteLinkInvalid
    return link, flow


async def any_link_of_flow(cookie: FlowCookie, *, now: datetime) -> LinkFacts | None:
    """The link of this browser's newest acceptance, dead or alive."""
    flow = await newest(cookie, FlowKind.ACCEPT)
    return await by_id(flow.link_id, now=now) if flow is not None and flow.link_id is not None else None


def may_retry(flow: Flow, link: LinkFacts | None, now: datetime) -> bool:
    """Whether acceptInvite without a token tries again with the link of this flow."""
    return link is not None and link.may_return and now < flow.first_started_at + RETRY_WITHIN
