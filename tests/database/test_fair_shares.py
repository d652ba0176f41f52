"""Fair shares: the load of one member or tenant has little effect on others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter

import orjson
import pytest

from service import database
from service.database.shares import MOST_RUNNING, MOST_WAITING
from tests.conftest import Serve
from tests.database.test_deadlines import make_slow, sent
from tests.support.members import invite_and_join, join_owner
from tests.support.service import INVITE, Browser, Service

pytestmark = pytest.mark.anyio

_FILL = """
INSERT INTO invitations (id, community_id, email, role, generation, created_at, expires_at, delivery, resends, message)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
SELECT 'inv_' || n, $1, 'filler' || n || '@example.com', 'MEMBER', 1, $2, $3, 'SENT', 0, 'Hello' FROM numbers
"""
_TELL = """
INSERT INTO audit_events (id, kind, at, community_id, invitation_id, details)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
SELECT 'evt_' || n, 'invitation.sent', $2, $1, 'inv_' || (n / 50), '{}' FROM numbers
"""
_PAGE = (
    "invitations(first: 100) { totalCount nodes { id email role message status delivery createdAt expiresAt canResend"
    " inviter { name email } timeline { nodes { id kind summary } } } }"
)
_LOAD = f"""query($id: ID!) {{ community(id: $id) {{ invitationCounts {{ pending }} one: {_PAGE} two: {_PAGE} three: {_PAGE}
  {" ".join(f"f{weeks}: invitationFunnel(weeks: {weeks}) {{ invited }}" for weeks in range(17, 27))} }} }}"""


async def _fill(community: str, service: Service) -> None:
    now = service.clock()
    await database.execute(_FILL, community, now, now.replace(year=2999))
    await database.execute(_TELL, community, now)


async def _ask_on(service: Service, browser: Browser, body: bytes) -> AsyncIterator[int]:
    """Repeats an operation on one connection and skips the bodies of the answers. Returns the statuses."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: localhost\r\norigin: {service.url}\r\ncookie: {cookie}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]), limit=2**24)
    try:
        while True:
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(line for line in answer.lower().split("\r\n") if line.startswith("content-length:"))
            await reader.readexactly(int(length.split(":")[1]))
            yield int(answer.split(" ")[1])
    finally:
        writer.close()


@asynccontextmanager
async def _loading(service: Service, browser: Browser, community: str, *, at_once: int) -> AsyncIterator[list[int]]:
    """Keeps a number of concurrent operations running, each as expensive as the limits allow. Returns the statuses."""
    statuses: list[int] = []
    body = orjson.dumps({"query": _LOAD, "variables": {"id": community}})

    async def ask_again_and_again() -> None:
        async for status in _ask_on(service, browser, body):
            statuses.append(status)  # noqa: PERF401 -- it never ends

    asking = [asyncio.create_task(ask_again_and_again()) for _ in range(at_once)]
    try:
        async with asyncio.timeout(60):
            while not statuses:  # noqa: ASYNC110 -- until the first of them is answered
                await asyncio.sleep(0.01)
        yield statuses
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def _median(browser: Browser, number: int) -> float:
    """Returns the median duration of several small queries in seconds."""
    taken = []
    for _ in range(number):
        began = perf_counter()
        assert (await browser.ask("{ viewer { member { email } } }"))["viewer"]
        taken.append(perf_counter() - began)
    return sorted(taken)[number // 2]


async def test_load_of_one_member_keeps_the_latency_of_others(serve: Serve) -> None:
    """H206: while one member runs forty of the most expensive operations, another member's small query takes only
    little longer.
    """
    async with serve() as service, service.browser() as owner, service.browser() as other:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, other, "other@example.com")
        await _fill(community, service)
        before = await _median(other, 21)
        async with _loading(service, owner, community, at_once=40) as statuses:
            busy = await _median(other, 21)
        after = await _median(other, 21)
        assert set(statuses) == {200}
        assert busy < max(25 * before, 25 * after, 0.1), (before, busy, after)


@pytest.mark.parametrize("engine", ["postgres"])
async def test_queue_of_a_member_is_bounded(serve: Serve) -> None:
    """H206: a member with too many concurrent requests is refused, and nothing is written. After these end, requests
    succeed.
    """
    async with serve(statement_seconds=60) as service, service.browser() as owner, service.browser() as other:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, other, "other@example.com")
        await make_slow()
        async with AsyncExitStack() as waiting:
            for _ in range(MOST_RUNNING + MOST_WAITING):
                expected = {"communityId": community, "email": "slow@example.com"}
                await waiting.enter_async_context(sent(service, owner, INVITE, input=expected))
            async with asyncio.timeout(20):
                while _on_their_way(service) < MOST_RUNNING + MOST_WAITING:  # noqa: ASYNC110 -- there is no event for it
                    await asyncio.sleep(0.01)
            refused = await owner.post(INVITE, input={"communityId": community, "email": "quick@example.com"})
            (error,) = orjson.loads(refused.content)["errors"]
            assert (refused.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
            assert "too many requests" in error["message"]
        assert await other.viewer_email() == "other@example.com"
        assert await database.select("SELECT id FROM invitations WHERE email LIKE '%ick@example.com'") == []
        assert (await owner.invite(community, "quick@example.com"))["__typename"] == "InviteMemberSuccess"


def _on_their_way(service: Service) -> int:
    """Returns the largest number of running operations of a caller."""
    return max((each.running.users for each in service.app.state.guestlist.shares._callers.values()), default=0)
