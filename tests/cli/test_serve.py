"""`guestlist serve`, `worker` and `dev` as processes: their endpoints, and the messages when they refuse to start."""

import asyncio
import random
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from service import database
from service.dev import mode
from service.models import Member
from service.tokens import new_token
from tests import ROOT
from tests.support.mail_servers import SmtpServerOnLoopback, smtp_on_loopback
from tests.support.openid_provider import PUBLIC_URL, running_provider
from tests.support.processes import WorkerProcess, environment, run, wait_until
from tests.support.service import ACCEPT, Service, http_client
from tests.web.test_altered_links import ALTERED

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
PROVIDER = {
    "GUESTLIST_PROVIDERS__ACME__ISSUER": "https://login.acme.example",
    "GUESTLIST_PROVIDERS__ACME__CLIENT_ID": "guestlist",
    "GUESTLIST_PROVIDERS__ACME__CLIENT_SECRET": "s3cret-of-acme",
    "GUESTLIST_PROVIDERS__ACME__EMAIL_DOMAINS": "*",
}


def _free_port() -> int:
    """A free loopback port below the range from which the system assigns ports, so that it stays free."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a free port")


async def _start(*arguments: str, folder: Path, **environ: str) -> asyncio.subprocess.Process:
    root = str(ROOT)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *arguments, cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": root, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@asynccontextmanager
async def serving(*arguments: str, folder: Path, **environ: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Runs a process that serves until the block ends. Yields a client for it."""
    port = _free_port()
    process = await _start(*arguments, "--port", str(port), folder=folder, **environ)
    try:
        async with http_client(f"http://localhost:{port}", timeout=10) as client:
            for _ in range(200):
                try:
                    await client.get("/healthz")
                    break
                except httpx2.ConnectError:
                    assert process.returncode is None, await process.communicate()
                    await asyncio.sleep(0.1)
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0


async def _run(*arguments: str, folder: Path, **environ: str) -> tuple[int | None, str]:
    process = await _start(*arguments, folder=folder, **environ)
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, output.decode()


async def test_serve_has_no_development_features(tmp_path: Path) -> None:
    """`guestlist serve` has no /dev path, GraphiQL or introspection, while its health checks answer."""
    async with serving("serve", folder=tmp_path, **PROVIDER) as client:
        for path in ("/dev", "/dev/mailbox", "/dev/mailbox.json", "/dev/openid/.well-known/openid-configuration"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/graphql", headers={"accept": "text/html"})).status_code in {404, 405}
        providers = await client.post("/graphql", json={"query": "{ providers { id } }"})
        assert providers.json()["data"]["providers"] == [{"id": "acme"}]
        introspection = await client.post("/graphql", json={"query": "{ __schema { types { name } } }"})
        assert introspection.json()["data"] is None
        assert (await client.get("/healthz")).status_code == 200
        not_ready = await client.get("/readyz")
        assert (not_ready.status_code, not_ready.json()["pending_migrations"][0]) == (503, "0001_initial")
        assert "guestlist_http_requests_total" in (await client.get("/metrics")).text


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_token_in_a_path_is_not_logged(tmp_path: Path, log_format: str) -> None:
    """The log at DEBUG and the metrics of a real process contain no token of an altered link, with any method,
    host or broken request.
    """
    token, port = new_token()[0], _free_port()
    process = await _start(
        "serve", "--port", str(port), folder=tmp_path, **PROVIDER,
        GUESTLIST_LOG_LEVEL="debug", GUESTLIST_LOG_FORMAT=log_format,
    )  # fmt: skip
    paths = [altered.format(token=token) for altered in (*ALTERED, "/confirm/{token}x", "/confirm?{token}", "/{token}")]
    async with http_client(f"http://localhost:{port}", timeout=10) as client:
        await wait_until(lambda: _answers(client), "the service")
        for path in paths:
            for method in ("GET", "HEAD", "POST"):
                await client.request(method, path)
            await client.get(path, headers={"host": "other.example"})
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(f"GET /confirm/{token}\r\n\r\n".encode())
        await reader.read()
        writer.close()
        metrics = (await client.get("/metrics")).text
    process.terminate()
    output = (await asyncio.wait_for(process.communicate(), 20))[0].decode()
    assert output.count("altered_link") >= 2 * len(ALTERED), output
    assert token not in output + metrics
    assert 'route="/{token:altered_link}"' in metrics


async def _answers(client: httpx2.AsyncClient) -> bool:
    with suppress(httpx2.ConnectError):
        return (await client.get("/healthz")).is_success
    return False


@pytest.mark.parametrize("engine", ["postgres"])
async def test_several_processes_count_together(tmp_path: Path, database_url: str) -> None:
    """With `serve --workers 2`, /metrics of any process counts the requests of both, and the waiting mails."""
    status, _ = await _run("community", "create", "Yard", "--owner", "a@b.example", folder=tmp_path,
                            GUESTLIST_DATABASE_URL=database_url)  # fmt: skip
    assert status == 0
    environ = {**PROVIDER, "GUESTLIST_DATABASE_URL": database_url}
    async with serving("serve", "--workers", "2", folder=tmp_path, **environ) as client:
        for _ in range(20):
            assert (await client.get("/confirm", headers={"connection": "close"})).status_code == 200
        for _ in range(6):
            output = (await client.get("/metrics", headers={"connection": "close"})).text
            assert 'guestlist_http_requests_total{method="GET",route="/confirm",status="200"} 20.0' in output
            assert "guestlist_mails_due 1.0" in output


@pytest.mark.parametrize("engine", ["postgres"])
async def test_a_flow_across_several_processes(tmp_path: Path, database_url: str) -> None:
    """A command orders the mail, a worker sends it, one service starts the flow and another finishes it. The owner
    becomes a member.
    """
    async with smtp_on_loopback() as smtp, running_provider() as provider:
        env = environment(
            database_url=database_url, mail_url=f"smtp://127.0.0.1:{smtp.port}?starttls=never", mail_from="a@b.example",
            **{f"providers__idp__{name}": str(value) for name, value in provider.registration(email_domains="*").items()},
        )  # fmt: skip
        settings = {name: value for name, value in env.items() if name.startswith("GUESTLIST_")}
        assert (await run("community", "create", "Yard", "--owner", OWNER, env=env))[0] == 0
        worker = await WorkerProcess.start(env)
        await wait_until(lambda: _has_arrived(smtp), "the owner's mail")
        token = re.findall(r"/confirm#([A-Za-z0-9_-]+)", smtp.received[0].content.decode())[0]
        async with (
            serving("serve", folder=tmp_path, **settings) as one,
            serving("serve", folder=tmp_path, **settings) as other,
        ):
            begun = (await _ask(one, ACCEPT, input={"token": token, "providerId": "idp"}))["acceptInvite"]
            callback = urlsplit(await provider.callback_url(begun["authorizationUrl"], email=OWNER))
            other.cookies.update(one.cookies)
            returned = await other.get(f"{callback.path}?{callback.query}")
            assert (returned.status_code, returned.headers["location"]) == (303, "/confirm")
            one.cookies.update(other.cookies)
            viewer = (await _ask(one, "{ viewer { memberships { role community { name } } } }"))["viewer"]
        assert viewer["memberships"] == [{"role": "OWNER", "community": {"name": "Yard"}}]
        await worker.terminate()
        assert (await worker.ended())[0] == 0


async def _has_arrived(smtp: SmtpServerOnLoopback) -> bool:
    return bool(smtp.received)


async def _ask(client: httpx2.AsyncClient, query: str, **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    answer = (await client.post("/graphql", json=body, headers={"origin": PUBLIC_URL})).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def test_returns_are_counted_by_outcome(service: Service) -> None:
    """guestlist_flows_total counts each return of a login by kind and status."""
    async with service.browser() as owner:
        before = (await owner.client.get("/metrics")).text
        assert (await owner.sign_in("stranger@example.com"))["status"] == "NOT_INVITED"
        after = (await owner.client.get("/metrics")).text
    line = 'guestlist_flows_total{kind="sign_in",status="NOT_INVITED"} '
    counts = [float(text.partition(line)[2].partition("\n")[0] or 0) for text in (before, after)]
    assert counts[1] - counts[0] == 1


async def test_dev_needs_no_settings(tmp_path: Path) -> None:
    """`guestlist dev` in an empty folder serves the demo, the owner's mail with a link to its port, and its
    provider.
    """
    async with serving("dev", folder=tmp_path) as client:
        mails: list[dict[str, str]] = []
        for _ in range(100):
            mails = (await client.get("/dev/mailbox.json")).json()
            if mails:
                break
            await asyncio.sleep(0.1)
        assert [set(mail) for mail in mails] == [{"id", "to", "subject", "text", "html", "sent_at"}]
        assert mails[0]["to"] == "owner@example.com"
        assert f"{str(client.base_url).rstrip('/')}/confirm#" in mails[0]["text"]
        metadata = (await client.get("/dev/openid/.well-known/openid-configuration")).json()
        assert metadata["issuer"] == f"{str(client.base_url).rstrip('/')}/dev/openid"


async def test_dev_reports_the_waiting_invitation(service: Service) -> None:
    """Until the owner accepts, every start sends a new demo link. Afterwards no start does, except with
    another issuer.
    """
    now, settings = service.clock, service.settings
    for _ in range(7):
        assert await mode.prepare_demo(settings, now=now())
        assert await service.token_for("owner@example.com")
    mails = len(service.mailbox.entries)
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        assert not await mode.prepare_demo(settings, now=now())
        await service.deliver()
        assert len(service.mailbox.entries) == mails
        await database.execute("UPDATE identities SET issuer = $1", "http://localhost:1/dev/openid")
        assert await mode.prepare_demo(settings, now=now())
        again = await owner.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        assert (again["status"], again["membership"]["role"]) == ("ALREADY_MEMBER", "OWNER")
    assert await Member.all().count() == 1


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["serve", "--workers", "2"], {}, "PostgreSQL"),
        (["worker"], {"GUESTLIST_MAIL_URL": "smtp://localhost:25", "GUESTLIST_MAIL_FROM": "a@b.example"}, "PostgreSQL"),
        (["worker"], {}, "GUESTLIST_MAIL_URL"),
        (["serve", "--with-worker"], {}, "GUESTLIST_MAIL_URL"),
        (["serve"], {"GUESTLIST_MAIL_URL": "mailbox:", "GUESTLIST_MAIL_FROM": "a@b.example"}, "GUESTLIST_MAIL_URL"),
        (["serve"], {"GUESTLIST_MAIL_URL": "smtp://h?starttls=x", "GUESTLIST_MAIL_FROM": "a@b.example"}, "starttls"),
        (["serve"], {"GUESTLIST_LINK_MINUTES": "16"}, "GUESTLIST_LINK_MINUTES"),
        (["serve"], {"GUESTLIST_LINK_MINUTE": "10"}, "GUESTLIST_LINK_MINUTES"),
        (["serve"], {"GUESTLIST_PUBLIC_URL": "http://id.example.com"}, "GUESTLIST_PUBLIC_URL"),
        (["migrate"], {"GUESTLIST_DATABASE_URL": "mysql://x"}, "GUESTLIST_DATABASE_URL"),
        (["community", "create", "Demo", "--owner", "nobody"], {}, "--owner"),
        (["community", "create", "", "--owner", "a@b.example"], {}, "name is empty"),
        (["serve", "--port", "65536"], {}, "--port"),
        (["surprise"], {}, "surprise"),
    ],
)
async def test_a_failed_start_reports_its_reason(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], words: str
) -> None:
    """Wrong usage and settings exit with status 2 and name the error. They start no server and store no data."""
    status, output = await _run(*arguments, folder=tmp_path, **PROVIDER, **environ)
    assert (status, words in output) == (2, True), output
    assert list(tmp_path.iterdir()) == []


async def test_no_message_about_settings_contains_a_secret(tmp_path: Path) -> None:
    """H158: messages about wrong settings contain neither the client secret nor the database's password."""
    environ = PROVIDER | {"GUESTLIST_DATABASE_URL": "postgres://me:hunter22@[broken", "GUESTLIST_LINK_MINUTES": "0"}
    status, output = await _run("serve", folder=tmp_path, **environ)
    assert status == 2
    assert not [secret for secret in ("hunter22", "s3cret-of-acme") if secret in output]


async def test_the_version_is_printed(tmp_path: Path) -> None:
    """`guestlist --version` prints the version of the package's metadata, and needs no settings."""
    assert await _run("--version", folder=tmp_path) == (0, f"{version('guestlist')}\n")


async def test_serve_warns_about_forgotten_steps(tmp_path: Path, sqlite_template: Path) -> None:
    """On SQLite, the service warns at startup about pending migrations, and that no mail is sent without
    --with-worker.
    """
    for migrated in (False, True):
        if migrated:
            (tmp_path / "guestlist.db").write_bytes(sqlite_template.read_bytes())
        process = await _start("serve", "--port", "0", folder=tmp_path)
        assert process.stdout is not None
        output = (await process.stdout.readuntil(b"Uvicorn running")).decode()
        process.terminate()
        await process.communicate()
        assert ("run `guestlist migrate`" in output, "--with-worker" in output) == (not migrated, True)


async def test_an_operator_creates_a_community(tmp_path: Path, sqlite_template: Path) -> None:
    """`guestlist community create` creates the community and orders the mail to its owner. The order contains no link
    yet.
    """
    (tmp_path / "guestlist.db").write_bytes(sqlite_template.read_bytes())
    status, output = await _run("community", "create", "Chess club", "--owner", "Queen@Example.com", folder=tmp_path)
    assert (status, "Chess club" in output) == (0, True), output
    await database.connect(f"sqlite://{tmp_path / 'guestlist.db'}")
    orders = await database.select(
        "SELECT i.email, i.role, o.sent_at FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id"
    )
    links = await database.select("SELECT id FROM links")
    await database.disconnect()
    assert (orders, links) == ([{"email": "queen@example.com", "role": "OWNER", "sent_at": None}], [])


@pytest.mark.parametrize(
    "arguments", [["migrate"], ["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"]]
)
@pytest.mark.parametrize("url", ["postgres://me:hunter22@127.0.0.1:{port}/guestlist", "sqlite://{folder}/none/x.db"])
async def test_an_unavailable_database_is_reported(tmp_path: Path, arguments: list[str], url: str) -> None:
    """Commands and the service exit with status 1 and one line, without the password, when the database is
    unavailable.
    """
    if "--workers" in arguments and url.startswith("sqlite"):
        arguments = arguments[:-2]
    url = url.format(port=_free_port(), folder=tmp_path)
    status, output = await _run(*arguments, folder=tmp_path, GUESTLIST_DATABASE_URL=url)
    assert (status, output.startswith("The database "), output.count("\n"), "hunter22" in output) == (
        1,
        True,
        1,
        False,
    ), output


@pytest.mark.parametrize("command", ["dev", "serve"])
async def test_an_occupied_port_is_reported(tmp_path: Path, command: str) -> None:
    """An occupied port is reported with a remedy and status 1, before anything is created or announced."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        status, output = await _run(command, "--port", port, folder=tmp_path)
    assert (status, f"Port {port} on 127.0.0.1" in output, "--port" in output) == (1, True, True), output
    assert "Guestlist is on" not in output
    assert list(tmp_path.iterdir()) == []
