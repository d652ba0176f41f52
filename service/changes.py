"""Changes: notifications that an invitation changed, for listeners in every process.

A notification contains two ids only. Its listeners read the current facts with their current rights. On PostgreSQL, NOTIFY
delivers it when the transaction commits. On SQLite there is one process, whose readers wait for the same commit. A lost
connection can lose notifications, so each listener polls, too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from service.database import Statement, connection, execute_batch, is_postgres, select

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger()

CHANNEL = "guestlist"
_BATCH = 250  # ids in one notification; a payload is limited to 7,999 bytes
_RECONNECT = 1.0  # seconds between two tries to connect
_MAX_WATCHED = 2000  # changed invitations that a watch buffers before it is lost
_MAX_QUEUED = 256  # notifications that a listener buffers; further ones are dropped


@dataclass(frozen=True, slots=True)
class Changed:
    """A notification that an invitation of a community changed, or that mail for it became due."""

    community_id: str
    invitation_id: str

    def payload(self) -> str:
        return f"{self.community_id} {self.invitation_id}"


class Watch:
    """Collects the changed invitations of one community, each once, until they are taken.

    The buffer is bounded. `lost` is set after a change that was not collected.
    """

    def __init__(self, community_id: str) -> None:
        self.community_id, self.lost = community_id, False
        self._ids: dict[str, None] = {}
        self._changed = asyncio.Event()

    def put(self, invitation_id: str) -> None:
        if len(self._ids) >= _MAX_WATCHED and invitation_id not in self._ids:
            self.lost = True
        else:
            self._ids[invitation_id] = None
        self._changed.set()

    def mark_lost(self) -> None:
        """Marks the watch as incomplete."""
        self.lost = True
        self._changed.set()

    async def take(self, *, most: int, seconds: float) -> list[str]:
        """Removes and returns up to `most` ids in the order of their changes. Waits for a change up to `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        ids = list(self._ids)[:most]
        for invitation_id in ids:
            del self._ids[invitation_id]
        if not self._ids and not self.lost:
            self._changed.clear()
        return ids


class Hub:
    """Dispatches changes to the listeners of this process. A slow listener loses changes; its memory is bounded."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Changed | None]] = set()
        self._watches: dict[str, set[Watch]] = {}

    def dispatch(self, change: Changed) -> None:
        for watch in self._watches.get(change.community_id, ()):
            watch.put(change.invitation_id)
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(change)

    def wake(self) -> None:
        """Wakes the listeners without a change."""
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    def mark_all_lost(self) -> None:
        """Marks every watch as incomplete, after changes may have been missed."""
        for watch in [watch for watches in self._watches.values() for watch in watches]:
            watch.mark_lost()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[Changed | None]]:
        """Yields a bounded queue of the following changes. None only wakes the listener (`wake`)."""
        queue: asyncio.Queue[Changed | None] = asyncio.Queue(_MAX_QUEUED)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    @contextlib.contextmanager
    def watching(self, community_id: str) -> Iterator[Watch]:
        """Yields a watch on the following changes of one community."""
        watch = Watch(community_id)
        self._watches.setdefault(community_id, set()).add(watch)
        try:
            yield watch
        finally:
            others = self._watches[community_id]
            others.discard(watch)
            if not others:
                del self._watches[community_id]


hub = Hub()


async def notify(change: Changed, *writes: Statement) -> None:
    """Notifies the listeners once the transaction is committed. Must be its last statement. Runs `writes` with it."""
    await _notify(change.payload(), *writes)


async def wake(*writes: Statement) -> None:
    """Wakes the workers once the transaction is committed. Runs `writes` with it."""
    await _notify("", *writes)


async def _notify(payload: str, *writes: Statement) -> None:
    if is_postgres():
        await execute_batch(*writes, Statement("SELECT pg_notify($1, $2)", (CHANNEL, payload)))
        return
    if writes:
        await execute_batch(*writes)
    dispatch_payload(payload)


async def notify_many(community_id: str, invitation_ids: list[str]) -> None:
    """Notifies the listeners of many invitations of one community, in as few notifications as possible."""
    if not is_postgres():
        dispatch_payload(" ".join([community_id, *invitation_ids]))
        return
    for start in range(0, len(invitation_ids), _BATCH):
        payload = " ".join([community_id, *invitation_ids[start : start + _BATCH]])
        await select("SELECT pg_notify($1, $2)", CHANNEL, payload)


def dispatch_payload(payload: str) -> None:
    """Dispatches a notification: the ids of a community and of its changed invitations. An empty one wakes the workers."""
    if not payload:
        hub.wake()
    community_id, *invitation_ids = payload.split(" ")
    for invitation_id in invitation_ids:
        hub.dispatch(Changed(community_id, invitation_id))


async def listen(stopping: asyncio.Event) -> None:
    """Listens for notifications of other processes on a dedicated connection, and reconnects when it is lost."""
    while not stopping.is_set():
        try:
            async with connection().acquire_connection() as client:
                await _listen(client, stopping)
        except Exception as error:  # noqa: BLE001 -- a broken connection raises any error
            log.warning("events.lost", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RECONNECT)


async def _listen(client: "asyncpg.Connection", stopping: asyncio.Event) -> None:
    lost = asyncio.Event()

    def on_lost(_: object) -> None:
        lost.set()

    def on_notify(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        dispatch_payload(str(payload))

    client.add_termination_listener(on_lost)
    await client.add_listener(CHANNEL, on_notify)
    # Watches that began while this process did not listen may have missed changes.
    hub.mark_all_lost()
    waits = [asyncio.create_task(event.wait()) for event in (stopping, lost)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
        if not lost.is_set():
            client.remove_termination_listener(on_lost)
            await client.remove_listener(CHANNEL, on_notify)
