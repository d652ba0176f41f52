"""Deadlines of statements and operations, and disconnected clients, on both engines. Interrupted work is rolled back."""

import asyncio
import gc
import socket as network
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Any

import asyncpg
import orjson
import pytest

from service import database
from tests.conftest import Serve
from tests.support.members import invite_and_join, join_owner
from tests.support.service import INVITE, Browser, Service

pytestmark = pytest.mark.anyio

_SECONDS = 0.5  # the timeout of a statement in these tests
_PATIENCE = 20.0  # seconds, on a busy machine

_SLOW_ON_SQLITE = """
CREATE TRIGGER slow BEFORE INSERT ON invitations WHEN NEW.email LIKE 'slow%' BEGIN
    SELECT count(*) FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000000) SELECT x FROM n);
END
"""
_SLOW_ON_POSTGRES = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON invitations FOR EACH ROW WHEN (NEW.email LIKE 'slow%') EXECUTE FUNCTION slow()
"""


async def make_slow() -> None:
    """Makes the INSERT of an invitation to slow...@example.com take a minute."""
    await database.connection().execute_script(_SLOW_ON_POSTGRES if database.is_postgres() else _SLOW_ON_SQLITE)


async def _facts(community: str) -> list[int]:
    """Returns the numbers of invitations, mail orders and audit events."""
    counts = [
        await database.select(f"SELECT count(*) AS number FROM {table}")  # noqa: S608 -- our own tables
        for table in ("invitations", "mail_orders", "audit_events")
    ]
    assert await database.select("SELECT id FROM communities WHERE id = $1", community)
    return [int(rows[0]["number"]) for rows in counts]


async def test_slow_statement_is_cancelled(serve: Serve) -> None:
    """H205: the answer is TIMEOUT and nothing is written, also after many repetitions. The connections remain usable."""
    async with serve(statement_seconds=_SECONDS) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await make_slow()
        before = await _facts(community)
        for _ in range(2):
            began = perf_counter()
            answers = await asyncio.gather(
                *(
                    owner.post(INVITE, input={"communityId": community, "email": f"slow{number}@example.com"})
                    for number in range(4)
                )
            )
            assert perf_counter() - began < _PATIENCE
            for answer in answers:
                (error,) = orjson.loads(answer.content)["errors"]
                assert (answer.status_code, error["extensions"]["code"]) == (200, "TIMEOUT")
                assert "took too long" in error["message"]
        assert await _facts(community) == before
        assert (await owner.invite(community, "quick@example.com"))["__typename"] == "InviteMemberSuccess"
        assert await service.token_for("quick@example.com")


@asynccontextmanager
async def sent(service: Service, browser: Browser, query: str, **variables: Any) -> AsyncIterator[network.socket]:
    """Sends an operation on a connection and does not read the answer."""
    body = orjson.dumps({"query": query, "variables": variables})
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: localhost\r\norigin: {service.url}\r\ncookie: {cookie}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with network.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(connection, head.encode() + body)
        yield connection


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not await holds():  # noqa: ASYNC110 -- the database has no event for it
            await asyncio.sleep(0.01)


async def _sleeps(watcher: asyncpg.Connection) -> bool:
    """Returns whether PostgreSQL runs the slow statement."""
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    return bool(await watcher.fetchval(asleep))


@pytest.mark.parametrize("engine", ["postgres"])
async def test_disconnecting_cancels_the_statement(serve: Serve, database_url: str) -> None:
    """H205: PostgreSQL's statement is cancelled when its client disconnects. The mutation is rolled back, and the pool
    keeps every connection.
    """
    watcher = await asyncpg.connect(database_url)
    async with serve(statement_seconds=60) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await make_slow()
        before = await _facts(community)
        for _ in range(12):
            expected = {"communityId": community, "email": "slow@example.com"}
            async with sent(service, owner, INVITE, input=expected):
                await _until(lambda: _sleeps(watcher))
            await _until(lambda: _is(_sleeps(watcher), expected=False))
        assert await _facts(community) == before
        assert (await owner.invite(community, "quick@example.com"))["__typename"] == "InviteMemberSuccess"
    await watcher.close()


async def test_client_may_disconnect_at_any_moment(serve: Serve) -> None:
    """H205: an operation ends at every step when its client disconnects. No work remains running or unfinished."""
    query = (
        "query($id: ID!) { community(id: $id) { a: invitationFunnel { invited } invitations(first: 100) { nodes { email"
        " timeline(first: 20) { nodes { summary actor { name } invitation { email } } } community { memberCount } } } } }"
    )
    async with serve() as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await database.execute(_MANY, community, service.clock(), service.clock().replace(year=2999))
        shares = service.app.state.guestlist.shares
        for rounds in (*range(0, 60, 4), *range(60, 600, 36)):
            async with sent(service, owner, query, id=community):
                for _ in range(rounds):
                    await asyncio.sleep(0)
        await _until(lambda: _empty(shares._callers))
        await _until(lambda: _empty(shares._communities))
        gc.collect()
        assert (await owner.ask(query, id=community))["community"]["a"]


async def _is(answer: Awaitable[bool], *, expected: bool) -> bool:
    return await answer is expected


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_disconnecting_frees_the_file(serve: Serve) -> None:
    """H205: SQLite's statement is interrupted when its client disconnects, and the next one runs immediately."""
    async with serve(statement_seconds=60) as service, service.browser() as owner, service.browser() as other:
        community = await join_owner(service, owner)
        await make_slow()
        before = await _facts(community)
        for _ in range(3):
            expected = {"communityId": community, "email": "slow@example.com"}
            async with sent(service, owner, INVITE, input=expected):
                await _until(lambda: _is_held(service))
            began = perf_counter()
            await other.ask("{ viewer { member { id } } }")
            assert perf_counter() - began < _PATIENCE
        assert await _facts(community) == before
        assert (await owner.invite(community, "quick@example.com"))["__typename"] == "InviteMemberSuccess"


async def _is_held(service: Service) -> bool:
    """Returns whether the one connection of the process is in a transaction."""
    client: Any = database.connection()
    return client._connection.in_transaction and service.settings.is_sqlite


@pytest.mark.parametrize("engine", ["postgres"])
async def test_held_lock_delays_one_community_only(serve: Serve, database_url: str) -> None:
    """H206: the four admins of a community wait for its locked row, with more requests than the pool has connections.
    Other members are served. The waiting requests get TIMEOUT and write nothing.
    """
    holder, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serve(statement_seconds=3))
        owner, other, *admins = [await stack.enter_async_context(service.browser()) for _ in range(5)]
        community = await join_owner(service, owner)
        for number, admin in enumerate(admins):
            await invite_and_join(service, owner, admin, f"admin{number}@example.com", "ADMIN")
        await database.execute("UPDATE communities SET seat_limit = 100 WHERE id = $1", community)
        before, lock = await _facts(community), holder.transaction()
        await lock.start()
        await holder.execute("SELECT id FROM communities WHERE id = $1 FOR UPDATE", community)
        waiting = [
            asyncio.create_task(person.post(INVITE, input={"communityId": community, "email": f"g{n}@example.com"}))
            for person in (owner, *admins)
            for n in range(4)
        ]
        await _until(lambda: _waits_for_a_lock(watcher))
        for _ in range(5):
            assert (await other.ask("{ signInOutcome { status } viewer { member { id } } }"))["viewer"] is None
            assert await other.sign_in("stranger@example.com")
        assert not [task for task in waiting if task.done()]
        errors = [orjson.loads((await task).content)["errors"][0] for task in waiting]
        assert {error["extensions"]["code"] for error in errors} == {"TIMEOUT"}
        await lock.rollback()
        assert (await _facts(community))[:2] == before[:2]
        assert (await owner.invite(community, "guest@example.com"))["__typename"] == "InviteMemberSuccess"
    await holder.close()
    await watcher.close()


async def _waits_for_a_lock(watcher: asyncpg.Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(await watcher.fetchval(waiting))


async def test_export_ends_with_its_reader(serve: Serve, engine: str) -> None:
    """H205: a reader who disconnects during an export stops it, and frees its slot."""
    async with serve() as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await database.execute(_MANY, community, service.clock(), service.clock().replace(year=2999))
        callers = service.app.state.guestlist.shares._callers
        with network.socket() as reader:
            reader.setsockopt(network.SOL_SOCKET, network.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
            cookie = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
            head = f"GET /export/{community}/invitations.csv HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n"
            reader.sendall(head.encode())
            await asyncio.to_thread(reader.recv, 100)
            assert len(callers) == 1, engine
        await _until(lambda: _empty(callers))


_MANY = """
INSERT INTO invitations (id, community_id, email, role, generation, created_at, expires_at, delivery, resends, message)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
SELECT 'inv_' || n, $1, 'filler' || n || '@example.com', 'MEMBER', 1, $2, $3, 'SENT', 0,
    '----------------------------------------------------------------------------------------------------' FROM numbers
"""


async def _empty(found: dict[str, Any]) -> bool:
    return not found
