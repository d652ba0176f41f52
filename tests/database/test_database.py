"""Constraints of the database on both engines, independent of the writer."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tortoise.exceptions import IntegrityError
from tortoise.indexes import Index
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from service import database
from service.database import drift
from service.models import PARTIAL_INDEXES, Community, Invitation, Member, Membership, __models__
from service.tokens import new_id

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
async def connected(database_url: str) -> AsyncIterator[str]:
    await database.connect(database_url)
    yield database_url
    await database.disconnect()


@pytest.fixture
async def community(connected: str) -> Community:
    return await Community.create(id=new_id("com"), name="Demo", created_at=NOW)


def _invitation(community: Community, **facts: Any) -> Invitation:
    usual = {"email": "guest@example.com", "role": "MEMBER", "created_at": NOW, "expires_at": NOW + timedelta(days=7)}
    return Invitation(id=new_id("inv"), community=community, **(usual | facts))


async def test_migrated_database_has_every_index_and_constraint(connected: str) -> None:
    """The indexes, partial indexes and CHECK constraints of the models exist by name. Drift is empty."""
    described = await drift.description()
    names = {name.rpartition(".")[2] or name for name in described} | {name.rpartition(" ")[2] for name in described}
    assert {
        index.name for model in __models__ for index in model._meta.indexes or () if isinstance(index, Index)
    } <= names
    assert {check.name for model in __models__ for check in model._meta.constraints or ()} <= names
    assert set(PARTIAL_INDEXES) <= names
    assert "WHERE" in described["index uq_invitations_open"]
    assert await drift.schema_drift(connected) == []
    assert await database.pending(connected) == []


async def test_models_match_the_migrations() -> None:
    """Every change of a model has a migration."""
    assert await drift.model_drift("sqlite://:memory:") == []


_ON_BOTH = {
    "DROP INDEX uq_invitations_open": "The index uq_invitations_open is missing",
    "ALTER TABLE flows DROP COLUMN message": "The column flows.message is missing",
    "ALTER TABLE flows ADD COLUMN surprise INT": "The column flows.surprise is in the database",
    "CREATE TABLE surprise (one INT)": "The column surprise.one is in the database",
    "DROP INDEX ix_mail_orders_due; CREATE INDEX ix_mail_orders_due ON mail_orders (due_at)": "The index ix_mail_orders_due is",
}
_ON_POSTGRES = {
    "ALTER TABLE links DROP CONSTRAINT links_digest_key": "links.links_digest_key is missing",
    "ALTER TABLE invitations DROP CONSTRAINT ck_invitations_one_end": "ck_invitations_one_end is missing",
    "ALTER TABLE invitations ALTER COLUMN email DROP NOT NULL": "The column invitations.email is",
    "ALTER TABLE invitations ALTER COLUMN message TYPE text": "The column invitations.message is text",
    "ALTER TABLE memberships ADD CONSTRAINT surprise CHECK (role <> 'x')": "memberships.surprise is in the database",
}
_ON_SQLITE = {
    "CREATE TABLE new (digest TEXT); DROP TABLE unsubscribe_tokens; ALTER TABLE new RENAME TO unsubscribe_tokens": (
        "unsubscribe_tokens.email is missing"
    ),
    "PRAGMA writable_schema=1; UPDATE sqlite_master SET sql = replace(sql, 'link_minutes BETWEEN 5', 'link_minutes BETWEEN 1')"
    " WHERE name = 'communities'; PRAGMA writable_schema=RESET": "ck_communities_link_minutes is CHECK",
}


async def test_drift_is_reported(connected: str) -> None:
    """Missing, foreign and changed objects are named: column, index, unique key, CHECK, NOT NULL, type."""
    changes = _ON_BOTH | (_ON_POSTGRES if database.is_postgres() else _ON_SQLITE)
    for change in changes:
        await database.connection().execute_script(change)
    found = await drift.schema_drift(connected)
    assert [words for words in changes.values() if len([line for line in found if words in line]) != 1] == [], found
    assert await database.pending(connected) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"role": "KING"},
        {"delivery": "LOST"},
        {"expires_at": NOW},
        {"accepted_at": NOW, "revoked_at": NOW},
        {"declined_at": NOW, "revoked_at": NOW},
    ],
)
async def test_impossible_invitations_are_rejected(community: Community, facts: dict[str, Any]) -> None:
    """CHECK constraints reject an unknown role or delivery, a deadline in the past, and two ends at once."""
    with pytest.raises(IntegrityError):
        await _invitation(community, **facts).save(force_create=True)
    assert await Invitation.all().count() == 0


@pytest.mark.parametrize(
    "facts", [{"link_minutes": 4}, {"link_minutes": 16}, {"invitation_days": 31}, {"seat_limit": 0}]
)
async def test_invalid_policies_are_rejected(connected: str, facts: dict[str, Any]) -> None:
    """CHECK constraints reject links of 4 or 16 minutes, invitations of 31 days, and no seats."""
    with pytest.raises(IntegrityError):
        await Community.create(id=new_id("com"), name="Demo", created_at=NOW, **facts)
    assert await Community.all().count() == 0


async def test_one_open_invitation_an_address(community: Community) -> None:
    """H084: a second open invitation of an address is rejected. After the first one ended, it is accepted."""
    await _invitation(community).save(force_create=True)
    with pytest.raises(IntegrityError):
        await _invitation(community).save(force_create=True)
    await Invitation.all().update(revoked_at=NOW)
    await _invitation(community).save(force_create=True)
    assert await Invitation.all().count() == 2


async def test_one_membership_a_member(community: Community) -> None:
    """A member belongs to a community once."""
    member = await Member.create(id=new_id("per"), created_at=NOW)
    for expected in (1, 1):
        access = Membership(id=new_id("mem"), member=member, community=community, role="MEMBER", joined_at=NOW)
        if await Membership.all().count():
            with pytest.raises(IntegrityError):
                await access.save(force_create=True)
        else:
            await access.save(force_create=True)
        assert await Membership.all().count() == expected


async def test_failed_transaction_is_rolled_back(connected: str) -> None:
    """Rows from before the error are gone, also after an inner rollback."""

    async def work() -> None:
        async with database.transaction():
            await Community.create(id="com_one", name="One", created_at=NOW)
            with pytest.raises(IntegrityError):
                async with database.transaction():
                    await Community.create(id="com_one", name="Again", created_at=NOW)
            assert await Community.all().count() == 1
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert await Community.all().count() == 0


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_several_migrations_at_once(engine: str, empty_database_url: str) -> None:
    """Four simultaneous processes migrate one empty database. All succeed, and each migration runs once."""
    runs = [await _guestlist("migrate", url=empty_database_url) for _ in range(4)]
    outputs = await asyncio.gather(*(run.communicate() for run in runs))
    assert [run.returncode for run in runs] == [0, 0, 0, 0], outputs
    assert sum(b"Applied 0001_initial" in out for out, _ in outputs) == 1
    check = await _guestlist("migrate", "--check", url=empty_database_url)
    await check.communicate()
    assert check.returncode == 0


async def test_migrating_the_outbox_keeps_its_rows(empty_database_url: str) -> None:
    """A database of the previous release keeps orders, links and flows when the outbox gets notices."""
    await database.connect(empty_database_url)
    try:
        before = await _database_before_notices(empty_database_url)
        assert "0006_notices" in await database.migrate(empty_database_url)
        after = await _rows()
        for table, rows in before.items():
            names = rows[0].keys() - {"replaced_at"}  # a later migration drops it
            kept, written = ([{name: row[name] for name in names} for row in found] for found in (after[table], rows))
            assert kept == written, table
        assert await drift.schema_drift(empty_database_url) == []
        assert [row["made_by"] for row in after["blocks"]] == ["link"]
        await database.execute("DELETE FROM mail_orders")
        assert {table: len(rows) for table, rows in (await _rows()).items()} == {
            "mail_orders": 0, "links": 0, "flows": 1, "blocks": 1,
        }  # fmt: skip
    finally:
        await database.disconnect()


async def _database_before_notices(url: str) -> dict[str, list[dict[str, Any]]]:
    """Migrates up to the previous release, and writes two orders with a link each, and three flows."""
    executor = MigrationExecutor(database.connection(), database.config_for(url)["apps"])
    await executor.migrate([MigrationTarget("guestlist", "0005_invited_before")], direction="forward")
    await database.execute(
        "INSERT INTO communities (id, name, created_at, allowed_email_domains) VALUES ('com', 'Demo', $1, '[]')", NOW
    )
    await database.execute(
        "INSERT INTO blocks (id, community_id, email, created_at) VALUES ('blk', 'com', 'no@example.com', $1)", NOW
    )
    for name in ("one", "two"):
        await database.execute(
            "INSERT INTO invitations (id, community_id, email, role, generation, created_at, expires_at, delivery, resends)"
            " VALUES ($1, 'com', $1, 'MEMBER', 1, $2, $3, 'SENT', 0)",
            name, NOW, NOW + timedelta(days=7),
        )  # fmt: skip
        await database.execute(
            "INSERT INTO mail_orders (id, kind, invitation_id, generation, created_at, due_at, attempt, tries, message_id)"
            " VALUES ($1, 'invitation', $1, 1, $2, $2, 1, 2, $1)",
            name, NOW,
        )  # fmt: skip
        await database.execute(
            "INSERT INTO links (id, invitation_id, mail_order_id, generation, digest, created_at, expires_at)"
            " VALUES ($1, $1, $1, 1, $1, $2, $3)",
            name, NOW, NOW + timedelta(minutes=10),
        )  # fmt: skip
        await _flow(name, "accept", name)
    await _flow("three", "sign_in", None)
    return await _rows()


async def _flow(name: str, kind: str, link: str | None) -> None:
    await database.execute(
        "INSERT INTO flows (id, kind, browser_digest, state_digest, nonce_digest, provider_id, return_to, link_id,"
        " started_at, first_started_at, expires_at, status) VALUES ($1, $2, $1, $1, $1, 'dev', '/', $3, $4, $4, $4, 'STARTED')",
        name, kind, link, NOW,
    )  # fmt: skip


async def _rows() -> dict[str, list[dict[str, Any]]]:
    tables = ("mail_orders", "links", "flows", "blocks")
    return {table: await database.select(f"SELECT * FROM {table} ORDER BY id") for table in tables}  # noqa: S608 -- our tables


async def test_migrate_check_fails_for_an_empty_database(empty_database_url: str) -> None:
    """`migrate --check` changes nothing, names the missing objects and exits with 1."""
    check = await _guestlist("migrate", "--check", url=empty_database_url)
    _, output = await check.communicate()
    assert check.returncode == 1
    assert b"0001_initial" in output


async def _guestlist(*arguments: str, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *arguments,
        env={"GUESTLIST_DATABASE_URL": url, "PATH": ""}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
