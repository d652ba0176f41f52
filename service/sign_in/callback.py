"""The login's return: claims the flow, verifies the login, and runs the step of the flow's kind.

It claims the flow before it exchanges the code, so a return counts once (H058, H059).
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from starlette.datastructures import QueryParams

from service import audit, metrics
from service.accounts.identities import account_of, insert_identity, sign_in_account
from service.accounts.sessions import Browser, begin_session
from service.addresses import masked
from service.changes import Changed, notify
from service.database import execute, execute_batch, select
from service.flow_sentences import flow_sentence
from service.invitations.accept import (
    AcceptanceRefused,
    AcceptanceStatus,
    accept,
    link_invalid,
    refuse_other_address,
)
from service.invitations.links import LinkFacts, link_by_id
from service.mail import outbox
from service.models import Flow, FlowKind, MailKind, Notice
from service.openid import Identity, SignInFailed, Verdict, provider_label
from service.settings import Settings
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import Flows, SignInStatus
from service.sign_in.outcomes import Outcome, accepted_outcome, settle, write_refusal
from service.tokens import Digest, Token, digest_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """The address to send the browser to, and the token of its new session, where one began."""

    location: str
    session: Token | None = None


async def finish(
    flows: Flows, provider_id: str, response: QueryParams, *, cookie: FlowCookie, browser: Browser, now: datetime
) -> CallbackResult | None:
    """Handles the return of a login. Returns None, and changes nothing, when this browser started no such flow (H058, H059)."""
    flow = await _flow_of(response.get("state"), cookie)
    if flow is None:
        return None
    if not await _claim(flow, now):
        return CallbackResult(flow.return_to)
    outcome = await _outcome(flows, flow, provider_id, response, browser, now)
    log.info("flow.returned", flow_id=flow.id, kind=flow.kind, status=outcome.status, reason=outcome.reason)
    metrics.flows.labels(flow.kind, outcome.status).inc()
    return CallbackResult(flow.return_to, outcome.session)


async def _flow_of(state: str | None, cookie: FlowCookie) -> Flow | None:
    if not state or not cookie.tokens:
        return None
    return await Flow.get_or_none(state_digest=digest_of(state), browser_digest__in=cookie.digests)


async def _claim(flow: Flow, now: datetime) -> bool:
    """Claims a flow for one return: of simultaneous ones, the UPDATE of exactly one writes the row."""
    sql = "UPDATE flows SET claimed_at = $1, code_verifier = NULL WHERE id = $2 AND claimed_at IS NULL"
    return await execute(sql, now, flow.id) == 1


async def _outcome(
    flows: Flows, flow: Flow, provider_id: str, response: QueryParams, browser: Browser, now: datetime
) -> Outcome:
    """Verifies the login, runs the step of the flow's kind, and writes the outcome."""
    identity: Identity | None = None
    try:
        _refuse_late(flow, now)
        _refuse_mixed_up(flow, provider_id)
        identity = await flows.relying_party.finish(
            provider_id, response=response, nonce_digest=Digest(flow.nonce_digest),
            code_verifier=flow.code_verifier or "", started_at=flow.started_at, now=now,
        )  # fmt: skip
        return await _run_step(flow, identity, browser, now, flows.settings)
    except SignInFailed as error:
        refusal = AcceptanceRefused(AcceptanceStatus.SIGN_IN_FAILED, error.reason, error.sentence)
    except AcceptanceRefused as error:
        refusal = error
    return await write_refusal(flow, refusal, identity, now)


def _refuse_late(flow: Flow, now: datetime) -> None:
    if now < flow.expires_at:
        return
    if flow.kind == FlowKind.ACCEPT:
        raise AcceptanceRefused(AcceptanceStatus.LINK_INVALID, "flow_expired", flow_sentence("FLOW_EXPIRED"))
    raise SignInFailed("flow_expired", flow_sentence("FLOW_EXPIRED"))


def _refuse_mixed_up(flow: Flow, provider_id: str) -> None:
    """One provider's answer at another's redirect URI is a mix-up attack (H056, RFC 9700 section 4.4)."""
    if flow.provider_id != provider_id:
        raise SignInFailed("provider_mixed_up", flow_sentence("PROVIDER_MIXED_UP"))


async def _run_step(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> Outcome:
    """Runs the step of the flow's own kind."""
    steps = {FlowKind.ACCEPT: _accept, FlowKind.SIGN_IN: _sign_in, FlowKind.LINK_IDENTITY: _link_identity}
    return await settle(flow, lambda: steps[FlowKind(flow.kind)](flow, identity, browser, now, settings))


async def _accept(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> Outcome:
    link = await link_by_id(flow.link_id or "", now=now)
    if link is None or not link.may_return:
        raise link_invalid()
    if identity.email is not None:
        refuse_other_address(link, identity)
    if identity.evidence.verdict is Verdict.REFUSED:
        rule = identity.evidence.rule
        raise AcceptanceRefused(AcceptanceStatus.EMAIL_NOT_VERIFIED, rule, flow_sentence(rule.upper()))
    if identity.evidence.verdict is Verdict.THIRD_PARTY:
        return await _require_code(flow, link, identity, now)
    return accepted_outcome(await accept(link, identity, browser, now=now, settings=settings), link, identity)


async def _require_code(flow: Flow, link: LinkFacts, identity: Identity, now: datetime) -> Outcome:
    """Orders a mailbox code, because the provider does not run the mailbox. Nothing is granted before it (H025)."""
    await outbox.order(
        link.invitation_id, generation=link.invitation_generation, kind=MailKind.CODE, now=now, flow_id=flow.id
    )
    await audit.record_anonymous(now, audit.Event(
        "invitation.code_required", link.community_id, None, link.invitation_id,
        {"provider": identity.provider_id, "evidence": identity.evidence.rule},
    ))  # fmt: skip
    await notify(Changed(link.community_id, link.invitation_id))
    return Outcome(
        AcceptanceStatus.CODE_REQUIRED,
        flow_sentence("CODE_REQUIRED", address=masked(link.email)),
        identity=identity,
    )


async def _sign_in(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> Outcome:
    """Opens the account of (issuer, subject). An unknown identity gets no account (H020)."""
    member_id = await sign_in_account(identity, now=now)
    if member_id is None:
        await audit.record(now, _refusal_event(identity, SignInStatus.NOT_INVITED, "identity_unknown"))
        return Outcome(
            SignInStatus.NOT_INVITED,
            flow_sentence("NOT_INVITED"),
            "identity_unknown", identity,
        )  # fmt: skip
    session = await begin_session(member_id, browser, provider_id=flow.provider_id, now=now, settings=settings)
    await audit.record(now, audit.Event("member.signed_in", None, member_id, None, {"provider": flow.provider_id}))
    return Outcome(SignInStatus.SIGNED_IN, flow_sentence("SIGNED_IN"), identity=identity, session=session)


def _refusal_event(identity: Identity, status: SignInStatus, reason: str, actor_id: str | None = None) -> audit.Event:
    """The event of a verified login that opened no account. Unverified logins are only logged."""
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
) -> Outcome:
    """Adds the sign-in to the account whose session started the flow, while this browser still has that session."""
    rows = await select(_LINKING_MEMBER, flow.session_id, digest_of(browser.session_cookie or ""), now)
    if not rows:
        raise SignInFailed("session_ended", flow_sentence("SESSION_ENDED"))
    member_id = rows[0]["member_id"]
    owner_id = await account_of(identity)
    if owner_id is not None and owner_id != member_id:
        in_use = _refusal_event(identity, SignInStatus.IDENTITY_IN_USE, "identity_in_use", member_id)
        await audit.record(now, in_use)
        return Outcome(SignInStatus.IDENTITY_IN_USE, flow_sentence("IDENTITY_IN_USE"), "identity_in_use", identity)
    if owner_id is None:
        await _add_identity(member_id, identity, now, settings)
    return Outcome(SignInStatus.IDENTITY_LINKED, flow_sentence("IDENTITY_LINKED"), identity=identity)


async def _add_identity(member_id: str, identity: Identity, now: datetime, settings: Settings) -> None:
    """Adds the sign-in, and orders a mail about it to the account's proved address (H172).

    The sign-in's own address is only displayed, unless the provider proves it.
    """
    proven = identity.evidence.verdict is Verdict.AUTHORITATIVE
    await execute_batch(insert_identity(member_id, identity, proven=proven, last_used_at=None, now=now))
    details = {"provider": identity.provider_id, "issuer": identity.issuer}
    await audit.record(now, audit.Event("member.identity_linked", None, member_id, None, details))
    label = provider_label(identity.provider_id, settings.providers[identity.provider_id])
    await outbox.order_notice(member_id=member_id, notice=Notice.IDENTITY_LINKED, facts={"provider": label}, now=now)
