"""The funnel: the numbers of invited, sent, delivered, opened and accepted invitations, by week."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.database import Params, select
from service.errors import InvalidInput
from service.settings import Settings

_WEEK: Final = timedelta(days=7)
_MOST_WEEKS: Final = 26


@dataclass(frozen=True, slots=True)
class FunnelQuery:
    """The last `weeks` periods of seven days of a community that the caller administers."""

    community_id: str
    weeks: int

    def __post_init__(self) -> None:
        """Raises InvalidInput when the weeks are out of bounds."""
        if not 1 <= self.weeks <= _MOST_WEEKS:
            raise InvalidInput.out_of_range("weeks", self.weeks, 1, _MOST_WEEKS)


@dataclass(frozen=True, slots=True)
class FunnelWeek:
    """The invitations that were created in one week, counted by the stages that they have reached since.

    `delivered` is None where the mail service reports no deliveries.
    """

    starts_at: datetime
    invited: int
    sent: int
    delivered: int | None
    opened: int
    accepted: int


# An accepted invitation counts as opened, an opened one as delivered, and a delivered one as sent. Each number therefore
# includes the next. ix_invitations_funnel covers every column: a week is an index-only scan.
_RANGE: Final = """
SELECT {page} AS page, {week} AS week, count(*) AS invited,
    count(COALESCE(last_sent_at, first_delivered_at, opened_at, accepted_at)) AS sent,
    count(first_delivered_at) AS reported, count(COALESCE(first_delivered_at, opened_at, accepted_at)) AS delivered,
    count(COALESCE(opened_at, accepted_at)) AS opened, count(accepted_at) AS accepted
FROM invitations WHERE community_id = {community} AND created_at > {after} AND created_at <= {until}
"""
_RANGES_AT_ONCE: Final = 400  # SQLite joins at most 500 SELECTs in one statement


async def funnels(queries: Sequence[FunnelQuery], *, now: datetime, settings: Settings) -> list[list[FunnelWeek]]:
    """Returns the weeks of each funnel, the oldest first.

    Weeks end at `now` for every funnel. Each community is therefore counted once, for its longest funnel.
    """
    longest: dict[str, int] = {}
    for funnel in queries:
        longest[funnel.community_id] = max(funnel.weeks, longest.get(funnel.community_id, 0))
    ranges = [(community_id, week) for community_id, weeks in longest.items() for week in range(weeks)]
    counted: dict[tuple[str, int], FunnelWeek] = {}
    for start in range(0, len(ranges), _RANGES_AT_ONCE):
        counted |= await _count(ranges[start : start + _RANGES_AT_ONCE], now, settings)
    return [[counted[funnel.community_id, week] for week in reversed(range(funnel.weeks))] for funnel in queries]


async def _count(
    ranges: Sequence[tuple[str, int]], now: datetime, settings: Settings
) -> dict[tuple[str, int], FunnelWeek]:
    """Counts weeks of communities in one statement. Week 0 ends now, and week 1 ends a week earlier."""
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
    return {ranges[row["page"]]: _week(now - _WEEK * (row["week"] + 1), row, settings) for row in rows}


def _week(starts_at: datetime, row: dict[str, int], settings: Settings) -> FunnelWeek:
    """The numbers of a week. Its deliveries are known if the mail service reports them, or has reported one of them."""
    is_known = settings.reports_deliveries or row["reported"] > 0
    delivered = row["delivered"] if is_known else None
    return FunnelWeek(starts_at, row["invited"], row["sent"], delivered, row["opened"], row["accepted"])
