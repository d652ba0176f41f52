"""Pace: how many mails a second leave altogether, kept in the database so that several workers share one rate.

One row holds the instant from which the next mail may leave. Whoever is about to send takes the next places in that
queue; a mail service that asks for fewer mails moves the instant for everybody.
"""

from datetime import datetime, timedelta
from typing import Final

from service.database import execute, select, transaction

_KEY: Final = "pace:mail"


async def reserve(mails: int, *, rate: float | None, now: datetime) -> list[timedelta]:
    """How long each of so many mails waits for its turn, at `rate` mails a second; None: only while everybody rests."""
    if rate is None:
        rows = await select("SELECT started_at FROM counters WHERE key = $1", _KEY)
        wait = max(rows[0]["started_at"] - now, timedelta(0)) if rows else timedelta(0)
        return [wait] * mails
    step = timedelta(seconds=1 / rate)
    async with transaction():
        first = await _next_turn(now)
        await execute("UPDATE counters SET started_at = $1 WHERE key = $2", first + step * mails, _KEY)
    return [first - now + step * turn for turn in range(mails)]


async def rest(until: datetime, *, now: datetime) -> None:
    """Lets no mail leave before an instant."""
    async with transaction():
        if await _next_turn(now) < until:
            await execute("UPDATE counters SET started_at = $1 WHERE key = $2", until, _KEY)


async def _next_turn(now: datetime) -> datetime:
    """The instant from which the next mail may leave; its row is held until the transaction ends."""
    await execute(
        "INSERT INTO counters (key, started_at, count) VALUES ($1, $2, 0) ON CONFLICT (key) DO NOTHING", _KEY, now
    )
    rows = await select("SELECT started_at FROM counters WHERE key = $1 FOR UPDATE", _KEY)
    turn: datetime = rows[0]["started_at"]
    return max(now, turn)
