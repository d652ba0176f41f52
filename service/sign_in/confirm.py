"""Confirming an acceptance with the code from the invited mailbox."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from service.accounts.sessions import Browser
from service.errors import InvalidCode, InviteLinkInvalid
from service.flow_sentences import flow_sentence
from service.invitations.accept import (
    AcceptanceRefused,
    AcceptanceStatus,
    accept,
    link_invalid,
)
from service.invitations.links import link_by_id
from service.languages import ngettext_noop, sentence
from service.mail import outbox
from service.models import Flow, FlowKind
from service.openid import Evidence, Identity, Verdict
from service.settings import Settings
from service.sign_in import mailbox_codes
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import newest_flow
from service.sign_in.outcomes import Outcome, accepted_outcome, settle, write_refusal
from service.tokens import Token


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The flow after the right code, and the new session where the acceptance succeeded."""

    flow: Flow
    session: Token | None


async def confirm(
    flow_id: str, code: str, *, cookie: FlowCookie, browser: Browser, now: datetime, settings: Settings
) -> Confirmation:
    """Finishes an acceptance with the code from the invited mailbox, in the browser that began it.

    Raises InviteLinkInvalid when no acceptance of this browser waits for a code, and InvalidCode when the code is wrong,
    expired or not sent yet. A try is spent before the code is compared, so that simultaneous guesses are counted one by
    one.
    """
    flow = await newest_flow(cookie, FlowKind.ACCEPT, flow_id=flow_id)
    if flow is None or flow.status != AcceptanceStatus.CODE_REQUIRED:
        raise InviteLinkInvalid
    spent = await mailbox_codes.spend_try(flow.id, now=now)
    if spent is None:
        raise await _unusable_code(flow)
    if await mailbox_codes.matches(code, spent.digest):
        return await _confirm(flow, browser, now, settings)
    if spent.left:
        raise InvalidCode(sentence("CODE_WRONG", _WRONG_CODE, count=spent.left), spent.left)
    await write_refusal(flow, _guessed_too_often(), _verified_identity(flow), now)
    raise InvalidCode(_DEAD_CODE, 0)


_WRONG_CODE: Final = ngettext_noop(
    "That is not the code. %(count)s try is left.", "That is not the code. %(count)s tries are left."
)
_DEAD_CODE: Final = sentence("CODE_EXPIRED", "This code cannot be used any more. Sign in again, and a new one is sent.")
_COMING_CODE: Final = sentence(
    "CODE_NOT_SENT", "The code was not sent yet. It comes to the invited mailbox in a moment; nothing was counted."
)


async def _unusable_code(flow: Flow) -> InvalidCode | InviteLinkInvalid:
    """The error of a flow without a usable code.

    Another request finished the flow since it was read, the code waits to be sent, or it is expired or was guessed too often.
    """
    await flow.refresh_from_db(fields=["status"])
    if flow.status != AcceptanceStatus.CODE_REQUIRED:
        return InviteLinkInvalid()
    if await outbox.is_code_waiting(flow.id):
        return InvalidCode(_COMING_CODE, mailbox_codes.TRIES)
    return InvalidCode(_DEAD_CODE, 0)


def _guessed_too_often() -> AcceptanceRefused:
    return AcceptanceRefused(
        AcceptanceStatus.SIGN_IN_FAILED, "code_tries_used_up", flow_sentence("CODE_TRIES_SPENT")
    )  # fmt: skip


async def _confirm(flow: Flow, browser: Browser, now: datetime, settings: Settings) -> Confirmation:
    """Accepts in the same transaction as a return that needs no code. Of two simultaneous right codes, one accepts."""
    identity = _identity_with_code(flow)
    try:
        outcome = await settle(flow, lambda: _accept(flow, identity, browser, now, settings))
    except AcceptanceRefused as refusal:
        outcome = await write_refusal(flow, refusal, identity, now)
    return Confirmation(await Flow.get(id=flow.id), session=outcome.session)


async def _accept(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> Outcome:
    link = await link_by_id(flow.link_id or "", now=now)
    if link is None or not link.may_return:
        raise link_invalid()
    return accepted_outcome(await accept(link, identity, browser, now=now, settings=settings), link, identity)


def _identity_with_code(flow: Flow) -> Identity:
    """The identity that this flow verified, now proved by its code. A proof never applies to another flow (H042)."""
    verified = _verified_identity(flow)
    return replace(verified, evidence=Evidence(Verdict.AUTHORITATIVE, f"{verified.evidence.rule}_and_code"))


def _verified_identity(flow: Flow) -> Identity:
    evidence = flow.evidence or {}
    return Identity(
        provider_id=flow.provider_id,
        issuer=flow.issuer or "",
        subject=flow.subject or "",
        email=flow.signed_in_email,
        name=flow.signed_in_name,
        evidence=Evidence(Verdict(evidence.get("verdict", Verdict.REFUSED)), evidence.get("rule", "")),
    )
