"""Invitations as admins see them. One statement reads any number of pages.

This is a hot path: each row becomes plain values once, and no row causes a further statement (tests/test_budgets.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from service.communities.access import CommunityAccess
from service.communities.members import MemberView
from service.database import Params, select, select_pages
from service.database.shares import in_slices
from service.invitation_status import Status, delivery_of, is_open, status_is, status_of
from service.invitations.search import InvitationFilter, filter_condition, newest_sql, with_international_addresses
from service.languages import Sentence, sentence
from service.mail import reasons
from service.models import Delivery, Role
from service.settings import RateLimit, Settings

RESEND_PAUSE: Final = timedelta(minutes=1)


class BlockedCode(StrEnum):
    """The reason why a pending invitation cannot be accepted now."""

    INVITER_NOT_ENTITLED = "INVITER_NOT_ENTITLED"
    DOMAIN_NOT_ALLOWED = "DOMAIN_NOT_ALLOWED"
    NO_SEAT_LEFT = "NO_SEAT_LEFT"


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation as an admin of its community sees it."""

    id: str
    access: CommunityAccess
    email: str
    role: Role
    message: str | None
    locale: str | None
    inviter: MemberView | None
    status: Status
    blocked: Sentence | None
    delivery: Delivery
    delivery_reason: Sentence | None
    created_at: datetime
    expires_at: datetime
    last_sent_at: datetime | None
    delivered_at: datetime | None
    accepted_at: datetime | None
    declined_at: datetime | None
    revoked_at: datetime | None
    revoked_by: MemberView | None
    accepted_by: MemberView | None
    erased_at: datetime | None
    proposed_email: str | None
    can_resend: bool
    can_resend_at: datetime | None
    can_revoke: bool


# Admins see a person's address only while both belong to the community. A declined invitation cannot be reopened when
# its address is blocked, has a newer invitation, or was erased.
_COLUMNS = f"""
    i.id, i.email, i.role, i.message, i.locale, i.created_at, i.expires_at, i.accepted_at, i.declined_at, i.revoked_at,
    i.superseded_at, i.delivery, i.delivery_reason, i.delivery_code, i.delivery_facts, i.last_sent_at, i.delivered_at, i.proposed_email, i.resent_at,
    i.resends, i.resends_since_at, i.erased_at,
    CASE WHEN i.declined_at IS NULL THEN FALSE
        ELSE i.erased_at IS NOT NULL
        OR EXISTS (SELECT 1 FROM blocks b WHERE b.community_id = i.community_id AND b.email = i.email)
        OR EXISTS (SELECT 1 FROM invitations o WHERE o.community_id = i.community_id AND o.email = i.email
            AND {is_open("o")})
        END AS stays_declined,
    v.id AS inviter_id, v.name AS inviter_name, v.created_at AS inviter_created_at, vm.role AS inviter_role,
    CASE WHEN vm.id IS NULL THEN NULL ELSE v.email END AS inviter_email,
    a.id AS acceptor_id, a.name AS acceptor_name, a.created_at AS acceptor_created_at,
    CASE WHEN am.id IS NULL THEN NULL ELSE a.email END AS acceptor_email,
    r.id AS revoker_id, r.name AS revoker_name, r.created_at AS revoker_created_at,
    CASE WHEN rm.id IS NULL THEN NULL ELSE r.email END AS revoker_email
"""  # noqa: S608 -- constants

_PEOPLE = """
    LEFT JOIN members v ON v.id = i.inviter_id
    LEFT JOIN memberships vm ON vm.member_id = i.inviter_id AND vm.community_id = i.community_id
    LEFT JOIN members a ON a.id = i.accepted_by_id
    LEFT JOIN memberships am ON am.member_id = i.accepted_by_id AND am.community_id = i.community_id
    LEFT JOIN members r ON r.id = i.revoked_by_id
    LEFT JOIN memberships rm ON rm.member_id = i.revoked_by_id AND rm.community_id = i.community_id
"""


@dataclass(frozen=True, slots=True)
class InvitationsQuery:
    """A page of the invitations of a community that the caller administers, newest first, after a keyset position."""

    access: CommunityAccess
    limit: int
    after: tuple[datetime, str] | None = None
    conditions: InvitationFilter = field(default_factory=InvitationFilter)


async def invitation_pages(
    queries: Sequence[InvitationsQuery], *, now: datetime, settings: Settings
) -> list[list[InvitationView]]:
    """Returns the pages, in one statement; a filter by address runs another one."""
    params = Params()
    filters = await with_international_addresses([(query.access.community_id, query.conditions) for query in queries])
    keys = [
        _keys(replace(query, conditions=conditions), params, now)
        for query, conditions in zip(queries, filters, strict=True)
    ]
    return [
        [invitation_view(row, query.access, now=now, settings=settings) async for row in in_slices(rows)]
        for query, rows in zip(queries, await select_pages(keys, _PAGES, params), strict=True)
    ]


_PAGES: Final = f"""
SELECT k.page, {_COLUMNS} FROM {{keys}} k JOIN invitations i ON i.id = k.id {_PEOPLE}
ORDER BY k.page, i.created_at DESC, i.id DESC
"""  # noqa: S608 -- constants


def _keys(query: InvitationsQuery, params: Params, now: datetime) -> str:
    return newest_sql(
        query.access.community_id, query.conditions, params, after=query.after, limit=query.limit, now=now
    )


async def count_invitations(keys: Sequence[tuple[str, InvitationFilter]], *, now: datetime) -> list[int]:
    """Counts the invitations of a community that each filter selects, in one statement; a filter by address runs another one."""
    params = Params()
    filters = await with_international_addresses(keys)
    sql = " UNION ALL ".join(
        f"SELECT {number} AS page, count(*) AS invitations FROM invitations i WHERE"  # noqa: S608 -- constants and placeholders
        f" {filter_condition(community_id, conditions, params, now=now)}"
        for number, ((community_id, _), conditions) in enumerate(zip(keys, filters, strict=True))
    )
    found = {row["page"]: int(row["invitations"]) for row in await select(sql, *params.values)}
    return [found[number] for number in range(len(keys))]


async def count_by_status(community_ids: Sequence[str], *, now: datetime) -> list[dict[Status, int]]:
    """Counts the invitations of each community by status, in one statement."""
    params = Params(now)
    columns = ", ".join(
        f"count(*) FILTER (WHERE {status_is(status, '$1', 'i')}) AS {status.lower()}" for status in Status
    )
    sql = (
        f"SELECT i.community_id, {columns} FROM invitations i"  # noqa: S608 -- constants and placeholders
        f" WHERE i.community_id IN ({params.add_all(community_ids)}) GROUP BY i.community_id"
    )
    rows = {row["community_id"]: row for row in await select(sql, *params.values)}
    return [
        {status: rows[community_id][status.lower()] if community_id in rows else 0 for status in Status}
        for community_id in community_ids
    ]


async def invitation_by_id(
    access: CommunityAccess, invitation_id: str, *, now: datetime, settings: Settings
) -> InvitationView | None:
    """Returns the invitation with this id in the caller's community."""
    return (await invitations_by_id(access, [invitation_id], now=now, settings=settings)).get(invitation_id)


async def invitations_by_id(
    access: CommunityAccess, ids: Iterable[str], *, now: datetime, settings: Settings
) -> dict[str, InvitationView]:
    """Returns the invitations with these ids in the caller's community, by id, in one statement."""
    params = Params(access.community_id)
    marks = params.add_all(ids)
    sql = f"SELECT {_COLUMNS} FROM invitations i {_PEOPLE} WHERE i.community_id = $1 AND i.id IN ({marks})"  # noqa: S608 -- constants and placeholders
    rows = await select(sql, *params.values) if marks else []
    return {row["id"]: invitation_view(row, access, now=now, settings=settings) for row in rows}


async def select_invitations(
    keys: Sequence[tuple[CommunityAccess, str]], *, now: datetime, settings: Settings
) -> list[InvitationView | None]:
    """Returns invitations by community and id, or None for an unknown id. Runs one statement for each community."""
    found: dict[tuple[CommunityAccess, str], InvitationView] = {}
    for access in dict.fromkeys(access for access, _ in keys):
        ids = [invitation_id for of, invitation_id in keys if of == access]
        views = await invitations_by_id(access, ids, now=now, settings=settings)
        found |= {(access, invitation_id): view for invitation_id, view in views.items()}
    return [found.get(key) for key in keys]


def invitation_view(
    row: dict[str, Any], access: CommunityAccess, *, now: datetime, settings: Settings
) -> InvitationView:
    status, role = status_of(row, now), Role(row["role"])
    manages = access.may_manage(role)
    resendable = manages and status in {Status.PENDING, Status.DECLINED} and not row["stays_declined"]
    ready_at = resend_ready_at(row, settings.rate_limits.resends_per_invitation)
    delivery = delivery_of(Delivery(row["delivery"]), status)
    return InvitationView(
        id=row["id"],
        access=access,
        email=row["email"],
        role=role,
        message=row["message"],
        locale=row["locale"],
        inviter=_member(row, "inviter"),
        status=status,
        blocked=_blocked(row, access, role) if status is Status.PENDING else None,
        delivery=delivery,
        delivery_reason=_delivery_reason(row, delivery),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_sent_at=row["last_sent_at"],
        delivered_at=row["delivered_at"],
        accepted_at=row["accepted_at"],
        declined_at=row["declined_at"],
        revoked_at=row["revoked_at"],
        revoked_by=_member(row, "revoker"),
        accepted_by=_member(row, "acceptor"),
        erased_at=row["erased_at"],
        proposed_email=row["proposed_email"],
        can_resend=resendable and (ready_at is None or ready_at <= now),
        can_resend_at=ready_at if resendable and ready_at is not None and ready_at > now else None,
        can_revoke=manages and status is Status.PENDING,
    )


def resend_ready_at(row: dict[str, Any], limit: RateLimit | None) -> datetime | None:
    """Returns the earliest instant of the next resend, from the limit and the pause between two resends.

    Returns None without a limit, and before the first resend.
    """
    if limit is None or row["resent_at"] is None:
        return None
    ready_at: datetime = row["resent_at"] + RESEND_PAUSE
    if row["resends"] >= limit.count:
        ready_at = max(ready_at, row["resends_since_at"] + limit.period)
    return ready_at


def entitled(inviter_id: str | None, inviter_role: str | None, role: Role) -> bool:
    """Whether the inviter may still invite to the role. Invitations without an inviter are the operator's, and remain valid."""
    if inviter_id is None:
        return True
    return inviter_role is not None and Role(inviter_role).rank >= max(Role.ADMIN.rank, role.rank)


BLOCKED_BY_INVITER: Final = sentence(
    "INVITER_NOT_ENTITLED", "The inviter may no longer invite to this role. Send it again: you become its inviter."
)
BLOCKED_BY_RULES: Final = sentence(
    "DOMAIN_NOT_ALLOWED",
    "The rules no longer admit addresses of this domain. Allow the domain again, or invite them at another address.",
)
BLOCKED_BY_SEATS: Final = sentence(
    "NO_SEAT_LEFT", "No seat is left in this community. Remove a member or raise the seat limit."
)


def _blocked(row: dict[str, Any], access: CommunityAccess, role: Role) -> Sentence | None:
    if not entitled(row["inviter_id"], row["inviter_role"], role):
        return BLOCKED_BY_INVITER
    if not access.admits(row["email"]):
        return BLOCKED_BY_RULES
    if access.seats_left == 0:
        return BLOCKED_BY_SEATS
    return None


def _delivery_reason(row: dict[str, Any], delivery: Delivery) -> Sentence | None:
    """Returns the reason of the newest mail's delivery. Rows of earlier versions store an English sentence.

    A sent or delivered mail has none: an earlier version that runs during an update leaves the code of the mail before.
    A cancelled mail has none: its row keeps the reason why it had to wait.
    """
    if delivery in {Delivery.SENT, Delivery.DELIVERED, Delivery.CANCELLED}:
        return None
    if row["delivery_reason"]:
        return Sentence(row["delivery_reason"])
    return reasons.from_columns(row["delivery_code"], row["delivery_facts"])


def _member(row: dict[str, Any], prefix: str) -> MemberView | None:
    if row[f"{prefix}_id"] is None:
        return None
    return MemberView(row[f"{prefix}_id"], row[f"{prefix}_name"], row[f"{prefix}_email"], row[f"{prefix}_created_at"])
