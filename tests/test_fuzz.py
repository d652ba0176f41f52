"""A fuzz over the whole schema: whatever an owner or nobody sends, the answer is GraphQL, in words, and never a 5xx."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis import graphql

from schema.root import MASKED
from service.delivery import Worker
from service.dev import mode
from service.mail import open_sender
from tests.conftest import bound_socket, running, settings_for
from tests.story import Browser, Service, TestClock

_SCHEMA = graphql.from_path(str(Path(__file__).parent.parent / "schema" / "schema.graphql"))
_FOUND: Any = _SCHEMA.get_all_operations()
_OPERATIONS = [result.ok() for result in _FOUND]
_QUIET = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

graphql.scalar("DateTime", strategies.datetimes().map(lambda instant: graphql.nodes.String(f"{instant.isoformat()}Z")))


@pytest.fixture(scope="module")
def owner(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client that is signed in as the owner, of the application served by a thread of its own."""
    path = tmp_path_factory.mktemp("fuzz") / "guestlist.db"
    path.write_bytes(sqlite_template.read_bytes())
    started, stop = threading.Event(), threading.Event()
    found: dict[str, str] = {}
    thread = threading.Thread(target=lambda: asyncio.run(_serve(f"sqlite://{path}", found, started, stop)))
    thread.start()
    assert started.wait(30)
    headers = {"origin": found["url"], "cookie": found["cookie"]}
    with httpx2.Client(base_url=found["url"], headers=headers, timeout=30) as client:
        yield client
    stop.set()
    thread.join(30)


async def _serve(database_url: str, found: dict[str, str], started: threading.Event, stop: threading.Event) -> None:
    clock = TestClock()
    with bound_socket() as listening:
        chosen = settings_for(listening, database_url)
        app = mode.create_development_app(chosen, clock=clock, deliver=False)
        async with running(app, listening):
            worker = Worker(chosen, open_sender(chosen, mailbox=app.state.mailbox, clock=clock), clock)
            await mode.prepare_demo(chosen, now=clock())
            service = Service(chosen.public_url, chosen, app, clock, worker, app.state.mailbox)
            async with service.browser() as browser:
                found["cookie"] = await _signed_in(service, browser)
                found["url"] = service.url
                started.set()
                await asyncio.to_thread(stop.wait)


async def _signed_in(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
    return "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("signed_in", [True, False], ids=["owner", "nobody"])
def test_no_operation_breaks(owner: httpx2.Client, operation: Any, signed_in: bool) -> None:
    """Generated operations on every root field answer 200 or 400 as JSON, and no error in them is an unexpected one."""
    headers = {} if signed_in else {"cookie": ""}

    @_QUIET
    @given(operation.as_strategy())
    def send(case: Any) -> None:
        answer = owner.post("/graphql", json={"query": case.body}, headers=headers)
        assert answer.status_code in {200, 400}, answer.text
        assert MASKED not in answer.text

    send()
