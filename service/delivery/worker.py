"""The worker that empties the outbox (`service.mail.outbox`).

It leases an order, makes the link, sends the mail and records it, in this order. A crash at any point loses nothing: the
lease ends, and the next attempt makes a link of its own. Every mail is sent at least once.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from service import audit, metrics
from service.addresses import Address
from service.changes import Changed, hub, notify
from service.clock import Clock
from service.database import execute, select, transaction
from service.database.deadlines import fresh_context, statements_within
from service.delivery import notices
from service.invitations import fresh_links, links
from service.invitations.status import Status, status_of
from service.limits import Recipient, spend_mail, unspend_mail
from service.mail import outbox, send_rate, suppression
from service.mail.errors import MailDeferred, MailRefused
from service.mail.message import Mail, refuse_broken_mail
from service.mail.senders import MailSender, refuse_unsafe
from service.mail.texts import InvitationFacts, code_mail, invitation_mail
from service.models import MailKind, UnsubscribeToken
from service.retention import pruning
from service.settings import Settings
from service.sign_in import mailbox_codes
from service.tokens import new_token

log = structlog.get_logger()

_LEASE: Final = timedelta(minutes=2)
_SENDING: Final = 100.0  # seconds for handing over one mail, less than its lease
_POLL: Final = 2.0  # seconds; only what a missed notification costs
_AT_ONCE: Final = 10
_REQUEST_BATCHES: Final = 10  # batches of requests for fresh links that are decided on between two looks at the outbox
_STATEMENT_SECONDS: Final = 60.0  # nobody waits at a screen, and pruning reads whole tables
_AHEAD: Final = 3.0  # seconds; turns further ahead are left to whoever comes
_FIRST_PAUSE: Final = timedelta(seconds=10)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_TRIES: Final = 54  # with the pauses between them about two days: a mail server that fails on Friday night is found
_RECORD_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds; a database that restarts is back by then
_LONGEST_REST: Final = timedelta(seconds=30)
_PRUNE_LOOK: Final = 60.0  # seconds between two looks whether it is this worker's turn
_UNSUBSCRIBE_LIFETIME: Final = timedelta(days=30)

SUPPRESSED: Final = (
    "Not sent: mail to this address was stopped, or failed before. Ask the person for another address, or the operator to"
    " look at it."
)

_UNDELIVERABLE: Final = frozenset({suppression.Reason.BOUNCED, suppression.Reason.COMPLAINED})
_FAULT: Final = "This service has a fault of its own with this mail: the operator finds it in the worker's log."


# ------------------------------------------------------------------------------------------------------------ delivering


@dataclass(frozen=True, slots=True)
class _Lease:
    """An order that this worker holds for a while: `attempt` guards its completion."""

    order_id: str
    kind: MailKind
    attempt: int
    tries: int


@dataclass(frozen=True, slots=True)
class _Letter:
    """A mail ready to leave, and what it is about."""

    mail: Mail
    row: dict[str, Any]


class _Lost(Exception):
    """Raised when the lease ended and another worker took the order."""


class _NotNow(Exception):
    """Raised when the recipient had mails enough for now; nobody is told."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class _NotAtAll(Exception):
    """Raised when there is nothing to send any more: the invitation is over, or its address wants no mail."""

    def __init__(self, row: dict[str, Any], *, suppressed: bool = False) -> None:
        super().__init__()
        self.row, self.suppressed = row, suppressed


class Worker:
    """Delivers what is due. Any number of workers may run at once on PostgreSQL."""

    def __init__(self, settings: Settings, sender: MailSender, clock: Clock) -> None:
        self._settings, self._sender, self._clock = settings, sender, clock
        self._sending: set[asyncio.Task[None]] = set()

    async def check(self) -> None:
        """Logs what is wrong with the mail's set-up, before the first mail. Raises MailUnsafe (H095)."""
        findings = await self._sender.findings()
        for finding in findings:
            log.warning("mail.finding", finding=finding)
        refuse_unsafe(findings)

    async def run(self, stopping: asyncio.Event) -> None:
        """Delivers until told to stop; wakes at once for new orders. What is being sent is finished first."""
        with statements_within(_STATEMENT_SECONDS):
            await self._run(stopping)

    async def _run(self, stopping: asyncio.Event) -> None:
        pruning_now_and_then = asyncio.create_task(self._prune(stopping), context=fresh_context(_STATEMENT_SECONDS))
        async with hub.listening() as changes:
            while not stopping.is_set():
                busy = await self._start_what_is_due(stopping)
                await self._woken(stopping, changes, busy=busy)
        await asyncio.gather(pruning_now_and_then, *self._sending)

    async def deliver_due(self) -> int:
        """Decides on requests for fresh links, and delivers orders that are due now, a few at once; how many there were."""
        await self._order_fresh_links()
        rate = await self._rate()
        leases = await self._lease(_at_once(rate))
        await self._begin(leases, rate, asyncio.Event())
        await asyncio.gather(*self._sending)
        return len(leases)

    async def _order_fresh_links(self) -> None:
        """Takes the requests that wait, a few batches at a time, so that a flood of them does not hold up the mail."""
        for _ in range(_REQUEST_BATCHES):
            if not await fresh_links.are_waiting():
                return
            async with transaction():
                now = self._clock()
                taken = await fresh_links.take(now=now, settings=self._settings)
                for due in taken.due:
                    await outbox.order(due.invitation_id, generation=due.generation, kind=MailKind.FRESH_LINK, now=now)
            if not taken.is_full:
                return

    async def _rate(self) -> float | None:
        return self._settings.mails_per_second or await self._sender.rate()

    async def _start_what_is_due(self, stopping: asyncio.Event) -> bool:
        """Begins as many mails as there is room for; whether that was all the room there is.

        A database that fails is asked again after a while.
        """
        try:
            await self._order_fresh_links()
            rate = await self._rate()
            room = max(0, _at_once(rate) - len(self._sending))
            leases = await self._lease(room) if room else []
            await self._begin(leases, rate, stopping)
        except Exception:
            log.exception("worker.failed")
            return False
        return len(leases) == room

    async def _begin(self, leases: list[_Lease], rate: float | None, stopping: asyncio.Event) -> None:
        """Each mail is a task of its own, outside any transaction: a task inherits the one it was created in."""
        if not leases:
            return
        waits = await send_rate.reserve(len(leases), rate=rate, now=self._clock())
        for lease, wait in zip(leases, waits, strict=True):
            task = asyncio.create_task(
                self._take_turn(lease, wait, stopping), context=fresh_context(_STATEMENT_SECONDS)
            )
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _woken(self, stopping: asyncio.Event, changes: "asyncio.Queue[Changed | None]", *, busy: bool) -> None:
        """Waits for the end or the next poll, and for a free hand when all are busy, or else for something to do."""
        waiting: set[asyncio.Future[Any]] = {asyncio.ensure_future(stopping.wait())}
        if not busy:
            waiting.add(asyncio.ensure_future(changes.get()))
        await asyncio.wait(
            waiting | (self._sending if busy else set()), timeout=_POLL, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        while not changes.empty():
            changes.get_nowait()

    async def _prune(self, stopping: asyncio.Event) -> None:
        """Takes its turn at removing what is over."""
        while not stopping.is_set():
            try:
                await pruning.prune_in_turn(now=self._clock(), settings=self._settings)
            except Exception:
                log.exception("pruning.failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _PRUNE_LOOK)

    async def _lease(self, room: int) -> list[_Lease]:
        """Takes what is due; first what somebody waits for at a screen, then invitations in the order they were made."""
        urgent = await self._lease_of("kind <> 'invitation'", room)
        rest = await self._lease_of("kind = 'invitation'", room - len(urgent)) if len(urgent) < room else []
        return urgent + rest

    async def _lease_of(self, kinds: str, room: int) -> list[_Lease]:
        now = self._clock()
        rows = await select(
            f"WITH due AS MATERIALIZED (SELECT id FROM mail_orders WHERE due_at <= $1 AND {outbox.WAITING}"  # noqa: S608
            f" AND {kinds} ORDER BY due_at LIMIT $3"
            " FOR UPDATE SKIP LOCKED)"
            " UPDATE mail_orders SET attempt = attempt + 1, due_at = $2 WHERE id IN (SELECT id FROM due)"
            " RETURNING id, kind, attempt, tries",
            now, now + _LEASE, room,
        )  # fmt: skip
        return [_Lease(row["id"], MailKind(row["kind"]), row["attempt"], row["tries"]) for row in rows]

    async def _take_turn(self, lease: _Lease, wait: timedelta, stopping: asyncio.Event) -> None:
        """Waits until this mail may leave; a worker that is told to stop meanwhile gives the order back."""
        try:
            if await _stopped_within(wait, stopping):
                await self._wait_again(lease, timedelta(0))
            else:
                await self._deliver(lease)
        except Exception:
            # What cannot even be recorded is tried again when the lease ends.
            log.exception("mail.attempt_failed", order_id=lease.order_id)

    async def _deliver(self, lease: _Lease) -> None:
        letter: _Letter | None = None
        try:
            async with transaction():
                letter = await self._compose(lease)
            message_id = await self._hand_over(letter.mail)
        except _Lost:
            log.info("mail.lease_lost", order_id=lease.order_id)
        except _NotNow as error:
            _count("unknown", "postponed")
            await self._wait_again(lease, error.wait)
        except _NotAtAll as error:
            await self._cancel(lease, error)
        except MailDeferred as error:
            await self._defer(lease, letter, error)
        except MailRefused as error:
            await self._fail(lease, error.reason, suppressed=error.suppressed)
        except Exception:
            # A mail that no try can get out must not be tried for ever, and the admin must see that it hangs.
            log.exception("mail.attempt_failed", order_id=lease.order_id)
            await self._defer(lease, letter, MailDeferred(_FAULT))
        else:
            await self._record(lease, letter, message_id)

    async def _hand_over(self, mail: Mail) -> str:
        try:
            async with asyncio.timeout(_SENDING):
                return await self._sender.send(mail)
        except TimeoutError:
            raise MailDeferred("The mail service did not answer in time.") from None

    async def _compose(self, lease: _Lease) -> _Letter:
        """Makes the link, or the code, and the mail around it. The plain token lives in this mail and nowhere else."""
        now = self._clock()
        # The wait for its turn may have been long: the lease begins anew, if it is still this worker's.
        if not await execute(
            "UPDATE mail_orders SET due_at = $1 WHERE id = $2 AND attempt = $3 AND sent_at IS NULL",
            now + _LEASE, lease.order_id, lease.attempt,
        ):  # fmt: skip
            raise _Lost
        row = await _facts_of(lease)
        if lease.kind is MailKind.NOTICE:
            _refuse_pointless_notice(row)
        else:
            _refuse_pointless(row, lease.kind, now)
        wait = await spend_mail(self._settings.rate_limits, _recipient(row, lease.kind), now=now)
        if wait is not None:
            raise _NotNow(wait)
        return _Letter(await self._write(row, lease, {"order": lease.order_id}, now), row)

    async def _write(self, row: dict[str, Any], lease: _Lease, tags: dict[str, str], now: datetime) -> Mail:
        if lease.kind is MailKind.CODE:
            return await self._code(row, tags, now)
        if lease.kind is MailKind.NOTICE:
            return await notices.write(row, tags=tags, now=now, settings=self._settings)
        return await self._invitation(row, lease.kind, lease, tags, now)

    async def _invitation(
        self, row: dict[str, Any], kind: MailKind, lease: _Lease, tags: dict[str, str], now: datetime
    ) -> Mail:
        minutes = row["link_minutes"] or self._settings.link_minutes
        token = await links.issue(
            row["invitation_id"], lease.order_id, row["order_generation"], minutes=minutes, ends=row["expires_at"],
            now=now,
        )  # fmt: skip
        facts = InvitationFacts(
            to=Address(row["email"]),
            community_name=row["community_name"],
            inviter_name=row["inviter_name"],
            role=row["role"],
            message=row["message"],
            link=self._settings.confirm_url.replace("{token}", token),
            link_minutes=minutes,
            invitation_expires_at=row["expires_at"],
            unsubscribe_url=await self._unsubscribe_url(Address(row["email"]), now),
            fresh=kind is MailKind.FRESH_LINK,
        )
        with refuse_broken_mail():
            return invitation_mail(facts, locale=row["locale"], fallback=row["community_locale"] or "en", tags=tags)

    async def _code(self, row: dict[str, Any], tags: dict[str, str], now: datetime) -> Mail:
        code = await mailbox_codes.issue(row["flow_id"], now=now)
        if code is None:
            raise _NotAtAll(row)
        minutes = int(mailbox_codes.LIFETIME.total_seconds() // 60)
        with refuse_broken_mail():
            return code_mail(
                Address(row["email"]), code, row["community_name"], minutes, row["locale"],
                fallback=row["community_locale"] or "en", tags=tags,
            )  # fmt: skip

    async def _unsubscribe_url(self, address: Address, now: datetime) -> str:
        token, digest = new_token()
        await UnsubscribeToken.create(digest=digest, email=address, expires_at=now + _UNSUBSCRIBE_LIFETIME)
        return f"{self._settings.public_url}/unsubscribe/{token}"

    # -------------------------------------------------------------------------------------- recording what became of it

    async def _record(self, lease: _Lease, letter: _Letter, message_id: str) -> None:
        """The mail has left. A database that fails just now is asked again for a while, for what is not recorded is sent
        twice.
        """
        for pause in _RECORD_PAUSES:
            try:
                await self._complete(lease, letter, message_id)
            except Exception:
                log.exception("mail.not_recorded_yet", order_id=lease.order_id)
                await asyncio.sleep(pause)
            else:
                return
        await self._complete(lease, letter, message_id)

    async def _complete(self, lease: _Lease, letter: _Letter, message_id: str) -> None:
        now = self._clock()
        async with transaction():
            done = await select(
                "UPDATE mail_orders SET sent_at = $1, message_id = $2 WHERE id = $3 AND attempt = $4 AND sent_at IS NULL"
                " RETURNING delivery",
                now, message_id[:200], lease.order_id, lease.attempt,
            )  # fmt: skip
            if done and lease.kind is MailKind.NOTICE:
                await notices.record_sent(letter.row, now=now)
            elif done and lease.kind is not MailKind.CODE:
                await self._record_sent(lease, letter.row, now, known=done[0]["delivery"] is not None)
        _count(lease.kind, "sent" if done else "sent_twice")
        log.info("mail.sent", order_id=lease.order_id, kind=lease.kind, attempt=lease.attempt, recorded=bool(done))

    async def _record_sent(self, lease: _Lease, row: dict[str, Any], now: datetime, *, known: bool) -> None:
        """With `known`, an event of this mail came in before its sending was recorded: that says more already."""
        await execute(
            "UPDATE invitations SET last_sent_at = $1 WHERE id = $2 AND generation = $3"
            if known
            else "UPDATE invitations SET delivery = 'SENT', delivery_reason = NULL, delivery_at = $1, last_sent_at = $1"
            " WHERE id = $2 AND generation = $3",
            now, row["invitation_id"], row["order_generation"],
        )  # fmt: skip
        await _audit(lease.kind)(now, audit.Event(
            "invitation.sent", row["community_id"], None, row["invitation_id"], {"mail": lease.kind}
        ))  # fmt: skip
        await notify(Changed(row["community_id"], row["invitation_id"]))

    async def _wait_again(self, lease: _Lease, wait: timedelta) -> None:
        """The order waits as if it had not been leased: that is no failed try."""
        await execute(
            "UPDATE mail_orders SET due_at = $1 WHERE id = $2 AND attempt = $3",
            self._clock() + wait, lease.order_id, lease.attempt,
        )  # fmt: skip

    async def _cancel(self, lease: _Lease, over: _NotAtAll) -> None:
        now = self._clock()
        async with transaction():
            cancelled = await execute(
                "UPDATE mail_orders SET cancelled_at = $1 WHERE id = $2 AND attempt = $3 AND sent_at IS NULL",
                now, lease.order_id, lease.attempt,
            )  # fmt: skip
            if cancelled and over.suppressed:
                await _write_delivery(over.row, "SUPPRESSED", SUPPRESSED, now)
        _count(over.row["kind"], "suppressed" if over.suppressed else "cancelled")

    async def _fail(self, lease: _Lease, reason: str, *, suppressed: bool) -> None:
        """Ends as FAILED or SUPPRESSED; an address that the mail service does not write to is not tried again by us."""
        now = self._clock()
        async with transaction():
            failed = await execute(
                "UPDATE mail_orders SET failed_at = $1, tries = tries + 1 WHERE id = $2 AND attempt = $3"
                " AND sent_at IS NULL",
                now, lease.order_id, lease.attempt,
            )  # fmt: skip
            if not failed:  # the order is another worker's by now, or was erased
                return
            row = await _facts_of(lease)
            if suppressed:
                await suppression.add(Address(row["email"]), suppression.Reason.BOUNCED, now=now)
            outcome = ("SUPPRESSED", SUPPRESSED) if suppressed else ("FAILED", reason)
            await _write_delivery(row, *outcome, now)
        _count(row["kind"], "suppressed" if suppressed else "failed")
        log.warning("mail.failed", order_id=lease.order_id, attempt=lease.attempt, tries=lease.tries + 1)

    async def _defer(self, lease: _Lease, letter: _Letter | None, error: MailDeferred) -> None:
        """Waits longer after every try, with jitter so that many do not come back at once; gives up in the end.

        A mail service that wants fewer mails gets none for a while, and its refusals are no failed tries.
        """
        now = self._clock()
        if letter is not None:
            await unspend_mail(self._settings.rate_limits, _recipient(letter.row, lease.kind), now=now)
        if error.throttled:
            await send_rate.rest(now + min(error.retry_after or _FIRST_PAUSE, _LONGEST_REST), now=now)
        elif lease.tries + 1 >= _TRIES:
            reason = f"{error.reason} Every try was used up; send it again when that is mended."
            await self._fail(lease, reason, suppressed=False)
            return
        pause = max(_pause_after(lease.attempt if error.throttled else lease.tries), error.retry_after or timedelta(0))
        await self._write_deferral(lease, error, now + pause)
        _count(lease.kind if letter else "unknown", "throttled" if error.throttled else "deferred")
        log.warning("mail.deferred", order_id=lease.order_id, tries=lease.tries, seconds=int(pause.total_seconds()))

    async def _write_deferral(self, lease: _Lease, error: MailDeferred, due_at: datetime) -> None:
        async with transaction():
            rows = await select(
                "UPDATE mail_orders SET due_at = $1, tries = tries + $2 WHERE id = $3 AND attempt = $4"
                " AND sent_at IS NULL RETURNING invitation_id",
                due_at, 0 if error.throttled else 1, lease.order_id, lease.attempt,
            )  # fmt: skip
            about = rows[0]["invitation_id"] if rows and lease.kind is not MailKind.NOTICE else ""
            shown = await select(
                "UPDATE invitations SET delivery_reason = $1 WHERE id = $2 AND delivery = 'QUEUED'"
                " RETURNING id, community_id",
                f"{error.reason} It is tried again by itself."[:500], about,
            )  # fmt: skip
            for row in shown:
                await notify(Changed(row["community_id"], row["id"]))


def _recipient(row: Mapping[str, Any], kind: MailKind) -> Recipient:
    """A notice about an account comes from no community."""
    return Recipient(Address(row["email"]), kind, row["community_id"] or "account")


_LETTER_FACTS = """
SELECT o.kind, o.generation AS order_generation, o.flow_id, o.invitation_id,
    i.community_id, i.email, i.role, i.message, i.locale, i.generation, i.expires_at, i.accepted_at, i.declined_at,
    i.revoked_at, i.superseded_at, c.name AS community_name, c.locale AS community_locale, c.link_minutes,
    v.name AS inviter_name, s.reason AS suppressed, b.id AS block_id
FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id JOIN communities c ON c.id = i.community_id
LEFT JOIN members v ON v.id = i.inviter_id
LEFT JOIN suppressions s ON s.email = i.email
LEFT JOIN blocks b ON b.community_id = i.community_id AND b.email = i.email
WHERE o.id = $1
"""


async def _facts_of(lease: _Lease) -> dict[str, Any]:
    """What the mail of an order needs: the recipient's address, and the rows that it is about."""
    if lease.kind is MailKind.NOTICE:
        return await notices.facts_of(lease.order_id)
    return (await select(_LETTER_FACTS, lease.order_id))[0]


def _refuse_pointless_notice(row: dict[str, Any]) -> None:
    """A notice needs an address that takes mail; an address that only unsubscribed from invitations gets it too."""
    if notices.is_pointless(row):
        raise _NotAtAll(row)
    if row["suppressed"] in _UNDELIVERABLE:
        raise _NotAtAll(row, suppressed=True)


def _refuse_pointless(row: dict[str, Any], kind: MailKind, now: datetime) -> None:
    """An invitation that is over, or sent anew since, needs no mail; an address that wants none gets none, except for
    the code of its own sign-in. An admin sees nothing of a fresh link that is not sent (H180).
    """
    if status_of(row, now) is not Status.PENDING or row["generation"] != row["order_generation"]:
        raise _NotAtAll(row)
    unwanted = row["suppressed"] == "unsubscribed" and kind is not MailKind.CODE
    undeliverable = row["suppressed"] in _UNDELIVERABLE
    if unwanted or undeliverable or row["block_id"] is not None:
        raise _NotAtAll(row, suppressed=kind is not MailKind.FRESH_LINK)


async def _write_delivery(row: dict[str, Any], delivery: str, reason: str, now: datetime) -> None:
    """Shows what became of the newest mail, unless the invitation was closed meanwhile; of a code, where it is awaited."""
    if row["kind"] == MailKind.CODE:
        await mailbox_codes.give_up(row["flow_id"], row["community_id"], row["invitation_id"], now=now)
        return
    if row["kind"] == MailKind.NOTICE:
        await notices.record_failed(row, reason, now=now)
        return
    shown = await execute(
        "UPDATE invitations SET delivery = $1, delivery_reason = $2, delivery_at = $3 WHERE id = $4 AND generation = $5"
        " AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL"
        " AND expires_at > $3",
        delivery, reason[:500], now, row["invitation_id"], row["order_generation"],
    )  # fmt: skip
    if not shown:
        return
    kind = "invitation.suppressed" if delivery == "SUPPRESSED" else "invitation.delivery_failed"
    event = audit.Event(kind, row["community_id"], None, row["invitation_id"], {"reason": reason})
    await _audit(row["kind"])(now, event)
    await notify(Changed(row["community_id"], row["invitation_id"]))


def _audit(kind: str) -> Callable[[datetime, audit.Event], Awaitable[None]]:
    """What became of a fresh link is counted: people without an account can have one sent again and again."""
    return audit.record_anonymous if kind == MailKind.FRESH_LINK else audit.record


def _at_once(rate: float | None) -> int:
    """How many mails a worker has under way: at a slow rate few, so that what is more urgent soon gets a turn."""
    return _AT_ONCE if rate is None else max(1, min(_AT_ONCE, round(rate * _AHEAD)))


async def _stopped_within(wait: timedelta, stopping: asyncio.Event) -> bool:
    if wait <= timedelta(0):
        return False
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(stopping.wait(), wait.total_seconds())
    return False


def _pause_after(tries: int) -> timedelta:
    """Ten seconds after the first try, twice as long after each further one, an hour at most; a quarter more or less."""
    pause = min(_FIRST_PAUSE * float(2 ** min(tries, 20)), _LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 -- jitter, not a secret


def _count(kind: str, outcome: str) -> None:
    metrics.mails.labels(kind, outcome).inc()
