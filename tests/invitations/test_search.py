"""Pages of invitations: the rows of a filter, stable cursors during changes, and the cost of a page."""

import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest

from service import database
from service.accounts.caller import Caller
from service.communities.access import CommunityAccess, accessible_communities
from service.database import Params
from service.errors import InvalidInput
from service.invitation_status import Status
from service.invitations.invite import _INVITE_FACTS
from service.invitations.invite_many import _INVITED_BEFORE, _KNOWN
from service.invitations.search import InvitationFilter, newest_sql
from service.invitations.views import (
    InvitationsQuery,
    InvitationView,
    count_by_status,
    count_invitations,
    invitation_pages,
)
from service.models import Community, Delivery, Invitation, Member, Membership, Role
from service.settings import Settings, load_settings
from service.tokens import new_id
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

PAGE = """
query($id: ID!, $filter: InvitationFilter, $first: Int, $after: String) { community(id: $id) {
  invitations(filter: $filter, first: $first, after: $after) { nodes { id email status } totalCount
    pageInfo { hasNextPage endCursor } } } }
"""


@pytest.fixture
async def position(database_url: str) -> AsyncIterator[CommunityAccess]:
    """An owner's access to an empty community."""
    await database.connect(database_url)
    community = await Community.create(id=new_id("com"), name="Demo", created_at=NOW)
    member = await Member.create(id=new_id("per"), created_at=NOW)
    await Membership.create(id=new_id("mem"), member=member, community=community, role="OWNER", joined_at=NOW)
    yield (await accessible_communities(Caller(member.id, "", NOW), settings()))[0]
    await database.disconnect()


def settings() -> Settings:
    return load_settings(environ={}, development=True, database_url="sqlite://unused.db")


async def _rows(position: CommunityAccess, **facts: Any) -> Invitation:
    usual: dict[str, Any] = {
        "id": new_id("inv"), "community_id": position.community_id, "email": f"{new_id('inv').lower()}@example.com",
        "role": "MEMBER", "created_at": NOW - timedelta(days=1), "expires_at": NOW + timedelta(days=6), "days": 7,
    }  # fmt: skip
    return await Invitation.create(**(usual | facts))


async def _seed_every_kind(position: CommunityAccess) -> list[Invitation]:
    """Rows of every status, delivery and role, of several lifetimes, and one that was reopened."""
    rows = []
    ends: list[dict[str, Any]] = [
        {}, {"accepted_at": NOW}, {"declined_at": NOW}, {"revoked_at": NOW}, {"superseded_at": NOW}, {"expired": 3},
        {"expired": 30}, {"reopened": True}, {"reopened": True, "over": True},
    ]  # fmt: skip
    for hours, (end, delivery, role) in enumerate(product(ends, ("SENT", "BOUNCED", "QUEUED"), Role), start=1):
        facts = dict(end)
        days = facts.pop("expired", None) or 7
        created = NOW - timedelta(hours=hours) - (timedelta(days=days) if "expired" in end else timedelta())
        expires: datetime = created + timedelta(days=days)
        stored: int | None = days
        if facts.pop("reopened", False):
            stored, created = None, created - timedelta(days=50)
            expires = NOW - timedelta(seconds=1) if facts.pop("over", False) else NOW + timedelta(days=3)
        rows.append(await _rows(
            position, created_at=created, expires_at=expires, days=stored, delivery=delivery, role=role, **facts
        ))  # fmt: skip
    return rows


FILTERS: list[dict[str, Any]] = [
    {},
    *({"statuses": frozenset({status})} for status in Status),
    {"statuses": frozenset({Status.PENDING, Status.EXPIRED})},
    {"statuses": frozenset(Status)},
    {"deliveries": frozenset({Delivery.BOUNCED})},
    {"deliveries": frozenset({Delivery.QUEUED})},
    {"deliveries": frozenset({Delivery.CANCELLED, Delivery.BOUNCED})},
    {"deliveries": frozenset({Delivery.QUEUED, Delivery.CANCELLED}), "roles": frozenset({Role.ADMIN})},
    {"deliveries": frozenset({Delivery.CANCELLED}), "statuses": frozenset({Status.REVOKED, Status.EXPIRED})},
    {"deliveries": frozenset({Delivery.QUEUED}), "statuses": frozenset({Status.PENDING, Status.REVOKED})},
    {"roles": frozenset({Role.ADMIN, Role.OWNER})},
    {"roles": frozenset({Role.ADMIN}), "deliveries": frozenset({Delivery.SENT, Delivery.BOUNCED})},
    {"statuses": frozenset({Status.EXPIRED}), "roles": frozenset({Role.MEMBER}), "created_before": NOW - timedelta(days=4)},
    {"created_after": NOW - timedelta(hours=20), "created_before": NOW - timedelta(hours=3)},
]  # fmt: skip


def _meets(view: InvitationView, conditions: dict[str, Any]) -> bool:
    """The filter, written again in Python."""
    return (
        view.status in conditions.get("statuses", frozenset(Status))
        and view.delivery in conditions.get("deliveries", frozenset(Delivery))
        and view.role in conditions.get("roles", frozenset(Role))
        and view.created_at > conditions.get("created_after", NOW - timedelta(days=1000))
        and view.created_at < conditions.get("created_before", NOW + timedelta(days=1000))
    )


async def _page(
    position: CommunityAccess,
    conditions: InvitationFilter,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[InvitationView]:
    query = InvitationsQuery(position, limit, after, conditions)
    return (await invitation_pages([query], now=NOW, settings=settings()))[0]


async def _total(position: CommunityAccess, conditions: InvitationFilter) -> int:
    return (await count_invitations([(position.community_id, conditions)], now=NOW))[0]


async def test_every_filter_selects_and_counts_its_rows(position: CommunityAccess) -> None:
    """Each filter selects exactly its rows, newest first, page by page, and counts them."""
    await _seed_every_kind(position)
    everything = await _page(position, InvitationFilter(), limit=100)
    assert len(everything) == 81
    for facts in FILTERS:
        conditions = InvitationFilter(**facts)
        expected = [view.id for view in everything if _meets(view, facts)]
        found: list[str] = []
        after = None
        while page := await _page(position, conditions, after=after, limit=4):
            found += [view.id for view in page]
            after = page[-1].created_at, page[-1].id
        assert found == expected, facts
        assert expected, facts
        assert await _total(position, conditions) == len(expected)
    (counted,) = await count_by_status([position.community_id], now=NOW)
    assert counted == {status: len([v for v in everything if v.status is status]) for status in Status}


async def test_part_of_an_address_is_literal(position: CommunityAccess) -> None:
    """A part of an address has no wildcards: %, _ and a backslash match themselves, and case does not matter."""
    for email in ("ann%a@example.com", "ann_b@example.com", "anncc@example.com"):
        await _rows(position, email=email)
    for part, number in (("ANN", 3), ("n%a", 1), ("n_b", 1), ("_", 1), ("\\", 0), ("%", 1), ("@example", 3)):
        conditions = InvitationFilter(email_contains=part)
        assert await _total(position, conditions) == number, part


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"statuses": frozenset()}, "statuses"),
        ({"deliveries": frozenset()}, "deliveries"),
        ({"roles": frozenset()}, "roles"),
        ({"email_contains": "  "}, "emailContains"),
        ({"email_contains": "a\x00b"}, "emailContains"),
        ({"created_after": NOW, "created_before": NOW}, "createdAfter"),
        ({"created_after": NOW.replace(tzinfo=None)}, "createdAfter"),
        ({"created_after": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}, "createdAfter"),
        ({"created_before": datetime.max.replace(tzinfo=timezone(-timedelta(hours=14)))}, "createdBefore"),
    ],
)
def test_filter_without_possible_matches_is_refused(facts: dict[str, Any], field: str) -> None:
    """Empty lists, an empty part and an empty period get an error that names them."""
    with pytest.raises(InvalidInput) as refused:
        InvitationFilter(**facts)
    assert refused.value.field == field


# ------------------------------------------------------------------------------------------------------- over HTTP


async def _owner(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
    return await browser.community_id()


async def test_cursors_hold_during_changes(service: Service) -> None:
    """Invitations that appear or change between two pages neither repeat nor hide one."""
    async with service.browser() as owner:
        community = await _owner(service, owner)
        for number in range(6):
            service.clock.advance(seconds=1)
            await owner.invite(community, f"guest{number}@example.com")
        conditions = {"statuses": ["PENDING"]}
        first = (await owner.ask(PAGE, id=community, filter=conditions, first=3))["community"]["invitations"]
        assert [node["email"][5] for node in first["nodes"]] == ["5", "4", "3"]
        assert first["totalCount"] == 6
        service.clock.advance(seconds=1)
        await owner.invite(community, "late@example.com")
        await owner.do("revokeInvite", invitationId=first["nodes"][2]["id"])
        after = first["pageInfo"]["endCursor"]
        second = (await owner.ask(PAGE, id=community, filter=conditions, first=3, after=after))["community"][
            "invitations"
        ]
        assert [node["email"][5] for node in second["nodes"]] == ["2", "1", "0"]
        assert second["pageInfo"]["hasNextPage"] is False
        counts = (
            "query($id: ID!) { community(id: $id) { invitationCounts { pending accepted revoked expired declined } } }"
        )
        assert (await owner.ask(counts, id=community))["community"]["invitationCounts"] == {
            "pending": 6, "accepted": 1, "revoked": 1, "expired": 0, "declined": 0,
        }  # fmt: skip


def _damaged(cursor: str) -> str:
    """Damages the cursor in the middle, so that it still decodes to a position."""
    middle = len(cursor) // 2
    return f"{cursor[:middle]}{'A' if cursor[middle] != 'A' else 'B'}{cursor[middle + 1 :]}"


async def test_instant_is_the_same_in_every_time_zone(service: Service) -> None:
    """Bounds with an offset from UTC select like the same instant in UTC, for invitations and for the log."""
    async with service.browser() as owner:
        community = await _owner(service, owner)
        service.clock.advance(minutes=1)
        between = service.clock()
        service.clock.advance(minutes=1)
        await owner.invite(community, "guest@example.com")
        for hours in (-11, 0, 5, 14):
            bound = between.astimezone(timezone(timedelta(hours=hours))).isoformat()
            for period, emails in (("createdAfter", ["guest@example.com"]), ("createdBefore", ["owner@example.com"])):
                page = (await owner.ask(PAGE, id=community, filter={period: bound}))["community"]["invitations"]
                assert [node["email"] for node in page["nodes"]] == emails, (hours, period)
                assert page["totalCount"] == 1
            log = "query($id: ID!, $after: DateTime) { community(id: $id) { auditLog(filter: {after: $after}) { nodes { kind } } } }"
            nodes = (await owner.ask(log, id=community, after=bound))["community"]["auditLog"]["nodes"]
            assert [node["kind"] for node in nodes] == ["invitation.created"], hours


async def test_periods_reach_to_both_ends_of_the_calendar(service: Service) -> None:
    """The earliest and the latest bound select like no bound, for invitations and for the log. Bounds beyond them are
    rejected.
    """
    query = """query($id: ID!, $after: DateTime, $before: DateTime) { community(id: $id) {
        invitations(filter: {createdAfter: $after, createdBefore: $before}) { totalCount }
        auditLog(filter: {after: $after, before: $before}) { nodes { kind } } } }"""
    async with service.browser() as owner:
        community = await _owner(service, owner)
        whole = (await owner.ask(query, id=community))["community"]
        earliest, latest = "0001-01-02T00:00:00Z", "9999-12-30T23:59:59Z"
        assert whole["invitations"]["totalCount"] == 1
        assert (await owner.ask(query, id=community, after=earliest, before=latest))["community"] == whole
        for bounds in ({"before": earliest}, {"after": latest}):
            found = (await owner.ask(query, id=community, **bounds))["community"]
            assert found == {"invitations": {"totalCount": 0}, "auditLog": {"nodes": []}}, bounds
        for instant in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
            assert "is out of reach" in (await owner.errors(query, id=community, after=instant))[0], instant
        for instant in (
            "10000-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "2026-02-31T00:00:00Z",
        ):
            assert "was expected" in (await owner.errors(query, id=community, before=instant))[0], instant


async def test_invalid_query_gets_an_error_in_words(service: Service) -> None:
    """Too large a page, foreign and damaged cursors, and contradictions each get a sentence and no data."""
    async with service.browser() as owner:
        community = await _owner(service, owner)
        page = (await owner.ask(PAGE, id=community))["community"]["invitations"]
        cursor = page["pageInfo"]["endCursor"]
        other = (await owner.ask(
            'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
        ))["createCommunity"]["community"]["id"]  # fmt: skip
        for variables, words in (
            ({"id": community, "first": 101}, "between 1 and 100"),
            ({"id": community, "after": "nonsense"}, "no cursor of this list"),
            ({"id": community, "after": cursor[:-4]}, "cursor"),
            ({"id": other, "after": cursor}, "no cursor of this list"),
            ({"id": community, "after": cursor, "filter": {"statuses": ["EXPIRED"]}}, "with this filter"),
            ({"id": community, "after": _damaged(cursor)}, "no cursor of this list"),
            ({"id": community, "filter": {"statuses": []}}, "empty list"),
            (
                {"id": community, "filter": {"createdAfter": "2026-02-01T00:00:00Z", "createdBefore": "2026-01-01T00:00:00Z"}},
                "not earlier",
            ),
            ({"id": community, "filter": {"createdAfter": "yesterday"}}, "One like 2026-01-31T12:00:00Z was expected"),
            ({"id": community, "filter": {"statuses": ["NOPE"]}}, "'NOPE' does not exist in 'InvitationStatus'"),
            ({"id": community, "first": 2**40}, "non 32-bit"),
        ):  # fmt: skip
            messages = await owner.errors(PAGE, **variables)
            assert len(messages) == 1
            assert words in messages[0], messages


# ----------------------------------------------------------------------------------------------------------------- cost

_SEED = """
INSERT INTO invitations (id, community_id, email, role, created_at, expires_at, days, generation, delivery, resends,
    accepted_at, declined_at, revoked_at, superseded_at)
SELECT 'inv_' || lpad(n::text, 22, '0'), $1, 'guest' || n || '@host' || n % 977 || '.example.com',
    CASE WHEN n % 5000 = 0 THEN 'OWNER' WHEN n % 500 = 0 THEN 'ADMIN' ELSE 'MEMBER' END,
    c, c + interval '7 days', 7, 1, CASE WHEN n % 4000 = 0 THEN 'BOUNCED' ELSE 'DELIVERED' END, 0,
    CASE WHEN n % 1000 = 1 THEN c + interval '1 hour' END, CASE WHEN n % 1000 = 2 THEN c + interval '1 hour' END,
    CASE WHEN n % 1000 = 3 THEN c + interval '1 hour' END, CASE WHEN n % 1000 = 4 THEN c + interval '8 days' END
FROM (SELECT $3::int + m AS n, $2::timestamptz - m * $4::interval AS c FROM generate_series(1, 100000) m) seeded
"""

_MOST_BUFFERS = 400  # pages of 8 kB: a hundred rows through an index


@pytest.mark.parametrize("engine", ["postgres"])
async def test_page_cost_does_not_depend_on_the_table(position: CommunityAccess) -> None:
    """Among 200,000 invitations, with most of a community expired or all pending, a page by status, delivery or role
    touches a hundred rows. This holds for custom and generic plans. An index finds a part of an address where pg_trgm
    exists, and earlier invitations of an address.
    """
    other = await Community.create(id=new_id("com"), name="Other", created_at=NOW)
    steps = {position.community_id: timedelta(seconds=60), other.id: timedelta(seconds=1)}
    for first, (community_id, step) in enumerate(steps.items()):
        await database.execute(_SEED, community_id, NOW, first * 100_000, step)
    await database.connection().execute_query("ANALYZE invitations")
    for (community_id, step), facts, mode in product(
        steps.items(), _SINGLE, ("force_custom_plan", "force_generic_plan")
    ):
        for after in (None, (NOW - step * 50_000, "inv_x")):
            plan = await _plan(community_id, InvitationFilter(**facts), after, mode)
            _assert_cheap(plan)
    if await database.select("SELECT 1 AS one FROM pg_indexes WHERE indexname = 'ix_invitations_email_parts'"):
        part = InvitationFilter(email_contains="guest23456@")
        plan = await _plan(position.community_id, part, None, "force_custom_plan")
        assert "ix_invitations_email_parts" in plan, plan
    emails = [f"guest{n}@host{n % 977}.example.com" for n in (1, 23456, 77777, 99999)]
    marks = ", ".join(f"${n}" for n in range(2, 6))
    for mode in ("force_custom_plan", "force_generic_plan"):
        for sql, values in (
            (_INVITE_FACTS, (position.member_id, position.community_id, emails[1])),
            (_KNOWN.format(marks=marks), (position.community_id, *emails)),
            (_INVITED_BEFORE.format(marks=marks), (position.community_id, *emails)),
        ):
            _assert_cheap(await _explained(sql, values, mode))


def _assert_cheap(plan: str) -> None:
    buffers = next(line for line in plan.splitlines() if "Buffers:" in line)
    touched = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", buffers)))
    assert "Seq Scan on invitations" not in plan, plan
    assert touched < _MOST_BUFFERS, plan


_SINGLE: list[dict[str, Any]] = [
    {},
    *({"statuses": frozenset({status})} for status in Status),
    *({"deliveries": frozenset({delivery})} for delivery in (Delivery.BOUNCED, Delivery.FAILED, Delivery.DELIVERED)),
    *({"roles": frozenset({role})} for role in Role),
    {"statuses": frozenset({Status.PENDING, Status.EXPIRED})},
    {"statuses": frozenset(Status)},
    {"roles": frozenset({Role.OWNER}), "deliveries": frozenset({Delivery.DELIVERED, Delivery.SENT})},
]


async def _plan(community_id: str, conditions: InvitationFilter, after: tuple[datetime, str] | None, mode: str) -> str:
    params = Params()
    sql = newest_sql(community_id, conditions, params, after=after, limit=51, now=NOW)
    return await _explained(sql, params.values, mode)


async def _explained(sql: str, params: Iterable[Any], mode: str) -> str:
    """PostgreSQL's plan of a statement, and the number of pages that it touched."""
    values = ", ".join(f"'{value}'" for value in params)
    async with database.transaction():
        client = database.connection()
        await client.execute_script(f"SET LOCAL plan_cache_mode = {mode}; PREPARE page AS {sql}")
        rows = await client.execute_query_dict(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) EXECUTE page ({values})")
        await client.execute_script("DEALLOCATE page")
    return "\n".join(row["QUERY PLAN"] for row in rows)
