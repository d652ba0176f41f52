"""The worker that empties the outbox (`service.mail.outbox`).

It leases orders, reserves a send slot for each, and runs their attempts as concurrent tasks. After a crash, the lease
expires and the next attempt creates a new link, so every mail is sent at least once.
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Final

import structlog

from service.changes import Changed, hub
from service.clock import Clock
from service.database import transaction
from service.database.deadlines import fresh_context, statements_within
from service.delivery.leases import Lease, lease_due
from service.delivery.sending import Attempt
from service.invitations.fresh_links import has_requests, take_requests
from service.mail import outbox, send_rate
from service.mail.senders import MailSender, refuse_unsafe
from service.models import MailKind
from service.retention import pruning
from service.settings import Settings

log = structlog.get_logger()

_POLL: Final = 2.0  # seconds between polls; bounds the delay after a missed notification
_CONCURRENCY: Final = 10  # mails in progress
_SLOTS_AHEAD: Final = 3.0  # seconds; later send slots stay free for more urgent mails
_REQUEST_BATCHES: Final = 10  # batches of requests for fresh links that are decided between two reads of the outbox
_STATEMENT_SECONDS: Final = 60.0  # more than requests get: pruning reads whole tables
_PRUNE_INTERVAL: Final = 60.0  # seconds between two tries to prune


class Worker:
    """Sends the mails that are due. On PostgreSQL, any number of workers may run concurrently."""

    def __init__(self, settings: Settings, sender: MailSender, clock: Clock) -> None:
        self._settings, self._sender, self._clock = settings, sender, clock
        self._attempts: set[asyncio.Task[None]] = set()

    async def check(self) -> None:
        """Logs the findings of the mail configuration before the first mail. Raises MailUnsafe (H095)."""
        findings = await self._sender.findings()
        for finding in findings:
            log.warning("mail.finding", finding=finding)
        refuse_unsafe(findings)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends mail until `stopping` is set. New orders wake it. Attempts in progress are finished first."""
        with statements_within(_STATEMENT_SECONDS):
            await self._run(stopping)

    async def _run(self, stopping: asyncio.Event) -> None:
        prune_task = asyncio.create_task(self._prune(stopping), context=fresh_context(_STATEMENT_SECONDS))
        async with hub.listening() as changes:
            while not stopping.is_set():
                busy = await self._start_due(stopping)
                await self._wait_for_work(stopping, changes, busy=busy)
        await asyncio.gather(prune_task, *self._attempts)

    async def deliver_due(self) -> int:
        """Decides on requests for fresh links, and sends one batch of due mails. Returns the size of the batch."""
        await self._order_fresh_links()
        rate = await self._rate()
        leases = await lease_due(_concurrency(rate), now=self._clock())
        await self._start(leases, rate, asyncio.Event())
        await asyncio.gather(*self._attempts)
        return len(leases)

    async def _order_fresh_links(self) -> None:
        """Decides on a bounded number of requests, so that a flood of them does not delay the mail."""
        for _ in range(_REQUEST_BATCHES):
            if not await has_requests():
                return
            async with transaction():
                now = self._clock()
                batch = await take_requests(now=now, settings=self._settings)
                for due in batch.due:
                    await outbox.order(due.invitation_id, generation=due.generation, kind=MailKind.FRESH_LINK, now=now)
            if not batch.is_full:
                return

    async def _rate(self) -> float | None:
        return self._settings.mails_per_second or await self._sender.rate()

    async def _start_due(self, stopping: asyncio.Event) -> bool:
        """Starts attempts up to the concurrency limit. Returns whether the limit is reached.

        Logs errors of the database; the next poll retries.
        """
        try:
            await self._order_fresh_links()
            rate = await self._rate()
            free = max(0, _concurrency(rate) - len(self._attempts))
            leases = await lease_due(free, now=self._clock()) if free else []
            await self._start(leases, rate, stopping)
        except Exception:
            log.exception("worker.failed")
            return False
        return len(leases) == free

    async def _start(self, leases: list[Lease], rate: float | None, stopping: asyncio.Event) -> None:
        """Starts a task for each lease, in a fresh context: a task inherits the transaction of its context."""
        if not leases:
            return
        waits = await send_rate.reserve(len(leases), rate=rate, now=self._clock())
        for lease, wait in zip(leases, waits, strict=True):
            attempt = Attempt(lease, self._settings, self._sender, self._clock)
            task = asyncio.create_task(_run_in_slot(attempt, wait, stopping), context=fresh_context(_STATEMENT_SECONDS))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)

    async def _wait_for_work(
        self, stopping: asyncio.Event, changes: "asyncio.Queue[Changed | None]", *, busy: bool
    ) -> None:
        """Waits for `stopping`, the next poll, or new work. A busy worker waits for the end of an attempt instead."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(stopping.wait())}
        if not busy:
            waits.add(asyncio.ensure_future(changes.get()))
        await asyncio.wait(
            waits | (self._attempts if busy else set()), timeout=_POLL, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        while not changes.empty():
            changes.get_nowait()

    async def _prune(self, stopping: asyncio.Event) -> None:
        """Prunes periodically, in turn with the other workers."""
        while not stopping.is_set():
            try:
                await pruning.prune_in_turn(now=self._clock(), settings=self._settings)
            except Exception:
                log.exception("pruning.failed")
            await _stopped_within(_PRUNE_INTERVAL, stopping)


async def _run_in_slot(attempt: Attempt, wait: timedelta, stopping: asyncio.Event) -> None:
    """Waits for the send slot and runs the attempt. Postpones the order when the worker stops before the slot."""
    try:
        if await _stopped_within(wait.total_seconds(), stopping):
            await attempt.postpone(timedelta(0))
        else:
            await attempt.run()
    except Exception:
        # The outcome could not be recorded either; the next attempt follows when the lease expires.
        log.exception("mail.attempt_failed", order_id=attempt.lease.order_id)


async def _stopped_within(seconds: float, stopping: asyncio.Event) -> bool:
    if seconds <= 0:
        return False
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(stopping.wait(), seconds)
    return False


def _concurrency(rate: float | None) -> int:
    """Limits the mails in progress at a slow rate, so that more urgent mails get a send slot soon."""
    return _CONCURRENCY if rate is None else max(1, min(_CONCURRENCY, round(rate * _SLOTS_AHEAD)))
