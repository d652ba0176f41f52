"""The token stands in the mail and nowhere else."""

import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from service import database, logs
from service.models import __models__
from tests.story import Service, query_of

pytestmark = pytest.mark.anyio


class _Recorder(logging.Handler):
    """Every log record as text, arguments and all, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged at DEBUG, set up as the service sets it up."""
    logs.configure("debug", "json")
    recorder = _Recorder()
    logging.getLogger().addHandler(recorder)
    yield recorder.lines
    logging.getLogger().removeHandler(recorder)


def _forms(token: str) -> list[str]:
    """A secret as it could stand somewhere: as it is, as hex, as base64."""
    raw = token.encode()
    return [
        token,
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    ]


async def _every_stored_value() -> str:
    values: list[Any] = []
    for model in __models__:
        rows = await database.select(f"SELECT * FROM {model._meta.db_table}")  # noqa: S608 -- our tables
        values += [value for row in rows for value in row.values()]
    return "\n".join(str(value) for value in values)


async def test_no_secret_leaves_the_mail(service: Service, log_lines: list[str]) -> None:
    """H002, H098, H155: no stored byte, log line or answer has a token, state, verifier, code or cookie of the journey."""
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
        callback = await guest.callback_url(started["authorizationUrl"], "guest@example.com")
        await guest.client.get(callback)
        await owner.invitation(invited["invitation"]["id"])
        links = [owner_token, token]
        state, code = query_of(callback)["state"], query_of(callback)["code"]
        cookies = [value for browser in (owner, guest) for value in browser.client.cookies.values()]
        nonce = query_of(started["authorizationUrl"])["nonce"]

    stored = await _every_stored_value()
    for secret in [*links, state, code, nonce, *cookies]:
        for form in _forms(secret):
            assert form not in stored
            assert not [line for line in log_lines if form in line]
    graphql = "\n".join(answers)
    for secret in links + cookies:
        assert not [form for form in _forms(secret) if form in graphql]
    assert any("flow.returned" in line for line in log_lines), "the log was not recorded"
    assert "guest@example.com" in stored, "the database was not read"


async def test_no_stored_file_has_a_token(service: Service) -> None:
    """H002: the bytes of the SQLite files, journal and all, have neither token of the journey."""
    url = service.settings.database_url.get_secret_value()
    token = await service.token_for("owner@example.com")
    async with service.browser() as owner:
        await owner.accept_as(token, "owner@example.com")
    if database.is_postgres():
        dump = await _every_stored_value()
        assert token not in dump
        return
    path = database.sqlite_path(url)
    for file in path.parent.glob(f"{path.name}*"):
        content = file.read_bytes()
        assert not [form for form in _forms(token) if form.encode() in content]


async def _keep(response: Any, answers: list[str]) -> None:
    await response.aread()
    if response.request.url.path == "/graphql":
        answers.append(response.text)
