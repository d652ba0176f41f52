"""What an admin may ask of invitations, and the SQL that answers it from an index, however many there are.

A page is the newest rows of one or several branches, each of them one walk along an index that has the community, one
condition, and the order. Of several conditions one leads the walk (statuses before deliveries before roles) and the
rest are looked at row by row. Expiry is derived and cannot stand in an index, so the open invitations are walked by
their lifetime in days: among those of one lifetime whoever was invited earlier expires earlier, so that pending and
expired ones are two ranges of one index.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from service.database import Params
from service.errors import InvalidInput
from service.invitation_status import Status, is_open, is_unended, status_is
from service.languages import sentence
from service.models import Delivery, Role
from service.period import in_utc, refuse_empty_period

_LIFETIMES: Final = range(1, 31)  # days
_LONGEST_PART: Final = 254


@dataclass(frozen=True, slots=True)
class InvitationFilter:
    """Conditions, joined by AND; None asks nothing. `created_after` and `created_before` are both exclusive."""

    statuses: frozenset[Status] | None = None
    deliveries: frozenset[Delivery] | None = None
    roles: frozenset[Role] | None = None
    email_contains: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def signature(self) -> str:
        """The same text for equal filters, in every process: a page's cursor is for one filter."""
        sets = [",".join(sorted(values or ())) for values in (self.statuses, self.deliveries, self.roles)]
        return "/".join([*sets, self.email_contains or "", *map(in_utc, (self.created_after, self.created_before))])

    def __post_init__(self) -> None:
        """Raises InvalidInput where nothing could ever match, because that is never what was meant."""
        for name in ("statuses", "deliveries", "roles"):
            if getattr(self, name) is not None and not getattr(self, name):
                raise InvalidInput(name, sentence(
                    "LIST_LENGTH_INVALID",
                    "%(field)s is an empty list, which nothing can match; leave it out to ask for all.", field=name,
                ))  # fmt: skip
        refuse_empty_period(self.created_after, self.created_before, "createdAfter", "createdBefore")
        part = self.email_contains
        if part is not None and not (1 <= len(part.strip()) <= _LONGEST_PART and part.isprintable()):
            raise InvalidInput(
                "emailContains",
                sentence(
                    "TEXT_NOT_PLAIN",
                    "emailContains is empty, too long or no plain text; a part of an address was expected.",
                ),
            )


_UNENDED_STATUSES: Final = frozenset({Status.PENDING, Status.EXPIRED})


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk along an index: the condition that leads it, and bounds on the creation that follow from a status."""

    lead: str = ""
    later_than: datetime | None = None
    until: datetime | None = None


def newest(
    community_id: str, wanted: InvitationFilter, params: Params, *, after: tuple[datetime, str] | None, limit: int,
    now: datetime,
) -> str:  # fmt: skip
    """SQL for (id, created_at) of the newest rows that match, `limit` of them."""
    wanted, tail = _narrowing(wanted), f"ORDER BY i.created_at DESC, i.id DESC LIMIT {int(limit)}"
    community = f"i.community_id = {params.add(community_id)}"
    rest = _rest(wanted, params)
    walks = []
    for number, walk in enumerate(_walks(wanted, params, now)):
        lead = [walk.lead] if walk.lead else []
        where = " AND ".join([community, *lead, *rest, *_bounds(walk, wanted, after, params)])
        walks.append(f"SELECT * FROM (SELECT i.id, i.created_at FROM invitations i WHERE {where} {tail}) w{number}")  # noqa: S608 -- constants and placeholders
    union = " UNION ALL ".join(walks)
    return f"SELECT id, created_at FROM ({union}) u ORDER BY created_at DESC, id DESC LIMIT {int(limit)}"  # noqa: S608


def _bounds(walk: _Walk, wanted: InvitationFilter, after: tuple[datetime, str] | None, params: Params) -> list[str]:
    """The tightest bound on either side and no other: PostgreSQL would begin the walk at a looser one and step over
    every row between the two.
    """
    lower = max((bound for bound in (walk.later_than, wanted.created_after) if bound is not None), default=None)
    upper: list[tuple[datetime, int]] = []
    if wanted.created_before is not None:
        upper.append((wanted.created_before, 0))
    if after is not None:
        upper.append((after[0], 1))
    if walk.until is not None:
        upper.append((walk.until, 2))
    bounds = [] if lower is None else [f"i.created_at > {params.add(lower)}"]
    return [*bounds, *([_upper(min(upper), after, params)] if upper else [])]


def _upper(tightest: tuple[datetime, int], after: tuple[datetime, str] | None, params: Params) -> str:
    bound, kind = tightest
    if kind == 1 and after is not None:
        return f"(i.created_at, i.id) < ({params.add(bound)}, {params.add(after[1])})"
    return f"i.created_at {'<' if kind == 0 else '<='} {params.add(bound)}"


def condition(community_id: str, wanted: InvitationFilter, params: Params, *, now: datetime) -> str:
    """The whole filter as one condition, for counting."""
    wanted = _narrowing(wanted)
    conditions = [f"i.community_id = {params.add(community_id)}", *_period(wanted, params), *_rest(wanted, params)]
    if wanted.statuses:
        at = params.add(now) if wanted.statuses & {Status.PENDING, Status.EXPIRED} else ""
        conditions.append(
            "(" + " OR ".join(f"({status_is(status, at, 'i')})" for status in sorted(wanted.statuses)) + ")"
        )
    elif lead := _led_by(wanted):
        column, values = lead
        conditions.append(_is_one_of(column, values))
    return " AND ".join(conditions)


def _narrowing(wanted: InvitationFilter) -> InvitationFilter:
    """Without the conditions that every invitation meets, because they name every value that there is."""
    return replace(
        wanted,
        statuses=None if wanted.statuses == frozenset(Status) else wanted.statuses,
        deliveries=None if wanted.deliveries == frozenset(Delivery) else wanted.deliveries,
        roles=None if wanted.roles == frozenset(Role) else wanted.roles,
    )


def _is_one_of(column: str, values: Iterable[Delivery | Role]) -> str:
    """The values stand in the text of the statement: a plan that is kept for any value would not know which are rare."""
    return f"i.{column} IN ({', '.join(repr(value.value) for value in values)})"


def _led_by(wanted: InvitationFilter) -> tuple[str, Sequence[Delivery | Role]] | None:
    """The condition other than a status that leads the walk."""
    if wanted.deliveries:
        return "delivery", sorted(wanted.deliveries)
    if wanted.roles:
        return "role", sorted(wanted.roles)
    return None


def _walks(wanted: InvitationFilter, params: Params, now: datetime) -> list[_Walk]:
    """One walk for each value of the leading condition; no row is met by two of them."""
    if wanted.statuses:
        ended = [_Walk(status_is(status, "", "i")) for status in sorted(wanted.statuses - _UNENDED_STATUSES)]
        return [*ended, *(_unended_walks(wanted.statuses, params, now) if wanted.statuses & _UNENDED_STATUSES else [])]
    if lead := _led_by(wanted):
        column, values = lead
        return [_Walk(_is_one_of(column, [value])) for value in values]
    return [_Walk()]


def _unended_walks(statuses: frozenset[Status], params: Params, now: datetime) -> list[_Walk]:
    """The pending, the expired or both: of each lifetime, those that were reopened, and those that made way."""
    pending, expired = Status.PENDING in statuses, Status.EXPIRED in statuses
    turns = {days: now - timedelta(days=days) for days in _LIFETIMES}
    lifetimes = [
        _Walk(_open_for(days), later_than=None if expired else turn, until=None if pending else turn)
        for days, turn in turns.items()
    ]
    deadline = "" if pending and expired else f" AND i.expires_at {'>' if pending else '<='} {params.add(now)}"
    reopened = _Walk(f"{is_open('i')} AND i.days IS NULL{deadline}")
    return [*lifetimes, reopened, *([_Walk(f"i.superseded_at IS NOT NULL AND {is_unended('i')}")] if expired else [])]


def _open_for(days: int) -> str:
    return f"{is_open('i')} AND i.days = {days}"


def _period(wanted: InvitationFilter, params: Params) -> list[str]:
    bounds = ((">", wanted.created_after), ("<", wanted.created_before))
    return [f"i.created_at {sign} {params.add(bound)}" for sign, bound in bounds if bound is not None]


def _rest(wanted: InvitationFilter, params: Params) -> list[str]:
    """Conditions that lead no walk."""
    rest = []
    if wanted.deliveries and wanted.statuses:
        rest.append(_is_one_of("delivery", sorted(wanted.deliveries)))
    if wanted.roles and (wanted.statuses or wanted.deliveries):
        rest.append(_is_one_of("role", sorted(wanted.roles)))
    if wanted.email_contains is not None:
        rest.append(f"i.email LIKE {params.add(_containing(wanted.email_contains))} ESCAPE '\\'")
    return rest


def _containing(part: str) -> str:
    """A LIKE pattern for a part of an address, whose own % and _ mean themselves; stored addresses are lower case."""
    escaped = part.strip().lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
