"""The database refuses what must not be, on both engines, whoever writes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tortoise.exceptions import IntegrityError

from service import database
from service.models import Community, Invitation, Member, Membership
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


async def test_migrated_database_has_every_column_index_and_constraint(connected: str) -> None:
    """What the models say is really there: columns, indexes, partial indexes and CHECK constraints by name."""
    assert await database.schema_drift() == []
    assert await database.pending(connected) == []


async def test_models_are_what_the_migrations_make() -> None:
    """No model was changed without a migration."""
    assert await database.model_drift("sqlite://:memory:") == []


async def test_drift_is_found(connected: str) -> None:
    """A dropped index, a dropped column and a foreign column are each named."""
    await database.execute("DROP INDEX uq_invitations_open")
    await database.execute("ALTER TABLE flows DROP COLUMN message")
    await database.execute("ALTER TABLE flows ADD COLUMN surprise INT")
    found = await database.schema_drift()
    assert len(found) == 3
    assert [word in " ".join(found) for word in ("uq_invitations_open", "flows.message", "flows.surprise")] == [
        True
    ] * 3


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
async def test_impossible_invitations_are_refused(community: Community, facts: dict[str, Any]) -> None:
    """The CHECK constraints hold against an unknown role or delivery, a deadline in the past, and two ends at once."""
    with pytest.raises(IntegrityError):
        await _invitation(community, **facts).save(force_create=True)
    assert await Invitation.all().count() == 0


@pytest.mark.parametrize(
    "facts", [{"link_minutes": 4}, {"link_minutes": 16}, {"invitation_days": 31}, {"seat_limit": 0}]
)
async def test_policies_out_of_bounds_are_refused(connected: str, facts: dict[str, Any]) -> None:
    """The CHECK constraints hold against links of 4 or 16 minutes, invitations of 31 days, and no seats."""
    with pytest.raises(IntegrityError):
        await Community.create(id=new_id("com"), name="Demo", created_at=NOW, **facts)
    assert await Community.all().count() == 0


async def test_one_open_invitation_an_address(community: Community) -> None:
    """H084: a second open invitation of the same address is refused; after the first ended it is not."""
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
        place = Membership(id=new_id("mem"), member=member, community=community, role="MEMBER", joined_at=NOW)
        if await Membership.all().count():
            with pytest.raises(IntegrityError):
                await place.save(force_create=True)
        else:
            await place.save(force_create=True)
        assert await Membership.all().count() == expected


async def test_a_transaction_that_fails_leaves_nothing(connected: str) -> None:
    """What was written before the failure is gone, also after an inner refusal that was survived."""

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
    """Four processes that migrate one empty database at once all succeed, and it is migrated once."""
    runs = [await _guestlist("migrate", url=empty_database_url) for _ in range(4)]
    outputs = await asyncio.gather(*(run.communicate() for run in runs))
    assert [run.returncode for run in runs] == [0, 0, 0, 0], outputs
    assert sum(b"Applied 0001_initial" in out for out, _ in outputs) == 1
    check = await _guestlist("migrate", "--check", url=empty_database_url)
    await check.communicate()
    assert check.returncode == 0


async def test_migrate_check_fails_on_an_empty_database(empty_database_url: str) -> None:
    """`migrate --check` changes nothing, names what is missing and ends with status 1."""
    check = await _guestlist("migrate", "--check", url=empty_database_url)
    _, said = await check.communicate()
    assert check.returncode == 1
    assert b"0001_initial" in said


async def _guestlist(*arguments: str, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *arguments,
        env={"GUESTLIST_DATABASE_URL": url, "PATH": ""}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
