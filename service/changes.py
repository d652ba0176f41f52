"""Events: that something changed, told to everybody who waits for it, in this process or another.

An event is two ids and no more; whoever hears one reads the facts afresh, with the rights of the moment. On PostgreSQL
events travel by NOTIFY and are heard when the transaction commits; on SQLite there is one process, whose readers wait
for the same commit. A notification can be missed (a lost connection), so nobody relies on hearing one.
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
_IN_ONE = 250  # ids in one notification, whose payload may have 7,999 bytes
_RECONNECT = 1.0  # seconds between two tries to hear again
_WATCHED = 2000  # changed invitations that a subscription may have waiting before it is ended
_WAITING = 256  # events that a slow listener may have waiting before it is told to read everything afresh


@dataclass(frozen=True, slots=True)
class Changed:
    """An invitation of a community changed, or mail for it became due."""

    community_id: str
    invitation_id: str

    def payload(self) -> str:
        return f"{self.community_id} {self.invitation_id}"


class Watch:
    """Which invitations of one community changed, each once, until somebody takes them.

    Who takes them too slowly does not grow memory: past a bound nothing is kept any more, and `lost` says so.
    """

    def __init__(self, community_id: str) -> None:
        self.community_id, self.lost = community_id, False
        self._ids: dict[str, None] = {}
        self._changed = asyncio.Event()

    def put(self, invitation_id: str) -> None:
        if len(self._ids) >= _WATCHED and invitation_id not in self._ids:
            self.lost = True
        else:
            self._ids[invitation_id] = None
        self._changed.set()

    def lose(self) -> None:
        """Changes may have gone by untold."""
        self.lost = True
        self._changed.set()

    async def take(self, *, most: int, seconds: float) -> list[str]:
        """The first few ids, in the order of their changes; nothing when nothing changed for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        taken = list(self._ids)[:most]
        for invitation_id in taken:
            del self._ids[invitation_id]
        if not self._ids and not self.lost:
            self._changed.clear()
        return taken


class Hub:
    """Passes events on to the listeners of this process; a listener that does not keep up loses events, not memory."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Changed | None]] = set()
        self._watches: dict[str, set[Watch]] = {}

    def dispatch(self, event: Changed) -> None:
        for watch in self._watches.get(event.community_id, ()):
            watch.put(event.invitation_id)
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(event)

    def wake(self) -> None:
        """Wakes the listeners without an event."""
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    def missed(self) -> None:
        """Events may have been missed: every subscription is told so, and ends."""
        for watch in [watch for watches in self._watches.values() for watch in watches]:
            watch.lose()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[Changed | None]]:
        """A queue of the events from now on, at most a few hundred waiting; None only wakes (`wake`)."""
        queue: asyncio.Queue[Changed | None] = asyncio.Queue(_WAITING)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    @contextlib.contextmanager
    def watching(self, community_id: str) -> Iterator[Watch]:
        """A watch on one community from now on."""
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


async def notify(event: Changed, *writes: Statement) -> None:
    """The last statement of a transaction: its listeners hear of it once it is committed. `writes` are run with it."""
    await _notify(event.payload(), *writes)


async def wake(*writes: Statement) -> None:
    """The same without saying of what: workers look for something to do."""
    await _notify("", *writes)


async def _notify(payload: str, *writes: Statement) -> None:
    if is_postgres():
        await execute_batch(*writes, Statement("SELECT pg_notify($1, $2)", (CHANNEL, payload)))
        return
    if writes:
        await execute_batch(*writes)
    heard(payload)


async def announce_many(community_id: str, invitation_ids: list[str]) -> None:
    """The same for many invitations of one community, in as few notifications as their payload's size allows."""
    if not is_postgres():
        heard(" ".join([community_id, *invitation_ids]))
        return
    for start in range(0, len(invitation_ids), _IN_ONE):
        payload = " ".join([community_id, *invitation_ids[start : start + _IN_ONE]])
        await select("SELECT pg_notify($1, $2)", CHANNEL, payload)


def heard(payload: str) -> None:
    """Takes in what PostgreSQL notified: a community's id and those of its invitations that changed; or nothing, which
    wakes the workers.
    """
    if not payload:
        hub.wake()
    community_id, *invitation_ids = payload.split(" ")
    for invitation_id in invitation_ids:
        hub.dispatch(Changed(community_id, invitation_id))


async def listen(stopping: asyncio.Event) -> None:
    """Hears what other processes announce, on one connection of its own; opens another when that one is lost."""
    while not stopping.is_set():
        try:
            async with connection().acquire_connection() as held:
                await _hear(held, stopping)
        except Exception as error:  # noqa: BLE001 -- a breaking connection raises anything, and silence is worse
            log.warning("events.lost", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RECONNECT)


async def _hear(held: "asyncpg.Connection", stopping: asyncio.Event) -> None:
    lost = asyncio.Event()

    def on_lost(_: object) -> None:
        lost.set()

    def on_notify(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        heard(str(payload))

    held.add_termination_listener(on_lost)
    await held.add_listener(CHANNEL, on_notify)
    # Whoever subscribed during a silence, or before the first word, may have missed something.
    hub.missed()
    waiting = [asyncio.create_task(event.wait()) for event in (stopping, lost)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        if not lost.is_set():
            held.remove_termination_listener(on_lost)
            await held.remove_listener(CHANNEL, on_notify)
