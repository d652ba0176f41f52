"""The send rate: how many mails a second all workers send together.

Workers reserve send slots by advancing one shared timestamp in the database. Throttling by the mail service pushes it back
for all workers.
"""

from datetime import datetime, timedelta
from typing import Final

from service.database import execute, select, transaction

_KEY: Final = "pace:mail"


async def reserve(mails: int, *, rate: float | None, now: datetime) -> list[timedelta]:
    """Reserves send slots at `rate` mails a second. Returns the wait before each; without a rate, only pauses count."""
    if rate is None:
        rows = await select("SELECT started_at FROM counters WHERE key = $1", _KEY)
        wait = max(rows[0]["started_at"] - now, timedelta(0)) if rows else timedelta(0)
        return [wait] * mails
    step = timedelta(seconds=1 / rate)
    async with transaction():
        first = await _lock_next_slot(now)
        await execute("UPDATE counters SET started_at = $1 WHERE key = $2", first + step * mails, _KEY)
    return [first - now + step * slot for slot in range(mails)]


async def pause_until(instant: datetime, *, now: datetime) -> None:
    """Pauses all mail until an instant, unless a longer pause is set."""
    async with transaction():
        if await _lock_next_slot(now) < instant:
            await execute("UPDATE counters SET started_at = $1 WHERE key = $2", instant, _KEY)


async def _lock_next_slot(now: datetime) -> datetime:
    """Returns the instant of the next free slot, and locks its row until the transaction ends."""
    await execute(
        "INSERT INTO counters (key, started_at, count) VALUES ($1, $2, 0) ON CONFLICT (key) DO NOTHING", _KEY, now
    )
    rows = await select("SELECT started_at FROM counters WHERE key = $1 FOR UPDATE", _KEY)
    slot: datetime = rows[0]["started_at"]
    return max(now, slot)
