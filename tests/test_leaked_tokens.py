"""Access tokens in wrong hands: they cannot raise a role, their invitations can be revoked, and guesses are throttled."""

import asyncio
from typing import Any

import pytest

from tests.cast import owner_in
from tests.conftest import Serve
from tests.story import Browser, Service, http_client
from tests.test_access_tokens import LIST, _create, _send
from tests.test_live import CHANGED, _close_code, _say, _socket

pytestmark = pytest.mark.anyio

RESEND = "mutation($input: ResendInviteInput!) { resendInvite(input: $input) { __typename ...on Problem { message } } }"
TAKE_BACK = (
    "mutation($input: RevokeInviteInput!) { revokeInvite(input: $input) { __typename ...on Problem { message } } }"
)
SEEN = "query($id: ID!) { invitation(id: $id) { status canResend canRevoke } }"


async def _token(browser: Browser, community: str, **given: Any) -> str:
    created = await _create(browser, community, **{"scopes": ["INVITE"], **given})
    assert created["__typename"] == "CreateAccessTokenSuccess", created
    return str(created["token"])


async def _exported(service: Service, token: str, community: str) -> int:
    async with http_client(service.url) as client:
        headers = {"authorization": f"Bearer {token}"}
        return (await client.get(f"/export/{community}/audit.csv", headers=headers)).status_code


async def _streamed(service: Service, token: str, community: str) -> int:
    body = {"query": CHANGED, "variables": {"id": community}}
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    async with http_client(service.url) as client, client.stream("POST", "/graphql", json=body, headers=headers) as got:
        return got.status_code


async def _greeted(service: Service, token: str, _: str) -> int:
    """The close code of a socket with the token in connection_init; 0 where it is welcome."""
    async with _socket(service, greet=False) as socket:
        return await _code(socket, {"payload": {"authorization": f"Bearer {token}"}})


async def _shaken(service: Service, token: str, _: str) -> int:
    """The same with the token in the handshake's header."""
    async with _socket(service, greet=False, authorization=f"Bearer {token}") as socket:
        return await _code(socket, {})


async def _code(socket: Any, payload: dict[str, Any]) -> int:
    await _say(socket, {"type": "connection_init", **payload})
    try:
        await asyncio.wait_for(socket.recv(), 20)
    except Exception:  # noqa: BLE001 -- closed: its code is asked for
        return await _close_code(socket)
    return 0


@pytest.mark.parametrize(
    ("way", "answers"),
    [
        (_exported, (200, 401, 429)), (_streamed, (200, 401, 429)), (_greeted, (0, 4401, 4429)),
        (_shaken, (0, 4401, 4429)),
    ],
)  # fmt: skip
async def test_wrong_tokens_are_throttled_at_every_way_in(serve: Serve, way: Any, answers: tuple[int, ...]) -> None:
    """H199: a wrong token counts as an attempt at the export, in server-sent events and on a WebSocket, in its handshake
    or in connection_init. Over the limit the answer is 429 or 4429 everywhere; a right token still works.
    """
    welcome, wrong, throttled = answers
    async with serve(rate_limits={"attempts_per_client": "4/1m"}) as service, service.browser() as owner:
        community = await owner_in(service, owner)
        token = await _token(owner, community)
        service.clock.advance(minutes=2)
        for guess in ("guestlist_wrong", "x", f"{token}x", "guestlist_-"):
            assert await way(service, guess, community) == wrong
        assert await way(service, "guestlist_wrong", community) == throttled
        assert (await _send(service, "guestlist_wrong", LIST)).status_code == 429
        assert await way(service, token, community) == welcome
        service.clock.advance(minutes=2)
        assert await way(service, "guestlist_wrong", community) == wrong


async def test_sockets_without_a_token_are_no_guesses(serve: Serve) -> None:
    """H199: a socket or an export of somebody without any token costs no attempt."""
    async with serve(rate_limits={"attempts_per_client": "2/1m"}) as service, service.browser() as owner:
        community = await owner_in(service, owner)
        service.clock.advance(minutes=2)
        async with http_client(service.url) as client:
            for _ in range(4):
                assert (await client.get(f"/export/{community}/audit.csv")).status_code == 404
                async with _socket(service, greet=False) as socket:
                    assert await _code(socket, {}) == 4401
        assert (await _send(service, "guestlist_wrong", LIST)).status_code == 401
