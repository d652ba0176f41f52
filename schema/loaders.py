"""What is asked for beside many things at once, and answered for all of them in one statement.

Nothing is remembered: what one mutation of a request changed, the next one's answer shows. A question that several
places of one selection ask is still asked once, because they ask it together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from service.audit_log import log as audit_log
from service.audit_log.log import AuditLogQuery, EventView, TimelineQuery
from service.communities import access as communities
from service.communities.access import CommunityAccess, MembershipView, MembersQuery
from service.database.shares import Shares
from service.invitations import funnel
from service.invitations import views as invitation_views
from service.invitations.funnel import FunnelQuery, FunnelWeek
from service.invitations.search import InvitationFilter
from service.invitations.status import Status
from service.invitations.views import InvitationsQuery, InvitationView
from service.settings import Settings

_MOST_IN_STATEMENT: Final = (
    100  # keys; each is an arm of a UNION, of which SQLite takes 500, and PostgreSQL plans thousands for seconds
)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


Load = Callable[[Sequence[Key]], Awaitable[list[Value]]]

_AT_ONCE: Final = 8
_QUIET: Final = 2  # rounds of the event loop in which everybody who asks together has asked
_QUIET_AFTER_SLICES: Final = 10  # those who were served last are still on their way down the selection


class Loader(Generic[Key, Value]):
    """Loads at once what a selection asks for at once: each key once, and no batch while lists are still completed."""

    def __init__(self, load: Load[Key, Value], loaders: "Loaders") -> None:
        self._load, self._loaders = load, loaders
        self._asked: list[tuple[Key, asyncio.Future[Value]]] = []

    async def load(self, key: Key) -> Value:
        """Returns what belongs to the key."""
        if not self._asked:
            self._loaders.run(self._dispatch())
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._asked.append((key, future))
        return await future

    async def _dispatch(self) -> None:
        quiet = 0
        while quiet < (_QUIET_AFTER_SLICES if self._loaders.sliced else _QUIET):
            await asyncio.sleep(0)
            quiet = 0 if self._loaders.slicing else quiet + 1
        asked, self._asked = self._asked, []
        keys = list(dict.fromkeys(key for key, _ in asked))
        try:
            found = await self._found(keys)
        except Exception as error:  # noqa: BLE001 -- it is everybody's who asked
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
            return
        await self._deliver(asked, found)

    async def _found(self, keys: Sequence[Key]) -> dict[Key, Value]:
        found: dict[Key, Value] = {}
        for start in range(0, len(keys), _MOST_IN_STATEMENT):
            asked = keys[start : start + _MOST_IN_STATEMENT]
            found.update(zip(asked, await self._load(asked), strict=True))
        return found

    async def _deliver(self, asked: Sequence[tuple[Key, "asyncio.Future[Value]"]], found: dict[Key, Value]) -> None:
        """Gives each who asked their own; a few at a time, because each then works on a part of the answer."""
        if len(asked) > _AT_ONCE:
            self._loaders.sliced = True
        self._loaders.slicing += 1
        try:
            for start in range(0, len(asked), _AT_ONCE):
                async with self._loaders.shares.slice() if start else nullcontext():
                    for key, future in asked[start : start + _AT_ONCE]:
                        if not future.done():
                            future.set_result(found[key])
        finally:
            self._loaders.slicing -= 1


class Loaders:
    """One request's loaders; `now` is asked when something is loaded, because a subscription outlives its beginning.

    `slicing` counts the parts of the answer that wait for their next slice (`schema.limits.selection_plans`): loaders wait for what they
    will ask. `sliced` says that there was one.
    """

    slicing, sliced = 0, False

    def __init__(self, now: Callable[[], datetime], settings: Settings, shares: Shares) -> None:
        self._now, self._settings, self.shares = now, settings, shares
        self._loading: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Lets go of all that was loaded. The loaders and what they were made of hold each other, so that the rows of a
        request would otherwise stay until the collector comes by, which is rarely.
        """
        for task in self._loading:
            task.cancel()
        vars(self).clear()

    def run(self, dispatching: Coroutine[Any, Any, None]) -> None:
        """Runs a loader beside the resolvers, until the operation ends."""
        task = asyncio.create_task(dispatching)
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    def begin_slicing(self) -> None:
        self.slicing, self.sliced = self.slicing + 1, True

    def end_slicing(self) -> None:
        self.slicing -= 1

    def _loader(self, load: Load[Key, Value]) -> Loader[Key, Value]:
        return Loader(load, self)

    @cached_property
    def members(self) -> Loader[MembersQuery, list[MembershipView]]:
        """Pages of members."""
        return self._loader(communities.memberships_pages)

    @cached_property
    def member_count(self) -> Loader[str, int]:
        """Members by the community's id."""
        return self._loader(communities.member_counts)

    @cached_property
    def invitations(self) -> Loader[InvitationsQuery, list[InvitationView]]:
        """Pages of invitations."""
        return self._loader(lambda asked: invitation_views.pages(asked, now=self._now(), settings=self._settings))

    @cached_property
    def total(self) -> Loader[tuple[str, InvitationFilter], int]:
        """How many invitations of a community a filter selects."""
        return self._loader(lambda asked: invitation_views.totals(asked, now=self._now()))

    @cached_property
    def counts(self) -> Loader[str, dict[Status, int]]:
        """Invitations in each status by the community's id."""
        return self._loader(lambda asked: invitation_views.counts(asked, now=self._now()))

    @cached_property
    def funnel(self) -> Loader[FunnelQuery, list[FunnelWeek]]:
        """The last weeks of a community."""
        return self._loader(lambda asked: funnel.last_weeks(asked, now=self._now()))

    @cached_property
    def log(self) -> Loader[AuditLogQuery, list[EventView]]:
        """Pages of audit logs."""
        return self._loader(audit_log.of_communities)

    @cached_property
    def timeline(self) -> Loader[TimelineQuery, list[EventView]]:
        """Pages of invitations' timelines."""
        return self._loader(audit_log.of_invitations)

    @cached_property
    def invitation(self) -> Loader[tuple[CommunityAccess, str], InvitationView | None]:
        """An invitation by its id, in a community that the caller administers."""
        return self._loader(lambda asked: invitation_views.each(asked, now=self._now(), settings=self._settings))
