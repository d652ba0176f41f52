"""Fair shares: limits on the part of a process that one caller and one community use concurrently.

A caller runs a few operations at a time, and a few more wait in a queue. The statements of a caller's operations, and those that
concern one community, use a limited number of the pool's connections. A caller with many requests, or a community with many
members, therefore waits for its own requests. See docs/decisions/0009-fair-shares.md.
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
MOST_RUNNING_OF_NETWORK: Final = 20  # many people can share one address, and strangers run small operations
MOST_WAITING: Final = 100
_SLICE: Final = 0.002  # seconds that one answer can hold the event loop at a time

Item = TypeVar("Item")


class TooManyAtOnce(Exception):
    """Raised for a request of a caller whose queue is full."""

    sentence: Final = sentence("RATE_LIMITED", "You have too many requests on their way. Wait for some of them.")


class _Share:
    """A semaphore that counts the tasks that have or await one of its slots."""

    def __init__(self, slots: int) -> None:
        self._slots, self.users = asyncio.Semaphore(slots), 0

    async def __aenter__(self) -> Self:
        self.users += 1
        try:
            await self._slots.acquire()
        except BaseException:
            self.users -= 1
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        self.users -= 1
        self._slots.release()


class _Caller:
    """One caller's share: operations, statements, and slices of the event loop."""

    def __init__(self, operations: int, statements: int) -> None:
        self.running, self.statements, self.slicing = _Share(operations), _Share(statements), asyncio.Lock()
        self.most = operations + MOST_WAITING


@dataclass(slots=True, eq=False)
class _Operation:
    """A running operation, its caller's share, and the communities that it concerns."""

    shares: "Shares"
    caller: _Caller
    communities: set[str] = field(default_factory=set)


_operation: ContextVar[_Operation | None] = ContextVar("operation", default=None)


class Shares:
    """The shares of one process. `connections` is the size of its pool."""

    def __init__(self, connections: int) -> None:
        self._statements = max(1, connections // 3)
        self._callers: dict[str, _Caller] = {}
        self._communities: dict[str, _Share] = {}
        self._slicing = asyncio.Lock()
        self._until: float | None = None

    @asynccontextmanager
    async def turn(self, key: str, *, operations: int = MOST_RUNNING) -> AsyncIterator[None]:
        """Waits for a slot of the caller with this key, and runs the block as one of their operations.

        `operations` is the number of their concurrent operations. Raises TooManyAtOnce.
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

        It refuses no event: `schema.subscription_transport` limits a caller's subscriptions.
        """
        caller = self._callers.setdefault(key, _Caller(1, 1))
        try:
            async with caller.running:
                # Not reset by its token: the steps of a generator can run in different tasks and contexts.
                _operation.set(_Operation(self, caller))
                try:
                    yield
                finally:
                    _operation.set(None)
        finally:
            if not caller.running.users:
                self._callers.pop(key, None)

    def until(self) -> float:
        """Returns the end, on time.perf_counter, of the time for answers in this round of the event loop."""
        if self._until is None:
            self._until = perf_counter() + _SLICE
            asyncio.get_running_loop().call_soon(self._begin_round)
        return self._until

    def _begin_round(self) -> None:
        self._until = None

    @asynccontextmanager
    async def slice(self) -> AsyncIterator[float]:
        """Waits for the caller's turn, and yields the time until which it can hold the event loop."""
        operation = _operation.get()
        own = asyncio.Lock() if operation is None else operation.caller.slicing
        async with own, self._slicing:
            await asyncio.sleep(0)
            yield perf_counter() + _SLICE

    def of_community(self, community_id: str) -> _Share:
        return self._communities.setdefault(community_id, _Share(self._statements))

    def forget(self, community_id: str) -> None:
        """Deletes the unused share of a community."""
        share = self._communities.get(community_id)
        if share is not None and not share.users:
            del self._communities[community_id]


def concerns(community_id: str) -> None:
    """Records that the current operation concerns a community. Its further statements use the community's share."""
    operation = _operation.get()
    if operation is not None:
        operation.communities.add(community_id)


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yields the items of a long list, and gives other tasks the event loop between them."""
    until = perf_counter() + _SLICE
    for item in items:
        yield item
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + _SLICE


class StatementSlots:
    """The slots of a statement or a transaction of the current operation: its caller's, then its communities'.

    Every statement acquires them in this order, and the connection last, so that deadlocks cannot occur.
    """

    __slots__ = ("_acquired",)

    def __init__(self) -> None:
        self._acquired: list[tuple[_Share, Shares | None, str]] = []

    async def enter(self) -> None:
        operation = _operation.get()
        if operation is None:
            return
        try:
            await self._acquire(operation.caller.statements, None, "")
            for community_id in sorted(operation.communities):
                await self._acquire(operation.shares.of_community(community_id), operation.shares, community_id)
        except BaseException:
            self.leave()
            raise

    async def _acquire(self, share: _Share, shares: Shares | None, community_id: str) -> None:
        try:
            await share.__aenter__()
        except BaseException:
            if shares is not None:
                shares.forget(community_id)
            raise
        self._acquired.append((share, shares, community_id))

    def leave(self) -> None:
        while self._acquired:
            share, shares, community_id = self._acquired.pop()
            share.leave()
            if shares is not None:
                shares.forget(community_id)
