"""Inviting many at once: every row is judged as a single invitation would be, in a bounded number of statements.

One outcome a row, in order. A row that is refused stops no other, and an address that stands there twice is invited
once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from service import audit
from service.accounts.access_tokens import access_token_details, lock_access_token
from service.accounts.caller import Caller
from service.addresses import Address
from service.changes import notify_many
from service.communities.access import CommunityAccess, community_access, operator_access
from service.communities.communities import lock_seats
from service.communities.members import AlreadyMember, memberships_by_id
from service.database import Params, execute, select, transaction
from service.errors import (
    ExpectedError,
    InvalidInput,
    NotFound,
    NotPermitted,
    NotSignedIn,
    RateLimited,
    SeatLimitReached,
)
from service.invitation_status import is_open
from service.invitations import views as invitation_views
from service.invitations.errors import EITHER_LIMITED, AlreadyInvited
from service.invitations.invite import ADMINS_ONLY, CHANGED, Checked, Invitee, checked_invitee, refuse_above_own_role
from service.invitations.views import InvitationView
from service.languages import sentence
from service.limits import audited, over, spend_up_to
from service.mail import outbox
from service.settings import Settings
from service.tokens import new_id

__all__ = ["MOST", "Invitee", "Outcome", "invite_many", "invite_many_as_operator"]

MOST: Final = 1000


@dataclass(slots=True)
class Outcome:
    """What became of one row: an invitation, or why not."""

    email: str
    invitation: InvitationView | None = None
    refused: ExpectedError | None = None

    def invited(self) -> InvitationView:
        if self.invitation is None:
            raise LookupError("This row was refused.")
        return self.invitation


@dataclass(slots=True)
class _Row:
    """One row on its way: an earlier row with the same address, the invitation that is there already, the expired one
    that makes way, or the one that was written.
    """

    given: Invitee
    checked: Checked | None = None
    refused: ExpectedError | None = None
    first: "_Row | None" = None
    known_id: str | None = None
    expired_id: str | None = None
    written_id: str | None = None

    @property
    def new(self) -> bool:
        return self.refused is None and self.first is None and self.known_id is None

    @property
    def email(self) -> Address:
        if self.checked is None:
            raise LookupError("This row has no address.")
        return self.checked.email


async def invite_many(
    community_id: str, invitees: list[Invitee], *, caller: Caller | None, now: datetime, settings: Settings
) -> list[Outcome]:
    """Invites up to 1,000 people; more are refused whole (H100). The limits are those of single invitations: what they
    still allow is invited from the top, the rest is RateLimited; the whole is, when that is all that there is to say.
    """
    access = await community_access(caller, community_id, settings)
    if caller is None:
        raise NotSignedIn
    if not access.is_admin:
        raise NotPermitted(ADMINS_ONLY)
    _refuse_number(len(invitees))
    return await _invite_all(access, invitees, caller.member_id, now, settings)


async def invite_many_as_operator(
    community_id: str, invitees: list[Invitee], *, reinvite_closed: bool, now: datetime, settings: Settings
) -> list[Outcome]:
    """The same on the operator's word: no inviter, no limits; the community's rules hold. Raises NotFound.

    Without `reinvite_closed`, whoever was ever invited to the community is answered with their newest invitation, whatever became
    of it: a list that is run again writes to nobody who declined, was revoked, let it expire or left.
    """
    access = await operator_access(community_id, settings)
    _refuse_number(len(invitees))
    return await _invite_all(access, invitees, None, now, settings, reinvite_closed=reinvite_closed)


def _refuse_number(number: int) -> None:
    if not 1 <= number <= MOST:
        raise InvalidInput("invitees", sentence(
            "LIST_LENGTH_INVALID", "There are %(rows)s rows; between 1 and %(most)s were expected.",
            rows=number, most=MOST,
        ))  # fmt: skip


async def _invite_all(
    access: CommunityAccess, invitees: list[Invitee], inviter_id: str | None, now: datetime, settings: Settings,
    *, reinvite_closed: bool = True,
) -> list[Outcome]:  # fmt: skip
    rows = [_checked(given, access) for given in invitees]
    _join_duplicates(rows)
    async with audited(access.community_id, inviter_id, rows=len(rows), now=now), transaction():
        await _answer_known(access, rows, now)
        if not reinvite_closed:
            await _answer_invited_before(access, rows)
        await _seat(access, rows, now)
        if inviter_id is not None:
            await _spend(access, rows, now, settings)
        await _write(access, rows, inviter_id, now)
    return await _outcomes(access, rows, now, settings)


def _checked(given: Invitee, access: CommunityAccess) -> _Row:
    try:
        refuse_above_own_role(access, given.role)
        return _Row(given, checked=checked_invitee(given, access))
    except ExpectedError as refused:
        return _Row(given, refused=refused)


def _join_duplicates(rows: list[_Row]) -> None:
    """A later row of the same address, in whatever case, is answered by the first."""
    firsts: dict[str, _Row] = {}
    for row in rows:
        if row.checked is not None:
            first = firsts.setdefault(row.email, row)
            row.first = None if first is row else first


_KNOWN: Final = f"""
SELECT i.email, i.id AS open_id, i.expires_at, NULL AS membership_id FROM invitations i
WHERE i.community_id = $1 AND {is_open("i")} AND i.email IN ({{marks}})
UNION ALL
SELECT p.email, NULL, NULL, m.id FROM members p JOIN memberships m ON m.member_id = p.id
WHERE m.community_id = $1 AND p.email IN ({{marks}})
UNION ALL
SELECT i.email, NULL, NULL, m.id FROM invitations i
JOIN memberships m ON m.member_id = i.accepted_by_id AND m.community_id = i.community_id
WHERE i.community_id = $1 AND i.accepted_at IS NOT NULL AND i.email IN ({{marks}})
"""  # noqa: S608 -- constants


async def _answer_known(access: CommunityAccess, rows: list[_Row], now: datetime) -> None:
    """Answers whoever is a member or has a pending invitation."""
    wanted = {row.email: row for row in rows if row.new}
    params = Params(access.community_id)
    marks = params.add_all(wanted)
    known = await select(_KNOWN.format(marks=marks), *params.values) if marks else []
    views = await memberships_by_id([found["membership_id"] for found in known if found["membership_id"]], access)
    memberships = {view.id: view for view in views}
    for found in known:
        row = wanted[found["email"]]
        if found["membership_id"] is not None:
            row.refused = AlreadyMember(memberships[found["membership_id"]])
        elif found["expires_at"] > now:
            row.known_id = found["open_id"]
        else:
            row.expired_id = found["open_id"]


_INVITED_BEFORE: Final = """
SELECT email, id FROM (
    SELECT email, id, ROW_NUMBER() OVER (PARTITION BY email ORDER BY created_at DESC, id DESC) AS age
    FROM invitations WHERE community_id = $1 AND email IN ({marks})
) AS aged WHERE age = 1
"""


async def _answer_invited_before(access: CommunityAccess, rows: list[_Row]) -> None:
    """Answers whoever has an invitation, closed or not, with the newest."""
    wanted = {row.email: row for row in rows if row.new}
    params = Params(access.community_id)
    if marks := params.add_all(wanted):
        for found in await select(_INVITED_BEFORE.format(marks=marks), *params.values):
            wanted[found["email"]].known_id = found["id"]


def _new(rows: list[_Row]) -> list[_Row]:
    return [row for row in rows if row.new]


async def _seat(access: CommunityAccess, rows: list[_Row], now: datetime) -> None:
    """As many of the new rows as there are seats, from the top, counted under the community's lock."""
    if access.seat_limit is None:
        return
    seats = await lock_seats(access.community_id, now)
    if seats.limit is None:
        return
    for row in _new(rows)[max(0, seats.limit - seats.members - seats.pending) :]:
        row.refused = SeatLimitReached(seats.limit)


async def _spend(access: CommunityAccess, rows: list[_Row], now: datetime, settings: Settings) -> None:
    """As many of the new rows as the inviter's and the community's limits allow, from the top."""
    new, limits = _new(rows), settings.rate_limits
    inviter, community = f"inviter:{access.member_id}", f"community:{access.community_id}"
    allowed, wait = await spend_up_to(limits.invites_per_inviter, inviter, now=now, times=len(new))
    fewer, further_wait = await spend_up_to(limits.invites_per_community, community, now=now, times=allowed)
    if fewer < allowed:
        await spend_up_to(limits.invites_per_inviter, inviter, now=now, times=fewer - allowed)
    refused = RateLimited(
        EITHER_LIMITED,
        max(wait if allowed < len(new) else timedelta(0), further_wait if fewer < allowed else timedelta(0)),
    )
    if fewer == 0 and rows and all((row.first or row).new for row in rows):
        raise refused
    for row in new[fewer:]:
        row.refused = refused
    if fewer < len(new):
        await audit.record(now, over(refused, access.community_id, access.member_id, rows=len(new) - fewer))


async def _write(access: CommunityAccess, rows: list[_Row], inviter_id: str | None, now: datetime) -> None:
    """Invitations, mail orders, audit events and notifications, each kind in one statement or a few."""
    new = _new(rows)
    if not new:
        return
    await _supersede([row.expired_id for row in new if row.expired_id is not None], now)
    written = await _insert(access, new, inviter_id, now)
    await lock_access_token(access.grant, now=now)
    for row in new:
        row.written_id = written.get(row.email)
    ids = list(written.values())
    await outbox.order_many(ids, now=now)
    await audit.record(now, *(_event(access, row, inviter_id) for row in new if row.written_id is not None))
    await notify_many(access.community_id, ids)
    await _answer_losers(access, [row for row in new if row.written_id is None])


async def _supersede(expired: list[str], now: datetime) -> None:
    params = Params(now)
    if marks := params.add_all(expired):
        sql = f"UPDATE invitations SET superseded_at = $1 WHERE superseded_at IS NULL AND id IN ({marks})"  # noqa: S608 -- placeholders
        await execute(sql, *params.values)


async def _insert(access: CommunityAccess, new: list[_Row], inviter_id: str | None, now: datetime) -> dict[str, str]:
    """The ids of what was written, by address; who lost to a simultaneous invitation is not among them (H084)."""
    expires_at = now + timedelta(days=access.invitation_days)
    params = Params(access.community_id, inviter_id, now, expires_at, access.invitation_days, access.access_token_id)
    # In one order, so that two who invite the same people at once wait for each other and do not deadlock.
    values = ", ".join(
        f"({params.add_all(_columns(row))}, $1, $2, 1, $3, $4, $5, 'QUEUED', $3, 0, $6)"
        for row in sorted(new, key=lambda row: row.email)
    )
    rows = await select(
        "INSERT INTO invitations (id, email, role, message, locale, community_id, inviter_id, generation, created_at,"  # noqa: S608 -- placeholders
        f" expires_at, days, delivery, delivery_at, resends, access_token_id) VALUES {values} ON CONFLICT DO NOTHING"
        " RETURNING id, email",
        *params.values,
    )
    return {row["email"]: row["id"] for row in rows}


def _columns(row: _Row) -> tuple[Any, ...]:
    if row.checked is None:
        raise LookupError("This row has no address.")
    return new_id("inv"), row.checked.email, row.checked.role, row.checked.message, row.checked.locale


def _event(access: CommunityAccess, row: _Row, inviter_id: str | None) -> audit.Event:
    details = {"role": str(row.given.role)} | access_token_details(access.grant)
    return audit.Event("invitation.created", access.community_id, inviter_id, row.written_id, details)


async def _answer_losers(access: CommunityAccess, losers: list[_Row]) -> None:
    """Who invited the same address at this very moment was first; the row is answered with that invitation."""
    if not losers:
        return
    params = Params(access.community_id)
    marks = params.add_all([row.email for row in losers])
    known = {found["email"]: found["open_id"] for found in await select(_KNOWN.format(marks=marks), *params.values)}
    for row in losers:
        row.known_id = known.get(row.email)
        if row.known_id is None:
            row.refused = NotFound(CHANGED)


async def _outcomes(access: CommunityAccess, rows: list[_Row], now: datetime, settings: Settings) -> list[Outcome]:
    ids = {found for row in rows for found in (row.known_id, row.written_id) if found is not None}
    views = await invitation_views.named(access, ids, now=now, settings=settings)
    return [_outcome(row, views) for row in rows]


def _outcome(row: _Row, views: dict[str, InvitationView]) -> Outcome:
    judged = row.first or row
    refused, invitation_id = judged.refused, judged.known_id or judged.written_id
    view = views.get(invitation_id) if invitation_id is not None else None
    if refused is None and view is None:
        refused = NotFound(CHANGED)
    elif refused is None and view is not None and (row.first is not None or judged.known_id is not None):
        refused = AlreadyInvited(view)
    return Outcome(row.given.email, None if refused is not None else view, refused)
