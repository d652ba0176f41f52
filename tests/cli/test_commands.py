"""The operator's commands, run as processes."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import database
from service.addresses import canonical
from service.cli import COMMANDS, imported_command
from service.invitations.operator import create_community_as_operator
from service.mail import blocks
from service.settings import load_settings
from tests import ROOT
from tests.support.mail_servers import SesFault, SesOnLoopback, ses_on_loopback, smtp_on_loopback
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, running_provider
from tests.support.processes import environment, run

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"


@pytest.fixture
async def url(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[str]:
    """A migrated SQLite database with one community and a waiting mail. The test is connected to it too."""
    path = tmp_path / "operated.db"
    shutil.copy(sqlite_template, path)
    url = f"sqlite://{path}"
    await database.connect(url)
    settings = load_settings(environ={}, database_url=url)
    await create_community_as_operator("Yard", canonical(GUEST), now=datetime.now(UTC), settings=settings)
    yield url
    await database.disconnect()


async def _suppress(email: str) -> None:
    await database.execute(
        "INSERT INTO suppressions (email, reason, created_at) VALUES ($1, 'bounced', $2)", email, datetime.now(UTC)
    )


def _with_ses(url: str, ses: SesOnLoopback) -> dict[str, str]:
    settings = environment(
        database_url=url, mail_url="ses://eu-west-1?configuration_set=main", mail_from="a@example.com"
    )
    return settings | {"AWS_ENDPOINT_URL": ses.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}


async def test_suppressed_addresses_are_listed_and_removed(url: str) -> None:
    """`suppression list` shows address and reason. `remove` removes an address here and at SES, with an audit event
    that masks it.
    """
    await _suppress(GUEST)
    with ses_on_loopback() as ses:
        ses.suppressed = {GUEST}
        status, output = await run("suppression", "list", env=_with_ses(url, ses))
        assert status == 0
        assert output.startswith(f"{GUEST}\tbounced\t")
        status, output = await run("suppression", "remove", "Guest@Example.com", env=_with_ses(url, ses))
        assert (status, ses.suppressed) == (0, set()), output
    assert await database.select("SELECT * FROM suppressions") == []
    events = await database.select("SELECT details FROM audit_events WHERE kind = 'address.unsuppressed'")
    assert len(events) == 1
    assert GUEST not in str(events)


async def test_blocks_are_listed_and_lifted(url: str) -> None:
    """H178: `suppression list` shows blocks with their community and author. `remove` lifts all of them and reports
    this once.
    """
    (row,) = await database.select("SELECT id, community_id FROM invitations")
    async with database.transaction():
        await blocks.create(row["community_id"], canonical(GUEST), invitation_id=row["id"], now=datetime.now(UTC))
    settings = environment(database_url=url)
    status, output = await run("suppression", "list", env=settings)
    assert status == 0
    assert output.startswith(f"{GUEST}\tblocked\t")
    assert "\tYard\tmade by somebody with the link" in output
    status, output = await run("suppression", "remove", GUEST, env=settings)
    assert (status, "Lifted the block: Yard can invite this address again." in output) == (0, True), output
    assert await blocks.list_all() == []
    (event,) = await database.select("SELECT details FROM audit_events WHERE kind = 'address.block_lifted'")
    assert "operator" in str(event)
    assert GUEST not in str(event)
    status, output = await run("suppression", "remove", GUEST, env=settings)
    assert (status, "on no list and blocked by no community" in output) == (0, True)
    assert "Lifted" not in output


async def test_removal_fails_while_ses_is_unavailable(url: str) -> None:
    """When SES does not answer, `remove` reports this and exits with status 1. The address stays suppressed."""
    await _suppress(GUEST)
    with ses_on_loopback() as ses:
        ses.faults["/v2/email/suppression"] = SesFault(503, "ServiceUnavailable")
        status, output = await run("suppression", "remove", GUEST, env=_with_ses(url, ses))
    assert (status, "fault of its own" in output) == (1, True)
    assert len(await database.select("SELECT * FROM suppressions")) == 1
    status, output = await run("suppression", "remove", "no address", env=environment(database_url=url))
    assert (status, "email address" in output) == (2, True)


async def test_erase_reports_deleted_and_kept_data(url: str) -> None:
    """`erase` counts the deleted data and names the kept data. An unknown address has status 1."""
    await _suppress(GUEST)
    status, output = await run("erase", GUEST, env=environment(database_url=url))
    assert status == 0, output
    assert "0 accounts, 0 memberships, 1 invitations" in output
    assert "guestlist suppression" in output
    assert GUEST not in str(await database.select("SELECT email FROM invitations"))
    status, output = await run("erase", "nobody@example.com", env=environment(database_url=url))
    assert (status, "no account and no invitation has the address nobody@example.com" in output) == (1, True)


async def test_serve_and_doctor_refuse_a_configuration_set_that_tracks(url: str) -> None:
    """H095: `serve --with-worker` and `doctor` name the CLICK events and exit with status 1. No mail is sent."""
    with ses_on_loopback() as ses:
        ses.configuration_sets["main"] = {}
        ses.event_destinations["main"] = [{"Name": "x", "Enabled": True, "MatchingEventTypes": ["CLICK"]}]
        status, output = await run("serve", "--with-worker", "--port", "0", env=_with_ses(url, ses))
        assert (status, "take CLICK out" in output, "Traceback" in output) == (1, True, False)
        status, output = await run("doctor", env=_with_ses(url, ses))
        assert status == 1
        assert "take CLICK out" in output
        assert ses.sent == []


async def test_the_doctor_reports_each_problem(url: str, tmp_path: Path) -> None:
    """Missing mail settings, providers, migrations or database: each is reported with its remedy and status 1."""
    status, output = await run("doctor", env=environment(database_url=url))
    assert status == 1
    assert "GUESTLIST_MAIL_URL" in output
    assert "GUESTLIST_PROVIDERS__NAME" in output
    empty = f"sqlite://{tmp_path / 'empty.db'}"
    _, output = await run("doctor", env=environment(database_url=empty))
    assert "run `guestlist migrate`" in output
    nowhere = environment(database_url="postgres://user:pa55word@127.0.0.1:9/none")
    status, output = await run("doctor", env=nowhere)
    assert (status, "does not answer" in output, "pa55word" in output) == (1, True, False)


async def test_the_doctor_reports_unsent_mails(url: str) -> None:
    """Doctor counts mails that wait for more than ten minutes, and names the likely cause."""
    await database.execute("UPDATE mail_orders SET due_at = $1", datetime(2026, 1, 1, tzinfo=UTC))
    _, output = await run("doctor", env=environment(database_url=url))
    assert "1 mail waits for more than ten minutes" in output


async def test_the_doctor_accepts_a_correct_setup(url: str) -> None:
    """With a database, a mail server, a working provider and an https address, every check passes and the
    status is 0.
    """
    async with smtp_on_loopback() as smtp, running_provider() as provider:
        env = environment(
            database_url=url, mail_url=f"smtp://127.0.0.1:{smtp.port}", mail_from="a@example.com",
            public_url="https://id.example.com", providers__acme__issuer=provider.issuer,
            providers__acme__client_id=CLIENT_ID, providers__acme__client_secret=CLIENT_SECRET,
            providers__acme__email_domains="*",
        )  # fmt: skip
        status, output = await run("doctor", env=env)
        assert status == 0, output
        assert output.split("\n")[:5] == [
            f"{name}: well" for name in ("settings", "database", "mail", "providers", "clock")
        ]
        wrong = env | {"GUESTLIST_PROVIDERS__ACME__CLIENT_SECRET": "wrong-secret"}
        status, output = await run("doctor", env=wrong)
        assert (status, "wrong-secret" in output) == (1, False)
        assert "authenticated by client_secret_basic" in output
        env["GUESTLIST_PROVIDERS__ACME__ISSUER"] = f"{provider.issuer}/other"
        status, output = await run("doctor", env=env)
        assert (status, "The provider acme cannot be used" in output) == (1, True)


async def test_a_community_is_created_with_its_language(url: str) -> None:
    """`community create --locale` sets the language of its mails. An invalid language is refused with status 2."""
    create = ("community", "create", "Schachklub", "--owner", "dame@example.com", "--locale")
    status, output = await run(*create, "no language", env=environment(database_url=url))
    assert (status, "--locale" in output, "BCP 47" in output) == (2, True, True)
    assert await database.select("SELECT id FROM communities WHERE name = 'Schachklub'") == []
    status, output = await run(*create, "de-AT", env=environment(database_url=url))
    assert status == 0, output
    rows = await database.select("SELECT locale FROM communities WHERE name = 'Schachklub'")
    assert [row["locale"] for row in rows] == ["de-AT"]


async def test_a_second_community_of_a_name_needs_a_request(url: str) -> None:
    """A repeated `community create` creates nothing and invites no one, in any case of letters. --another creates a second one."""
    create = ("community", "create", "YARD", "--owner", "other@example.com")
    before = await database.select("SELECT count(*) AS rows FROM mail_orders")
    status, output = await run(*create, env=environment(database_url=url))
    assert (status, "There is a community Yard already (com_" in output, "--another" in output) == (1, True, True)
    assert await database.select("SELECT count(*) AS rows FROM mail_orders") == before
    status, output = await run(*create, "--another", env=environment(database_url=url))
    assert status == 0, output
    assert len(await database.select("SELECT id FROM communities WHERE lower(name) = 'yard'")) == 2


async def test_mail_previews_are_written_to_files(tmp_path: Path) -> None:
    """`mail preview` writes five mails in four languages as text and HTML, and needs no settings."""
    folder = tmp_path / "mails"
    status, output = await run("mail", "preview", str(folder), env=environment(), cwd=tmp_path)
    assert status == 0, output
    assert len(list(folder.glob("*.txt"))) == len(list(folder.glob("*.html"))) == 20
    assert 'lang="de"' in (folder / "code.de.html").read_text("utf-8")
    assert "Ada Lovelace" in (folder / "invitation.es.txt").read_text("utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ("community", "create", "Yard", "--owner", GUEST),
        ("identity", "release", GUEST),
        ("suppression", "list"),
        ("suppression", "remove", GUEST),
        ("invite", "Yard", GUEST),
        ("export", "invitations", "Yard", "--to", "list.csv"),
        ("export", "audit", "Yard"),
        ("erase", GUEST),
        ("doctor",),
    ],
    ids=" ".join,
)
async def test_commands_require_a_migrated_database(
    command: tuple[str, ...], engine: str, empty_database_url: str, tmp_path: Path
) -> None:
    """On a database without tables, each command names `guestlist migrate`, exits with status 1 and creates nothing."""
    await _assert_requires_migrations(command, engine, empty_database_url, tmp_path / "folder")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_worker_requires_a_migrated_database(engine: str, empty_database_url: str, tmp_path: Path) -> None:
    """The worker, which needs PostgreSQL, exits in the same way, before it looks for mails."""
    await _assert_requires_migrations(("worker",), engine, empty_database_url, tmp_path / "folder")


async def _assert_requires_migrations(command: tuple[str, ...], engine: str, url: str, folder: Path) -> None:
    env = environment(database_url=url, mail_url="smtp://127.0.0.1:9", mail_from="a@example.com")
    folder.mkdir()
    status, output = await run(*command, env=env, cwd=folder)
    sentence = [line for line in output.splitlines() if "0001_initial" in line]
    assert (status, len(sentence), "Traceback" in output) == (1, 1, False), output
    assert sentence[0].endswith(": run `guestlist migrate`.")
    assert command == ("doctor",) or output.splitlines() == sentence
    assert list(folder.iterdir()) == []
    await database.connect(url)
    tables = {
        "postgres": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        "sqlite": "SELECT name FROM sqlite_master",
    }
    assert await database.select(tables[engine]) == []
    await database.disconnect()


async def test_the_list_of_commands_imports_no_command() -> None:
    """`guestlist --help` lists every command without importing the database, the mails or the schema."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-m", "service.cli", "--help",
        cwd=ROOT, env=environment() | {"COLUMNS": "500"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, imports = await process.communicate()
    assert process.returncode == 0
    for name, command in COMMANDS.items():
        assert re.search(rf" {name} +{re.escape(command.help)} ", output.decode())
    imported = {line.rpartition("|")[2].strip() for line in imports.decode().splitlines()}
    assert "service.cli" in imported
    assert not {
        name for name in imported if name.startswith(("service.cli.", "service.database", "tortoise", "schema"))
    } - {"service.cli.__main__"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_has_their_own_sentences(name: str) -> None:
    """The sentence in the list is the first paragraph of the command's own help."""
    assert " ".join(imported_command(name).help.partition("\n\n")[0].split()) == COMMANDS[name].help
