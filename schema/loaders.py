"""Loaders: batch the reads of many resolvers into one statement.

Loaders do not cache, so that the second mutation of a request reads the changes of the first. Resolvers that read the same
key in the same batch share one read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from service.audit_log.log import AuditLogQuery, EventView, TimelineQuery, audit_log_pages, timeline_pages
from service.communities.access import CommunityAccess
from service.communities.communities import count_members
from service.communities.members import MembershipView, MembersQuery, membership_pages, memberships_by_member
from service.database.shares import Shares
from service.invitation_status import Status
from service.invitations.funnel import FunnelQuery, FunnelWeek, funnels
from service.invitations.quota import InvitationQuota, quotas
from service.invitations.search import InvitationFilter
from service.invitations.views import (
    InvitationsQuery,
    InvitationView,
    count_by_status,
    count_invitations,
    invitation_pages,
    select_invitations,
)
from service.settings import Settings

# Each key is an arm of a UNION: SQLite accepts 500 of them, and PostgreSQL plans thousands for seconds.
_MOST_KEYS: Final = 100

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


Load = Callable[[Sequence[Key]], Awaitable[list[Value]]]

_RESULTS_AT_ONCE: Final = 8
# Rounds of the event loop without a further slice, after which all resolvers of one level have called `load`. After slices,
# the resolvers that received the last results still descend into their selections.
_QUIET_ROUNDS: Final = 2
_QUIET_ROUNDS_AFTER_SLICES: Final = 10


class Loader(Generic[Key, Value]):
    """Collects the keys of one level of a selection, and loads each key once. Waits while lists are still completed."""

    def __init__(self, load: Load[Key, Value], loaders: "Loaders") -> None:
        self._load, self._loaders = load, loaders
        self._requests: list[tuple[Key, asyncio.Future[Value]]] = []

    async def load(self, key: Key) -> Value:
        """The value of a key."""
        if not self._requests:
            self._loaders.run(self._dispatch())
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._requests.append((key, future))
        return await future

    async def _dispatch(self) -> None:
        quiet = 0
        while quiet < (_QUIET_ROUNDS_AFTER_SLICES if self._loaders.sliced else _QUIET_ROUNDS):
            await asyncio.sleep(0)
            quiet = 0 if self._loaders.slicing else quiet + 1
        requests, self._requests = self._requests, []
        keys = list(dict.fromkeys(key for key, _ in requests))
        try:
            values = await self._load_all(keys)
        except Exception as error:  # noqa: BLE001 -- every resolver of the batch receives it
            for _, future in requests:
                if not future.done():
                    future.set_exception(error)
            return
        await self._deliver(requests, values)

    async def _load_all(self, keys: Sequence[Key]) -> dict[Key, Value]:
        values: dict[Key, Value] = {}
        for start in range(0, len(keys), _MOST_KEYS):
            batch = keys[start : start + _MOST_KEYS]
            values.update(zip(batch, await self._load(batch), strict=True))
        return values

    async def _deliver(self, requests: Sequence[tuple[Key, "asyncio.Future[Value]"]], values: dict[Key, Value]) -> None:
        """Sets the results, a few at a time: each continues a resolver, which then holds the event loop."""
        if len(requests) > _RESULTS_AT_ONCE:
            self._loaders.sliced = True
        self._loaders.slicing += 1
        try:
            for start in range(0, len(requests), _RESULTS_AT_ONCE):
                async with self._loaders.shares.slice() if start else nullcontext():
                    for key, future in requests[start : start + _RESULTS_AT_ONCE]:
                        if not future.done():
                            future.set_result(values[key])
        finally:
            self._loaders.slicing -= 1


class Loaders:
    """The loaders of one request. They call `now` at each load, because a subscription outlives its first request.

    `slicing` counts the lists and batches of the response that wait for their next slice of time
    (`schema.limits.selection_plans`). Loaders wait for them, because they will load more. `sliced` is true after the first.
    """

    slicing, sliced = 0, False

    def __init__(self, now: Callable[[], datetime], settings: Settings, shares: Shares) -> None:
        self._now, self._settings, self.shares = now, settings, shares
        self._loading: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Releases the loaded rows. Loaders and their functions reference each other, so that the rows would otherwise stay in
        memory until the next cyclic garbage collection.
        """
        for task in self._loading:
            task.cancel()
        vars(self).clear()

    def run(self, dispatching: Coroutine[Any, Any, None]) -> None:
        """Runs a loader in a separate task, at most until the operation ends."""
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
        return self._loader(membership_pages)

    @cached_property
    def membership(self) -> Loader[tuple[CommunityAccess, str], MembershipView | None]:
        """Memberships by access to their community and by the member's id; None for a person who is no member."""
        return self._loader(memberships_by_member)

    @cached_property
    def member_count(self) -> Loader[str, int]:
        """Numbers of members by the community's id."""
        return self._loader(count_members)

    @cached_property
    def quota(self) -> Loader[CommunityAccess, InvitationQuota]:
        """The remaining invitations of the caller, by access to the community."""
        limits = self._settings.rate_limits
        return self._loader(lambda accesses: quotas(accesses, limits=limits, now=self._now()))

    @cached_property
    def invitations(self) -> Loader[InvitationsQuery, list[InvitationView]]:
        """Pages of invitations."""
        return self._loader(lambda queries: invitation_pages(queries, now=self._now(), settings=self._settings))

    @cached_property
    def total(self) -> Loader[tuple[str, InvitationFilter], int]:
        """Numbers of invitations that a filter selects, by the community's id and the filter."""
        return self._loader(lambda keys: count_invitations(keys, now=self._now()))

    @cached_property
    def counts(self) -> Loader[str, dict[Status, int]]:
        """Numbers of invitations in each status, by the community's id."""
        return self._loader(lambda ids: count_by_status(ids, now=self._now()))

    @cached_property
    def funnel(self) -> Loader[FunnelQuery, list[FunnelWeek]]:
        """The weeks of funnels."""
        return self._loader(lambda queries: funnels(queries, now=self._now(), settings=self._settings))

    @cached_property
    def log(self) -> Loader[AuditLogQuery, list[EventView]]:
        """Pages of audit logs."""
        return self._loader(lambda queries: audit_log_pages(queries, settings=self._settings))

    @cached_property
    def timeline(self) -> Loader[TimelineQuery, list[EventView]]:
        """Pages of invitations' timelines."""
        return self._loader(lambda queries: timeline_pages(queries, settings=self._settings))

    @cached_property
    def invitation(self) -> Loader[tuple[CommunityAccess, str], InvitationView | None]:
        """Invitations by access to their community and by id; None for an unknown id."""
        return self._loader(lambda keys: select_invitations(keys, now=self._now(), settings=self._settings))
