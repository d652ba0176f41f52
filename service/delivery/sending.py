"""One attempt to send the mail of an order: compose, hand over, record, or retry later.

A crash at any point loses nothing. The lease expires, and the next attempt creates a new link.
"""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from service import metrics
from service.clock import Clock
from service.database import transaction
from service.delivery import invitation_mails, notices
from service.delivery.errors import LeaseLost, NothingToSend, RecipientLimited
from service.delivery.invitation_mails import InvitationOrder
from service.delivery.leases import Lease
from service.delivery.notices import NoticeOrder
from service.languages import Sentence
from service.limits import spend_mail, unspend_mail
from service.mail import send_rate, suppression
from service.mail.errors import MailDeferred, MailRefused
from service.mail.message import Mail
from service.mail.reasons import delivery_reason, with_next_step
from service.mail.senders import MailSender
from service.mail.suppression import SUPPRESSED
from service.models import Delivery, MailKind
from service.settings import Settings

log = structlog.get_logger()

_HAND_OVER_SECONDS: Final = 100.0  # less than a lease
_FIRST_PAUSE: Final = timedelta(seconds=10)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_TRIES: Final = 54  # about two days with the pauses: a mail server that fails on Friday night is repaired on Sunday
_RECORD_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds; longer than a restart of the database
_LONGEST_THROTTLE: Final = timedelta(seconds=30)

_FAULT: Final = delivery_reason("MAIL_FAULT")

Order = InvitationOrder | NoticeOrder


@dataclass(frozen=True, slots=True)
class _Composed:
    """A mail ready to be sent, and its order."""

    mail: Mail
    order: Order


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send the mail of a leased order."""

    lease: Lease
    settings: Settings
    sender: MailSender
    clock: Clock

    async def run(self) -> None:
        """Sends the mail and records the outcome."""
        composed: _Composed | None = None
        try:
            async with transaction():
                composed = await self._compose()
            message_id = await self._hand_over(composed.mail)
        except LeaseLost:
            log.info("mail.lease_lost", order_id=self.lease.order_id)
        except RecipientLimited as error:
            _count_mail("unknown", "postponed")
            await self.postpone(error.wait)
        except NothingToSend as error:
            await self._cancel(suppressed=error.suppressed)
        except MailDeferred as error:
            await self._defer(composed, error)
        except MailRefused as error:
            await self._fail(error.reason, suppressed=error.suppressed)
        except Exception:
            # Deferring bounds the number of tries, and shows the admin that the mail is stuck.
            log.exception("mail.attempt_failed", order_id=self.lease.order_id)
            await self._defer(composed, MailDeferred(_FAULT))
        else:
            await self._record(composed.order, message_id)

    async def postpone(self, wait: timedelta) -> None:
        """Makes the order due again after a wait, without counting a try."""
        await self.lease.postpone(self.clock() + wait)

    # ----------------------------------------------------------------------------------------- compose and hand over

    async def _compose(self) -> _Composed:
        """Creates the link or the code, and the mail around it. Only this mail contains the plain token."""
        now = self.clock()
        # The wait for the send slot may have consumed most of the lease.
        if not await self.lease.renew(now=now):
            raise LeaseLost
        order = await self._order(now)
        order.refuse_pointless()
        wait = await spend_mail(self.settings.rate_limits, order.recipient, now=now)
        if wait is not None:
            raise RecipientLimited(wait)
        return _Composed(await order.compose(self.settings, now=now), order)

    async def _order(self, now: datetime) -> Order:
        if self.lease.kind is MailKind.NOTICE:
            return await notices.read_order(self.lease.order_id)
        return await invitation_mails.read_order(self.lease.order_id, now=now)

    async def _hand_over(self, mail: Mail) -> str:
        try:
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                return await self.sender.send(mail)
        except TimeoutError:
            raise MailDeferred(delivery_reason("MAIL_SERVICE_SILENT")) from None

    # ---------------------------------------------------------------------------------------------------- record

    async def _record(self, order: Order, message_id: str) -> None:
        """Retries recording while the database is unavailable: an unrecorded mail would be sent again."""
        for pause in _RECORD_PAUSES:
            try:
                await self._complete(order, message_id)
            except Exception:
                log.exception("mail.not_recorded_yet", order_id=self.lease.order_id)
                await asyncio.sleep(pause)
            else:
                return
        await self._complete(order, message_id)

    async def _complete(self, order: Order, message_id: str) -> None:
        now, lease = self.clock(), self.lease
        async with transaction():
            completion = await lease.complete(message_id, now=now)
            if completion is not None:
                await order.record_sent(now=now, reported=completion.reported)
        _count_mail(lease.kind, "sent" if completion else "sent_twice")
        log.info(
            "mail.sent",
            order_id=lease.order_id,
            kind=lease.kind,
            attempt=lease.attempt,
            recorded=completion is not None,
        )

    async def _cancel(self, *, suppressed: bool) -> None:
        now = self.clock()
        async with transaction():
            if await self.lease.cancel(now=now) and suppressed:
                order = await self._order(now)
                await order.record_failed(Delivery.SUPPRESSED, SUPPRESSED, now=now)
        _count_mail(self.lease.kind, "suppressed" if suppressed else "cancelled")

    async def _fail(self, reason: Sentence, *, suppressed: bool) -> None:
        """Ends the order as FAILED or SUPPRESSED. An address that the mail service suppresses joins our list."""
        now = self.clock()
        async with transaction():
            if not await self.lease.fail(now=now):  # another worker has leased the order, or it was erased
                return
            order = await self._order(now)
            if suppressed:
                if order.email is not None:
                    await suppression.add(order.email, suppression.Reason.BOUNCED, now=now)
                await order.record_failed(Delivery.SUPPRESSED, SUPPRESSED, now=now)
            else:
                await order.record_failed(Delivery.FAILED, reason, now=now)
        _count_mail(self.lease.kind, "suppressed" if suppressed else "failed")
        log.warning("mail.failed", order_id=self.lease.order_id, attempt=self.lease.attempt, tries=self.lease.tries + 1)

    # ----------------------------------------------------------------------------------------------------- retry

    async def _defer(self, composed: _Composed | None, error: MailDeferred) -> None:
        """Makes the order due after a pause that doubles with every try, or fails it after the last.

        A mail service that throttles pauses all mails, and no try is counted.
        """
        now = self.clock()
        if composed is not None:
            await unspend_mail(self.settings.rate_limits, composed.order.recipient, now=now)
        if error.throttled:
            pause = min(error.retry_after or _FIRST_PAUSE, _LONGEST_THROTTLE)
            await send_rate.pause_until(now + pause, now=now)
        elif self.lease.tries + 1 >= _TRIES:
            await self._fail(with_next_step(error.reason, "gave_up"), suppressed=False)
            return
        pause = _pause_before_retry(self.lease, error)
        await self._write_deferral(error, now + pause)
        _count_mail(self.lease.kind if composed else "unknown", "throttled" if error.throttled else "deferred")
        log.warning(
            "mail.deferred", order_id=self.lease.order_id, tries=self.lease.tries, seconds=int(pause.total_seconds())
        )

    async def _write_deferral(self, error: MailDeferred, due_at: datetime) -> None:
        async with transaction():
            defer = self.lease.postpone if error.throttled else self.lease.retry
            if await defer(due_at) and self.lease.kind is not MailKind.NOTICE:
                await invitation_mails.show_deferral(self.lease.order_id, with_next_step(error.reason, "retry"))


def _pause_before_retry(lease: Lease, error: MailDeferred) -> timedelta:
    return max(_backoff(lease.attempt if error.throttled else lease.tries), error.retry_after or timedelta(0))


def _backoff(tries: int) -> timedelta:
    """Doubles ten seconds with each try, up to an hour. Jitter of a quarter spreads the retries."""
    pause = min(_FIRST_PAUSE * float(2 ** min(tries, 20)), _LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 -- jitter, not a secret


def _count_mail(kind: str, outcome: str) -> None:
    metrics.mails.labels(kind, outcome).inc()
