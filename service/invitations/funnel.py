"""How far the invitations of the last weeks came: invited, delivered, opened, accepted, week by week."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.database import Params, select
from service.errors import InvalidInput

_WEEK: Final = timedelta(days=7)
_MOST_WEEKS: Final = 26


@dataclass(frozen=True, slots=True)
class FunnelQuery:
    """The last so many times seven days of a community that the caller administers."""

    community_id: str
    weeks: int

    def __post_init__(self) -> None:
        """Raises InvalidInput when the weeks are out of bounds."""
        if not 1 <= self.weeks <= _MOST_WEEKS:
            raise InvalidInput.out_of_range("weeks", self.weeks, 1, _MOST_WEEKS)


@dataclass(frozen=True, slots=True)
class FunnelWeek:
    """The invitations that were created in one week, and how many of them came how far until now."""

    starts_at: datetime
    invited: int
    delivered: int
    opened: int
    accepted: int


# Somebody who accepted has opened the link, and somebody who opened it had the mail. Each number therefore includes the
# next, also where the mail service reports no deliveries. ix_invitations_funnel has every column, so a week is a range
# of that index and no row is read.
_RANGE: Final = """
SELECT {page} AS page, {week} AS week, count(*) AS invited,
    count(COALESCE(first_delivered_at, opened_at, accepted_at)) AS delivered,
    count(COALESCE(opened_at, accepted_at)) AS opened, count(accepted_at) AS accepted
FROM invitations WHERE community_id = {community} AND created_at > {after} AND created_at <= {until}
"""
_RANGES_AT_ONCE: Final = 400  # SQLite joins at most 500 SELECTs in one statement


async def last_weeks(asked: Sequence[FunnelQuery], *, now: datetime) -> list[list[FunnelWeek]]:
    """Returns the weeks of each funnel, the oldest first.

    Weeks end at `now` for every funnel. A community is therefore counted once, for the longest funnel that asks for it.
    """
    longest: dict[str, int] = {}
    for funnel in asked:
        longest[funnel.community_id] = max(funnel.weeks, longest.get(funnel.community_id, 0))
    ranges = [(community_id, week) for community_id, weeks in longest.items() for week in range(weeks)]
    counted: dict[tuple[str, int], FunnelWeek] = {}
    for start in range(0, len(ranges), _RANGES_AT_ONCE):
        counted |= await _count(ranges[start : start + _RANGES_AT_ONCE], now)
    return [[counted[funnel.community_id, week] for week in reversed(range(funnel.weeks))] for funnel in asked]


async def _count(ranges: Sequence[tuple[str, int]], now: datetime) -> dict[tuple[str, int], FunnelWeek]:
    """Counts weeks of communities in one statement. A week's number says how many whole weeks lie between it and now."""
    params = Params()
    communities = {name: params.add(name) for name in dict.fromkeys(community_id for community_id, _ in ranges)}
    ends = {week for _, week in ranges} | {week + 1 for _, week in ranges}
    bounds = {week: params.add(now - _WEEK * week) for week in sorted(ends)}
    statement = " UNION ALL ".join(
        _RANGE.format(
            page=page, week=week, community=communities[community_id], after=bounds[week + 1], until=bounds[week]
        )
        for page, (community_id, week) in enumerate(ranges)
    )
    rows = await select(statement, *params.values)
    return {ranges[row["page"]]: _week(now - _WEEK * (row["week"] + 1), row) for row in rows}


def _week(starts_at: datetime, row: dict[str, int]) -> FunnelWeek:
    return FunnelWeek(starts_at, *(row[stage] for stage in ("invited", "delivered", "opened", "accepted")))
