"""Invites one person. After all checks, one transaction writes the invitation and orders its mail."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from service import audit
from service.accounts.access_tokens import access_token_details, lock_access_token
from service.accounts.caller import Caller
from service.addresses import Address, AddressInvalid, canonical
from service.changes import Changed, notify
from service.communities.access import ACCESS_COLUMNS, NO_COMMUNITY, CommunityAccess, access_from_row
from service.communities.communities import lock_seats
from service.communities.members import AlreadyMember, MemberView, memberships_by_id
from service.database import execute, select, transaction
from service.database.shares import concerns
from service.errors import (
    EmailDomainNotAllowed,
    ExpectedError,
    InvalidEmail,
    NotFound,
    NotPermitted,
    NotSignedIn,
    SeatLimitReached,
)
from service.invitation_status import is_open
from service.invitations.errors import AlreadyInvited
from service.invitations.quota import allowances
from service.invitations.views import InvitationView, invitation_by_id, invitation_view
from service.languages import Sentence, sentence
from service.limits import audited, refuse_over_any
from service.mail import outbox
from service.models import Delivery, MailKind, Role
from service.settings import Settings
from service.text import MESSAGE, language_tag, validated_text
from service.tokens import is_id, new_id

NO_INVITATION: Final = sentence("NOT_FOUND", "There is no such invitation.")
CHANGED: Final = sentence("INVITATION_CHANGED", "This invitation changed while you asked. Try again.")
ADMINS_ONLY: Final = sentence("NOT_PERMITTED", "Only admins and owners invite people to this community.")


@dataclass(frozen=True, slots=True)
class Invitee:
    """A person to invite, as the inviter entered them."""

    email: str
    role: Role = Role.MEMBER
    message: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class ValidInvitee:
    """A person to invite, validated and in the stored form."""

    email: Address
    role: Role
    message: str | None
    locale: str | None


@dataclass(frozen=True, slots=True)
class _InviteFacts:
    """The inviter with their access, and the open invitation and the membership of the address."""

    access: CommunityAccess
    inviter: MemberView
    open_id: str | None
    open_expires_at: datetime | None
    membership_id: str | None


async def invite(
    community_id: str, invitee: Invitee, *, caller: Caller | None, now: datetime, settings: Settings
) -> InvitationView:
    """Invites an address to a community and orders the mail. The worker creates the link when it sends the mail."""
    if caller is None:
        raise NotSignedIn
    facts = await _invite_facts(community_id, invitee.email, caller, settings)
    refuse_above_own_role(facts.access, invitee.role)
    valid = valid_invitee(invitee, facts.access)
    await _refuse_known(facts, now, settings)
    async with audited(community_id, caller.member_id, now=now), transaction():
        await refuse_without_seat(facts.access, now)
        await _spend_invites(facts.access, 1, now, settings)
        return await _write_invitation(facts, valid, now, settings)


_INVITE_FACTS = f"""
SELECT {ACCESS_COLUMNS},
    p.name AS inviter_name, p.email AS inviter_email, p.created_at AS inviter_created_at,
    i.id AS open_id, i.expires_at AS open_expires_at, am.id AS known_membership_id
FROM memberships m JOIN communities c ON c.id = m.community_id JOIN members p ON p.id = m.member_id
LEFT JOIN invitations i ON i.community_id = c.id AND i.email = $3 AND {is_open("i")}
LEFT JOIN memberships am ON am.community_id = c.id AND am.member_id IN (
    SELECT id FROM members WHERE email = $3
    UNION ALL
    SELECT accepted_by_id FROM invitations WHERE community_id = $2 AND email = $3 AND accepted_at IS NOT NULL)
WHERE m.member_id = $1 AND c.id = $2
ORDER BY am.id NULLS LAST LIMIT 1
"""  # noqa: S608 -- constants


async def _invite_facts(community_id: str, email: str, caller: Caller, settings: Settings) -> _InviteFacts:
    """Reads the facts that decide on an invitation, in one statement. An invalid address matches no row."""
    facts = (caller.member_id, community_id, _canonical_or_empty(email))
    rows = await select(_INVITE_FACTS, *facts) if is_id(community_id) and caller.may_enter(community_id) else []
    if not rows:
        raise NotFound(NO_COMMUNITY)
    row = rows[0]
    concerns(row["community_id"])
    access = access_from_row(row, settings, caller.grant)
    inviter = MemberView(access.member_id, row["inviter_name"], row["inviter_email"], row["inviter_created_at"])
    return _InviteFacts(access, inviter, row["open_id"], row["open_expires_at"], row["known_membership_id"])


def _canonical_or_empty(email: str) -> str:
    try:
        return canonical(email)
    except AddressInvalid:
        return ""


def refuse_above_own_role(access: CommunityAccess, role: Role) -> None:
    """Raises NotPermitted unless the caller may invite to the role."""
    if not access.is_admin:
        raise NotPermitted(ADMINS_ONLY)
    if not access.may_manage(role):
        raise NotPermitted(
            token_forbids_role(role)
            if only_token_forbids(access, role)
            else sentence(
                "NOT_PERMITTED",
                "You are %(own)s here, so you cannot invite to the role %(role)s.",
                own=access.role.label,
                role=role.label,
            )
        )


def only_token_forbids(access: CommunityAccess, role: Role) -> bool:
    """Whether the caller could manage the role in a session, without the access token."""
    return replace(access, grant=None).may_manage(role)


def token_forbids_role(role: Role) -> Sentence:
    return sentence(
        "ACCESS_TOKEN_NOT_PERMITTED", "This access token cannot be used for invitations to the role %(role)s.",
        role=role.label,
    )  # fmt: skip


def valid_invitee(invitee: Invitee, access: CommunityAccess) -> ValidInvitee:
    """Validates an invitee. Raises InvalidEmail, InvalidInput or EmailDomainNotAllowed."""
    try:
        email = canonical(invitee.email)
    except AddressInvalid as error:
        raise InvalidEmail(error.reason) from None
    message = validated_text(invitee.message, MESSAGE) if invitee.message and invitee.message.strip() else None
    locale = language_tag(invitee.locale)
    if not access.admits(email):
        raise EmailDomainNotAllowed(list(access.allowed_email_domains))
    return ValidInvitee(email, invitee.role, message, locale)


async def _refuse_known(facts: _InviteFacts, now: datetime, settings: Settings) -> None:
    if facts.membership_id is not None:
        raise AlreadyMember((await memberships_by_id([facts.membership_id], facts.access))[0])
    if facts.open_id is not None and facts.open_expires_at is not None and facts.open_expires_at > now:
        raise AlreadyInvited(await read_invitation(facts.access, facts.open_id, now, settings))


async def refuse_without_seat(access: CommunityAccess, now: datetime) -> None:
    """Counts the seats of a community with a limit, under its lock. Raises SeatLimitReached."""
    if access.seat_limit is None:
        return
    seats = await lock_seats(access.community_id, now)
    if seats.limit is not None and seats.members + seats.pending >= seats.limit:
        raise SeatLimitReached(seats.limit)


async def _spend_invites(access: CommunityAccess, number: int, now: datetime, settings: Settings) -> None:
    await refuse_over_any(*allowances(access, settings.rate_limits), now=now, times=number)


INSERT: Final = """
INSERT INTO invitations (id, community_id, email, role, message, locale, inviter_id, generation, created_at, expires_at,
    days, delivery, delivery_at, resends, for_member_id, access_token_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, 'QUEUED', $8, 0, $11, $12)
ON CONFLICT DO NOTHING
"""


async def _write_invitation(
    facts: _InviteFacts, invitee: ValidInvitee, now: datetime, settings: Settings
) -> InvitationView:
    """Writes the invitation, its mail order and its audit event. Of concurrent invites of an address one succeeds (H084)."""
    access, invitation_id = facts.access, new_id("inv")
    if facts.open_id is not None:
        await execute(
            "UPDATE invitations SET superseded_at = $1 WHERE id = $2 AND superseded_at IS NULL", now, facts.open_id
        )
    expires_at = now + timedelta(days=access.invitation_days)
    written = await execute(
        INSERT, invitation_id, access.community_id, invitee.email, invitee.role, invitee.message, invitee.locale,
        access.member_id, now, expires_at, access.invitation_days, None, access.access_token_id,
    )  # fmt: skip
    if not written:
        raise await _already_invited(access, invitee.email, now, settings)
    await lock_access_token(access.grant, now=now)
    await notify(
        Changed(access.community_id, invitation_id),
        outbox.order_statement(invitation_id, generation=1, kind=MailKind.INVITATION, now=now),
        audit.audit_statement(now, invitation_event("invitation.created", access, invitation_id, role=invitee.role)),
    )
    row = _new_row(facts, invitee) | {"id": invitation_id, "created_at": now, "expires_at": expires_at}
    return invitation_view(row, access, now=now, settings=settings)


def _new_row(facts: _InviteFacts, invitee: ValidInvitee) -> dict[str, Any]:
    """The row of an invitation without further events, as `invitation_view` reads it. It saves reading it back."""
    inviter, access = facts.inviter, facts.access
    row: dict[str, Any] = defaultdict(lambda: None)
    return row | {
        "email": invitee.email, "role": invitee.role, "message": invitee.message, "locale": invitee.locale,
        "delivery": Delivery.QUEUED, "inviter_id": inviter.id, "inviter_name": inviter.name,
        "inviter_email": inviter.email, "inviter_created_at": inviter.created_at, "inviter_role": access.role,
    }  # fmt: skip


async def _already_invited(access: CommunityAccess, email: Address, now: datetime, settings: Settings) -> ExpectedError:
    rows = await select(
        f"SELECT id FROM invitations WHERE community_id = $1 AND email = $2 AND {is_open()}",  # noqa: S608 -- constants
        access.community_id, email,
    )  # fmt: skip
    if not rows:
        return NotFound(CHANGED)
    return AlreadyInvited(await read_invitation(access, rows[0]["id"], now, settings))


def invitation_event(kind: str, access: CommunityAccess, invitation_id: str, **details: str) -> audit.Event:
    facts = details | access_token_details(access.grant)
    return audit.Event(kind, access.community_id, access.member_id, invitation_id, facts)


async def read_invitation(
    access: CommunityAccess, invitation_id: str, now: datetime, settings: Settings
) -> InvitationView:
    """Returns the invitation with this id in the caller's community. Raises NotFound."""
    view = await invitation_by_id(access, invitation_id, now=now, settings=settings)
    if view is None:
        raise NotFound(NO_INVITATION)
    return view
