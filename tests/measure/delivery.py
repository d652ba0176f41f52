"""Measures the mails per second that a worker sends to a local SMTP server: `python -m tests.measure.delivery [MAILS]
[WORKERS]`.

PostgreSQL, the workers and the mail server run on this machine, so the figures contain no network. docs/performance.md
has them.
"""

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from service import database
from service.addresses import canonical
from service.invitations.operator import create_community_as_operator, invite_owner
from service.settings import load_settings
from tests.support.mail_servers import smtp_on_loopback
from tests.support.postgres import PostgresServer, start_server
from tests.support.processes import WorkerProcess, environment, wait_until


async def measure(server: PostgresServer, mails: int, workers: int) -> tuple[float, float]:
    """Mails per second, from the first recorded mail to the last, and the workers' processor seconds per mail."""
    await server.create("measured")
    url = server.url_for("measured")
    await database.connect(url)
    await database.migrate(url)
    async with smtp_on_loopback() as smtp:
        await _invite(mails, url)
        env = environment(
            database_url=url, mail_url=f"smtp://127.0.0.1:{smtp.port}", mail_from="a@example.com", log_level="warning"
        )
        running = [await WorkerProcess.start(env) for _ in range(workers)]
        await wait_until(_sent_at_least(1), "the first mail", seconds=60)
        began, already = asyncio.get_running_loop().time(), await _sent()
        await wait_until(_sent_at_least(mails), "all mails", seconds=600)
        took = asyncio.get_running_loop().time() - began
        for worker in running:
            await worker.terminate()
            await worker.ended()
    await database.disconnect()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (mails - already) / took, (used.ru_utime + used.ru_stime) / mails


async def _invite(mails: int, url: str) -> None:
    settings = load_settings(environ={}, database_url=url)
    now = datetime.now(UTC)
    owner = canonical("first@example.com")
    async with database.transaction():
        community_id = await create_community_as_operator("Measured", owner, now=now, settings=settings)
        for number in range(mails - 1):
            address = canonical(f"guest{number}@example.com")
            await invite_owner(community_id, address, now=now, settings=settings)


async def _sent() -> int:
    rows = await database.select("SELECT count(*) AS mails FROM mail_orders WHERE sent_at IS NOT NULL")
    return int(rows[0]["mails"])


def _sent_at_least(mails: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        await asyncio.sleep(0.1)
        return await _sent() >= mails

    return enough


def main() -> None:
    mails, workers = (int(values) for values in (sys.argv[1:] + ["1000", "1"][len(sys.argv) - 1 :])[:2])
    server = start_server()
    try:
        rate, seconds = asyncio.run(measure(PostgresServer(server.url), mails, workers))
    finally:
        server.stop()
    print(  # noqa: T201
        f"{mails} mails, {workers} workers: {rate:.0f} mails a second, {seconds * 1000:.1f} ms of processor time a mail"
        " (the start of the workers included)"
    )


if __name__ == "__main__":
    main()
