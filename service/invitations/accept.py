"""Acceptance: the single atomic step that makes an invitee a member.

One transaction writes the invitation, account, identity, membership, session and audit events. The row count of a guarded
UPDATE decides which of several concurrent attempts succeeds (H006). All checks run first, and a refusal consumes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service import audit
from service.accounts.identities import claimed_address, insert_identity, update_identity
from service.accounts.sessions import Browser, session_statements
from service.addresses import domain_of, masked, same
from service.changes import Changed, notify
from service.communities.communities import lock_seats
from service.database import Statement, execute_batch, insert, json_list, select
from service.flow_sentences import flow_sentence
from service.invitation_status import is_pending
from service.invitations.links import LinkFacts
from service.invitations.views import entitled
from service.languages import Sentence
from service.openid import Identity
from service.settings import Settings
from service.tokens import Token, new_id

_LONGEST_ADDRESS: Final = 100


class AcceptanceStatus(StrEnum):
    """The status of an acceptance, as the API names it."""

    STARTED = "STARTED"
    CODE_REQUIRED = "CODE_REQUIRED"
    ACCEPTED = "ACCEPTED"
    EMAIL_MISMATCH = "EMAIL_MISMATCH"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    IDENTITY_CONFLICT = "IDENTITY_CONFLICT"
    ALREADY_MEMBER = "ALREADY_MEMBER"
    SEAT_LIMIT_REACHED = "SEAT_LIMIT_REACHED"
    NOT_ALLOWED = "NOT_ALLOWED"
    LINK_INVALID = "LINK_INVALID"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"


class AcceptanceRefused(Exception):
    """Raised when an acceptance is refused and has consumed nothing.

    `reason` is for the audit log. `sentence` tells the invitee the cause and the next step.
    """

    def __init__(self, status: AcceptanceStatus, reason: str, sentence: Sentence) -> None:
        super().__init__(status)
        self.status, self.reason, self.sentence = status, reason, sentence


@dataclass(frozen=True, slots=True)
class NewMember:
    """The membership of the invitee, whether it existed before, and the token of the new session."""

    membership_id: str
    was_member: bool
    session: Token

    @property
    def status(self) -> AcceptanceStatus:
        return AcceptanceStatus.ALREADY_MEMBER if self.was_member else AcceptanceStatus.ACCEPTED


@dataclass(frozen=True, slots=True)
class _Account:
    """The account of an identity, its membership in the community, and another account with the invited address."""

    identity_id: str | None
    known_member_id: str | None
    member_id: str | None
    membership_id: str | None
    other_member_id: str | None
    other_signs_in: bool


async def accept(
    link: LinkFacts, identity: Identity, browser: Browser, *, now: datetime, settings: Settings
) -> NewMember:
    """Accepts the invitation, or raises AcceptanceRefused. The calling code opens the transaction.

    Every transaction locks in this order: the community, the inviter's membership, the invitation.
    """
    refuse_other_address(link, identity)
    await _lock_rules(link)
    await _refuse_without_seat(link, identity, now)
    await _refuse_unentitled_inviter(link)
    _refuse_disallowed_domain(link)
    account = await _account_of(identity, link)
    _refuse_other_account(account, link)
    member_id = account.member_id or new_id("per")
    membership_id = account.membership_id or new_id("mem")
    session, begin_session = session_statements(
        member_id, browser, provider_id=identity.provider_id, now=now, settings=settings
    )
    await _consume(
        link, member_id, now,
        *([] if account.member_id else [_insert_member(member_id, link, identity, now)]),
        _record_identity(account, member_id, identity, now),
        *([] if account.membership_id else [_insert_membership(membership_id, member_id, link, now)]),
        *begin_session,
        _audit_events(link, account, member_id, identity, now),
    )  # fmt: skip
    await notify(Changed(link.community_id, link.invitation_id))
    return NewMember(membership_id, account.membership_id is not None, session)


def link_invalid() -> AcceptanceRefused:
    return AcceptanceRefused(AcceptanceStatus.LINK_INVALID, "link_invalid", flow_sentence("LINK_INVALID"))


def refuse_other_address(link: LinkFacts, identity: Identity) -> None:
    """Refuses a login that does not claim the invited address. An address only causes refusals (H021, H045)."""
    claimed = claimed_address(identity)
    if claimed is None or not same(claimed, link.email):
        raise AcceptanceRefused(AcceptanceStatus.EMAIL_MISMATCH, "email_mismatch", _mismatch(identity.email, link))


def _mismatch(signed_in: str | None, link: LinkFacts) -> Sentence:
    if signed_in is None:
        return flow_sentence("EMAIL_MISMATCH_NO_ADDRESS", invited=masked(link.email))
    return flow_sentence("EMAIL_MISMATCH", signed_in=_shortened(signed_in), invited=masked(link.email))


def _shortened(email: str) -> str:
    """Shortens a long address for a sentence."""
    return (
        email
        if len(email) <= _LONGEST_ADDRESS
        else f"{email[: _LONGEST_ADDRESS // 2]}…{email[-_LONGEST_ADDRESS // 2 :]}"
    )


async def _lock_rules(link: LinkFacts) -> None:
    """Locks the community, and refuses when its rules have changed since they were read with the link.

    With a seat limit it takes the lock that counting seats needs. Upgrading a weaker lock later could deadlock.
    """
    lock = "FOR SHARE" if link.seat_limit is None else "FOR NO KEY UPDATE"
    sql = f"SELECT seat_limit, allowed_email_domains FROM communities WHERE id = $1 {lock}"  # noqa: S608 -- constants
    row = (await select(sql, link.community_id))[0]
    if (row["seat_limit"], json_list(row["allowed_email_domains"])) != (link.seat_limit, link.allowed_email_domains):
        raise AcceptanceRefused(AcceptanceStatus.NOT_ALLOWED, "rules_changed", flow_sentence("RULES_CHANGED"))


async def _refuse_without_seat(link: LinkFacts, identity: Identity, now: datetime) -> None:
    """Refuses when members fill every seat. Pending invitations do not count here, and one of them is this one."""
    if link.seat_limit is None:
        return
    seats = await lock_seats(link.community_id, now)
    if seats.limit is None or seats.members < seats.limit:
        return
    if (await _account_of(identity, link)).membership_id is None:
        raise AcceptanceRefused(
            AcceptanceStatus.SEAT_LIMIT_REACHED, "seat_limit_reached", flow_sentence("SEAT_LIMIT_REACHED")
        )


async def _refuse_unentitled_inviter(link: LinkFacts) -> None:
    """Reads the inviter's role again, and locks it until the transaction ends (H128)."""
    if link.inviter_id is None:
        return
    rows = await select(
        "SELECT role FROM memberships WHERE community_id = $1 AND member_id = $2 FOR SHARE",
        link.community_id, link.inviter_id,
    )  # fmt: skip
    if not entitled(link.inviter_id, rows[0]["role"] if rows else None, link.role):
        raise AcceptanceRefused(
            AcceptanceStatus.NOT_ALLOWED, "inviter_not_entitled", flow_sentence("INVITER_NOT_ENTITLED")
        )


def _refuse_disallowed_domain(link: LinkFacts) -> None:
    """Refuses when the rules no longer allow the domain. They may have changed since the invitation."""
    if link.allowed_email_domains and domain_of(link.email) not in link.allowed_email_domains:
        raise AcceptanceRefused(AcceptanceStatus.NOT_ALLOWED, "domain_not_allowed", flow_sentence("DOMAIN_NOT_ALLOWED"))


_ACCOUNT: Final = """
SELECT d.id AS identity_id, d.member_id AS known_member_id, COALESCE(d.member_id, $5) AS member_id,
    m.id AS membership_id, n.member_id AS other_member_id,
    EXISTS (SELECT 1 FROM identities w WHERE w.member_id = n.member_id) AS other_signs_in
FROM (SELECT 1 AS one) o
LEFT JOIN identities d ON d.issuer = $1 AND d.subject = $2
LEFT JOIN memberships m ON m.member_id = COALESCE(d.member_id, $5) AND m.community_id = $3
LEFT JOIN (SELECT p.id AS member_id FROM members p WHERE p.email = $4 AND p.erased_at IS NULL
    UNION ALL SELECT q.member_id FROM identities q WHERE q.email = $4 AND q.email_proven LIMIT 1) n ON 1 = 1
"""


async def _account_of(identity: Identity, link: LinkFacts) -> _Account:
    """Finds the account by (issuer, subject), or takes the account that the operator named in the invitation.

    An address never finds an account (H037, H040).
    """
    rows = await select(_ACCOUNT, identity.issuer, identity.subject, link.community_id, link.email, link.for_member_id)
    return _Account(**rows[0])


def _refuse_other_account(account: _Account, link: LinkFacts) -> None:
    """Refuses when another account has the address. Accounts are never merged or duplicated.

    An account whose sign-in only claims the address, without proof, is no obstacle.
    """
    if account.known_member_id is not None and link.for_member_id not in {None, account.known_member_id}:
        raise AcceptanceRefused(
            AcceptanceStatus.IDENTITY_CONFLICT, "identity_in_use", flow_sentence("IDENTITY_IN_USE_ELSEWHERE")
        )
    if account.member_id is None and account.other_member_id is not None and not account.other_signs_in:
        raise AcceptanceRefused(
            AcceptanceStatus.IDENTITY_CONFLICT, "account_released", flow_sentence("ACCOUNT_RELEASED")
        )
    if account.member_id is None and account.other_member_id is not None:
        raise AcceptanceRefused(
            AcceptanceStatus.IDENTITY_CONFLICT, "identity_conflict", flow_sentence("IDENTITY_CONFLICT")
        )


_CONSUME = f"""
UPDATE invitations SET accepted_at = $1, accepted_by_id = $2 WHERE id = $3 AND generation = $4
    AND {is_pending("$1")}
RETURNING id
"""  # noqa: S608 -- constants


async def _consume(link: LinkFacts, member_id: str, now: datetime, *writes: Statement) -> None:
    """Runs all writes, then consumes the invitation with a guarded UPDATE.

    Exactly one concurrent attempt succeeds. The others roll back (H005, H006).
    """
    consume = Statement(_CONSUME, (now, member_id, link.invitation_id, link.generation))
    if not await execute_batch(*writes, consume):
        raise link_invalid()


def _insert_member(member_id: str, link: LinkFacts, identity: Identity, now: datetime) -> Statement:
    return insert("members", {"id": member_id, "name": identity.name, "email": link.email, "created_at": now})


def _record_identity(account: _Account, member_id: str, identity: Identity, now: datetime) -> Statement:
    if account.identity_id is not None:
        return update_identity(account.identity_id, identity, now=now)
    return insert_identity(member_id, identity, proven=True, last_used_at=now, now=now)


def _insert_membership(membership_id: str, member_id: str, link: LinkFacts, now: datetime) -> Statement:
    return insert("memberships", {
        "id": membership_id, "member_id": member_id, "community_id": link.community_id, "role": link.role,
        "joined_at": now,
    })  # fmt: skip


def _audit_events(link: LinkFacts, account: _Account, member_id: str, identity: Identity, now: datetime) -> Statement:
    """Records the acceptance with the evidence for the address."""
    evidence = {
        "provider": identity.provider_id,
        "issuer": identity.issuer,
        "evidence": identity.evidence.rule,
        "verdict": identity.evidence.verdict,
    }
    about = {"community_id": link.community_id, "actor_id": member_id, "invitation_id": link.invitation_id}
    events = [audit.Event("invitation.accepted", **about, details=evidence)]
    if account.membership_id is None:
        events.append(audit.Event("membership.joined", **about, details={"role": link.role}))
    return audit.audit_statement(now, *events)
