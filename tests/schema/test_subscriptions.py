"""Subscriptions over WebSocket and server-sent events: their events, recipients, duration and limits."""

import asyncio
import logging
import socket as network
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from time import perf_counter
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from schema.subscription_transport import MOST_OF_MEMBER, MOST_ON_SOCKET, MOST_WAITING, MOST_WAITING_OF_CLIENT
from service import database, logs
from service.changes import Hub, Watch, dispatch_payload
from tests.accounts.test_access_tokens import CREATE
from tests.conftest import Serve
from tests.invitations.test_invite_many import INVITE_MANY
from tests.support.members import invite_and_join, join_owner, listeners, subscription_started
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

CHANGED = """
subscription($id: ID!) { invitationChanged(communityId: $id) { email status delivery community { memberCount } } }
"""
WITHIN = 5.0  # seconds, the limit of the contract
PATIENCE = 20.0  # seconds, for steps without their own limit


@asynccontextmanager
async def _socket(
    service: Service, browser: Browser | None = None, *, greet: bool = True, token: str | None = None,
    sock: network.socket | None = None, **headers: str,
) -> AsyncIterator[ClientConnection]:  # fmt: skip
    """A WebSocket as a page opens it: with the browser's cookies and its origin."""
    arguments = {"origin": service.url} if browser is not None else {}
    if browser is not None:
        arguments["cookie"] = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    url = service.url.replace("http", "ws", 1) + "/graphql"
    async with connect(
        url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=arguments | headers,
        compression=None, close_timeout=1, sock=sock,
    ) as socket:  # fmt: skip
        if greet:
            payload = {} if token is None else {"payload": {"authorization": f"Bearer {token}"}}
            await _say(socket, {"type": "connection_init", **payload})
            assert await _hear(socket) == {"type": "connection_ack"}
        yield socket


async def _say(socket: ClientConnection, message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def _hear(socket: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(socket.recv(), PATIENCE))


async def _subscribe(socket: ClientConnection, community: str, name: str = "1") -> None:
    before = listeners(community)
    await _say(socket, {"type": "subscribe", "id": name, "payload": {"query": CHANGED, "variables": {"id": community}}})
    await subscription_started(community, before)


async def _heard_of(socket: ClientConnection, email: str, **facts: str) -> None:
    """Receives changes until one of this address has these facts."""
    while True:
        message = await _hear(socket)
        assert message["type"] == "next", message
        reported = message["payload"]["data"]["invitationChanged"]
        if reported["email"] == email and facts.items() <= reported.items():
            return


async def _close_code(socket: ClientConnection) -> int:
    try:
        while True:
            await asyncio.wait_for(socket.recv(), PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 0


async def test_every_change_is_sent_over_a_websocket(service: Service) -> None:
    """Created, sent and accepted arrive, of this community only, until complete, and then no further event."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        made = (
            'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
        )
        other = (await owner.ask(made))["createCommunity"]["community"]["id"]
        async with _socket(service, owner) as socket:
            await _subscribe(socket, community)
            await owner.invite(other, "other@example.com")
            await invite_and_join(service, owner, guest, "guest@example.com")
            await _heard_of(socket, "guest@example.com", status="ACCEPTED", delivery="SENT")
            await _say(socket, {"type": "complete", "id": "1"})
            await _subscribe(socket, other, "2")
            await owner.invite(community, "more@example.com")
            await owner.invite(other, "late@example.com")
            message = await _hear(socket)
            assert (message["id"], message["payload"]["data"]["invitationChanged"]["email"]) == (
                "2",
                "late@example.com",
            )


async def test_every_change_is_sent_over_server_sent_events(service: Service) -> None:
    """The response to a POST that accepts text/event-stream contains the change as an event. Without that header, it is
    an error in words.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        body = {"query": CHANGED, "variables": {"id": community}}
        assert (await owner.client.post("/graphql", json=body)).status_code == 400
        headers, before = {"accept": "text/event-stream"}, listeners(community)
        async with owner.client.stream("POST", "/graphql", json=body, headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            await subscription_started(community, before)
            await owner.invite(community, "guest@example.com")
            lines = response.aiter_lines()
            assert await asyncio.wait_for(anext(lines), PATIENCE) == "event: next"
            data = orjson.loads((await anext(lines)).removeprefix("data: "))
            assert data["data"]["invitationChanged"]["email"] == "guest@example.com"
        plain = await owner.client.post("/graphql", json={"query": "{ providers { id } }"}, headers=headers)
        assert plain.json()["data"]["providers"][0]["id"] == "dev"


@pytest.mark.parametrize("engine", ["postgres"])
async def test_possibly_missed_events_are_reported(service: Service) -> None:
    """When the service's connection for events breaks, a subscription ends with LOST, and a new one receives events
    again.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        async with _socket(service, owner) as socket:
            await _subscribe(socket, community)
            ended = await database.select(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND query ILIKE 'LISTEN%' AND pid <> pg_backend_pid()"
            )
            assert len(ended) == 1
            message = await _hear(socket)
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "LOST")
            await _subscribe(socket, community, "2")
            await owner.invite(community, "guest@example.com")
            await _heard_of(socket, "guest@example.com")


async def test_lost_right_ends_the_subscription(service: Service) -> None:
    """H162: a removed admin, a demoted one and an ended session are disconnected within five seconds, and receive
    nothing in between.
    """
    async with service.browser() as owner, service.browser() as removed, service.browser() as lowered:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, removed, "removed@example.com", "ADMIN")
        other = await invite_and_join(service, owner, lowered, "lowered@example.com", "ADMIN")
        async with (
            _socket(service, removed) as first, _socket(service, lowered) as second, _socket(service, owner) as third,
        ):  # fmt: skip
            for socket in (first, second, third):
                await _subscribe(socket, community)
            await owner.do("removeMember", membershipId=access)
            await owner.do("changeRole", membershipId=other, role="MEMBER")
            await owner.invite(community, "secret@example.com")
            await _heard_of(third, "secret@example.com")
            await owner.do("signOut")
            async with asyncio.timeout(WITHIN):
                for socket in (first, second, third):
                    message = await _hear(socket)
                    assert message["type"] == "error", message
                    assert "secret" not in str(message)
                assert await _close_code(third) == 4401


async def test_websocket_rejects_bad_origin_session_or_protocol(service: Service) -> None:
    """H160, H161: no foreign origin, no session, no other protocol, no subscribe before connection_init, no nonsense."""
    async with service.browser() as owner, service.browser() as stranger:
        community = await join_owner(service, owner)
        with pytest.raises(InvalidStatus) as refused:
            async with _socket(service, owner, greet=False, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with _socket(service, stranger, greet=False) as socket:
            await _say(socket, {"type": "connection_init"})
            assert await _close_code(socket) == 4401
        async with _socket(service, owner, greet=False) as socket:
            await _say(socket, {"type": "subscribe", "id": "1", "payload": {"query": CHANGED}})
            assert await _close_code(socket) == 4401
        for message, code in (
            ("no json", 4400), ({"type": "start"}, 4400), ({"type": "connection_init"}, 4429),
            ({"type": "subscribe", "id": "1", "payload": {"query": 1}}, 4400),
        ):  # fmt: skip
            async with _socket(service, owner) as socket:
                await _say(socket, message)
                assert await _close_code(socket) == code
        url = service.url.replace("http", "ws", 1) + "/graphql"
        async with connect(url, subprotocols=["graphql-ws"], additional_headers={"origin": service.url}) as legacy:  # type: ignore[list-item]
            assert await _close_code(legacy) == 4406
        async with _socket(service, owner) as socket:
            await _subscribe(socket, community)
            await _say(
                socket, {"type": "subscribe", "id": "1", "payload": {"query": CHANGED, "variables": {"id": community}}}
            )
            assert await _close_code(socket) == 4409


async def test_only_admins_and_only_subscriptions(service: Service) -> None:
    """A member, another community's admin and a mutation get an error and no event. The errors do not distinguish them."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        async with _socket(service, guest) as socket:
            output = set()
            for number, expected in enumerate((community, "com_AAAAAAAAAAAAAAAAAAAAAA", "x")):
                payload = {"query": CHANGED, "variables": {"id": expected}}
                await _say(socket, {"type": "subscribe", "id": str(number), "payload": payload})
                message = await _hear(socket)
                assert message["type"] == "error"
                output.add(message["payload"][0]["message"])
            assert len(output) == 1
            payload = {"query": "mutation { signOut { __typename } }"}
            await _say(socket, {"type": "subscribe", "id": "m", "payload": payload})
            assert (await _hear(socket))["type"] == "error"
        assert await guest.viewer_email() == "guest@example.com"


async def test_live_connections_are_limited(service: Service) -> None:
    """H163: subscriptions on one socket, and sockets of one member, are limited. A freed slot can be used again."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        async with _socket(service, owner) as socket:
            payload = {"query": CHANGED, "variables": {"id": community}}
            for number in range(MOST_ON_SOCKET + 1):
                await _say(socket, {"type": "subscribe", "id": str(number), "payload": payload})
            assert await _close_code(socket) == 4429
        sockets = [_socket(service, owner) for _ in range(MOST_OF_MEMBER)]
        for opened in sockets:
            await opened.__aenter__()
        async with _socket(service, owner, greet=False) as one_more:
            await _say(one_more, {"type": "connection_init"})
            assert await _close_code(one_more) == 4429
        body = {"query": CHANGED, "variables": {"id": community}}
        refused = await owner.client.post("/graphql", json=body, headers={"accept": "text/event-stream"})
        assert refused.status_code == 429
        for opened in sockets:
            await opened.__aexit__(None, None, None)
        async with _socket(service, owner):
            pass


async def _idle(service: Service, stack: AsyncExitStack, number: int, **headers: Any) -> list[ClientConnection]:
    """Sockets without authentication, opened a few at a time."""
    opened: list[ClientConnection] = []
    for start in range(0, number, 50):
        many = (_socket(service, greet=False, **headers) for _ in range(min(50, number - start)))
        opened += await asyncio.gather(*(stack.enter_async_context(socket) for socket in many))
    return opened


async def test_sockets_without_authentication_are_limited(service: Service) -> None:
    """H163: of 200 sockets of one client without authentication the newest 50 stay, and the client can still connect."""
    async with service.browser() as owner, AsyncExitStack() as stack:
        await join_owner(service, owner)
        idle = await _idle(service, stack, 200)
        codes = await asyncio.gather(*(_close_code(socket) for socket in idle[: 200 - MOST_WAITING_OF_CLIENT]))
        assert set(codes) == {1013}
        async with _socket(service, owner):
            pass
        assert await _close_code(idle[-1]) == 4408  # their time has ended


async def test_anonymous_sockets_use_no_slots_of_members(serve: Serve) -> None:
    """H207: sockets of many addresses without authentication leave the members' slots free, and the oldest are evicted.

    A session's cookie and an Authorization header are recognised in the handshake, so that these do not wait there.
    """
    async with serve(trusted_proxies=["127.0.0.1"]) as service, service.browser() as owner, AsyncExitStack() as stack:
        community = await join_owner(service, owner)
        expected = {"name": "Watcher", "scopes": ["READ"], "communityIds": [community]}
        token = (await owner.ask(CREATE, input=expected))["createAccessToken"]["token"]
        limits = service.app.state.guestlist.graphql.subscriptions.limits
        early = await stack.enter_async_context(_socket(service, owner, greet=False))
        script: dict[str, Any] = {"authorization": f"Bearer {token}"}
        scripted = await stack.enter_async_context(_socket(service, greet=False, **script))
        strangers = [
            socket
            for number in range(10)
            for socket in await _idle(service, stack, 40, **{"x-forwarded-for": f"203.0.113.{number}"})
        ]
        gone = await asyncio.gather(*(_close_code(socket) for socket in strangers[: 400 - MOST_WAITING]))
        assert set(gone) == {1013}
        assert limits.connections == 2
        for waiting in (early, scripted):
            await _say(waiting, {"type": "connection_init"})
            assert await _hear(waiting) == {"type": "connection_ack"}
        async with _socket(service, owner) as newcomer, _socket(service, token=token) as other:
            for socket in (newcomer, other):
                await _subscribe(socket, community)
            await owner.invite(community, "guest@example.com")
            for socket in (newcomer, other):
                await _heard_of(socket, "guest@example.com")


async def test_script_subscribes_with_its_token(service: Service) -> None:
    """A bearer token in connection_init subscribes without Origin. Cookies without Origin do not count."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        expected = {"name": "Watcher", "scopes": ["READ"], "communityIds": [community]}
        token = (await owner.ask(CREATE, input=expected))["createAccessToken"]["token"]
        async with _socket(service, token=token) as socket:
            await _subscribe(socket, community)
            await owner.invite(community, "guest@example.com")
            await _heard_of(socket, "guest@example.com", status="PENDING")
        cookie = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
        async with _socket(service, greet=False, cookie=cookie) as socket:
            await _say(socket, {"type": "connection_init"})
            assert await _close_code(socket) == 4401


_LARGE = f"""
subscription($id: ID!) {{ invitationChanged(communityId: $id) {{ email {" ".join(f"m{n}: message" for n in range(14))} }} }}
"""


async def _stalled(port: int) -> network.socket:
    """A connection whose other end has almost no buffer for unread data."""
    stalled = network.socket()
    stalled.setsockopt(network.SOL_SOCKET, network.SO_RCVBUF, 4096)
    stalled.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", port))
    return stalled


async def _much_changes(service: Service, owner: Browser, community: str) -> None:
    rows = [{"email": f"guest{number}@example.com", "message": "x" * 1000} for number in range(400)]
    answer = (await owner.ask(INVITE_MANY, input={"communityId": community, "invitees": rows}))["inviteMembers"]
    assert answer["invitedCount"] == 400


async def _until_nobody_is_connected(service: Service) -> None:
    limits = service.app.state.guestlist.graphql.subscriptions.limits
    async with asyncio.timeout(WITHIN):
        while limits.connections:  # noqa: ASYNC110 -- the server lets go of them by itself
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("over", ["sse", "websocket"])
async def test_reader_that_stops_is_disconnected(serve: Serve, over: str) -> None:
    """H162: a client that stops reading is disconnected within five seconds, so that it receives nothing later."""
    limits = {"attempts_per_client": "off", "invites_per_inviter": "5000/1d"}
    async with serve(rate_limits=limits) as service, service.browser() as owner, AsyncExitStack() as stack:
        community = await join_owner(service, owner)
        stalled, before = stack.enter_context(await _stalled(int(service.url.rpartition(":")[2]))), listeners(community)
        if over == "websocket":
            listener = await stack.enter_async_context(_socket(service, owner, sock=stalled))
            payload = {"query": _LARGE, "variables": {"id": community}}
            await _say(listener, {"type": "subscribe", "id": "1", "payload": payload})
        else:
            body = orjson.dumps({"query": _LARGE, "variables": {"id": community}})
            cookie = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
            head = (
                f"POST /graphql HTTP/1.1\r\nhost: localhost\r\norigin: {service.url}\r\ncookie: {cookie}\r\n"
                f"accept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            await asyncio.get_running_loop().sock_sendall(stalled, head.encode() + body)
        await subscription_started(community, before)
        assert service.app.state.guestlist.graphql.subscriptions.limits.connections == 1
        await _much_changes(service, owner, community)
        await _until_nobody_is_connected(service)
        assert (await owner.invite(community, "more@example.com"))["__typename"] == "InviteMemberSuccess"


async def test_a_slow_listener_loses_events_and_not_memory() -> None:
    """A watch keeps each id once, and above its limit only the fact that events were lost."""
    hub = Hub()
    with hub.watching("com_x") as watch:
        for _ in range(3):
            for number in range(5000):
                watch.put(f"inv_{number}")
        assert watch.lost
        assert len(watch._ids) == 2000
        assert await watch.take(most=2, seconds=1) == ["inv_0", "inv_1"]
    assert hub._watches == {}
    quiet = Watch("com_x")
    assert await quiet.take(most=2, seconds=0) == []
    dispatch_payload("com_x inv_1 inv_2")
    dispatch_payload("nonsense")


async def test_no_content_of_a_socket_is_logged(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    """H155: at DEBUG, including uvicorn's logger, a connection leaves one line: no cookie, no access token, no query
    string, no address from its events.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
    logs.configure("debug", "json")
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        expected = {"name": "Watcher", "scopes": ["READ"], "communityIds": [community]}
        token = (await owner.ask(CREATE, input=expected))["createAccessToken"]["token"]
        async with _socket(service, owner) as socket, _socket(service, token=token) as script:
            for listening in (socket, script):
                await _subscribe(listening, community)
            await owner.invite(community, "guest@example.com")
            await _heard_of(socket, "guest@example.com")
        url = service.url.replace("http", "ws", 1) + "/graphql?secret=in-the-query"
        async with connect(url, additional_headers={"origin": service.url}) as odd:
            assert await _close_code(odd) == 4406
        secrets = [token, *owner.client.cookies.values(), "guest@example.com", "in-the-query"]
    out = ""
    async with asyncio.timeout(PATIENCE):
        while (out := out + capfd.readouterr().err).count('"event": "websocket"') < 3:  # noqa: ASYNC110 -- written when the connection has ended
            await asyncio.sleep(0.01)
    assert not [secret for secret in secrets if secret in out]
    assert out.count('"event": "websocket"') == 3


async def test_subscriptions_of_one_member_delay_no_other_member(service: Service) -> None:
    """H206: while 200 subscriptions of one member receive 40 changes, another member's viewer query stays quick."""

    async def seconds(person: Browser) -> float:
        began = perf_counter()
        await person.ask("{ viewer { member { email } } }")
        return perf_counter() - began

    async with service.browser() as owner, service.browser() as other, AsyncExitStack() as stack:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, other, "other@example.com")
        idle = median([await seconds(other) for _ in range(30)])
        sockets = [await stack.enter_async_context(_socket(service, owner)) for _ in range(10)]
        for socket in sockets:
            for number in range(MOST_ON_SOCKET):
                await _subscribe(socket, community, str(number))
        hearing = [asyncio.create_task(_hear_changes(socket, 40 * MOST_ON_SOCKET)) for socket in sockets]
        invitees = [{"email": f"guest{number}@example.com"} for number in range(40)]
        await owner.ask(INVITE_MANY, input={"communityId": community, "invitees": invitees})
        loaded = [await seconds(other) for _ in range(30)]
        assert not all(task.done() for task in hearing), "the load was over before it was measured"
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
    assert sorted(loaded)[-3] < max(50 * idle, 0.25), (idle, loaded)


async def _hear_changes(socket: ClientConnection, number: int) -> None:
    for _ in range(number):
        await _hear(socket)
