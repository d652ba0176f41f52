"""Rate limits, counted in the database and shared by all processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

from service import audit
from service.addresses import Address, mailbox_of
from service.database import Params, Statement, execute, select, select_each
from service.errors import RateLimited
from service.languages import Sentence
from service.models import MailKind
from service.settings import RateLimit, RateLimits
from service.tokens import digest_of

_COUNT = """
INSERT INTO counters (key, started_at, count) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN counters.started_at <= $4 THEN $3 ELSE counters.count + $3 END,
    started_at = CASE WHEN counters.started_at <= $4 THEN $2 ELSE counters.started_at END
RETURNING count, started_at
"""


async def spend(limit: RateLimit | None, key: str, *, now: datetime, times: int = 1) -> timedelta | None:
    """Counts, and returns None within the limit or the time until the end of the period. `limit` None counts nothing.

    A period begins with its first count. Counts above the limit never lengthen it.
    """
    if limit is None:
        return None
    row = (await select(_COUNT, key, now, times, now - limit.period))[0]
    return None if row["count"] <= limit.count else row["started_at"] + limit.period - now


async def spend_up_to(limit: RateLimit | None, key: str, *, now: datetime, times: int) -> tuple[int, timedelta]:
    """Counts as many of `times` as the limit allows. Returns their number and the time until the end of the period."""
    if limit is None or times == 0:
        return times, timedelta(0)
    row = (await select(_COUNT, key, now, times, now - limit.period))[0]
    over = min(times, max(0, row["count"] - limit.count))
    if over:
        await select(_COUNT, key, now, -over, now - limit.period)
    return times - over, row["started_at"] + limit.period - now


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit, the key of its counter, and the sentence for a caller who exceeds it."""

    limit: RateLimit | None
    key: str
    reason: Sentence


@dataclass(frozen=True, slots=True)
class Remainder:
    """How often a limit still allows, and the end of its period, which begins with the first count. None without a limit."""

    count: int | None
    resets_at: datetime | None = None


async def remainders(allowances: Sequence[Allowance], *, now: datetime) -> dict[str, Remainder]:
    """The remainder of each limit by the key of its counter, in one statement. Counts nothing."""
    params = Params()
    marks = params.add_all({allowance.key for allowance in allowances if allowance.limit is not None})
    sql = f"SELECT key, started_at, count FROM counters WHERE key IN ({marks})"  # noqa: S608 -- placeholders
    rows = {row["key"]: row for row in await select(sql, *params.values)} if marks else {}
    return {of.key: _remainder(of.limit, rows.get(of.key), now) for of in allowances}


def _remainder(limit: RateLimit | None, row: dict[str, Any] | None, now: datetime) -> Remainder:
    if limit is None:
        return Remainder(None)
    if row is None or row["started_at"] <= now - limit.period:
        return Remainder(limit.count, now + limit.period)
    return Remainder(max(0, limit.count - row["count"]), row["started_at"] + limit.period)


async def refuse_over_any(*allowances: Allowance, now: datetime, times: int = 1) -> None:
    """Counts for several limits in one batch, and raises RateLimited for the first limit that is exceeded."""
    counted = [(allowance, allowance.limit) for allowance in allowances if allowance.limit is not None]
    rows = await select_each(*(Statement(_COUNT, (of.key, now, times, now - limit.period)) for of, limit in counted))
    for (of, limit), row in zip(counted, rows, strict=True):
        if row["count"] > limit.count:
            raise RateLimited(of.reason, row["started_at"] + limit.period - now)


async def refuse_over(limit: RateLimit | None, key: str, reason: Sentence, *, now: datetime, times: int = 1) -> None:
    """Counts, and raises RateLimited when the limit is exceeded."""
    wait = await spend(limit, key, now=now, times=times)
    if wait is not None:
        raise RateLimited(reason, wait)


@asynccontextmanager
async def audited(
    community_id: str, actor_id: str | None, *, invitation_id: str | None = None, rows: int = 1, now: datetime
) -> AsyncIterator[None]:
    """Records an audit event when a limit refuses the block (H135), after the block's transaction has rolled back."""
    try:
        yield
    except RateLimited as limited:
        await audit.record(
            now, rate_limited_event(limited, community_id, actor_id, invitation_id=invitation_id, rows=rows)
        )
        raise


def rate_limited_event(
    limited: RateLimited, community_id: str, actor_id: str | None, *, invitation_id: str | None = None, rows: int = 1
) -> audit.Event:
    """Returns the audit event of a request that exceeded a limit."""
    details = {"reason": limited.sentence.code, "rows": str(rows)}
    return audit.Event("invitation.rate_limited", community_id, actor_id, invitation_id, details)


def client_key(client: str) -> str:
    """Returns the key of a client address. IPv6 is counted by its /64, because one subscriber has all of it."""
    try:
        address = ip_address(client)
    except ValueError:
        return f"client:{client[:64]}"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"client:{address.ipv4_mapped}"
        return f"client:{IPv6Address(int(address) >> 64 << 64)}/64"
    return f"client:{address}"


# ------------------------------------------------------------------------------------------------- mails to one mailbox


@dataclass(frozen=True, slots=True)
class Recipient:
    """A mailbox as the limits count it: mails of one kind, from one community and from all communities.

    Each kind has its own counters. Any holder of an expired link can request fresh links, and these must not delay an
    admin's resend or a code.
    """

    address: Address
    kind: MailKind
    community_id: str

    @property
    def overall_key(self) -> str:
        return f"{recipient_key(self.address)}:{self.kind}"

    @property
    def community_key(self) -> str:
        return f"{self.overall_key}:{self.community_id}"


async def spend_mail(limits: RateLimits, to: Recipient, *, now: datetime) -> timedelta | None:
    """Counts a mail, and returns None when it may be sent, or the time to wait.

    The limit of the community is counted first. A mail above it is not counted across communities, so that one community
    cannot exhaust the limit of another.
    """
    wait = await spend(limits.mails_per_recipient, to.community_key, now=now)
    if wait is not None:
        return wait
    wait = await spend(limits.mails_per_recipient_overall, to.overall_key, now=now)
    if wait is not None:
        await spend(limits.mails_per_recipient, to.community_key, now=now, times=-1)
    return wait


async def unspend_mail(limits: RateLimits, to: Recipient, *, now: datetime) -> None:
    """Reverts the count of a mail that was not sent."""
    await spend(limits.mails_per_recipient, to.community_key, now=now, times=-1)
    await spend(limits.mails_per_recipient_overall, to.overall_key, now=now, times=-1)


async def forget_recipient(address: Address) -> None:
    """Deletes every counter of the mails to this mailbox."""
    await execute("DELETE FROM counters WHERE key LIKE $1", f"{recipient_key(address)}:%")


def recipient_key(address: Address) -> str:
    """Returns the prefix of the counters of a mailbox. Tags after a plus sign do not change it."""
    return f"recipient:{digest_of(mailbox_of(address))}"
