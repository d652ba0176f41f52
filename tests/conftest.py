"""Fixtures: databases of both engines, and the real application on loopback."""

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from socket import socket
from typing import Any

import httpx2
import hypothesis
import pytest
import structlog
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from service import database
from service.app import create_app
from service.delivery.sns import FetchCertificate, fetch_certificate
from service.delivery.worker import Worker
from service.dev import mode
from service.mail.senders import open_sender
from service.settings import Settings, load_settings
from tests.support.loopback import bound_socket, running
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET
from tests.support.postgres import PostgresServer
from tests.support.service import Service, TestClock, http_client

pytest_plugins = ("tests.support.requirements", "tests.support.postgres", "tests.support.chromium")

# Busy machines exceed hypothesis' deadline. In CI, the examples are the same in every run.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")

Serve = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Shortens tracebacks, and restores logging after each test. The stream of a test is closed when it ends."""
    root = logging.getLogger()
    level = root.level
    structlog.reset_defaults()
    usual = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*usual[:-1], plain])
    yield
    for handler in [handler for handler in root.handlers if type(handler) is logging.StreamHandler]:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrate(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, worker_id: str) -> str:
    """Creates a migrated PostgreSQL database for this test process, to be copied. Returns its name."""
    name = f"template_{worker_id}"
    asyncio.run(postgres.create(name))
    asyncio.run(migrate(postgres.url_for(name)))
    return name


async def migrate(url: str) -> None:
    await database.connect(url)
    await database.migrate(url)
    await database.disconnect()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Runs a test on each engine."""
    return str(request.param)


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yields the URL of a new, migrated database of the engine."""
    if engine == "sqlite":
        path = tmp_path / "guestlist.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite://{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("postgres_template")
    name = asyncio.run(server.copy(template))
    yield server.url_for(name)
    asyncio.run(server.drop(name))


@pytest.fixture
def serve(database_url: str, clock: TestClock) -> Serve:
    """Serves the real application: `async with serve(**settings) as service`."""

    @asynccontextmanager
    async def serving(
        *, demo: bool = True, fetch_certificate: FetchCertificate = fetch_certificate, **overrides: Any
    ) -> AsyncIterator[Service]:
        with bound_socket() as listening:
            settings = settings_for(listening, database_url, **overrides)
            app = mode.create_development_app(
                settings, clock=clock, deliver=False, key=_provider_key(), fetch_certificate=fetch_certificate
            )
            async with running(app, listening):
                worker = Worker(settings, open_sender(settings, mailbox=app.state.mailbox, clock=clock), clock)
                if demo:
                    await mode.prepare_demo(settings, now=clock())
                loopback = f"http://127.0.0.1:{listening.getsockname()[1]}"
                yield Service(settings.public_url, settings, app, clock, worker, app.state.mailbox, loopback)

    return serving


@cache
def _provider_key() -> RSAKey:
    """Returns the development provider's key for all tests. Generating one takes as long as a sign-in."""
    return RSAKey.generate_key(2048)


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Service]:
    """Yields the application as `guestlist dev` serves it, with the demo community and the mail to its owner."""
    async with serve() as running_service:
        yield running_service


def settings_for(listening: socket, database_url: str, **overrides: Any) -> Settings:
    """Returns development settings that ignore the machine's environment. Limits are wide unless a test overrides them."""
    url = f"http://localhost:{listening.getsockname()[1]}"
    values = {
        "public_url": url,
        "database_url": database_url,
        "mail_url": "mailbox:",
        "mail_from": "Guestlist <guestlist@example.com>",
        "community_creation": "members",
        "log_level": "debug",
        "rate_limits": {
            "attempts_per_client": "100000/1m",
            "mails_per_recipient": "1000/1h",
            "mails_per_recipient_overall": "1000/1h",
        },
    } | overrides
    return mode.with_provider(load_settings(environ={}, development=True, **values))


@pytest.fixture
async def production(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Yields a client of the application as `guestlist serve` runs it."""
    with bound_socket() as listening:
        url = f"http://localhost:{listening.getsockname()[1]}"
        provider = {
            "issuer": "https://login.acme.example",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "email_domains": ["*"],
        }
        settings = load_settings(
            environ={},
            public_url=url,
            database_url=database_url,
            providers={"acme": provider},
            rate_limits={"attempts_per_client": "1000000/1m"},
        )
        app: Starlette = create_app(settings)
        async with running(app, listening), http_client(url) as client:
            yield client


@pytest.fixture
def empty_database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yields the URL of an empty database of the engine."""
    if engine == "sqlite":
        yield f"sqlite://{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"empty_{secrets.token_hex(4)}"
    asyncio.run(server.create(name))
    yield server.url_for(name)
    asyncio.run(server.drop(name))
