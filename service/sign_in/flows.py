"""Flows: a sign-in or an acceptance on its way through an OpenID Provider, bound to the browser that started it.

A flow is a row. The OAuth state and the flow cookie together find it (H058, H059). `service.sign_in.callback` handles its
return, and `service.sign_in.confirm` the code from the mailbox.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service import audit
from service.accounts.caller import Caller
from service.changes import Changed, notify
from service.database import execute, transaction
from service.errors import InviteLinkInvalid, UnknownProvider
from service.invitations.links import LinkFacts, link_by_id
from service.models import Flow, FlowKind
from service.openid import RelyingParty
from service.settings import Settings
from service.sign_in.flow_cookie import FlowCookie, rotate
from service.sign_in.return_to import allowed_return
from service.tokens import Digest, digest_of, is_id, new_id

RETURN_WITHIN: Final = timedelta(minutes=15)
RETRY_WITHIN: Final = timedelta(minutes=30)


class SignInStatus(StrEnum):
    """The status of a sign-in, as the API names it."""

    STARTED = "STARTED"
    SIGNED_IN = "SIGNED_IN"
    NOT_INVITED = "NOT_INVITED"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    IDENTITY_LINKED = "IDENTITY_LINKED"
    IDENTITY_IN_USE = "IDENTITY_IN_USE"


# ------------------------------------------------------------------------------------------------------------- starting


@dataclass(frozen=True, slots=True)
class StartedFlow:
    """A flow that was sent to its provider: the URL for the browser, the deadline of its return, and its new flow cookie."""

    flow_id: str
    authorization_url: str
    expires_at: datetime
    cookie: FlowCookie


@dataclass(frozen=True, slots=True)
class Flows:
    """Starts flows at the relying party's providers. The composition root creates one for the process."""

    relying_party: RelyingParty
    settings: Settings

    async def start_acceptance(
        self, link: LinkFacts, provider_id: str, return_to: str | None, *, cookie: FlowCookie, now: datetime,
        first_started_at: datetime | None = None,
    ) -> StartedFlow:  # fmt: skip
        """Binds a link to a login that starts now in this browser. Consumes nothing. A retry keeps its first start."""
        flow = Flow(kind=FlowKind.ACCEPT, link_id=link.id, first_started_at=first_started_at or now)
        started = await self._prepare(flow, provider_id, return_to or "/confirm", cookie, now)
        event = audit.Event(
            "invitation.sign_in_started", link.community_id, None, link.invitation_id, {"provider": provider_id}
        )
        async with transaction():
            # Locks the invitation's row before the flow locks the link's, in the order of an erasure.
            await execute(_OPEN, now, link.invitation_id)
            await flow.save(force_create=True)
            await audit.record_anonymous(now, event)
            await notify(Changed(link.community_id, link.invitation_id))
        return started

    async def start_sign_in(
        self, provider_id: str, return_to: str | None, *, cookie: FlowCookie, now: datetime
    ) -> StartedFlow:
        """Starts a sign-in of a person who has an account."""
        flow = Flow(kind=FlowKind.SIGN_IN, first_started_at=now)
        return await self._start(flow, provider_id, return_to, cookie, now)

    async def start_linking(
        self, caller: Caller, provider_id: str, return_to: str | None, *, cookie: FlowCookie, now: datetime
    ) -> StartedFlow:
        """Starts adding another sign-in to the caller's account, by a login with it. Binds the flow to the caller's session."""
        flow = Flow(kind=FlowKind.LINK_IDENTITY, session_id=caller.credential_id, first_started_at=now)
        return await self._start(flow, provider_id, return_to, cookie, now)

    async def _start(
        self, flow: Flow, provider_id: str, return_to: str | None, cookie: FlowCookie, now: datetime
    ) -> StartedFlow:
        started = await self._prepare(flow, provider_id, return_to or "/", cookie, now)
        await flow.save(force_create=True)
        return started

    async def _prepare(
        self, flow: Flow, provider_id: str, return_to: str, cookie: FlowCookie, now: datetime
    ) -> StartedFlow:
        """Fills the flow from the provider's metadata. The caller saves it."""
        if not self.relying_party.knows(provider_id):
            raise UnknownProvider
        flow.return_to = allowed_return(return_to, self.settings)
        request = await self.relying_party.begin(provider_id, now=now)
        rotated, browser_digest = await rotate(cookie)
        flow.id, flow.provider_id, flow.browser_digest = new_id("flw"), provider_id, browser_digest
        flow.state_digest, flow.nonce_digest = digest_of(request.state), digest_of(request.nonce)
        flow.code_verifier = request.code_verifier
        flow.started_at, flow.expires_at = now, now + RETURN_WITHIN
        return StartedFlow(flow.id, request.authorization_url, flow.expires_at, rotated)


_OPEN: Final = "UPDATE invitations SET opened_at = $1 WHERE id = $2 AND opened_at IS NULL RETURNING id"


# -------------------------------------------------------------------------------------------------------------- finding


async def newest_flow(cookie: FlowCookie, *kinds: FlowKind, flow_id: str | None = None) -> Flow | None:
    """This browser's newest flow of these kinds, or its flow with this id; never another browser's."""
    if not cookie.tokens or not (flow_id is None or is_id(flow_id)):
        return None
    digests = cookie.digests
    flows = Flow.filter(browser_digest__in=digests, kind__in=[kind.value for kind in kinds])
    if flow_id is not None:
        flows = flows.filter(id=flow_id)
    return min(await flows, key=lambda flow: digests.index(Digest(flow.browser_digest)), default=None)


async def link_for_retry(cookie: FlowCookie, *, flow_id: str | None = None, now: datetime) -> tuple[LinkFacts, Flow]:
    """The link that this browser bound, for another attempt, and its flow.

    A retry is possible within 30 minutes of the first start, even after the link's own minutes. Raises InviteLinkInvalid
    otherwise.
    """
    flow = await newest_flow(cookie, FlowKind.ACCEPT, flow_id=flow_id)
    link = await link_by_id(flow.link_id, now=now) if flow is not None and flow.link_id is not None else None
    if flow is None or link is None or not may_retry(flow, link, now):
        raise InviteLinkInvalid
    return link, flow


async def bound_link(cookie: FlowCookie, *, flow_id: str | None = None, now: datetime) -> LinkFacts | None:
    """The link of this browser's newest acceptance, or of its acceptance with this id; valid or not."""
    flow = await newest_flow(cookie, FlowKind.ACCEPT, flow_id=flow_id)
    return await link_by_id(flow.link_id, now=now) if flow is not None and flow.link_id is not None else None


def may_retry(flow: Flow, link: LinkFacts | None, now: datetime) -> bool:
    """Whether acceptInvite without a token uses the link of this flow again."""
    return link is not None and link.may_return and now < flow.first_started_at + RETRY_WITHIN
