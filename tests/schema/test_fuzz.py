"""A fuzz test of the whole schema: owners and anonymous clients always get GraphQL, in words, and never a 5xx."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis import graphql

from service.delivery.worker import Worker
from service.dev import mode
from service.mail.senders import open_sender
from service.web.middleware import INTERNAL_ERROR
from tests import ROOT
from tests.accounts.test_access_tokens import CREATE
from tests.conftest import settings_for
from tests.support.loopback import bound_socket, running
from tests.support.members import join_owner
from tests.support.postgres import PostgresServer
from tests.support.service import Browser, Service, TestClock

_SCHEMA = graphql.from_path(str(ROOT / "schema" / "schema.graphql"))
_FOUND: Any = _SCHEMA.get_all_operations()
_OPERATIONS = [result.ok() for result in _FOUND]
_QUIET = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

graphql.scalar("DateTime", strategies.datetimes().map(lambda instant: graphql.nodes.String(f"{instant.isoformat()}Z")))

# Each represents the id of an existing object, which is known when the application runs. Other ids do not exist.
_THINGS = ("community", "invitation", "membership", "member", "event", "session", "identity", "token")
_IDS = strategies.sampled_from([*(f"<{thing}>" for thing in _THINGS), "inv_AAAAAAAAAAAAAAAAAAAAAA", "\x00", "' OR 1=1"])
graphql.scalar("ID", _IDS.map(graphql.nodes.String))

_LOOK = """{ viewer { member { id } sessions { id } identities { id } accessTokens { id } memberships { id community { id
  invitations(first: 1) { nodes { id timeline(first: 1) { nodes { id } } } } } } } }"""


@dataclass
class Fuzzed:
    """The application in its own thread, and its owner, who signs in again before every run."""

    url: str
    ids: dict[str, str]
    sign_in: Callable[[], str]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    server: PostgresServer | None = None
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("fuzz") / "guestlist.db"
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite://{path}"
    else:
        server = request.getfixturevalue("postgres")
        url = server.url_for(asyncio.run(server.copy(request.getfixturevalue("postgres_template"))))
    started: Future[Fuzzed] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(url, started, stop)))
    thread.start()
    yield started.result(30)
    stop.set()
    thread.join(30)


async def _serve(database_url: str, started: "Future[Fuzzed]", stop: threading.Event) -> None:
    clock, loop = TestClock(), asyncio.get_running_loop()
    with bound_socket() as listening:
        chosen = settings_for(listening, database_url)
        app = mode.create_development_app(chosen, clock=clock, deliver=False)
        async with running(app, listening):
            worker = Worker(chosen, open_sender(chosen, mailbox=app.state.mailbox, clock=clock), clock)
            await mode.prepare_demo(chosen, now=clock())
            service = Service(chosen.public_url, chosen, app, clock, worker, app.state.mailbox)
            async with service.browser() as browser:
                ids = await _furnish(service, browser)

                def sign_in() -> str:
                    return asyncio.run_coroutine_threadsafe(_signed_in(browser), loop).result(30)

                started.set_result(Fuzzed(service.url, ids, sign_in))
                await asyncio.to_thread(stop.wait)


async def _furnish(service: Service, browser: Browser) -> dict[str, str]:
    """Accepts the owner's invitation, invites a guest and creates a token; returns the ids of all objects."""
    community = await join_owner(service, browser)
    await browser.invite(community, "guest@example.com")
    await service.deliver()
    await browser.ask(CREATE, input={"name": "Mine", "scopes": ["READ"], "communityIds": [community]})
    viewer = (await browser.ask(_LOOK))["viewer"]
    membership = viewer["memberships"][0]
    invitation = membership["community"]["invitations"]["nodes"][0]
    found = (
        community, invitation["id"], membership["id"], viewer["member"]["id"], invitation["timeline"]["nodes"][0]["id"],
        viewer["sessions"][0]["id"], viewer["identities"][0]["id"], viewer["accessTokens"][0]["id"],
    )  # fmt: skip
    return dict(zip(_THINGS, map(str, found), strict=True))


async def _signed_in(browser: Browser) -> str:
    assert (await browser.sign_in("owner@example.com"))["status"] == "SIGNED_IN"
    return "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("signed_in", [True, False], ids=["owner", "nobody"])
def test_generated_operations_never_fail_unexpectedly(fuzzed: Fuzzed, operation: Any, signed_in: bool) -> None:
    """Generated operations on every root field, with ids of existing objects, answer 200 or 400 as JSON on both
    engines, without an unexpected error.
    """
    headers = {"origin": fuzzed.url} | ({"cookie": fuzzed.sign_in()} if signed_in else {})
    with httpx2.Client(base_url=fuzzed.url, headers=headers, timeout=30) as client:

        @_QUIET
        @given(operation.as_strategy())
        def send(case: Any) -> None:
            query = case.body
            for thing, id in fuzzed.ids.items():
                query = query.replace(f"<{thing}>", id)
            answer = client.post("/graphql", json={"query": query})
            assert answer.status_code in {200, 400}, answer.text
            assert str(INTERNAL_ERROR) not in answer.text, (query, answer.text)

        send()
