"""The funnel: its numbers come from one index for tables of any size, and old rows have their facts."""

from datetime import timedelta
from typing import Any

import pytest

from service import database
from service.invitations.funnel import FunnelQuery, funnels
from service.models import Community, Invitation
from service.settings import load_settings
from tests.delivery.test_ses_events import FUNNEL
from tests.support.members import join_owner
from tests.support.service import Service
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

TOPIC = "arn:aws:sns:eu-central-1:123456789012:guestlist"

_FILL = """
INSERT INTO invitations (id, community_id, email, role, generation, created_at, expires_at, delivery, resends)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
SELECT $1 || n, $2, 'filler' || n || '@example.com', 'MEMBER', 1, $3, $4, 'SENT', 0 FROM numbers
"""


async def _fill(service: Service, community: str) -> None:
    """20,000 invitations of the community and 20,000 of another one, spread over weeks."""
    now = service.clock()
    await database.execute(
        "INSERT INTO communities (id, name, created_at, allowed_email_domains) VALUES ($1, 'Other', $2, '[]')",
        "com_other", now,
    )  # fmt: skip
    for prefix, owner in (("inv_a", community), ("inv_b", "com_other")):
        await database.execute(_FILL, prefix, owner, now - timedelta(days=1), now + timedelta(days=7))
    moved = "UPDATE invitations SET created_at = $1 WHERE id LIKE $2"
    for digit in range(1, 10):
        await database.execute(moved, now - timedelta(days=9 * digit), f"inv_%{digit}")
    await database.connection().execute_script("VACUUM" if service.settings.is_sqlite else "VACUUM ANALYZE invitations")


async def test_funnel_reads_one_index_with_one_statement(service: Service, engine: str) -> None:
    """H204: fifteen funnels of a community in one operation run one statement, whose plan is ranges of one index."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await _fill(service, community)
        aliases = " ".join(f"f{weeks}: invitationFunnel(weeks: {weeks}) {{ invited }}" for weeks in range(12, 27))
        with recorded_statements() as one:
            await owner.ask(FUNNEL, id=community, weeks=26)
        with recorded_statements() as fifteen:
            funnels = await owner.ask(f"query($id: ID!) {{ community(id: $id) {{ {aliases} }} }}", id=community)
    assert len(one) == len(fifteen)
    assert [sum(week["invited"] for week in funnels["community"][f"f{weeks}"]) for weeks in (12, 26)] == [20001, 20001]
    ((sql, values),) = [statement for statement in fifteen if "AS invited" in statement.sql]
    explain = "EXPLAIN" if engine == "postgres" else "EXPLAIN QUERY PLAN"
    plan = [str(row) for row in await database.connection().execute_query_dict(f"{explain} {sql}", values)]
    scan = {"postgres": "Index Only Scan using ix_invitations_funnel", "sqlite": "COVERING INDEX ix_invitations_funnel"}
    assert sum(scan[engine] in line for line in plan) == 26, plan
    assert not [line for line in plan if "Seq Scan" in line or "SCAN invitations" in line], plan


_BEFORE = (
    "DROP INDEX ix_invitations_funnel",
    "ALTER TABLE invitations DROP COLUMN first_delivered_at",
    "ALTER TABLE invitations DROP COLUMN opened_at",
    "ALTER TABLE invitations DROP COLUMN delivery_code",
    "ALTER TABLE invitations DROP COLUMN delivery_facts",
    "ALTER TABLE flows DROP COLUMN message_code",
    "ALTER TABLE flows DROP COLUMN message_facts",
    "DELETE FROM tortoise_migrations WHERE name >= '0009_funnel'",
)


async def test_migration_keeps_the_funnel_of_earlier_invitations(service: Service) -> None:
    """After the migration, deliveries and openings in the audit log are facts of their invitations."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        for name in ("sent", "delivered", "opened"):
            await owner.invite(community, f"{name}@example.com")
        await guest.accept(await service.token_for("opened@example.com"))
        ids = await database.select("SELECT id FROM invitations WHERE email = 'delivered@example.com'")
        await database.execute(
            "INSERT INTO audit_events (id, kind, at, invitation_id, details)"
            " VALUES ('evt_x', 'invitation.delivered', $1, $2, '{}')",
            service.clock(), ids[0]["id"],
        )  # fmt: skip
        for statement in _BEFORE:
            await database.connection().execute_script(statement)
        applied = await database.migrate(service.settings.database_url.get_secret_value())
        assert len(applied) == 4
        (week,) = (await owner.ask(FUNNEL, id=community, weeks=1))["community"]["invitationFunnel"]
    assert [week[stage] for stage in ("invited", "delivered", "opened", "accepted")] == [4, 3, 2, 1]


_SMTP = {"mail_url": "smtp://mail.example.com", "mail_from": "guestlist@example.com"}
_SES = {"mail_url": "ses://eu-central-1", "mail_from": "guestlist@example.com"}


@pytest.mark.parametrize(
    ("mail", "delivered"),
    [(_SMTP, None), (_SES, None), (_SMTP | {"ses_topic_arns": [TOPIC]}, None), (_SES | {"ses_topic_arns": [TOPIC]}, 0)],
)
async def test_unreported_deliveries_are_unknown(service: Service, mail: dict[str, Any], delivered: int | None) -> None:
    """`delivered` is None where the mail service reports no deliveries, and a number where it does, or once did."""
    settings = load_settings(environ={}, development=True, database_url="sqlite://unused.db", **mail)
    await service.deliver()
    community = (await Community.get(name="Demo")).id
    for first_delivered_at, expected in ((None, delivered), (service.clock(), 1)):
        await Invitation.all().update(first_delivered_at=first_delivered_at)
        ((week,),) = await funnels([FunnelQuery(community, 1)], now=service.clock(), settings=settings)
        assert (week.invited, week.sent, week.delivered, week.opened, week.accepted) == (1, 1, expected, 0, 0)
