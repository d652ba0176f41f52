"""Measures requests: `python -m tests.measure.requests [postgres|sqlite] [REQUESTS] [AT_ONCE]`.

`guestlist serve` with one worker, the yardstick and PostgreSQL are separate processes. This process acts as the
browsers and the OpenID Provider. The yardstick is a plain Starlette route with the same uvicorn settings that returns
JSON of the same size. Each process reports its processor seconds at /metrics, so other load affects the figures little.
docs/performance.md has the ratios.
"""

import asyncio
import base64
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlencode

import orjson
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import database, metrics
from service.accounts.sessions import Browser, begin_session
from service.addresses import canonical
from service.cli import server
from service.dev.openid_provider import AuthorizationRequest, Grant
from service.invitations.operator import create_community_as_operator
from service.models import Flow, Invitation, Link, MailOrder, Member, Membership
from service.settings import load_settings
from service.tokens import Token, new_id, new_token
from tests.conftest import migrate
from tests.support.openid_provider import CLIENT_ID, HostileProvider, running_provider
from tests.support.postgres import PostgresServer, start_server
from tests.support.processes import environment, guestlist
from tests.support.service import INVITE

PORT: Final = 8180
_ROUNDS: Final = 3
_WARM_UP: Final = 60
_IN_LIST: Final = 100
_LIST: Final = """
query($id: ID!) { community(id: $id) { name viewerRole invitations(first: 100) { pageInfo { hasNextPage endCursor }
  nodes { id email role status delivery deliveryReason blockedReason canResend canResendAt canRevoke createdAt expiresAt
  lastSentAt acceptedAt inviter { id name email } acceptedBy { id name } } } } }
"""

Body = bytes
MakeRequest = Callable[[], Body]


# ---------------------------------------------------------------------------------------------------- the load


@dataclass(frozen=True)
class Cost:
    """The result of requests of one kind: the rate per second, the processor time per request, and the bytes of the
    last answer.
    """

    per_second: float
    milliseconds: float
    size: int


@dataclass(frozen=True)
class Target:
    """A process under load."""

    port: int

    async def cost_of(self, requests: list[Body], *, at_once: int) -> Cost:
        """Sends requests over persistent connections. Any answer other than 200 or 303 ends the measurement."""
        before, began = await self.processor_seconds(), time.perf_counter()
        waiting = iter(requests)
        sizes = await asyncio.gather(*(self._send_in_turn(waiting) for _ in range(at_once)))
        took, used = time.perf_counter() - began, await self.processor_seconds() - before
        return Cost(len(requests) / took, used / len(requests) * 1000, max(sizes))

    async def _send_in_turn(self, waiting: Iterator[Body]) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        size = 0
        for request in waiting:
            writer.write(request)
            size = await _answer_size(reader)
        writer.close()
        return size

    async def processor_seconds(self) -> float:
        return await self.metric("process_cpu_seconds_total")

    async def megabytes(self) -> float:
        return await self.metric("process_resident_memory_bytes") / 1_000_000

    async def metric(self, name: str) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(_request("GET", "/metrics", self.port, connection="close"))
        _, _, text = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        families = text_string_to_metric_families(text.decode())
        return next(sample.value for family in families for sample in family.samples if sample.name == name)


async def _answer_size(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(lengths[0].partition(b":")[2]) if lengths else 0
    body = await reader.readexactly(size)
    assert head[9:12] in {b"200", b"303"}, head + body
    assert b'"errors"' not in body[:20], body
    return size


def _request(method: str, path: str, port: int, body: bytes = b"", **headers: str) -> Body:
    fields = {"host": f"localhost:{port}", "content-length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


# ------------------------------------------------------------------------------------------------------------- workload


@dataclass(frozen=True)
class Workload:
    """A community with a signed-in owner, and people who return from the provider."""

    community_id: str
    session: Token
    provider: HostileProvider
    returning: Iterator["Guest"]
    numbers: "count[int]"

    def listing(self) -> Body:
        return self._graphql(_LIST, {"id": self.community_id})

    def inviting(self) -> Body:
        expected = {"communityId": self.community_id, "email": f"person{next(self.numbers)}@example.com"}
        return self._graphql(INVITE, {"input": expected})

    def joining(self) -> Body:
        """The return of a login. The provider knows its code."""
        guest = next(self.returning)
        query = urlencode({"code": guest.code_at(self.provider), "state": guest.state, "iss": self.provider.issuer})
        return _request("GET", f"/auth/idp/callback?{query}", PORT, cookie=f"guestlist_flow={guest.browser}")

    def _graphql(self, query: str, variables: dict[str, object]) -> Body:
        body = orjson.dumps({"query": query, "variables": variables})
        return _request(
            "POST", "/graphql", PORT, body, content_type="application/json", cookie=f"guestlist_session={self.session}",
            origin=f"http://localhost:{PORT}", user_agent="Mozilla/5.0 (X11; Linux x86_64) measuring",
        )  # fmt: skip


@dataclass(frozen=True)
class Guest:
    """An invitee who signed in at the provider and returns."""

    email: str
    browser: Token
    state: Token
    nonce: Token
    code_verifier: str

    def code_at(self, provider: HostileProvider) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.code_verifier.encode()).digest()).rstrip(b"=").decode()
        redirect_uri, scope = f"http://localhost:{PORT}/auth/idp/callback", "openid email profile"
        requested = AuthorizationRequest(CLIENT_ID, redirect_uri, challenge, scope, self.state, self.nonce)
        now = provider.clock()
        return provider._codes.keep(
            Grant(requested, self.email, email_verified=True, subject=self.email, granted_at=now), now
        )


async def prepare_workload(url: str, provider: HostileProvider, joins: int) -> Workload:
    """Fills a migrated database."""
    await database.connect(url)
    now, settings = datetime.now(UTC), load_settings(environ={}, database_url=url)
    owner, session = await _owner(now)
    community_id = await create_community_as_operator(
        "Measured", canonical("o@example.com"), now=now, settings=settings
    )
    await Membership.create(id=new_id("mem"), member_id=owner, community_id=community_id, role="OWNER", joined_at=now)
    await Invitation.bulk_create(_invitation(community_id, owner, f"filler{n}@example.com", now) for n in range(1000))
    guests = [await _guest_of(community_id, owner, f"guest{n}@example.com", now) for n in range(joins)]
    await database.disconnect()
    return Workload(community_id, session, provider, iter(guests), count())


async def _owner(now: datetime) -> tuple[str, Token]:
    member = await Member.create(id=new_id("per"), name="Olga Owner", email="owner@example.com", created_at=now)
    settings = load_settings(environ={})
    session = await begin_session(
        member.id, Browser(session_cookie=None, user_agent=None), provider_id="idp", now=now, settings=settings
    )
    return member.id, session


def _invitation(community_id: str, inviter_id: str, email: str, now: datetime) -> Invitation:
    expires_at = now + timedelta(days=7)
    return Invitation(
        id=new_id("inv"), community_id=community_id, email=email, role="MEMBER", inviter_id=inviter_id,
        created_at=now, expires_at=expires_at, days=7,
    )  # fmt: skip


async def _guest_of(community_id: str, inviter_id: str, email: str, now: datetime) -> Guest:
    (browser, browser_digest), (state, state_digest), (nonce, nonce_digest) = (new_token() for _ in range(3))
    code_verifier, later = new_token()[0] + "x" * 20, now + timedelta(minutes=15)
    invitation = _invitation(community_id, inviter_id, email, now - timedelta(hours=1))
    order = MailOrder(
        id=new_id("ord"), kind="invitation", invitation_id=invitation.id, generation=1, created_at=now, due_at=now
    )
    link = Link(
        id=new_id("lnk"), invitation_id=invitation.id, mail_order_id=order.id, generation=1, digest=new_token()[1],
        created_at=now, expires_at=later,
    )  # fmt: skip
    flow = Flow(
        id=new_id("flw"), kind="accept", browser_digest=browser_digest, state_digest=state_digest,
        nonce_digest=nonce_digest, code_verifier=code_verifier, provider_id="idp", return_to="/confirm",
        link_id=link.id, started_at=now, first_started_at=now, expires_at=later,
    )  # fmt: skip
    for row in (invitation, order, link, flow):
        await row.save(force_create=True)
    return Guest(email, browser, state, nonce, code_verifier)


# --------------------------------------------------------------------------------------------------- the processes


@asynccontextmanager
async def serving(*command: str, port: int, env: dict[str, str]) -> AsyncIterator[Target]:
    """A process that listens on a port while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    target = Target(port)
    try:
        while True:
            assert process.returncode is None, f"{command} ended at once"
            try:
                await target.processor_seconds()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield target
    finally:
        process.terminate()
        await process.wait()


def serve_yardstick() -> None:
    """Returns JSON with the number of bytes in the path, encoded for each request as the service's answers are."""

    async def answer(request: Request) -> Response:
        expected = int(request.path_params["size"])
        body = {"data": {"rows": ["0123456789"] * (expected // 13)}}
        return Response(orjson.dumps(body), media_type="application/json")

    async def counted(_: Request) -> Response:
        return Response(metrics.counts())

    routes = [Route("/metrics", counted), Route("/{size}", answer)]
    server.serve(Starlette(routes=routes), host="127.0.0.1", port=PORT + 1)


def service_environment(url: str, provider: HostileProvider) -> dict[str, str]:
    """Limits count as in production, but are never reached."""
    wide = "1000000/1h"
    registration = provider.registration()
    return environment(
        database_url=url, public_url=f"http://localhost:{PORT}", log_level="info", log_format="json",
        rate_limits__invites_per_inviter=wide, rate_limits__invites_per_community=wide,
        providers__idp__issuer=registration["issuer"], providers__idp__client_id=registration["client_id"],
        providers__idp__client_secret=registration["client_secret"], providers__idp__email_domains="*",
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- measuring


async def measure(url: str, requests: int, at_once: int) -> None:
    await migrate(url)
    redirect_uri = f"http://localhost:{PORT}/auth/idp/callback"
    async with running_provider(redirect_uris=(redirect_uri,)) as provider:
        workload = await prepare_workload(url, provider, _ROUNDS * requests + _WARM_UP)
        env = service_environment(url, provider)
        yardstick = [sys.executable, "-m", "tests.measure.requests", "yardstick"]
        async with (
            serving(*guestlist("serve", "--port", str(PORT)), port=PORT, env=env) as service,
            serving(*yardstick, port=PORT + 1, env=env) as plain,
        ):
            _say(f"at start: {await service.megabytes():.0f} MB, {await service.processor_seconds():.2f} s")
            for name, make in (("list", workload.listing), ("invite", workload.inviting), ("join", workload.joining)):
                await _measure_path(name, make, service, plain, requests=requests, at_once=at_once)
            _say(f"at the end: {await service.megabytes():.0f} MB")


async def _measure_path(
    name: str, make: MakeRequest, service: Target, plain: Target, *, requests: int, at_once: int
) -> None:
    """Measures the path and its yardstick alternately, so that other load affects both."""
    size = (await service.cost_of([make() for _ in range(_WARM_UP)], at_once=at_once)).size
    costs, yardsticks = [], []
    for _ in range(_ROUNDS):
        costs.append(await service.cost_of([make() for _ in range(requests)], at_once=at_once))
        like_it = _request("GET", f"/{size}", plain.port)
        yardsticks.append(await plain.cost_of([like_it] * requests * 20, at_once=at_once))
    cost, yardstick = (median(each.milliseconds for each in found) for found in (costs, yardsticks))
    rate, plain_rate = (median(each.per_second for each in found) for found in (costs, yardsticks))
    _say(
        f"{name:8} {rate:7.0f} /s {cost:7.3f} ms   yardstick {plain_rate:7.0f} /s {yardstick:6.3f} ms of {size} bytes"
        f"   ratio {cost / yardstick:5.1f}"
    )


@contextmanager
def database_of(engine: str) -> Iterator[str]:
    """An empty database of the engine."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite://{Path(folder) / 'measured.db'}"
        return
    running = start_server()
    try:
        found = PostgresServer(running.url)
        asyncio.run(found.create("measured"))
        yield found.url_for("measured")
    finally:
        running.stop()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    if sys.argv[1:] == ["yardstick"]:
        serve_yardstick()
        return
    engine, requests, at_once = (sys.argv[1:] + ["postgres", "300", "16"][len(sys.argv) - 1 :])[:3]
    with database_of(engine) as url:
        asyncio.run(measure(url, int(requests), int(at_once)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    _say(f"browsers and provider: {used.ru_utime + used.ru_stime:.0f} s of processor time")


if __name__ == "__main__":
    main()
