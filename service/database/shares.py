"""Fair shares: how much of a process one caller and one community may use at once.

A caller runs a few operations at a time, and a few more wait in line. The statements of a caller's operations, and those
that concern one community, take a bounded number of the pool's connections. A caller with many requests, and a tenant
with many members, therefore wait for themselves and not for each other. See docs/decisions/0009-fair-shares.md.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Self, TypeVar

from service.languages import sentence

MOST_RUNNING: Final = 4
MOST_RUNNING_OF_NETWORK: Final = 20  # many people may stand behind one address, and strangers ask for little
MOST_WAITING: Final = 100
_SLICE: Final = 0.002  # seconds that one answer may hold the event loop at a time

Item = TypeVar("Item")


class TooManyAtOnce(Exception):
    """Raised for a request of a caller whose line is full."""

    sentence: Final = sentence("RATE_LIMITED", "You have too many requests on their way. Wait for some of them.")


class _Bounded:
    """A semaphore that knows whether anybody has or awaits a place."""

    def __init__(self, places: int) -> None:
        self._places, self.users = asyncio.Semaphore(places), 0

    async def __aenter__(self) -> Self:
        self.users += 1
        try:
            await self._places.acquire()
        except BaseException:
            self.users -= 1
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        self.users -= 1
        self._places.release()


class _Caller:
    """One caller's share: operations, statements, and slices of the event loop."""

    def __init__(self, operations: int, statements: int) -> None:
        self.running, self.statements, self.slicing = _Bounded(operations), _Bounded(statements), asyncio.Lock()
        self.most = operations + MOST_WAITING


@dataclass(slots=True, eq=False)
class _Operation:
    """An operation on its way, its caller's share, and the communities that it is known to concern."""

    shares: "Shares"
    caller: _Caller
    communities: set[str] = field(default_factory=set)


_operation: ContextVar[_Operation | None] = ContextVar("operation", default=None)


class Shares:
    """The shares of one process. `connections` is the size of its pool."""

    def __init__(self, connections: int) -> None:
        self._statements = max(1, connections // 3)
        self._callers: dict[str, _Caller] = {}
        self._communities: dict[str, _Bounded] = {}
        self._slicing = asyncio.Lock()
        self._until: float | None = None

    @asynccontextmanager
    async def turn(self, key: str, *, operations: int = MOST_RUNNING) -> AsyncIterator[None]:
        """Waits for the turn of the caller of this key and runs the block as one of their operations.

        `operations` is how many of them run at once. Raises TooManyAtOnce.
        """
        caller = self._callers.setdefault(key, _Caller(operations, self._statements))
        if caller.running.users >= caller.most:
            raise TooManyAtOnce
        try:
            async with caller.running:
                token = _operation.set(_Operation(self, caller))
                try:
                    yield
                finally:
                    _operation.reset(token)
        finally:
            if not caller.running.users:
                self._callers.pop(key, None)

    @asynccontextmanager
    async def event(self, key: str) -> AsyncIterator[None]:
        """Waits for the turn of one event of a subscription. The subscriptions of one caller take turns, one at a time.

        Nobody is refused here: a caller's subscriptions are few (`schema.subscription_transport`).
        """
        caller = self._callers.setdefault(key, _Caller(1, 1))
        try:
            async with caller.running:
                # Not reset by its token: the steps of a generator may run in tasks, and contexts, of their own.
                _operation.set(_Operation(self, caller))
                try:
                    yield
                finally:
                    _operation.set(None)
        finally:
            if not caller.running.users:
                self._callers.pop(key, None)

    def until(self) -> float:
        """Returns until when, on time.perf_counter, answers may hold this round of the event loop."""
        if self._until is None:
            self._until = perf_counter() + _SLICE
            asyncio.get_running_loop().call_soon(self._begin_round)
        return self._until

    def _begin_round(self) -> None:
        self._until = None

    @asynccontextmanager
    async def slice(self) -> AsyncIterator[float]:
        """Waits until everybody else was served, and gives until when the loop may be held. Callers take turns."""
        operation = _operation.get()
        own = asyncio.Lock() if operation is None else operation.caller.slicing
        async with own, self._slicing:
            await asyncio.sleep(0)
            yield perf_counter() + _SLICE

    def of_community(self, community_id: str) -> _Bounded:
        return self._communities.setdefault(community_id, _Bounded(self._statements))

    def forget(self, community_id: str) -> None:
        """Lets go of a community's share that nobody uses."""
        share = self._communities.get(community_id)
        if share is not None and not share.users:
            del self._communities[community_id]


def concerns(community_id: str) -> None:
    """Notes that the current operation concerns a community: its further statements take places of the community's."""
    operation = _operation.get()
    if operation is not None:
        operation.communities.add(community_id)


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Gives the items of a long list, and lets others use the event loop between them."""
    until = perf_counter() + _SLICE
    for item in items:
        yield item
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + _SLICE


class StatementPlaces:
    """The places that a statement or a transaction of the current operation takes: its caller's, then its communities'.

    The order is the same everywhere, and the connection comes last, so that nobody waits in a circle.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[tuple[_Bounded, Shares | None, str]] = []

    async def enter(self) -> None:
        operation = _operation.get()
        if operation is None:
            return
        try:
            await self._take(operation.caller.statements, None, "")
            for community_id in sorted(operation.communities):
                await self._take(operation.shares.of_community(community_id), operation.shares, community_id)
        except BaseException:
            self.leave()
            raise

    async def _take(self, share: _Bounded, shares: Shares | None, community_id: str) -> None:
        try:
            await share.__aenter__()
        except BaseException:
            if shares is not None:
                shares.forget(community_id)
            raise
        self._held.append((share, shares, community_id))

    def leave(self) -> None:
        while self._held:
            share, shares, community_id = self._held.pop()
            share.leave()
            if shares is not None:
                shares.forget(community_id)
