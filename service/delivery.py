"""Delivery: the outbox and the worker that empties it.

An order to send says only which invitation; the worker leases it, makes the link, sends, and records, in that order, so
that a crash at any point loses nothing: the lease ends, and the next attempt makes a link of its own. At least once.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from service import audit, codes, links
from service.addresses import Address
from service.clock import Clock
from service.database import execute, select, transaction
from service.events import Changed, announce, hub
from service.invitation_status import Status, status_of
from service.limits import recipient_key, spend
from service.mail import Mail, MailDeferred, MailRefused, MailSender
from service.mail.texts import InvitationFacts, code_mail, invitation_mail
from service.models import MailKind, MailOrder, UnsubscribeToken
from service.settings import Settings
from service.tokens import new_id, new_token

log = structlog.get_logger()

_LEASE: Final = timedelta(minutes=2)
_POLL: Final = 2.0  # seconds; only what a missed notification costs
_AT_ONCE: Final = 10
_FIRST_PAUSE: Final = timedelta(seconds=10)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_TRIES: Final = 14  # with the pauses between them about seven hours
_UNSUBSCRIBE_LIFETIME: Final = timedelta(days=30)


# -------------------------------------------------------------------------------------------------------------- ordering


async def order(
    invitation_id: str, *, generation: int, kind: MailKind, now: datetime, flow_id: str | None = None
) -> None:
    """Orders one mail, in the transaction of what it tells of. The order holds no link and no code."""
    await MailOrder.create(
        id=new_id("ord"), kind=kind, invitation_id=invitation_id, generation=generation, flow_id=flow_id,
        created_at=now, due_at=now,
    )  # fmt: skip


async def order_many(invitation_ids: list[str], *, now: datetime) -> None:
    """Orders the first mail of each of these new invitations, in the transaction that makes them."""
    await MailOrder.bulk_create(
        MailOrder(
            id=new_id("ord"), kind=MailKind.INVITATION, invitation_id=invitation_id, generation=1, created_at=now,
            due_at=now,
        )
        for invitation_id in invitation_ids
    )  # fmt: skip


async def waits(invitation_id: str) -> bool:
    """Whether a mail with a link of this invitation is ordered and not sent yet."""
    waiting = MailOrder.filter(invitation_id=invitation_id, sent_at=None, failed_at=None, cancelled_at=None)
    return await waiting.exclude(kind=MailKind.CODE).exists()


# ------------------------------------------------------------------------------------------------------------ delivering


@dataclass(frozen=True, slots=True)
class _Lease:
    """An order that this worker holds for a while: `attempt` guards its completion."""

    order_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class _Letter:
    """A mail ready to leave, and what it is about."""

    mail: Mail
    kind: MailKind
    invitation_id: str
    community_id: str
    ordered_at: datetime
    generation: int


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

    async def run(self, stopping: asyncio.Event) -> None:
        """Delivers until told to stop; wakes at once for new orders. What is being sent is finished first."""
        async with hub.listening() as changes:
            while not stopping.is_set():
                try:
                    delivered = await self.deliver_due()
                except Exception:
                    log.exception("worker.failed")
                    delivered = 0
                if not delivered:
                    await _woken(stopping, changes)

    async def deliver_due(self) -> int:
        """Delivers every order that is due now, a few at once; how many there were."""
        leases = await self._lease()
        # Each mail is its own task outside any transaction: a task inherits the one it was created in.
        await asyncio.gather(*(_detached(self._deliver, lease) for lease in leases))
        return len(leases)

    async def _lease(self) -> list[_Lease]:
        now = self._clock()
        rows = await select(
            "UPDATE mail_orders SET attempt = attempt + 1, due_at = $2 WHERE id IN (SELECT id FROM mail_orders"
            " WHERE due_at <= $1 AND sent_at IS NULL AND failed_at IS NULL AND cancelled_at IS NULL"
            " ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id, attempt",
            now, now + _LEASE, _AT_ONCE,
        )  # fmt: skip
        return [_Lease(row["id"], row["attempt"]) for row in rows]

    async def _deliver(self, lease: _Lease) -> None:
        letter: _Letter | None = None
        try:
            async with transaction():
                letter = await self._compose(lease)
            message_id = await self._sender.send(letter.mail)
        except _NotNow as error:
            await self._postpone(lease, error.wait)
        except _NotAtAll as error:
            await self._cancel(lease, error)
        except MailDeferred as error:
            await self._defer(lease, letter, error)
        except MailRefused as error:
            await self._fail(lease, error.reason, suppressed=error.suppressed)
        else:
            await self._complete(lease, letter, message_id)

    async def _compose(self, lease: _Lease) -> _Letter:
        """Makes the link, or the code, and the mail around it. The plain token lives in this mail and nowhere else."""
        now = self._clock()
        row = (await select(_LETTER_FACTS, lease.order_id))[0]
        kind = MailKind(row["kind"])
        _refuse_pointless(row, kind, now)
        wait = await spend(
            self._settings.rate_limits.mails_per_recipient, recipient_key(Address(row["email"])), now=now
        )
        if wait is not None:
            raise _NotNow(wait)
        mail = await (self._code(row, now) if kind is MailKind.CODE else self._invitation(row, kind, lease, now))
        return _Letter(
            mail, kind, row["invitation_id"], row["community_id"], row["ordered_at"], row["order_generation"]
        )

    async def _invitation(self, row: dict[str, Any], kind: MailKind, lease: _Lease, now: datetime) -> Mail:
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
        return invitation_mail(
            facts, locale=row["locale"], fallback=row["community_locale"] or "en", tags={"order": lease.order_id}
        )

    async def _code(self, row: dict[str, Any], now: datetime) -> Mail:
        code = await codes.issue(row["flow_id"], now=now)
        if code is None:
            raise _NotAtAll(row)
        minutes = int(codes.LIFETIME.total_seconds() // 60)
        return code_mail(
            Address(row["email"]), code, row["community_name"], minutes, row["locale"],
            fallback=row["community_locale"] or "en",
        )  # fmt: skip

    async def _unsubscribe_url(self, address: Address, now: datetime) -> str:
        token, digest = new_token()
        await UnsubscribeToken.create(digest=digest, email=address, expires_at=now + _UNSUBSCRIBE_LIFETIME)
        return f"{self._settings.public_url}/unsubscribe/{token}"

    # -------------------------------------------------------------------------------------- recording what became of it

    async def _complete(self, lease: _Lease, letter: _Letter, message_id: str) -> None:
        now = self._clock()
        async with transaction():
            done = await execute(
                "UPDATE mail_orders SET sent_at = $1, message_id = $2 WHERE id = $3 AND attempt = $4 AND sent_at IS NULL",
                now, message_id[:200], lease.order_id, lease.attempt,
            )  # fmt: skip
            if done and letter.kind is not MailKind.CODE:
                await self._record_sent(letter, now)
        log.info("mail.sent", order_id=lease.order_id, kind=letter.kind, attempt=lease.attempt)

    async def _record_sent(self, letter: _Letter, now: datetime) -> None:
        await execute(
            "UPDATE invitations SET delivery = 'SENT', delivery_reason = NULL, delivery_at = $1, last_sent_at = $1"
            " WHERE id = $2 AND generation = $3",
            now, letter.invitation_id, letter.generation,
        )  # fmt: skip
        if letter.kind is MailKind.FRESH_LINK:
            await links.replace_earlier(letter.invitation_id, than=letter.ordered_at, now=now)
        await audit.record(now, audit.Event(
            "invitation.sent", letter.community_id, None, letter.invitation_id, {"mail": letter.kind}
        ))  # fmt: skip
        await announce(Changed(letter.community_id, letter.invitation_id))

    async def _postpone(self, lease: _Lease, wait: timedelta) -> None:
        """The recipient's own limit: the mail waits, and the wait is no failed try."""
        await execute(
            "UPDATE mail_orders SET due_at = $1, attempt = attempt + 1 WHERE id = $2 AND attempt = $3",
            self._clock() + wait, lease.order_id, lease.attempt,
        )  # fmt: skip

    async def _cancel(self, lease: _Lease, over: _NotAtAll) -> None:
        now = self._clock()
        async with transaction():
            cancelled = await execute(
                "UPDATE mail_orders SET cancelled_at = $1 WHERE id = $2 AND attempt = $3",
                now,
                lease.order_id,
                lease.attempt,
            )
            if cancelled and over.suppressed:
                await _write_delivery(over.row, "SUPPRESSED", _SUPPRESSED, now)

    async def _fail(self, lease: _Lease, reason: str, *, suppressed: bool) -> None:
        now = self._clock()
        async with transaction():
            failed = await execute(
                "UPDATE mail_orders SET failed_at = $1 WHERE id = $2 AND attempt = $3",
                now,
                lease.order_id,
                lease.attempt,
            )
            row = (await select(_LETTER_FACTS, lease.order_id))[0]
            if failed and row["kind"] != MailKind.CODE:
                await _write_delivery(row, "SUPPRESSED" if suppressed else "FAILED", reason, now)
        log.warning("mail.failed", order_id=lease.order_id, attempt=lease.attempt)

    async def _defer(self, lease: _Lease, letter: _Letter | None, error: MailDeferred) -> None:
        """Waits longer after every try, with jitter so that many do not come back at once; gives up in the end."""
        if letter is not None:
            limit = self._settings.rate_limits.mails_per_recipient
            await spend(limit, recipient_key(letter.mail.to), now=self._clock(), times=-1)
        if lease.attempt >= _TRIES:
            await self._fail(
                lease, f"{error.reason} Every try was used up; send it again when that is mended.", suppressed=False
            )
            return
        pause = max(_pause_after(lease.attempt), error.retry_after or timedelta(0))
        async with transaction():
            await execute(
                "UPDATE mail_orders SET due_at = $1 WHERE id = $2 AND attempt = $3",
                self._clock() + pause, lease.order_id, lease.attempt,
            )  # fmt: skip
            await execute(
                "UPDATE invitations SET delivery_reason = $1 WHERE id = (SELECT invitation_id FROM mail_orders"
                " WHERE id = $2) AND delivery = 'QUEUED'",
                f"{error.reason} It is tried again by itself."[:500], lease.order_id,
            )  # fmt: skip
        log.warning("mail.deferred", order_id=lease.order_id, attempt=lease.attempt, seconds=int(pause.total_seconds()))


_LETTER_FACTS = """
SELECT o.kind, o.generation AS order_generation, o.created_at AS ordered_at, o.flow_id, o.invitation_id,
    i.community_id, i.email, i.role, i.message, i.locale, i.generation, i.expires_at, i.accepted_at, i.declined_at,
    i.revoked_at, i.superseded_at, c.name AS community_name, c.locale AS community_locale, c.link_minutes,
    v.name AS inviter_name, s.reason AS suppressed, b.id AS block_id
FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id JOIN communities c ON c.id = i.community_id
LEFT JOIN members v ON v.id = i.inviter_id
LEFT JOIN suppressions s ON s.email = i.email
LEFT JOIN blocks b ON b.community_id = i.community_id AND b.email = i.email
WHERE o.id = $1
"""

_SUPPRESSED: Final = (
    "Not sent: this address does not want mail, or mail to it failed before. Ask the person for another address, or the"
    " operator to look at it."
)


def _refuse_pointless(row: dict[str, Any], kind: MailKind, now: datetime) -> None:
    """An invitation that is over, or sent anew since, needs no mail; an address that wants none gets none."""
    if status_of(row, now) is not Status.PENDING or row["generation"] != row["order_generation"]:
        raise _NotAtAll(row)
    asked_for = kind is not MailKind.INVITATION
    unwanted = row["suppressed"] == "unsubscribed" and not asked_for
    undeliverable = row["suppressed"] in {"bounced", "complained"}
    if unwanted or undeliverable or row["block_id"] is not None:
        raise _NotAtAll(row, suppressed=True)


async def _write_delivery(row: dict[str, Any], delivery: str, reason: str, now: datetime) -> None:
    await execute(
        "UPDATE invitations SET delivery = $1, delivery_reason = $2, delivery_at = $3 WHERE id = $4 AND generation = $5",
        delivery, reason[:500], now, row["invitation_id"], row["order_generation"],
    )  # fmt: skip
    kind = "invitation.suppressed" if delivery == "SUPPRESSED" else "invitation.delivery_failed"
    await audit.record(now, audit.Event(kind, row["community_id"], None, row["invitation_id"], {"reason": reason}))
    await announce(Changed(row["community_id"], row["invitation_id"]))


def _pause_after(attempt: int) -> timedelta:
    pause = min(_FIRST_PAUSE * float(2 ** (attempt - 1)), _LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 -- jitter, not a secret


async def _woken(stopping: asyncio.Event, changes: "asyncio.Queue[Changed]") -> None:
    """Waits for a change, the end, or the next poll, whichever comes first."""
    waiting = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(changes.get())]
    await asyncio.wait(waiting, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    while not changes.empty():
        changes.get_nowait()


def _detached(work: Callable[[_Lease], Coroutine[Any, Any, None]], lease: _Lease) -> "asyncio.Task[None]":
    return asyncio.create_task(work(lease), context=contextvars.Context())
