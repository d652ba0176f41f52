"""Workers as real processes on PostgreSQL, killed at every step: no mail is lost, and every mail's link works."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from service import database
from service.addresses import canonical
from service.invitations.links import link_by_token
from service.invitations.operator import create_community_as_operator, invite_owner
from service.settings import Settings, load_settings
from tests.support.mail_servers import Received, SmtpServerOnLoopback, smtp_on_loopback
from tests.support.postgres import PostgresServer, hold_lock
from tests.support.processes import WorkerProcess, environment, wait_until

pytestmark = pytest.mark.anyio

MANY = 1000
STEPS = ("lease", "EHLO", "MAIL", "RCPT", "DATA")
KILLS = 3 * len(STEPS)
_LINK = re.compile(r"/confirm#([A-Za-z0-9_-]{43})")


@dataclass
class Deployment:
    """A database, a mail server and the workers between them."""

    url: str
    smtp: SmtpServerOnLoopback
    settings: Settings
    community_id: str
    workers: list[WorkerProcess] = field(default_factory=list)

    async def start_worker(self) -> WorkerProcess:
        env = environment(
            database_url=self.url, mail_url=f"smtp://127.0.0.1:{self.smtp.port}", mail_from="a@example.com"
        )
        worker = await WorkerProcess.start(env)
        self.workers.append(worker)
        return worker

    async def invite(self, *names: str) -> None:
        async with database.transaction():
            for name in names:
                address = canonical(f"{name}@example.com")
                await invite_owner(self.community_id, address, now=datetime.now(UTC), settings=self.settings)

    async def end_leases(self) -> None:
        """Lets leases end: orders of a dead worker are due again."""
        await database.execute(
            "UPDATE mail_orders SET due_at = $1 WHERE sent_at IS NULL AND due_at > $1", datetime.now(UTC)
        )

    async def unsent(self) -> int:
        rows = await database.select("SELECT count(*) AS orders FROM mail_orders WHERE sent_at IS NULL")
        return int(rows[0]["orders"])

    async def all_sent(self) -> bool:
        return not await self.unsent()

    def mails_to(self, name: str) -> list[Received]:
        return [mail for mail in self.smtp.received if mail.recipients == [f"{name}@example.com"]]


@pytest.fixture
async def deployment(postgres: PostgresServer, postgres_template: str) -> AsyncIterator[Deployment]:
    name = await postgres.copy(postgres_template)
    url = postgres.url_for(name)
    settings = load_settings(environ={}, database_url=url)
    await database.connect(url)
    async with smtp_on_loopback() as smtp:
        owner = canonical("first@example.com")
        community_id = await create_community_as_operator("Yard", owner, now=datetime.now(UTC), settings=settings)
        deployment = Deployment(url, smtp, settings, community_id)
        yield deployment
        for worker in deployment.workers:
            if worker.process.returncode is None:
                await worker.kill()
    await database.disconnect()
    await postgres.drop(name)


async def _link_opens(mail: Received) -> bool:
    """Returns whether the link in a mail can start a flow now."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    found = _LINK.search(body.get_content())
    assert found is not None
    link = await link_by_token(found[1], now=datetime.now(UTC))
    return link is not None and link.is_live(datetime.now(UTC))


async def test_workers_killed_at_random_lose_nothing(
    deployment: Deployment, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Three workers send a thousand invitations through fifteen kill -9, three at each step of a send in random order.
    Every invitation ends as SENT with working links. The test counts repeated mails.
    """
    names = [f"guest{number}" for number in range(MANY)]
    await deployment.invite(*names)
    workers = [await deployment.start_worker() for _ in range(3)]
    for kill, step in enumerate(random.sample(STEPS * 3, KILLS)):
        await wait_until(_received(deployment, (kill + 1) * MANY // (KILLS + 2)), f"enough mails for kill {kill}")
        await wait_until(await _reaches_more(deployment, step, random.randrange(1, 9)), f"a worker at {step}")  # noqa: S311
        victim = random.randrange(3)  # noqa: S311
        await workers[victim].kill()
        await deployment.end_leases()
        workers[victim] = await deployment.start_worker()
    await wait_until(_received(deployment, MANY), "all mails")
    await deployment.end_leases()
    await wait_until(deployment.all_sent, "all orders sent")
    statuses = await database.select("SELECT delivery, count(*) AS rows FROM invitations GROUP BY delivery")
    assert [(row["delivery"], row["rows"]) for row in statuses] == [("SENT", MANY + 1)]
    reached = Counter(mail.recipients[0] for mail in deployment.smtp.received)
    assert set(reached) == {f"{name}@example.com" for name in [*names, "first"]}
    assert all([await _link_opens(mail) for mail in deployment.smtp.received])
    repeated = len(deployment.smtp.received) - len(reached)
    record_testsuite_property(f"mails sent twice, of {MANY}, after {KILLS} kills", repeated)
    print(f"{len(deployment.smtp.received)} mails for {len(reached)} invitations after {KILLS} kills")  # noqa: T201


def _received(deployment: Deployment, number: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return len(deployment.smtp.received) >= number

    return enough


async def _reaches_more(deployment: Deployment, step: str, times: int) -> Callable[[], Awaitable[bool]]:
    """Returns a condition: whether workers start this step a number of times more, as leases or SMTP commands."""

    async def count() -> int:
        if step != "lease":
            return deployment.smtp.reached[step]
        return int((await database.select("SELECT sum(attempt) AS leases FROM mail_orders"))[0]["leases"])

    goal = await count() + times

    async def enough() -> bool:
        return await count() >= goal

    return enough


def _reaches(deployment: Deployment, step: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return deployment.smtp.reached[step] >= count

    return reached


async def test_worker_killed_at_any_step_loses_nothing(deployment: Deployment) -> None:
    """A worker is killed while leasing, composing, at each SMTP command, after the mail was accepted, and while
    recording. The next worker sends the mail, and the link in each mail works.
    """
    worker = await deployment.start_worker()
    await wait_until(deployment.all_sent, "the first mail")
    # Leasing and composing: the transaction waits for a lock.
    for number, table in enumerate(("mail_orders", "links")):
        async with hold_lock(deployment.url, f"LOCK TABLE {table} IN SHARE MODE") as lock:
            ordered = (
                asyncio.create_task(deployment.invite(f"locked{number}"), name=table) if table == "links" else None
            )
            if ordered is None:
                await database.execute("NOTIFY guestlist, 'com_x inv_x'")
            else:
                await ordered
            await wait_until(lock.awaited(), f"a worker at {table}")
            await worker.kill()
        if table == "mail_orders":
            await deployment.invite(f"locked{number}")
        worker = await _next_worker(deployment)
        assert len(deployment.mails_to(f"locked{number}")) == 1
    for step in ("EHLO", "MAIL", "RCPT", "DATA"):
        await _kill_at(deployment, worker, step, "hang")
        worker = await _next_worker(deployment)
        assert len(deployment.mails_to(step.lower())) == 1
    # The server accepted the mail and the worker received no answer. A second mail is better than none.
    await _kill_at(deployment, worker, "DATA", "accept and hang", name="taken")
    worker = await _next_worker(deployment)
    assert len(deployment.mails_to("taken")) == 2
    # Recording waits, so the mail was sent and is not recorded.
    deployment.smtp.orders["DATA"] = "accept and wait"
    await deployment.invite("recorded")
    await wait_until(_reaches(deployment, "DATA", deployment.smtp.reached["DATA"] + 1), "the mail that is not recorded")
    async with hold_lock(deployment.url, "LOCK TABLE mail_orders IN SHARE MODE") as lock:
        deployment.smtp.orders.clear()
        deployment.smtp.released.set()
        await wait_until(lock.awaited(), "a worker that records")
        await worker.kill()
    await _next_worker(deployment)
    assert len(deployment.mails_to("recorded")) == 2
    assert all([await _link_opens(mail) for mail in deployment.smtp.received])


async def _kill_at(
    deployment: Deployment, worker: WorkerProcess, step: Any, order: str, *, name: str | None = None
) -> None:
    deployment.smtp.orders[step] = order
    before = deployment.smtp.reached[step]
    await deployment.invite(name or step.lower())
    await wait_until(_reaches(deployment, step, before + 1), f"a worker at {step}")
    await worker.kill()
    deployment.smtp.orders.clear()


async def _next_worker(deployment: Deployment) -> WorkerProcess:
    worker = await deployment.start_worker()
    await deployment.end_leases()
    await wait_until(deployment.all_sent, "the next worker's mail")
    return worker


async def test_worker_wakes_at_once_and_drains_at_the_end(deployment: Deployment) -> None:
    """An idle worker sends in less than its poll interval. After SIGTERM it finishes the current mail and exits with 0."""
    worker = await deployment.start_worker()
    await wait_until(deployment.all_sent, "the first mail")
    took = [await _time_to_send(deployment, f"quick{number}") for number in range(5)]
    assert min(took) < 0.5, took
    deployment.smtp.orders["DATA"] = "wait"
    before = deployment.smtp.reached["DATA"]
    await deployment.invite("last")
    await wait_until(_reaches(deployment, "DATA", before + 1), "the last mail")
    await worker.terminate()
    await deployment.invite("after")
    deployment.smtp.released.set()
    status, output = await worker.ended()
    assert status == 0, output
    assert len(deployment.mails_to("last")) == 1
    assert deployment.mails_to("after") == []
    assert await deployment.unsent() == 1


async def _time_to_send(deployment: Deployment, name: str) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await deployment.invite(name)
    await wait_until(_received(deployment, len(deployment.smtp.received) + 1), name)
    took = loop.time() - began
    await wait_until(deployment.all_sent, name)
    return took


async def test_broken_connection_causes_no_second_mail(deployment: Deployment) -> None:
    """The worker's connection breaks while it records a sent mail. It records the mail on another connection, and does
    not send it again.
    """
    await deployment.start_worker()
    await wait_until(deployment.all_sent, "the first mail")
    deployment.smtp.orders["DATA"] = "wait"
    await deployment.invite("once")
    await wait_until(_reaches(deployment, "DATA", deployment.smtp.reached["DATA"] + 1), "the mail")
    async with hold_lock(deployment.url, "LOCK TABLE mail_orders IN SHARE MODE") as lock:
        deployment.smtp.released.set()
        await wait_until(lock.awaited(), "a worker that records")
        broken = await database.select(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
        assert broken
    await wait_until(deployment.all_sent, "the record")
    attempts = await database.select("SELECT max(attempt) AS most FROM mail_orders")
    assert (len(deployment.mails_to("once")), attempts[0]["most"]) == (1, 1)


async def _listening_backends() -> set[int]:
    """Returns the server's processes that listen for new orders."""
    rows = await database.select(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
    )
    return {row["pid"] for row in rows}


async def test_worker_listens_again_after_its_connections_broke(deployment: Deployment) -> None:
    """PostgreSQL ends every connection of an idle worker, as a restart does. The worker reconnects, and wakes
    immediately again.
    """
    await deployment.start_worker()
    await wait_until(deployment.all_sent, "the first mail")
    terminated = await _listening_backends()
    await database.select(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )

    async def listens_again() -> bool:
        return bool(await _listening_backends() - terminated)

    await wait_until(listens_again, "a worker that listens again")
    took = [await _time_to_send(deployment, f"again{number}") for number in range(5)]
    assert min(took) < 0.5, took
