"""Answers that a plan completes equal those of graphql-core: the same selection with and without a plan."""

from typing import Any

import pytest

from tests.support.members import join_owner
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

_FIELDS = """
fragment row on Invitation { id ...who status state: status delivery deliveryReason blockedReason canResend canResendAt
  canRevoke createdAt expiresAt lastSentAt acceptedAt declinedAt revokedAt proposedEmail message locale __typename
  revokedBy { ...person } community { id name policy { allowedEmailDomains seatLimit } } }
fragment who on Node { id ... on Invitation { email role inviter { ...person } acceptedBy { __typename name } } }
fragment person on Member { id name email createdAt }
"""
_PLANNED = (
    "query($id: ID!) { community(id: $id) { invitations { nodes { ...row } pageInfo { hasNextPage endCursor } } } }"
    + _FIELDS
)
# A selection with a resolver, whose rows graphql-core completes separately.
_UNPLANNED = _PLANNED.replace("nodes { ...row }", "nodes { ...row timeline(first: 1) { pageInfo { hasNextPage } } }")


async def _rows(browser: Browser, query: str, **variables: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await browser.ask(query, **variables))["community"]["invitations"]["nodes"]
    return found


async def test_plan_gives_the_answer_of_the_executor(service: Service) -> None:
    """Rows of every status, with aliases, fragments, an interface, lists and nulls are the same with a plan and
    without.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for name, arguments in (("a", {}), ("b", {"message": "Hello", "locale": "de"}), ("c", {"role": "ADMIN"})):
            invited = await owner.invite(community, f"{name}@example.com", **arguments)
            if name == "c":
                await owner.do("revokeInvite", invitationId=invited["invitation"]["id"])
        planned = await _rows(owner, _PLANNED, id=community)
        unplanned = await _rows(owner, _UNPLANNED, id=community)
    assert all(row.pop("timeline") for row in unplanned)
    assert planned == unplanned
    assert {row["status"] for row in planned} == {"PENDING", "ACCEPTED", "REVOKED"}
    assert [list(row) for row in planned] == [list(row) for row in unplanned]


async def test_page_is_completed_by_a_plan(service: Service) -> None:
    """The plan of a page's selection is compiled with the first answer and used for the second."""
    documents = service.app.state.guestlist.graphql.schema.documents
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        first = await _rows(owner, _PLANNED, id=community)
        made = dict(documents.parse(_PLANNED).plans)
        assert any(made.values())
        assert await _rows(owner, _PLANNED, id=community) == first
        assert documents.parse(_PLANNED).plans == made


async def test_plan_is_not_cached_where_variables_choose_the_fields(service: Service) -> None:
    """One document with @include answers each request by its own variable."""
    query = "query($id: ID!, $with: Boolean!) { community(id: $id) { invitations { nodes { id email @include(if: $with) } } } }"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for expected in (True, False, True):
            rows = await _rows(owner, query, **{"id": community, "with": expected})
            assert [list(row) for row in rows] == [["id", "email"] if expected else ["id"]]


async def test_merged_selection_has_one_plan(service: Service) -> None:
    """A field that is selected twice with different parts is answered once, with both."""
    query = "query($id: ID!) { community(id: $id) { policy { seatLimit } policy { linkMinutes } } }"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for _ in range(2):
            answer = (await owner.ask(query, id=community))["community"]
            assert answer == {"policy": {"seatLimit": None, "linkMinutes": 10}}
