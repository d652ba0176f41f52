"""How far the invitations of the last weeks came: invited, delivered, opened, accepted, week by week."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.communities import Standing
from service.database import select
from service.invitation_filter import Params
from service.refusals import InvalidInput

_WEEK: Final = timedelta(days=7)
_MOST_WEEKS: Final = 26


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
    SELECT {week} AS week, i.accepted_at, i.delivered_at,
        EXISTS (SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = 'invitation.delivered') AS arrived,
        i.accepted_at IS NOT NULL OR EXISTS (SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id
            AND e.kind = 'invitation.sign_in_started') AS opened
    FROM invitations i WHERE i.community_id = $1 AND i.created_at > {after} AND i.created_at <= {until}
"""
_FUNNEL: Final = """
SELECT week, count(*) AS invited, count(*) FILTER (WHERE opened OR arrived OR delivered_at IS NOT NULL) AS delivered,
    count(*) FILTER (WHERE opened) AS opened, count(*) FILTER (WHERE accepted_at IS NOT NULL) AS accepted
FROM ({stages}) s GROUP BY week
"""


async def last_weeks(place: Standing, number: int, *, now: datetime) -> list[FunnelWeek]:
    """The last `number` times seven days, the oldest first, in one statement; the caller must be its admin."""
    if not 1 <= number <= _MOST_WEEKS:
        raise InvalidInput("weeks", f"weeks is {number}; between 1 and {_MOST_WEEKS} were expected.")
    params = Params(place.community_id)
    bounds = [now - _WEEK * (number - week) for week in range(number + 1)]
    marks = [params.add(bound) for bound in bounds]
    stages = " UNION ALL ".join(
        _STAGES.format(week=week, after=marks[week], until=marks[week + 1]) for week in range(number)
    )
    rows = {row["week"]: row for row in await select(_FUNNEL.format(stages=stages), *params.values)}
    return [_week(bounds[week], rows.get(week, {})) for week in range(number)]


def _week(starts_at: datetime, row: dict[str, int]) -> FunnelWeek:
    return FunnelWeek(starts_at, *(row.get(stage, 0) for stage in ("invited", "delivered", "opened", "accepted")))
