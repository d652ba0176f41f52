"""The status of an invitation: the SQL conditions and the Python function agree on random rows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import database
from service.database import Params, select
from service.invitation_status import (
    Status,
    delivery_is,
    delivery_of,
    depends_on_time,
    is_open,
    is_pending,
    is_unended,
    status_is,
    status_of,
)
from service.models import Community, Delivery, Invitation
from service.tokens import new_id

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
# `now` itself, its neighbours at the resolution of both engines, and a day on either side.
INSTANTS = st.sampled_from([NOW + timedelta(microseconds=us) for us in (0, 1, -1, 86_400_000_000, -86_400_000_000)])
ENDS = st.none() | st.tuples(st.sampled_from(["accepted_at", "declined_at", "revoked_at"]), INSTANTS)
DELIVERIES = st.sampled_from([Delivery.QUEUED, Delivery.SENT, Delivery.FAILED])
FACTS = st.fixed_dictionaries(
    {"end": ENDS, "superseded_at": st.none() | INSTANTS, "expires_at": INSTANTS, "delivery": DELIVERIES}
)


@pytest.fixture
async def community(database_url: str) -> AsyncIterator[Community]:
    await database.connect(database_url)
    yield await Community.create(id=new_id("com"), name="Demo", created_at=NOW)
    await database.disconnect()


def _invitation(community: Community, facts: dict[str, Any]) -> Invitation:
    row_id, end = new_id("inv"), facts["end"]
    return Invitation(
        id=row_id, community=community, email=f"{row_id}@example.com", role="MEMBER",
        created_at=NOW - timedelta(days=9), expires_at=facts["expires_at"],
        superseded_at=facts["superseded_at"], delivery=facts["delivery"], **({} if end is None else {end[0]: end[1]}),
    )  # fmt: skip


async def _matching(ids: list[str], condition: str) -> set[str]:
    params = Params(NOW)  # each statement uses $1, because PostgreSQL refuses a parameter without a use
    sql = f"SELECT i.id FROM invitations i WHERE i.id IN ({params.add_all(ids)}) AND i.created_at <> $1 AND {condition}"  # noqa: S608 -- our own conditions
    return {row["id"] for row in await select(sql, *params.values)}


@given(st.lists(FACTS, min_size=1, max_size=20))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_sql_and_python_agree_on_the_status(community: Community, facts: list[dict[str, Any]]) -> None:
    """Each row has exactly one status and one delivery, and both forms name them. The shorter conditions are unions of
    statuses.
    """
    invitations = [_invitation(community, each) for each in facts]
    await Invitation.bulk_create(invitations)
    ids = [invitation.id for invitation in invitations]
    marks = ", ".join(f"${number}" for number in range(1, len(ids) + 1))
    rows = {row["id"]: row for row in await select(f"SELECT * FROM invitations WHERE id IN ({marks})", *ids)}  # noqa: S608 -- placeholders
    expected = {row_id: status_of(row, NOW) for row_id, row in rows.items()}

    found = {status: await _matching(ids, status_is(status, "$1", "i")) for status in Status}
    assert found == {status: {row_id for row_id in ids if expected[row_id] is status} for status in Status}
    assert await _matching(ids, is_pending("$1", "i")) == found[Status.PENDING]
    assert await _matching(ids, is_unended("i")) == found[Status.PENDING] | found[Status.EXPIRED]
    superseded = {row_id for row_id in ids if rows[row_id]["superseded_at"] is not None}
    assert await _matching(ids, is_open("i")) == (found[Status.PENDING] | found[Status.EXPIRED]) - superseded
    deliveries = {row_id: delivery_of(Delivery(row["delivery"]), expected[row_id]) for row_id, row in rows.items()}
    for delivery in Delivery:
        condition = delivery_is(delivery, "$1" if depends_on_time(delivery) else "", "i")
        assert await _matching(ids, condition) == {row_id for row_id in ids if deliveries[row_id] is delivery}
