"""The Host of a request: the service answers to its own names only, in HTTP and WebSockets."""

import asyncio

import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.app import create_app
from service.models import Flow
from service.settings import load_settings
from tests.support.loopback import bound_socket, running
from tests.support.processes import wait_until
from tests.support.service import Service

pytestmark = pytest.mark.anyio

_STRICT = ["content-security-policy", "x-content-type-options: nosniff", "cache-control: no-store", "referrer-policy"]
_HANDSHAKE = (
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "sec-websocket-protocol: graphql-transport-ws\r\n"
)
_KNOWN = ["localhost", "LocalHost:{port}", "localhost:1", "localhost:", "127.0.0.1:{port}", "[::1]:{port}"]
_UNKNOWN = [
    "evil.example", "evil.example:{port}", "localhost.evil.example", "evil.localhost", "localhost.", "127.0.0.2", "10.0.0.1",
    "[::2]", "127.1", "notlocalhost",
]  # fmt: skip
_MALFORMED = [
    "", " ", "localhost evil.example", "localhost,evil.example", "user@localhost", "localhost/evil", "localhost:80:80", "[::1",
    "localhost:x", "http://localhost", "l\u00f6calhost", "localhost:123456",
]  # fmt: skip


async def _answer(service: Service, host: str, path: str = "/dev/mailbox.json", further: str = "") -> str:
    """Returns the answer to a GET with the Host lines in `host`."""
    port = service.url.rpartition(":")[2]
    version = "1.0" if "HTTP/1.0" in further else "1.1"
    end = further.replace("HTTP/1.0", "") + ("" if _HANDSHAKE in further else "connection: close\r\n")
    return await _sent(port, f"GET {path} HTTP/{version}\r\n{host.replace('{port}', port)}{end}\r\n")


async def _sent(port: str, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(request.encode("latin-1"))
    answer = await reader.read() if "upgrade: websocket" not in request else await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer.decode()


def _status(answer: str) -> int:
    return int(answer.split(" ")[1])


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_only_known_hosts_are_answered(service: Service) -> None:
    """H191: in development, the public host with any port and loopback are allowed. A name that resolves to this
    machine reads no mailbox. Host must appear once and well formed, also in HTTP/1.0. A forwarded host is ignored.
    """
    await service.token_for("owner@example.com")
    for host in _KNOWN:
        assert "/confirm#" in await _answer(service, f"host: {host}\r\n"), host
    assert _status(await _answer(service, "host: localhost\r\n", further="HTTP/1.0")) == 200
    forwarded = "x-forwarded-host: localhost\r\nforwarded: host=localhost\r\n"
    refused = [(f"host: {host}\r\n", forwarded, 421) for host in _UNKNOWN]
    refused += [(f"host: {host}\r\n", "", 400) for host in _MALFORMED]
    refused += [("", further, 400) for further in ("", forwarded, "HTTP/1.0")]
    refused += [
        ("host: localhost\r\nhost: localhost\r\n", "", 400),
        ("host: localhost\r\nHost: evil.example\r\n", "", 400),
    ]
    for host, further, status in refused:
        with capture_logs() as lines:
            answer = await _answer(service, host, further=further)
        assert (_status(answer), "/confirm#" in answer, "evil" in answer) == (status, False, False), (host, answer)
        assert [header for header in _STRICT if header not in answer.lower()] == [], host
        assert [line["status"] for line in lines if line["event"] == "request"] == [status], host


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_operation_for_another_host_is_not_run(service: Service) -> None:
    """H191: a mutation is answered with an error in JSON, and starts no flow."""
    mutation = 'mutation { signIn(input: {providerId: "dev"}) { __typename } }'
    async with service.browser() as browser:
        answer = await browser.client.post("/graphql", json={"query": mutation}, headers={"host": "evil.example"})
    assert (answer.status_code, "another host name" in answer.json()["errors"][0]["message"]) == (421, True)
    assert await Flow.all().count() == 0


def _statuses(lines: list[EventDict]) -> list[int]:
    """Returns the statuses of rejected handshakes. The others have none."""
    return [line["status"] for line in lines if line["event"] == "websocket" and "status" in line]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_websocket_for_another_host_is_not_opened(service: Service) -> None:
    """H191: the handshake is rejected with the same status and headers, and logged. One for a known host is accepted."""
    handshake = f"{_HANDSHAKE}origin: {service.url}\r\n"
    known = _status(await _answer(service, "host: localhost\r\n", "/graphql", handshake))
    with capture_logs() as lines:
        unknown = await _answer(service, "host: evil.example\r\n", "/graphql", handshake)
        doubled = await _answer(service, "host: localhost\r\nhost: localhost\r\n", "/graphql", handshake)

        async def logged() -> bool:
            return len(_statuses(lines)) == 2

        await wait_until(logged, "both refusals in the log")
    assert known != 421
    assert (_status(unknown), _status(doubled)) == (421, 400)
    assert [header for header in _STRICT if header not in unknown.lower()] == []
    assert _statuses(lines) == [421, 400]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_probes_and_metrics_are_answered_for_any_host(service: Service) -> None:
    """Probes address a process by its IP. Paths below theirs are not exempt."""
    for path, host in (("/healthz", "host: 10.0.0.7:8000\r\n"), ("/readyz", ""), ("/metrics", "host: guestlist\r\n")):
        assert _status(await _answer(service, host, path)) == 200
    for path in ("/healthz/", "/healthz/../dev/mailbox.json", "//healthz", "/healthzz", "/"):
        assert _status(await _answer(service, "host: evil.example\r\n", path)) == 421


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_public_service_answers_to_its_public_host_only(database_url: str) -> None:
    """H191: outside of development, the names of loopback are ordinary hosts."""
    settings = load_settings(environ={}, public_url="https://id.example.com", database_url=database_url)
    app: ASGIApp = create_app(settings)
    with bound_socket() as listening:
        port = str(listening.getsockname()[1])
        async with running(app, listening):
            for host, status in (
                ("id.example.com", 200),
                ("ID.Example.com:443", 200),
                ("localhost", 421),
                (f"127.0.0.1:{port}", 421),
                ("example.com", 421),
                ("evil-id.example.com", 421),
                ("id.example.com.", 421),
            ):
                request = f"GET /confirm HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
                assert _status(await _sent(port, request)) == status, host
