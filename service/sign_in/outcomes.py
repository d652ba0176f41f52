"""Outcomes of flows, written to the flow's row in the transaction of the changes that they report."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import orjson

from service import audit
from service.addresses import masked
from service.changes import Changed, notify
from service.database import IntegrityError, execute, transaction
from service.flow_sentences import flow_sentence, from_columns, to_columns
from service.invitations.accept import (
    AcceptanceRefused,
    AcceptanceStatus,
    NewMember,
    link_invalid,
)
from service.invitations.links import LinkFacts, link_by_id
from service.languages import Sentence
from service.models import Flow
from service.openid import Identity
from service.tokens import Token


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a flow, as its row stores it."""

    status: str
    sentence: Sentence
    reason: str | None = None
    identity: Identity | None = None
    membership_id: str | None = None
    session: Token | None = None


def outcome_for(flow: Flow, link: LinkFacts, *, is_member: bool) -> tuple[AcceptanceStatus, Sentence]:
    """The status of an acceptance and its sentence, for a caller with or without a membership by its invitation.

    A member who accepted the same invitation in another tab is ALREADY_MEMBER: this flow's own return found the link used.
    """
    if is_member and flow.membership_id is None:
        return AcceptanceStatus.ALREADY_MEMBER, flow_sentence("ALREADY_MEMBER", community=link.community_name)
    return AcceptanceStatus(flow.status), from_columns(flow.message, flow.message_code, flow.message_facts)


async def settle(flow: Flow, step: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Runs a step and writes its outcome in one transaction.

    Runs it again when a simultaneous return of the same person created the account first.
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


def accepted_outcome(accepted: NewMember, link: LinkFacts, identity: Identity) -> Outcome:
    return Outcome(
        accepted.status, flow_sentence(accepted.status, community=link.community_name), identity=identity, membership_id=accepted.membership_id,
        session=accepted.session,
    )  # fmt: skip


_WRITE = """
UPDATE flows SET status = $3, reason = $4, message = NULL, message_code = $5, message_facts = $6, membership_id = $7,
    issuer = $8, subject = $9, signed_in_email = $10, signed_in_name = $11, evidence = $12
WHERE id = $1 AND status = $2
"""


async def _write(flow: Flow, outcome: Outcome) -> bool:
    """Writes the outcome, and the verified identity for the step of the code.

    Returns False when another request of this browser has written an outcome since the flow was read.
    """
    identity = outcome.identity
    evidence = None if identity is None else {"rule": identity.evidence.rule, "verdict": str(identity.evidence.verdict)}
    verified = (None,) * 4 if identity is None else (identity.issuer, identity.subject, identity.email, identity.name)
    written = await execute(
        _WRITE, flow.id, flow.status, str(outcome.status), outcome.reason, *to_columns(outcome.sentence),
        outcome.membership_id,
        *verified, None if evidence is None else orjson.dumps(evidence).decode(),
    )  # fmt: skip
    return written == 1


async def write_refusal(flow: Flow, refusal: AcceptanceRefused, identity: Identity | None, now: datetime) -> Outcome:
    """Writes a refusal to the flow, for the person, and to the audit, for the admins. The invitation stays unchanged."""
    outcome = Outcome(refusal.status, refusal.sentence, refusal.reason, identity)
    async with transaction():
        written = await _write(flow, outcome)
        link = await link_by_id(flow.link_id, now=now) if written and flow.link_id else None
        if link is not None:
            await audit.record_anonymous(now, _refusal_event(flow, link, refusal, identity))
            await notify(Changed(link.community_id, link.invitation_id))
    return outcome


def _refusal_event(flow: Flow, link: LinkFacts, refusal: AcceptanceRefused, identity: Identity | None) -> audit.Event:
    details = {"status": str(refusal.status), "reason": refusal.reason, "provider": flow.provider_id}
    if identity is not None and identity.email:
        details["email"] = masked(identity.email)
    return audit.Event("invitation.accept_refused", link.community_id, None, link.invitation_id, details)
