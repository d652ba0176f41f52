"""Tokens are in the mail only."""

import base64
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service import database, logs
from service.models import Invitation
from service.tokens import digest_of
from tests.support.members import invite_and_join, join_owner
from tests.support.requirements import skip_without
from tests.support.service import Browser, Service, query_of

pytestmark = pytest.mark.anyio


class _Recorder(logging.Handler):
    """Records every log record as text with its arguments, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Yields the log at DEBUG, with the configuration of the service."""
    logs.configure("debug", "json")
    recorder = _Recorder()
    logging.getLogger().addHandler(recorder)
    yield recorder.lines
    logging.getLogger().removeHandler(recorder)


def _forms(secret: str) -> list[str]:
    """Returns a secret as it is, in hex and in base64, and the same for its bytes."""
    forms = {secret}
    for raw in (secret.encode(), _decoded(secret)):
        encodings = (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b32encode(raw))
        forms |= {raw.hex(), raw.hex().upper(), *(text.decode().rstrip("=") for text in encodings)}
    return sorted(forms)


def _decoded(secret: str) -> bytes:
    return base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))


async def _every_stored_value() -> str:
    """Returns every value of every table, also of tables without a model."""
    if database.is_postgres():
        tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
    else:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    values: list[Any] = []
    for table in await database.select(tables):
        rows = await database.select(f'SELECT * FROM "{table["name"]}"')  # noqa: S608 -- our tables
        values += [value for row in rows for value in row.values()]
    return "\n".join(str(value) for value in values)


async def _stored_files(service: Service) -> list[Path]:
    """Returns the database's files with its journals. A PostgreSQL server of another account has no readable files."""
    if not database.is_postgres():
        path = database.sqlite_path(service.settings.database_url.get_secret_value())
        return list(path.parent.glob(f"{path.name}*"))
    await database.connection().execute_script("CHECKPOINT")
    row = (await database.select(
        "SELECT current_setting('data_directory') AS folder, oid FROM pg_database WHERE datname = current_database()"
    ))[0]  # fmt: skip
    folder = Path(row["folder"])
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    return [*(folder / "base" / str(row["oid"])).iterdir(), *(folder / "pg_wal").glob("0*")]


def _tokens_of(browser: Browser) -> list[str]:
    """Returns every token in a browser's cookies. The flow cookie holds one for each flow."""
    return [token for value in browser.client.cookies.values() for token in value.split(".")]


async def test_no_secret_leaves_the_mail(service: Service, log_lines: list[str]) -> None:
    """H002, H098, H155: stored values, log lines and answers contain no token, state, verifier, code or cookie of a
    whole journey.
    """
    answers: list[str] = []
    async with service.browser() as owner, service.browser() as guest:
        for browser in (owner, guest):
            browser.client.event_hooks["response"].append(lambda response: _keep(response, answers))
        owner_token = await service.token_for("owner@example.com")
        await owner.accept_as(owner_token, "owner@example.com")
        invited = await owner.invite(await owner.community_id(), "guest@example.com", message="Come in")
        token = await service.token_for("guest@example.com")
        await guest.accept_as(token, "other@example.com")
        started = await guest.accept(None)
        verifier = (await database.select("SELECT code_verifier FROM flows WHERE id = $1", started["acceptanceId"]))[0]
        callback = await guest.callback_url(started["authorizationUrl"], "guest@example.com")
        await guest.client.get(callback)
        await owner.invitation(invited["invitation"]["id"])
        links = [owner_token, token]
        state, code = query_of(callback)["state"], query_of(callback)["code"]
        cookies = [token for browser in (owner, guest) for token in _tokens_of(browser)]
        nonce = query_of(started["authorizationUrl"])["nonce"]

    stored, logged, answered = await _every_stored_value(), "\n".join(log_lines), "\n".join(answers)
    for secret in [*links, state, code, nonce, *cookies, verifier["code_verifier"]]:
        assert not [form for form in _forms(secret) if form in stored]
        assert not [form for form in _forms(secret) if form in logged]
    for secret in [*links, *cookies, code, verifier["code_verifier"]]:
        assert not [form for form in _forms(secret) if form in answered]
    assert "flow.returned" in logged, "the log was not recorded"
    assert {"guest@example.com", digest_of(token)} <= set(stored.split("\n")), "the database was not read"
    assert "guest@example.com" in answered, "the answers were not kept"


async def test_no_stored_file_has_a_token(service: Service) -> None:
    """H002: the files of the database, with SQLite's journal and PostgreSQL's log, contain no token or cookie."""
    token = await service.token_for("owner@example.com")
    async with service.browser() as owner:
        await owner.accept_as(token, "owner@example.com")
        secrets = [token, *_tokens_of(owner)]
    files = await _stored_files(service)
    if not files:
        skip_without("a PostgreSQL server whose files can be read")
    expected = [form.encode() for secret in secrets for form in _forms(secret)] + [
        _decoded(secret) for secret in secrets
    ]
    digest, read = digest_of(token).encode(), False
    for file in files:
        content = _bytes_of(file)
        assert not [form for form in expected if form in content], file.name
        read = read or digest in content
    assert read, "the files were not read"


def _bytes_of(file: Path) -> bytes:
    """Returns the content of a file, or nothing if the server has removed it."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


async def _keep(response: Any, answers: list[str]) -> None:
    await response.aread()
    if response.request.url.path == "/graphql":
        sent = {name: value for name, value in response.headers.items() if name != "set-cookie"}
        answers.append(f"{sent} {response.text}")


async def test_refused_mutation_is_logged_and_counted(service: Service, log_lines: list[str]) -> None:
    """A refused mutation writes one log line and one count, with the member's id and without the address. It invites no
    address.
    """
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        before = (await owner.client.get("/metrics")).text
        log_lines.clear()
        for browser in (guest, stranger):
            await browser.invite(community, "friend@example.com")
        after = (await owner.client.get("/metrics")).text
        member = (await guest.ask("{ viewer { member { id } } }"))["viewer"]["member"]["id"]
    reported = [line for line in log_lines if "mutation.refused" in line]
    assert [("NotPermitted" in line, member in line) for line in reported] == [(True, True), (False, False)]
    assert "NotSignedIn" in reported[1]
    assert "friend@" not in "".join(log_lines)
    for problem in ("NotPermitted", "NotSignedIn"):
        line = f'guestlist_refusals_total{{mutation="inviteMember",problem="{problem}"}} '
        counts = [float(text.partition(line)[2].partition("\n")[0] or 0) for text in (before, after)]
        assert counts[1] - counts[0] == 1
    assert await Invitation.filter(email="friend@example.com").count() == 0
