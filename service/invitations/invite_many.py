"""Invites many people, with the rules of single invitations and a bounded number of statements.

Returns one outcome for each row, in order. An error of one row does not affect other rows. A duplicate address is invited
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
from service.invitations.errors import EITHER_LIMITED, AlreadyInvited
from service.invitations.invite import ADMINS_ONLY, CHANGED, Invitee, ValidInvitee, refuse_above_own_role, valid_invitee
from service.invitations.quota import allowances
from service.invitations.views import InvitationView, invitations_by_id
from service.languages import sentence
from service.limits import audited, rate_limited_event, spend_up_to
from service.mail import outbox
from service.settings import Settings
from service.tokens import new_id

MOST_INVITEES: Final = 1000


@dataclass(slots=True)
class Outcome:
    """The result of one row: an invitation or an error."""

    email: str
    invitation: InvitationView | None = None
    error: ExpectedError | None = None

    def unwrap(self) -> InvitationView:
        if self.invitation is None:
            raise LookupError("This row has an error.")
        return self.invitation


@dataclass(slots=True)
class _Row:
    """One row with its progress.

    `first` is an earlier row with the same address. `known_id` is the existing invitation that answers the row,
    `expired_id` the one that the new invitation supersedes, and `written_id` the new invitation.
    """

    invitee: Invitee
    valid: ValidInvitee | None = None
    error: ExpectedError | None = None
    first: "_Row | None" = None
    known_id: str | None = None
    expired_id: str | None = None
    written_id: str | None = None

    @property
    def new(self) -> bool:
        return self.error is None and self.first is None and self.known_id is None

    @property
    def email(self) -> Address:
        if self.valid is None:
            raise LookupError("This row has no address.")
        return self.valid.email


async def invite_many(
    community_id: str, invitees: list[Invitee], *, caller: Caller | None, now: datetime, settings: Settings
) -> list[Outcome]:
    """Invites up to 1,000 people, and rejects longer lists (H100).

    The limits of single invitations apply. Rows spend them in order, and the rows beyond them get RateLimited.
    Raises RateLimited when all rows are new and the limits allow no row.
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
    """Invites people without an inviter and without limits. The community's rules apply. Raises NotFound.

    Without `reinvite_closed`, each address with an earlier invitation to the community gets its newest one as the answer.
    Running a list again therefore sends no mail after a declined, revoked or expired invitation, or after leaving.
    """
    access = await operator_access(community_id, settings)
    _refuse_number(len(invitees))
    return await _invite_all(access, invitees, None, now, settings, reinvite_closed=reinvite_closed)


def _refuse_number(number: int) -> None:
    if not 1 <= number <= MOST_INVITEES:
        raise InvalidInput("invitees", sentence(
            "LIST_LENGTH_INVALID", "There are %(rows)s rows; between 1 and %(most)s were expected.",
            rows=number, most=MOST_INVITEES,
        ))  # fmt: skip


async def _invite_all(
    access: CommunityAccess, invitees: list[Invitee], inviter_id: str | None, now: datetime, settings: Settings,
    *, reinvite_closed: bool = True,
) -> list[Outcome]:  # fmt: skip
    rows = [_validated_row(invitee, access) for invitee in invitees]
    _join_duplicates(rows)
    async with audited(access.community_id, inviter_id, rows=len(rows), now=now), transaction():
        await _answer_known(access, rows, now)
        if not reinvite_closed:
            await _answer_invited_before(access, rows)
        await _assign_seats(access, rows, now)
        if inviter_id is not None:
            await _spend(access, rows, now, settings)
        await _write(access, rows, inviter_id, now)
    return await _outcomes(access, rows, now, settings)


def _validated_row(invitee: Invitee, access: CommunityAccess) -> _Row:
    try:
        refuse_above_own_role(access, invitee.role)
        return _Row(invitee, valid=valid_invitee(invitee, access))
    except ExpectedError as error:
        return _Row(invitee, error=error)


def _join_duplicates(rows: list[_Row]) -> None:
    """Links each duplicate of an address, ignoring case, to its first row."""
    firsts: dict[str, _Row] = {}
    for row in rows:
        if row.valid is not None:
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
    """Answers the rows of members and of addresses with a pending invitation."""
    new = {row.email: row for row in rows if row.new}
    params = Params(access.community_id)
    marks = params.add_all(new)
    known = await select(_KNOWN.format(marks=marks), *params.values) if marks else []
    views = await memberships_by_id([found["membership_id"] for found in known if found["membership_id"]], access)
    memberships = {view.id: view for view in views}
    for found in known:
        row = new[found["email"]]
        if found["membership_id"] is not None:
            row.error = AlreadyMember(memberships[found["membership_id"]])
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
    """Answers each address with earlier invitations, open or closed, with the newest."""
    new = {row.email: row for row in rows if row.new}
    params = Params(access.community_id)
    if marks := params.add_all(new):
        for found in await select(_INVITED_BEFORE.format(marks=marks), *params.values):
            new[found["email"]].known_id = found["id"]


def _new(rows: list[_Row]) -> list[_Row]:
    return [row for row in rows if row.new]


async def _assign_seats(access: CommunityAccess, rows: list[_Row], now: datetime) -> None:
    """Assigns the free seats to new rows in order, under the community's lock. The others get SeatLimitReached."""
    if access.seat_limit is None:
        return
    seats = await lock_seats(access.community_id, now)
    if seats.limit is None:
        return
    for row in _new(rows)[max(0, seats.limit - seats.members - seats.pending) :]:
        row.error = SeatLimitReached(seats.limit)


async def _spend(access: CommunityAccess, rows: list[_Row], now: datetime, settings: Settings) -> None:
    """Spends the limits of the inviter and the community on new rows in order. The others get RateLimited."""
    new = _new(rows)
    inviter, community = allowances(access, settings.rate_limits)
    allowed, wait = await spend_up_to(inviter.limit, inviter.key, now=now, times=len(new))
    fewer, further_wait = await spend_up_to(community.limit, community.key, now=now, times=allowed)
    if fewer < allowed:
        await spend_up_to(inviter.limit, inviter.key, now=now, times=fewer - allowed)
    limited = RateLimited(
        EITHER_LIMITED,
        max(wait if allowed < len(new) else timedelta(0), further_wait if fewer < allowed else timedelta(0)),
    )
    if fewer == 0 and rows and all((row.first or row).new for row in rows):
        raise limited
    for row in new[fewer:]:
        row.error = limited
    if fewer < len(new):
        await audit.record(
            now, rate_limited_event(limited, access.community_id, access.member_id, rows=len(new) - fewer)
        )


async def _write(access: CommunityAccess, rows: list[_Row], inviter_id: str | None, now: datetime) -> None:
    """Writes the invitations, mail orders, audit events and notifications, each kind in a few statements."""
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
    await _answer_conflicts(access, [row for row in new if row.written_id is None])


async def _supersede(expired: list[str], now: datetime) -> None:
    params = Params(now)
    if marks := params.add_all(expired):
        sql = f"UPDATE invitations SET superseded_at = $1 WHERE superseded_at IS NULL AND id IN ({marks})"  # noqa: S608 -- placeholders
        await execute(sql, *params.values)


async def _insert(access: CommunityAccess, new: list[_Row], inviter_id: str | None, now: datetime) -> dict[str, str]:
    """Inserts the invitations, and returns their ids by address. Addresses that a concurrent invite won are missing (H084)."""
    expires_at = now + timedelta(days=access.invitation_days)
    params = Params(access.community_id, inviter_id, now, expires_at, access.invitation_days, access.access_token_id)
    # A fixed order prevents deadlocks between concurrent lists with the same addresses.
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
    if row.valid is None:
        raise LookupError("This row has no address.")
    return new_id("inv"), row.valid.email, row.valid.role, row.valid.message, row.valid.locale


def _event(access: CommunityAccess, row: _Row, inviter_id: str | None) -> audit.Event:
    details = {"role": str(row.invitee.role)} | access_token_details(access.grant)
    return audit.Event("invitation.created", access.community_id, inviter_id, row.written_id, details)


async def _answer_conflicts(access: CommunityAccess, rows: list[_Row]) -> None:
    """Answers rows that a concurrent invite won, with its invitation."""
    if not rows:
        return
    params = Params(access.community_id)
    marks = params.add_all([row.email for row in rows])
    known = {found["email"]: found["open_id"] for found in await select(_KNOWN.format(marks=marks), *params.values)}
    for row in rows:
        row.known_id = known.get(row.email)
        if row.known_id is None:
            row.error = NotFound(CHANGED)


async def _outcomes(access: CommunityAccess, rows: list[_Row], now: datetime, settings: Settings) -> list[Outcome]:
    ids = {found for row in rows for found in (row.known_id, row.written_id) if found is not None}
    views = await invitations_by_id(access, ids, now=now, settings=settings)
    return [_outcome(row, views) for row in rows]


def _outcome(row: _Row, views: dict[str, InvitationView]) -> Outcome:
    first = row.first or row
    error, invitation_id = first.error, first.known_id or first.written_id
    view = views.get(invitation_id) if invitation_id is not None else None
    if error is None and view is None:
        error = NotFound(CHANGED)
    elif error is None and view is not None and (row.first is not None or first.known_id is not None):
        error = AlreadyInvited(view)
    return Outcome(row.invitee.email, None if error is not None else view, error)
