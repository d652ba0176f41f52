"""What is asked for beside many things at once, and answered for all of them in one statement.

Nothing is remembered: what one mutation of a request changed, the next one's answer shows. A question that several
places of one selection ask is still asked once, because they ask it together.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar

from strawberry.dataloader import DataLoader

from service import communities, funnel, invitation_views, timeline
from service.communities import MembersAsked, MembershipView, Standing
from service.funnel import FunnelAsked, FunnelWeek
from service.invitation_filter import InvitationFilter
from service.invitation_status import Status
from service.invitation_views import InvitationView, PageAsked
from service.settings import Settings
from service.timeline import EventView, LogAsked, TimelineAsked

# Each key is an arm of a UNION: SQLite takes 500 of them, and PostgreSQL plans thousands for seconds.
_MOST_IN_STATEMENT: Final = 100
_MOST_FUNNELS: Final = 19  # of 26 weeks each; a week is an arm

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Loaders:
    """One request's loaders; `now` is asked when something is loaded, because a subscription outlives its beginning."""

    def __init__(self, now: Callable[[], datetime], settings: Settings) -> None:
        self._now, self._settings = now, settings

    def close(self) -> None:
        """Lets go of all that was loaded. The loaders and what they were made of hold each other, so that the rows of a
        request would otherwise stay until the collector comes by, which is rarely.
        """
        vars(self).clear()

    @cached_property
    def members(self) -> DataLoader[MembersAsked, list[MembershipView]]:
        """Pages of members."""
        return _loader(communities.memberships_pages)

    @cached_property
    def member_count(self) -> DataLoader[str, int]:
        """Members by the community's id."""
        return _loader(communities.member_counts)

    @cached_property
    def invitations(self) -> DataLoader[PageAsked, list[InvitationView]]:
        """Pages of invitations."""
        return _loader(lambda asked: invitation_views.pages(asked, now=self._now(), settings=self._settings))

    @cached_property
    def total(self) -> DataLoader[tuple[str, InvitationFilter], int]:
        """How many invitations of a community a filter selects."""
        return _loader(lambda asked: invitation_views.totals(asked, now=self._now()))

    @cached_property
    def counts(self) -> DataLoader[str, dict[Status, int]]:
        """Invitations in each status by the community's id."""
        return _loader(lambda asked: invitation_views.counts(asked, now=self._now()))

    @cached_property
    def funnel(self) -> DataLoader[FunnelAsked, list[FunnelWeek]]:
        """The last weeks of a community."""
        return _loader(lambda asked: funnel.last_weeks(asked, now=self._now()), at_once=_MOST_FUNNELS)

    @cached_property
    def log(self) -> DataLoader[LogAsked, list[EventView]]:
        """Pages of audit logs."""
        return _loader(timeline.of_communities)

    @cached_property
    def timeline(self) -> DataLoader[TimelineAsked, list[EventView]]:
        """Pages of invitations' timelines."""
        return _loader(timeline.of_invitations)

    @cached_property
    def invitation(self) -> DataLoader[tuple[Standing, str], InvitationView | None]:
        """An invitation by its id, in a community that the caller administers."""
        return _loader(lambda asked: invitation_views.each(asked, now=self._now(), settings=self._settings))


def _loader(
    load: Callable[[Sequence[Key]], Awaitable[list[Value]]], *, at_once: int = _MOST_IN_STATEMENT
) -> DataLoader[Key, Value]:
    async def loaded(keys: list[Key]) -> list[Value]:
        distinct = list(dict.fromkeys(keys))
        found: dict[Key, Value] = {}
        for begin in range(0, len(distinct), at_once):
            asked = distinct[begin : begin + at_once]
            found.update(zip(asked, await load(asked), strict=True))
        return [found[key] for key in keys]

    return DataLoader(load_fn=loaded, cache=False)
