"""What an admin sees of invitations: rows with everything that follows from them, read by SQL, a page a statement.

This is a hot path: rows become plain values once, and nothing is looked up per row (statement budget in the tests).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from service.communities.access import CommunityAccess
from service.communities.members import MemberView
from service.database import Params, select, select_pages
from service.database.shares import in_slices
from service.invitation_status import Status, is_open, status_is, status_of
from service.invitations.search import InvitationFilter, condition, newest
from service.languages import Sentence, sentence
from service.mail import reasons
from service.models import Delivery, Role
from service.settings import RateLimit, Settings

RESEND_PAUSE: Final = timedelta(minutes=1)


class BlockedCode(StrEnum):
    """Why a pending invitation cannot be accepted now."""

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
    proposed_email: str | None
    can_resend: bool
    can_resend_at: datetime | None
    can_revoke: bool


# A person's address is shown to admins only while both belong to the community. A declined invitation stays declined
# when its address is blocked, or has a newer one, and when nobody knows any more whom it was for.
_COLUMNS = f"""
    i.id, i.email, i.role, i.message, i.locale, i.created_at, i.expires_at, i.accepted_at, i.declined_at, i.revoked_at,
    i.superseded_at, i.delivery, i.delivery_reason, i.delivery_code, i.delivery_facts, i.last_sent_at, i.delivered_at, i.proposed_email, i.resent_at,
    i.resends, i.resends_since_at,
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
    wanted: InvitationFilter = field(default_factory=InvitationFilter)


async def pages(asked: Sequence[InvitationsQuery], *, now: datetime, settings: Settings) -> list[list[InvitationView]]:
    """All these pages, in one statement."""
    params = Params()
    keys = [_keys(query, params, now) for query in asked]
    return [
        [view_of(row, query.access, now=now, settings=settings) async for row in in_slices(rows)]
        for query, rows in zip(asked, await select_pages(keys, _PAGES, params), strict=True)
    ]


_PAGES: Final = f"""
SELECT k.page, {_COLUMNS} FROM {{keys}} k JOIN invitations i ON i.id = k.id {_PEOPLE}
ORDER BY k.page, i.created_at DESC, i.id DESC
"""  # noqa: S608 -- constants


def _keys(query: InvitationsQuery, params: Params, now: datetime) -> str:
    return newest(query.access.community_id, query.wanted, params, after=query.after, limit=query.limit, now=now)


async def totals(asked: Sequence[tuple[str, InvitationFilter]], *, now: datetime) -> list[int]:
    """How many invitations of a community each filter selects, in one statement."""
    params = Params()
    sql = " UNION ALL ".join(
        f"SELECT {number} AS page, count(*) AS invitations FROM invitations i WHERE"  # noqa: S608 -- constants and placeholders
        f" {condition(community_id, wanted, params, now=now)}"
        for number, (community_id, wanted) in enumerate(asked)
    )
    found = {row["page"]: int(row["invitations"]) for row in await select(sql, *params.values)}
    return [found[number] for number in range(len(asked))]


async def counts(community_ids: Sequence[str], *, now: datetime) -> list[dict[Status, int]]:
    """How many invitations of each community stand in each status, in one statement."""
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


async def one(
    access: CommunityAccess, invitation_id: str, *, now: datetime, settings: Settings
) -> InvitationView | None:
    """The invitation of that id in the caller's community."""
    return (await named(access, [invitation_id], now=now, settings=settings)).get(invitation_id)


async def named(
    access: CommunityAccess, ids: Iterable[str], *, now: datetime, settings: Settings
) -> dict[str, InvitationView]:
    """The invitations of these ids in the caller's community, by id, in one statement."""
    params = Params(access.community_id)
    marks = params.add_all(ids)
    sql = f"SELECT {_COLUMNS} FROM invitations i {_PEOPLE} WHERE i.community_id = $1 AND i.id IN ({marks})"  # noqa: S608 -- constants and placeholders
    rows = await select(sql, *params.values) if marks else []
    return {row["id"]: view_of(row, access, now=now, settings=settings) for row in rows}


async def each(
    asked: Sequence[tuple[CommunityAccess, str]], *, now: datetime, settings: Settings
) -> list[InvitationView | None]:
    """Invitations by community and id; None where there is none. One statement for each community."""
    found: dict[tuple[CommunityAccess, str], InvitationView] = {}
    for access in dict.fromkeys(access for access, _ in asked):
        ids = [invitation_id for of, invitation_id in asked if of == access]
        views = await named(access, ids, now=now, settings=settings)
        found |= {(access, invitation_id): view for invitation_id, view in views.items()}
    return [found.get(key) for key in asked]


def of_new(
    access: CommunityAccess, inviter: MemberView, invitation_id: str, *, email: str, role: Role, message: str | None,
    locale: str | None, now: datetime, expires_at: datetime, settings: Settings,
) -> InvitationView:  # fmt: skip
    """An invitation that was written this moment by the caller; reading it back would tell nothing else."""
    row: dict[str, Any] = defaultdict(lambda: None)  # nothing else happened to it yet
    row |= {
        "id": invitation_id, "email": email, "role": role, "message": message, "locale": locale, "created_at": now,
        "expires_at": expires_at, "delivery": Delivery.QUEUED, "inviter_id": inviter.id, "inviter_name": inviter.name,
        "inviter_email": inviter.email, "inviter_created_at": inviter.created_at, "inviter_role": access.role,
    }  # fmt: skip
    return view_of(row, access, now=now, settings=settings)


def view_of(row: dict[str, Any], access: CommunityAccess, *, now: datetime, settings: Settings) -> InvitationView:
    status, role = status_of(row, now), Role(row["role"])
    manages = access.may_manage(role)
    resendable = manages and status in {Status.PENDING, Status.DECLINED} and not row["stays_declined"]
    ready_at = resend_ready_at(row, settings.rate_limits.resends_per_invitation)
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
        delivery=Delivery(row["delivery"]),
        delivery_reason=_delivery_reason(row),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_sent_at=row["last_sent_at"],
        delivered_at=row["delivered_at"],
        accepted_at=row["accepted_at"],
        declined_at=row["declined_at"],
        revoked_at=row["revoked_at"],
        revoked_by=_member(row, "revoker"),
        accepted_by=_member(row, "acceptor"),
        proposed_email=row["proposed_email"],
        can_resend=resendable and (ready_at is None or ready_at <= now),
        can_resend_at=ready_at if resendable and ready_at is not None and ready_at > now else None,
        can_revoke=manages and status is Status.PENDING,
    )


def resend_ready_at(row: dict[str, Any], limit: RateLimit | None) -> datetime | None:
    """When the invitation may be sent again, by its own limit and the pause between two; None: never resent, or no limit."""
    if limit is None or row["resent_at"] is None:
        return None
    ready_at: datetime = row["resent_at"] + RESEND_PAUSE
    if row["resends"] >= limit.count:
        ready_at = max(ready_at, row["resends_since_at"] + limit.period)
    return ready_at


def entitled(inviter_id: str | None, inviter_role: str | None, role: Role) -> bool:
    """Whether an invitation's inviter may still invite to its role; an operator always may."""
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


def _delivery_reason(row: dict[str, Any]) -> Sentence | None:
    """The reason of the newest mail's delivery. A row of an earlier version has it as an English sentence."""
    if row["delivery_reason"]:
        return Sentence(row["delivery_reason"])
    return reasons.from_columns(row["delivery_code"], row["delivery_facts"])


def _member(row: dict[str, Any], prefix: str) -> MemberView | None:
    if row[f"{prefix}_id"] is None:
        return None
    return MemberView(row[f"{prefix}_id"], row[f"{prefix}_name"], row[f"{prefix}_email"], row[f"{prefix}_created_at"])
