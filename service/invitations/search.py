"""Filters of invitations, and their SQL, which reads pages from indexes.

A page merges the newest_sql rows of one or several index scans. The index of a scan has the community, one filter_condition and the
order of creation. Of several conditions one selects the scans (statuses before deliveries before roles), and the scans
test the others on each row. Expiry is derived, so no index contains it. Open invitations are therefore scanned by their
lifetime in days. Within one lifetime an earlier invitation expires earlier, so pending and expired ones are two ranges
of one index.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from service.addresses import as_written
from service.database import Params, select
from service.errors import InvalidInput
from service.invitation_status import Status, delivery_is, depends_on_time, is_open, is_unended, status_is
from service.languages import sentence
from service.models import Delivery, Role
from service.period import in_utc, refuse_empty_period

_LIFETIMES: Final = range(1, 31)  # days
_LONGEST_PART: Final = 254


@dataclass(frozen=True, slots=True)
class InvitationFilter:
    """Conditions, joined by AND. A field without a value adds no condition. `created_after` and `created_before` are exclusive.

    `international` are patterns of addresses that contain `email_contains` as people write them. They depend on the
    community, and `with_international_addresses` adds them.
    """

    statuses: frozenset[Status] | None = None
    deliveries: frozenset[Delivery] | None = None
    roles: frozenset[Role] | None = None
    email_contains: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    international: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        """Returns the same text for equal filters in every process. A page's cursor is bound to it."""
        sets = [",".join(sorted(values or ())) for values in (self.statuses, self.deliveries, self.roles)]
        return "/".join([*sets, self.email_contains or "", *map(in_utc, (self.created_after, self.created_before))])

    def __post_init__(self) -> None:
        """Raises InvalidInput for conditions that no invitation can match."""
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
class _Scan:
    """A scan of an index: its leading condition, and the bounds on the creation that follow from a status."""

    lead: str = ""
    later_than: datetime | None = None
    until: datetime | None = None


def newest_sql(
    community_id: str, conditions: InvitationFilter, params: Params, *, after: tuple[datetime, str] | None, limit: int,
    now: datetime,
) -> str:  # fmt: skip
    """Returns SQL for (id, created_at) of the newest_sql `limit` invitations that match."""
    conditions, tail = _without_full_sets(conditions), f"ORDER BY i.created_at DESC, i.id DESC LIMIT {int(limit)}"
    community = f"i.community_id = {params.add(community_id)}"
    rest = _rest(conditions, params, now)
    scans = []
    for number, scan in enumerate(_scans(conditions, params, now)):
        lead = [scan.lead] if scan.lead else []
        where = " AND ".join([community, *lead, *rest, *_bounds(scan, conditions, after, params)])
        scans.append(f"SELECT * FROM (SELECT i.id, i.created_at FROM invitations i WHERE {where} {tail}) s{number}")  # noqa: S608 -- constants and placeholders
    union = " UNION ALL ".join(scans)
    return f"SELECT id, created_at FROM ({union}) u ORDER BY created_at DESC, id DESC LIMIT {int(limit)}"  # noqa: S608


def _bounds(scan: _Scan, conditions: InvitationFilter, after: tuple[datetime, str] | None, params: Params) -> list[str]:
    """Returns only the tightest bound on each side.

    PostgreSQL may begin a scan at a looser bound, and then skips each row between the two.
    """
    lower = max((bound for bound in (scan.later_than, conditions.created_after) if bound is not None), default=None)
    upper: list[tuple[datetime, int]] = []
    if conditions.created_before is not None:
        upper.append((conditions.created_before, 0))
    if after is not None:
        upper.append((after[0], 1))
    if scan.until is not None:
        upper.append((scan.until, 2))
    bounds = [] if lower is None else [f"i.created_at > {params.add(lower)}"]
    return [*bounds, *([_upper(min(upper), after, params)] if upper else [])]


def _upper(tightest: tuple[datetime, int], after: tuple[datetime, str] | None, params: Params) -> str:
    bound, kind = tightest
    if kind == 1 and after is not None:
        return f"(i.created_at, i.id) < ({params.add(bound)}, {params.add(after[1])})"
    return f"i.created_at {'<' if kind == 0 else '<='} {params.add(bound)}"


def filter_condition(community_id: str, conditions: InvitationFilter, params: Params, *, now: datetime) -> str:
    """Returns the whole filter as one condition, for counting."""
    conditions = _without_full_sets(conditions)
    terms = [
        f"i.community_id = {params.add(community_id)}",
        *_period(conditions, params),
        *_rest(conditions, params, now),
    ]
    if conditions.statuses:
        at = params.add(now) if conditions.statuses & {Status.PENDING, Status.EXPIRED} else ""
        terms.append(_any(status_is(status, at, "i") for status in sorted(conditions.statuses)))
    elif lead := _leading(conditions, params, now):
        terms.append(_any(lead))
    return " AND ".join(terms)


def _without_full_sets(conditions: InvitationFilter) -> InvitationFilter:
    """Drops conditions that every invitation meets because they list every value."""
    return replace(
        conditions,
        statuses=None if conditions.statuses == frozenset(Status) else conditions.statuses,
        deliveries=None if conditions.deliveries == frozenset(Delivery) else conditions.deliveries,
        roles=None if conditions.roles == frozenset(Role) else conditions.roles,
    )


def _is_delivery(delivery: Delivery, params: Params, now: datetime) -> str:
    """Writes the value into the statement, because a generic plan for parameters ignores which values are rare."""
    return delivery_is(delivery, params.add(now) if depends_on_time(delivery) else "", "i")


def _is_role(role: Role) -> str:
    return f"i.role = '{role.value}'"


def _any(terms: Iterable[str]) -> str:
    return "(" + " OR ".join(f"({term})" for term in terms) + ")"


def _leading(conditions: InvitationFilter, params: Params, now: datetime) -> list[str]:
    """Returns the leading condition of a filter without statuses, one term for each value."""
    if conditions.deliveries:
        return [_is_delivery(delivery, params, now) for delivery in sorted(conditions.deliveries)]
    return [_is_role(role) for role in sorted(conditions.roles or ())]


def _scans(conditions: InvitationFilter, params: Params, now: datetime) -> list[_Scan]:
    """Returns one scan for each value of the leading condition. The scans are disjoint."""
    if conditions.statuses:
        ended = [_Scan(status_is(status, "", "i")) for status in sorted(conditions.statuses - _UNENDED_STATUSES)]
        return [
            *ended,
            *(_unended_scans(conditions.statuses, params, now) if conditions.statuses & _UNENDED_STATUSES else []),
        ]
    return [_Scan(lead) for lead in _leading(conditions, params, now)] or [_Scan()]


def _unended_scans(statuses: frozenset[Status], params: Params, now: datetime) -> list[_Scan]:
    """Returns the scans of pending and expired invitations: one for each lifetime, the reopened and the superseded ones."""
    pending, expired = Status.PENDING in statuses, Status.EXPIRED in statuses
    deadlines = {days: now - timedelta(days=days) for days in _LIFETIMES}
    lifetimes = [
        _Scan(_is_open_for(days), later_than=None if expired else deadline_, until=None if pending else deadline_)
        for days, deadline_ in deadlines.items()
    ]
    deadline = "" if pending and expired else f" AND i.expires_at {'>' if pending else '<='} {params.add(now)}"
    reopened = _Scan(f"{is_open('i')} AND i.days IS NULL{deadline}")
    return [*lifetimes, reopened, *([_Scan(f"i.superseded_at IS NOT NULL AND {is_unended('i')}")] if expired else [])]


def _is_open_for(days: int) -> str:
    return f"{is_open('i')} AND i.days = {days}"


def _period(conditions: InvitationFilter, params: Params) -> list[str]:
    bounds = ((">", conditions.created_after), ("<", conditions.created_before))
    return [f"i.created_at {sign} {params.add(bound)}" for sign, bound in bounds if bound is not None]


def _rest(conditions: InvitationFilter, params: Params, now: datetime) -> list[str]:
    """Returns the conditions that the scans test on each row."""
    rest = []
    if conditions.deliveries and conditions.statuses:
        rest.append(_any(_is_delivery(delivery, params, now) for delivery in sorted(conditions.deliveries)))
    if conditions.roles and (conditions.statuses or conditions.deliveries):
        rest.append(_any(map(_is_role, sorted(conditions.roles))))
    if conditions.email_contains is not None:
        patterns = (f"%{_literal(_normal(conditions.email_contains))}%", *conditions.international)
        rest.append(_any(f"i.email LIKE {params.add(pattern)} ESCAPE '\\'" for pattern in patterns))
    return rest


def _normal(part: str) -> str:
    """Returns a part of an address in the form of stored ones: lower case, and composed letters."""
    return unicodedata.normalize("NFC", part.strip().lower())


def _literal(text: str) -> str:
    """Escapes the wildcards of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


# ---------------------------------------------------------------------------------------------- international domains

_MOST_DOMAINS: Final = 200  # SQLite limits the depth of a condition
# The domain of an address, on both engines: rtrim removes every character after the @.
_DOMAINS: Final = """
SELECT DISTINCT community_id, replace(email, rtrim(email, replace(email, '@', '')), '') AS domain
FROM invitations WHERE community_id IN ({communities}) AND email LIKE '%xn--%'
"""


async def with_international_addresses(keys: Sequence[tuple[str, InvitationFilter]]) -> list[InvitationFilter]:
    """Adds the addresses that a filter selects by their written form, such as bücher.example, to the filters.

    Addresses are stored with A-labels, and a part of a domain has no A-label. One statement reads the international domains
    of the communities; without a filter by address, none is run.
    """
    params = Params()
    marks = params.add_all({community_id for community_id, conditions in keys if conditions.email_contains is not None})
    domains: dict[str, list[str]] = defaultdict(list)
    for row in await select(_DOMAINS.format(communities=marks), *params.values) if marks else []:
        domains[row["community_id"]].append(row["domain"])
    return [
        replace(conditions, international=_international(conditions.email_contains, domains[community_id]))
        for community_id, conditions in keys
    ]


def _international(part: str | None, domains: list[str]) -> tuple[str, ...]:
    """Returns LIKE patterns for the addresses whose written form contains the part."""
    local, at, rest = _normal(part or "").rpartition("@")
    found = (
        domain
        for domain in sorted(domains)
        if (as_written(domain).startswith(rest) if at else rest in as_written(domain))
    )
    return tuple(f"%{_literal(local)}@{_literal(domain)}" for domain in found)[:_MOST_DOMAINS]
