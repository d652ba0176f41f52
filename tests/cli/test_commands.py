"""The operator's commands, run as processes of their own."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import database
from service.addresses import canonical
from service.invitations.operator import create_community_as_operator
from service.mail import blocks
from service.settings import load_settings
from tests.support.mail_servers import SesFault, SesOnLoopback, ses_on_loopback, smtp_on_loopback
from tests.support.openid_provider import running_provider
from tests.support.processes import environment, run

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"


@pytest.fixture
async def url(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[str]:
    """A migrated SQLite database, connected here too, with one community and a waiting mail."""
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


async def test_suppressed_addresses_are_listed_and_taken_off(url: str) -> None:
    """`suppression list` shows address and reason; `remove` takes one off here and at SES, audited, with it masked."""
    await _suppress(GUEST)
    with ses_on_loopback() as ses:
        ses.suppressed = {GUEST}
        status, said = await run("suppression", "list", env=_with_ses(url, ses))
        assert status == 0
        assert said.startswith(f"{GUEST}\tbounced\t")
        status, said = await run("suppression", "remove", "Guest@Example.com", env=_with_ses(url, ses))
        assert (status, ses.suppressed) == (0, set()), said
    assert await database.select("SELECT * FROM suppressions") == []
    events = await database.select("SELECT details FROM audit_events WHERE kind = 'address.unsuppressed'")
    assert len(events) == 1
    assert GUEST not in str(events)


async def test_blocks_are_listed_and_lifted(url: str) -> None:
    """H178: `suppression list` shows blocks with their community and author, `remove` lifts them all and says so, once."""
    (row,) = await database.select("SELECT id, community_id FROM invitations")
    async with database.transaction():
        await blocks.create(row["community_id"], canonical(GUEST), invitation_id=row["id"], now=datetime.now(UTC))
    settings = environment(database_url=url)
    status, said = await run("suppression", "list", env=settings)
    assert status == 0
    assert said.startswith(f"{GUEST}\tblocked\t")
    assert "\tYard\tmade by somebody with the link" in said
    status, said = await run("suppression", "remove", GUEST, env=settings)
    assert (status, "Lifted the block: Yard can invite this address again." in said) == (0, True), said
    assert await blocks.list_all() == []
    (event,) = await database.select("SELECT details FROM audit_events WHERE kind = 'address.block_lifted'")
    assert "operator" in str(event)
    assert GUEST not in str(event)
    status, said = await run("suppression", "remove", GUEST, env=settings)
    assert (status, "on no list and blocked by no community" in said) == (0, True)
    assert "Lifted" not in said


async def test_nothing_is_taken_off_while_ses_cannot_be_asked(url: str) -> None:
    """When SES does not answer, `remove` says so, ends with 1, and the address stays on the list."""
    await _suppress(GUEST)
    with ses_on_loopback() as ses:
        ses.faults["/v2/email/suppression"] = SesFault(503, "ServiceUnavailable")
        status, said = await run("suppression", "remove", GUEST, env=_with_ses(url, ses))
    assert (status, "fault of its own" in said) == (1, True)
    assert len(await database.select("SELECT * FROM suppressions")) == 1
    status, said = await run("suppression", "remove", "no address", env=environment(database_url=url))
    assert (status, "email address" in said) == (2, True)


async def test_erasing_says_what_went_and_what_stays(url: str) -> None:
    """`erase` counts what it erased and names what stays; an address that nobody knows is no failure."""
    await _suppress(GUEST)
    status, said = await run("erase", GUEST, env=environment(database_url=url))
    assert status == 0, said
    assert "0 accounts, 0 memberships, 1 invitations" in said
    assert "guestlist suppression" in said
    assert GUEST not in str(await database.select("SELECT email FROM invitations"))
    status, said = await run("erase", "nobody@example.com", env=environment(database_url=url))
    assert (status, "0 invitations" in said) == (0, True)


async def test_a_worker_and_a_service_refuse_a_configuration_set_that_tracks(url: str) -> None:
    """H095: `serve --with-worker` and `doctor` name the CLICK events and end with status 1; no mail was sent."""
    with ses_on_loopback() as ses:
        ses.configuration_sets["main"] = {}
        ses.event_destinations["main"] = [{"Name": "x", "Enabled": True, "MatchingEventTypes": ["CLICK"]}]
        status, said = await run("serve", "--with-worker", "--port", "0", env=_with_ses(url, ses))
        assert (status, "take CLICK out" in said, "Traceback" in said) == (1, True, False)
        status, said = await run("doctor", env=_with_ses(url, ses))
        assert status == 1
        assert "take CLICK out" in said
        assert ses.sent == []


async def test_the_doctor_finds_what_is_wrong(url: str, tmp_path: Path) -> None:
    """No mail, no provider, migrations that were not applied, no database: each is named with its remedy, status 1."""
    status, said = await run("doctor", env=environment(database_url=url))
    assert status == 1
    assert "GUESTLIST_MAIL_URL" in said
    assert "GUESTLIST_PROVIDERS__NAME" in said
    empty = f"sqlite://{tmp_path / 'empty.db'}"
    _, said = await run("doctor", env=environment(database_url=empty))
    assert "run `guestlist migrate`" in said
    nowhere = environment(database_url="postgres://user:pa55word@127.0.0.1:9/none")
    status, said = await run("doctor", env=nowhere)
    assert (status, "does not answer" in said, "pa55word" in said) == (1, True, False)


async def test_the_doctor_finds_mails_that_nobody_sends(url: str) -> None:
    """Mails that wait for more than ten minutes are counted, with the likely cause."""
    await database.execute("UPDATE mail_orders SET due_at = $1", datetime(2026, 1, 1, tzinfo=UTC))
    _, said = await run("doctor", env=environment(database_url=url))
    assert "1 mail waits for more than ten minutes" in said


async def test_the_doctor_finds_all_well(url: str) -> None:
    """With a database, a mail server, a provider that answers and an https address, every check is well, and 0."""
    async with smtp_on_loopback() as smtp, running_provider() as provider:
        env = environment(
            database_url=url, mail_url=f"smtp://127.0.0.1:{smtp.port}", mail_from="a@example.com",
            public_url="https://id.example.com", providers__acme__issuer=provider.issuer,
            providers__acme__client_id="id", providers__acme__client_secret="secret", providers__acme__email_domains="*",
        )  # fmt: skip
        status, said = await run("doctor", env=env)
        assert status == 0, said
        assert said.split("\n")[:5] == [
            f"{name}: well" for name in ("settings", "database", "mail", "providers", "clock")
        ]
        env["GUESTLIST_PROVIDERS__ACME__ISSUER"] = f"{provider.issuer}/other"
        status, said = await run("doctor", env=env)
        assert (status, "The provider acme cannot be used" in said) == (1, True)


async def test_a_community_is_created_with_its_language(url: str) -> None:
    """`community create --locale` sets the language of its mails; what is no language is refused with status 2."""
    create = ("community", "create", "Schachklub", "--owner", "dame@example.com", "--locale")
    status, said = await run(*create, "no language", env=environment(database_url=url))
    assert (status, "--locale" in said, "BCP 47" in said) == (2, True, True)
    assert await database.select("SELECT id FROM communities WHERE name = 'Schachklub'") == []
    status, said = await run(*create, "de-AT", env=environment(database_url=url))
    assert status == 0, said
    rows = await database.select("SELECT locale FROM communities WHERE name = 'Schachklub'")
    assert [row["locale"] for row in rows] == ["de-AT"]


async def test_mails_are_written_to_files(tmp_path: Path) -> None:
    """`mail preview` writes five mails in four languages, text and HTML, and needs no settings."""
    folder = tmp_path / "mails"
    status, said = await run("mail", "preview", str(folder), env=environment(), cwd=tmp_path)
    assert status == 0, said
    assert len(list(folder.glob("*.txt"))) == len(list(folder.glob("*.html"))) == 20
    assert 'lang="de"' in (folder / "code.de.html").read_text("utf-8")
    assert "Ada Lovelace" in (folder / "invitation.es.txt").read_text("utf-8")
