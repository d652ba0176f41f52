"""Finishing an acceptance with the code from the invited mailbox."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from service.errors import InviteLinkInvalid
from service.invitations.accept import (
    AcceptanceRefused,
    AcceptanceStatus,
    Browser,
    accept,
    link_invalid,
)
from service.invitations.links import by_id
from service.mail import outbox
from service.models import Flow, FlowKind
from service.openid import Evidence, Identity, Verdict
from service.settings import Settings
from service.sign_in import mailbox_codes
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import newest
from service.sign_in.outcomes import Outcome, admit, settle, write_refusal
from service.tokens import Token


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
    await write_refusal(flow, _guessed_too_often(), _verified(flow), now)
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
    if await outbox.is_code_waiting(flow.id):
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
        outcome = await settle(flow, lambda: _enter(flow, identity, browser, now, settings))
    except AcceptanceRefused as refused:
        outcome = await write_refusal(flow, refused, identity, now)
    return Confirmed(await Flow.get(id=flow.id), session=outcome.session)


async def _enter(flow: Flow, identity: Identity, browser: Browser, now: datetime, settings: Settings) -> Outcome:
    link = await by_id(flow.link_id or "", now=now)
    if link is None or not link.may_return:
        raise link_invalid()
    return admit(await accept(link, identity, browser, now=now, settings=settings), link, identity)


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
