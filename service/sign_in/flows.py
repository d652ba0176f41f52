"""Flows: a sign-in or an acceptance on its way through an OpenID Provider, bound to the browser that began it.

A flow is a row, found by the OAuth state and the flow cookie together (H058, H059). Its return is claimed before the
code is exchanged, so it counts once; what comes of it is written with it, and the browser asks for it by query.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson
import structlog
from starlette.datastructures import QueryParams
from tortoise.exceptions import IntegrityError

from service import audit, metrics
from service.accounts import sessions
from service.accounts.sessions import Caller
from service.addresses import masked
from service.changes import Changed, announce
from service.database import execute, select, transaction
from service.errors import InviteLinkInvalid, UnknownProvider
from service.invitations.accept import (
    AcceptanceRefused,
    AcceptanceStatus,
    Accepted,
    Browser,
    accept,
    claimed_address,
    link_invalid,
    refuse_other_address,
)
from service.invitations.links import LinkFacts, by_id
from service.mail import outbox
from service.models import Flow, FlowKind, MailKind, Notice
from service.models import Identity as IdentityRow
from service.openid import Evidence, Identity, RelyingParty, SignInFailed, Verdict, provider_label
from service.settings import Settings
from service.sign_in import mailbox_codes
from service.sign_in.flow_cookie import FlowCookie, rotate
from service.sign_in.return_to import allowed_return
from service.tokens import Digest, Token, digest_of, is_id, new_id

log = structlog.get_logger()

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
        await announce(Changed(link.community_id, link.invitation_id))
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
    flow = Flow(kind=FlowKind.LINK_IDENTITY, session_id=caller.session_id, first_started_at=now)
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


# ------------------------------------------------------------------------------------------ the login returns


@dataclass(frozen=True, slots=True)
class Returned:
    """Where to send the browser, and the token of its new session, if it has one now."""

    location: str
    session: Token | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What comes of a flow, as it is written to its row."""

    status: str
    message: str
    reason: str | None = None
    identity: Identity | None = None
    membership_id: str | None = None
    session: Token | None = None


async def finish(
    provider_id: str, response: QueryParams, *, cookie: FlowCookie, browser: Browser, relying_party: RelyingParty,
    now: datetime, settings: Settings,
) -> Returned | None:  # fmt: skip
    """The login's return. None when this browser began no such flow: nothing is told, nothing happens (H058, H059)."""
    flow = await _flow_of(response.get("state"), cookie)
    if flow is None:
        return None
    code_verifier = flow.code_verifier
    if not await _claim(flow, now):
        return Returned(flow.return_to)
    outcome = await _outcome(flow, provider_id, response, code_verifier or "", browser, relying_party, now, settings)
    log.info("flow.returned", flow_id=flow.id, kind=flow.kind, status=outcome.status, reason=outcome.reason)
    metrics.flows.labels(flow.kind, outcome.status).inc()
    return Returned(flow.return_to, outcome.session)


async def _flow_of(state: str | None, cookie: FlowCookie) -> Flow | None:
    if not state or not cookie.tokens:
        return None
    return await Flow.get_or_none(state_digest=digest_of(state), browser_digest__in=cookie.digests)


async def _claim(flow: Flow, now: datetime) -> bool:
    """Single use: of all returns of one flow, the one whose UPDATE writes the row goes on."""
    sql = "UPDATE flows SET claimed_at = $1, code_verifier = NULL WHERE id = $2 AND claimed_at IS NULL"
    return await execute(sql, now, flow.id) == 1


async def _outcome(
    flow: Flow, provider_id: str, response: QueryParams, code_verifier: str, browser: Browser,
    relying_party: RelyingParty, now: datetime, settings: Settings,
) -> _Outcome:  # fmt: skip
    """Verifies the login, then lets one of the three kinds of flow decide; writes what came of it."""
    identity: Identity | None = None
    try:
        _refuse_late(flow, now)
        _refuse_mixed_up(flow, provider_id)
        identity = await relying_party.finish(
            provider_id, response=response, nonce_digest=Digest(flow.nonce_digest), code_verifier=code_verifier, now=now
        )
        return await _decide(flow, identity, browser, now, settings)
    except SignInFailed as error:
        refused = AcceptanceRefused(AcceptanceStatus.SIGN_IN_FAILED, error.reason, error.message)
    except AcceptanceRefused as error:
        refused = error
    return await _write_refusal(flow, refused, identity, now)


def _refuse_late(flow: Flow, now: datetime) -> None:
    if now < flow.expires_at:
        return
    if flow.kind == FlowKind.ACCEPT:
        raise AcceptanceRefused(
            AcceptanceStatus.LINK_INVALID, "flow_expired", "The sign-in took too long. Begin it again."
        )
    raise SignInFailed("flow_expired", "The sign-in took too long. Begin it again.")


def _refuse_mixed_up(flow: Flow, provider_id: str) -> None:
    """One provider's answer at another's redirect URI is a mix-up attack (H056, RFC 9700 section 4.4)."""
    if flow.provider_id != provider_id:
        raise SignInFailed("provider_mixed_up", "The answer came from another provider than you chose. Try again.")


async def _decide(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> _Outcome:
    """Runs the step of the flow's own kind."""
    decide = {FlowKind.ACCEPT: _accept, FlowKind.SIGN_IN: _sign_in, FlowKind.LINK_IDENTITY: _link_identity}
    return await _settle(flow, lambda: decide[FlowKind(flow.kind)](flow, identity, browser, now, settings))


async def _settle(flow: Flow, step: Callable[[], Awaitable[_Outcome]]) -> _Outcome:
    """Runs a step and writes its outcome in one transaction; again, when a simultaneous return of the same person
    created the same account first.
    """
    for last in (False, False, True):
        try:
            async with transaction():
                outcome = await step()
                if not await _write(flow, outcome):
                    raise link_invalid()
                return outcome
        except IntegrityError:
            if last:
                raise
    raise AssertionError("unreachable")


async def _accept(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> _Outcome:
    link = await by_id(flow.link_id or "", now=now)
    if link is None or not link.may_return:
        raise link_invalid()
    if identity.email is not None:
        refuse_other_address(link, identity)
    if identity.evidence.verdict is Verdict.REFUSED:
        raise AcceptanceRefused(AcceptanceStatus.EMAIL_NOT_VERIFIED, identity.evidence.rule, identity.evidence.message)
    if identity.evidence.verdict is Verdict.THIRD_PARTY:
        return await _require_code(flow, link, identity, now)
    return _let_in(await accept(link, identity, browser, now=now, settings=settings), link, identity)


def _let_in(accepted: Accepted, link: LinkFacts, identity: Identity) -> _Outcome:
    messages = {
        AcceptanceStatus.ACCEPTED: f"Welcome to {link.community_name}.",
        AcceptanceStatus.ALREADY_MEMBER: f"You were a member of {link.community_name} already; your role stays.",
    }
    return _Outcome(
        accepted.status, messages[accepted.status], identity=identity, membership_id=accepted.membership_id,
        session=accepted.session,
    )  # fmt: skip


async def _require_code(flow: Flow, link: LinkFacts, identity: Identity, now: datetime) -> _Outcome:
    """The provider does not run the mailbox, so the mailbox itself is asked: nothing is granted before (H025)."""
    await outbox.order(
        link.invitation_id, generation=link.invitation_generation, kind=MailKind.CODE, now=now, flow_id=flow.id
    )
    await audit.record_anonymous(now, audit.Event(
        "invitation.code_required", link.community_id, None, link.invitation_id,
        {"provider": identity.provider_id, "evidence": identity.evidence.rule},
    ))  # fmt: skip
    await announce(Changed(link.community_id, link.invitation_id))
    return _Outcome(
        AcceptanceStatus.CODE_REQUIRED,
        f"One more step: a six-digit code is on its way to {masked(link.email)}. Enter it here within ten minutes.",
        identity=identity,
    )


async def _sign_in(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> _Outcome:
    """Opens the account of (issuer, subject); an identity that nobody invited gets none (H020)."""
    known = await IdentityRow.get_or_none(issuer=identity.issuer, subject=identity.subject, member__erased_at=None)
    # The operator may have released it since it was read: the UPDATE's row count decides.
    if known is None or not await IdentityRow.filter(id=known.id).update(last_used_at=now):
        await audit.record(now, _sign_in_refused(identity, SignInStatus.NOT_INVITED, "identity_unknown"))
        return _Outcome(
            SignInStatus.NOT_INVITED,
            "Nobody with this sign-in is a member here. Accounts begin with an invitation: open the link in yours, or"
            " sign in the way you did when you accepted it.",
            "identity_unknown", identity,
        )  # fmt: skip
    session = await sessions.begin(
        known.member_id, provider_id=flow.provider_id, user_agent=browser.user_agent, replaces=browser.session_cookie,
        now=now, settings=settings,
    )  # fmt: skip
    await audit.record(
        now, audit.Event("member.signed_in", None, known.member_id, None, {"provider": flow.provider_id})
    )
    return _Outcome(SignInStatus.SIGNED_IN, "You are signed in.", identity=identity, session=session)


def _sign_in_refused(identity: Identity, status: SignInStatus, reason: str, actor_id: str | None = None) -> audit.Event:
    """A provider vouched for somebody, and we did not let them in. Who only pretends to come from a provider is logged."""
    details = {"status": str(status), "reason": reason, "provider": identity.provider_id}
    if identity.email:
        details["email"] = masked(identity.email)
    return audit.Event("member.sign_in_refused", None, actor_id, None, details)


_LINKING_MEMBER = """
SELECT s.member_id FROM sessions s WHERE s.id = $1 AND s.digest = $2 AND s.ended_at IS NULL AND s.expires_at > $3
FOR SHARE
"""


async def _link_identity(
    flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings
) -> _Outcome:
    """Adds the sign-in to the account whose session began this, if that session is still this browser's."""
    rows = await select(_LINKING_MEMBER, flow.session_id, digest_of(browser.session_cookie or ""), now)
    if not rows:
        raise SignInFailed("session_ended", "You were signed out in the meantime. Sign in and try again.")
    member_id = rows[0]["member_id"]
    known = await IdentityRow.get_or_none(issuer=identity.issuer, subject=identity.subject)
    if known is not None and known.member_id != member_id:
        in_use = _sign_in_refused(identity, SignInStatus.IDENTITY_IN_USE, "identity_in_use", member_id)
        await audit.record(now, in_use)
        return _Outcome(
            SignInStatus.IDENTITY_IN_USE, "This sign-in opens another account already.", "identity_in_use", identity
        )
    if known is None:
        await _add_identity(member_id, identity, now, settings)
    return _Outcome(SignInStatus.IDENTITY_LINKED, "From now on this sign-in opens your account too.", identity=identity)


async def _add_identity(member_id: str, identity: Identity, now: datetime, settings: Settings) -> None:
    """Adds the sign-in and orders the mail about it to the account's proved address (H172).

    The sign-in's own address is shown. It counts for nothing else unless the provider proves it.
    """
    await IdentityRow.create(
        id=new_id("idn"), member_id=member_id, provider_id=identity.provider_id, issuer=identity.issuer,
        subject=identity.subject, email=claimed_address(identity),
        email_proven=identity.evidence.verdict is Verdict.AUTHORITATIVE, linked_at=now,
    )  # fmt: skip
    details = {"provider": identity.provider_id, "issuer": identity.issuer}
    await audit.record(now, audit.Event("member.identity_linked", None, member_id, None, details))
    label = provider_label(identity.provider_id, settings.providers[identity.provider_id])
    await outbox.order_notice(member_id=member_id, notice=Notice.IDENTITY_LINKED, facts={"provider": label}, now=now)


# ---------------------------------------------------------------------------------------------------- writing outcomes


_WRITE = """
UPDATE flows SET status = $3, reason = $4, message = $5, membership_id = $6, issuer = $7, subject = $8,
    signed_in_email = $9, signed_in_name = $10, evidence = $11
WHERE id = $1 AND status = $2
"""


async def _write(flow: Flow, outcome: _Outcome) -> bool:
    """The outcome stands with what it tells of, in one transaction; what was verified stays for the code's step.

    False when another request of this browser wrote an outcome since the flow was read: that one stays.
    """
    identity = outcome.identity
    evidence = None if identity is None else {"rule": identity.evidence.rule, "verdict": str(identity.evidence.verdict)}
    verified = (None,) * 4 if identity is None else (identity.issuer, identity.subject, identity.email, identity.name)
    written = await execute(
        _WRITE, flow.id, flow.status, str(outcome.status), outcome.reason, outcome.message, outcome.membership_id,
        *verified, None if evidence is None else orjson.dumps(evidence).decode(),
    )  # fmt: skip
    return written == 1


async def _write_refusal(flow: Flow, refused: AcceptanceRefused, identity: Identity | None, now: datetime) -> _Outcome:
    """A refusal leaves the invitation as it was; it stands on the flow for the person and in the audit for the admins."""
    outcome = _Outcome(refused.status, refused.message, refused.reason, identity)
    async with transaction():
        written = await _write(flow, outcome)
        link = await by_id(flow.link_id, now=now) if written and flow.link_id else None
        if link is not None:
            await audit.record_anonymous(now, _refusal_event(flow, link, refused, identity))
            await announce(Changed(link.community_id, link.invitation_id))
    return outcome


def _refusal_event(flow: Flow, link: LinkFacts, refused: AcceptanceRefused, identity: Identity | None) -> audit.Event:
    details = {"status": str(refused.status), "reason": refused.reason, "provider": flow.provider_id}
    if identity is not None and identity.email:
        details["email"] = masked(identity.email)
    return audit.Event("invitation.accept_refused", link.community_id, None, link.invitation_id, details)


# ------------------------------------------------------------------------------------------- the code from the mailbox


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What entering a code came to: the flow as it stands, the tries left after a wrong one, a session after the right."""

    flow: Flow
    tries_left: int | None = None
    message: str = ""
    session: Token | None = None


async def confirm(
    flow_id: str, code: str, *, cookie: FlowCookie, browser: Browser, now: datetime, settings: Settings
) -> Confirmed:
    """Finishes an acceptance with the code from the invited mailbox, in the browser that began it.

    Raises InviteLinkInvalid when there is nothing to confirm here, or no longer: the acceptance itself says what came of
    it. A wrong code costs a try, and the tries are spent before the code is looked at, so that simultaneous guesses are
    counted one by one.
    """
    flow = await newest(cookie, FlowKind.ACCEPT, flow_id=flow_id)
    if flow is None or flow.status != AcceptanceStatus.CODE_REQUIRED:
        raise InviteLinkInvalid
    spent = await mailbox_codes.spend_try(flow.id, now=now)
    if spent is None:
        return await _without_a_code(flow)
    if await mailbox_codes.matches(code, spent.digest):
        return await _confirm(flow, browser, now, settings)
    if spent.left:
        return Confirmed(flow, spent.left, f"That is not the code. {spent.left} tries are left.")
    await _write_refusal(flow, _guessed_too_often(), _verified(flow), now)
    return Confirmed(flow, 0, _DEAD_CODE)


_DEAD_CODE: Final = "This code cannot be used any more. Sign in again, and a new one is sent."
_COMING_CODE: Final = "The code was not sent yet. It comes to the invited mailbox in a moment; nothing was counted."


async def _without_a_code(flow: Flow) -> Confirmed:
    """Either another request finished the flow since it was read, or the code still waits to be sent, and no earlier one
    counts, or it is too old or guessed at too often.
    """
    await flow.refresh_from_db(fields=["status"])
    if flow.status != AcceptanceStatus.CODE_REQUIRED:
        raise InviteLinkInvalid
    if await outbox.code_waits(flow.id):
        return Confirmed(flow, mailbox_codes.TRIES, _COMING_CODE)
    return Confirmed(flow, 0, _DEAD_CODE)


def _guessed_too_often() -> AcceptanceRefused:
    return AcceptanceRefused(
        AcceptanceStatus.SIGN_IN_FAILED, "code_tries_used_up",
        "The code was entered wrongly five times. Sign in again, and a new one is sent.",
    )  # fmt: skip


async def _confirm(flow: Flow, browser: Browser, now: datetime, settings: Settings) -> Confirmed:
    """The same one transaction as a return that needed no code; a refusal stands on the flow like any other. Of two whose
    tries were both spent in time, one comes in, and the other finds the outcome.
    """
    identity = _proven(flow)
    try:
        outcome = await _settle(flow, lambda: _enter(flow, identity, browser, now, settings))
    except AcceptanceRefused as refused:
        outcome = await _write_refusal(flow, refused, identity, now)
    return Confirmed(await Flow.get(id=flow.id), session=outcome.session)


async def _enter(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> _Outcome:
    link = await by_id(flow.link_id or "", now=now)
    if link is None or not link.may_return:
        raise link_invalid()
    return _let_in(await accept(link, identity, browser, now=now, settings=settings), link, identity)


def _proven(flow: Flow) -> Identity:
    """The identity that this very flow verified, after its code: a proof is never carried to another flow (H042)."""
    verified = _verified(flow)
    return replace(verified, evidence=Evidence(Verdict.AUTHORITATIVE, f"{verified.evidence.rule}_and_code"))


def _verified(flow: Flow) -> Identity:
    evidence = flow.evidence or {}
    return Identity(
        provider_id=flow.provider_id,
        issuer=flow.issuer or "",
        subject=flow.subject or "",
        email=flow.signed_in_email,
        name=flow.signed_in_name,
        evidence=Evidence(Verdict(evidence.get("verdict", Verdict.REFUSED)), evidence.get("rule", "")),
    )
