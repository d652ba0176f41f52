"""How far the invitations of the last weeks came: invited, delivered, opened, accepted, week by week."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.database import select
from service.invitation_filter import Params
from service.refusals import InvalidInput

_WEEK: Final = timedelta(days=7)
_MOST_WEEKS: Final = 26


@dataclass(frozen=True, slots=True)
class FunnelAsked:
    """The last so many times seven days of a community that the caller administers."""

    community_id: str
    weeks: int

    def __post_init__(self) -> None:
        """Raises InvalidInput when the weeks are out of bounds."""
        if not 1 <= self.weeks <= _MOST_WEEKS:
            raise InvalidInput("weeks", f"weeks is {self.weeks}; between 1 and {_MOST_WEEKS} were expected.")


@dataclass(frozen=True, slots=True)
class FunnelWeek:
    """The invitations that were created in one week, and how many of them came how far until now."""

    starts_at: datetime
    invited: int
    delivered: int
    opened: int
    accepted: int


# Who began to sign in has opened the link, and who opened it had the mail: so each number holds the next, also where
# the mail service reports no deliveries. Sending again forgets the former delivery on the row, but not its event.
_STAGES: Final = """
    SELECT {page} AS page, {week} AS week, i.accepted_at, i.delivered_at,
        EXISTS (SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = 'invitation.delivered') AS arrived,
        i.accepted_at IS NOT NULL OR EXISTS (SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id
            AND e.kind = 'invitation.sign_in_started') AS opened
    FROM invitations i WHERE i.community_id = {community} AND i.created_at > {after} AND i.created_at <= {until}
"""
_FUNNEL: Final = """
SELECT page, week, count(*) AS invited, count(*) FILTER (WHERE opened OR arrived OR delivered_at IS NOT NULL) AS delivered,
    count(*) FILTER (WHERE opened) AS opened, count(*) FILTER (WHERE accepted_at IS NOT NULL) AS accepted
FROM ({stages}) s GROUP BY page, week
"""


async def last_weeks(asked: Sequence[FunnelAsked], *, now: datetime) -> list[list[FunnelWeek]]:
    """Of each community its weeks, the oldest first, all in one statement."""
    params = Params()
    stages = " UNION ALL ".join(
        stage for number, funnel in enumerate(asked) for stage in _stages(number, funnel, now, params)
    )
    rows = {(row["page"], row["week"]): row for row in await select(_FUNNEL.format(stages=stages), *params.values)}
    return [
        [_week(bound, rows.get((number, week), {})) for week, bound in enumerate(_bounds(funnel, now)[:-1])]
        for number, funnel in enumerate(asked)
    ]


def _bounds(funnel: FunnelAsked, now: datetime) -> list[datetime]:
    """Where each week begins, and where the last one ends."""
    return [now - _WEEK * (funnel.weeks - week) for week in range(funnel.weeks + 1)]


def _stages(number: int, funnel: FunnelAsked, now: datetime, params: Params) -> list[str]:
    community, marks = params.add(funnel.community_id), [params.add(bound) for bound in _bounds(funnel, now)]
    return [
        _STAGES.format(page=number, community=community, week=week, after=marks[week], until=marks[week + 1])
        for week in range(funnel.weeks)
    ]


def _week(starts_at: datetime, row: dict[str, int]) -> FunnelWeek:
    return FunnelWeek(starts_at, *(row.get(stage, 0) for stage in ("invited", "delivered", "opened", "accepted")))
