"""Measures the most expensive allowed operations: `python -m pytest -s tests/measure/cost.py`.

Prints the processor time of each as a multiple of that of `{ viewer { member { id } } }`, with its points
(`schema/limits/cost.py`). The service runs in this process, so the figures include SQLite. PostgreSQL is a separate
process. docs/performance.md has the ratios. The only assertion is that each operation is allowed, so pytest does not
collect this file.
"""

import gc
import resource
import time
from datetime import timedelta
from typing import Any, Final

import pytest
from graphql import OperationDefinitionNode, parse

from schema.limits.cost import CostCounter
from schema.schema import build
from service import audit
from service.models import Community, Invitation, Member, Membership, Role
from service.tokens import new_id
from tests.support.members import join_owner
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

_ROUNDS: Final = 3
_IN_COMMUNITY: Final = "query($id: ID!) {{ community(id: $id) {{ {} }} }}"
_OF_VIEWER: Final = "{{ viewer {{ memberships {{ community {{ {} }} }} }} }}"
_NAMES: Final = " ".join(f"a{number}: summary" for number in range(15))
_INVITING: Final = (
    "mutation($id: ID!, $rows: [InviteeInput!]!) { inviteMembers(input: {communityId: $id, invitees: $rows})"
    " { ... on InviteMembersSuccess { outcomes { email result {"
    " ... on AlreadyInvited { invitation { id email status } } } } } } }"
)
_OPERATIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "viewer": ("{ viewer { member { id } } }", {}),
    "a page of 100": (_IN_COMMUNITY.format("invitations(first: 100) { nodes { id email status delivery } }"), {}),
    "100 timelines of 100": (
        _IN_COMMUNITY.format(
            f"invitations(first: 100) {{ nodes {{ timeline(first: 100) {{ nodes {{ id at kind {_NAMES} }} }} }} }}"
        ),
        {},
    ),
    "the same, with edges": (
        _IN_COMMUNITY.format(
            "invitations(first: 100) { nodes { timeline(first: 99) { nodes { id } edges { cursor node { id } } } } }"
        ),
        {},
    ),
    "60 timelines of 60, each event with its invitation": (
        _IN_COMMUNITY.format(
            "invitations(first: 60) { nodes { timeline(first: 60) { nodes { id invitation { email } } } } }"
        ),
        {},
    ),
    "pages of 50 in 200 communities": (_OF_VIEWER.format("invitations(first: 50) { nodes { id } }"), {}),
    "counts and totals in 200 communities": (
        _OF_VIEWER.format("memberCount invitationCounts { pending } invitations(first: 1) { totalCount }"),
        {},
    ),
    "funnels of 5 weeks in 200 communities": (_OF_VIEWER.format("invitationFunnel(weeks: 5) { invited }"), {}),
    "inviteMembers, 1,000 rows of invited addresses": (
        _INVITING,
        {"rows": [{"email": f"a{number}@example.com"} for number in range(1000)]},
    ),
}


async def test_measure(service: Service) -> None:
    """Prints the table."""
    async with service.browser() as owner:
        owner.client.timeout = 120
        community = await _fill(service, owner)
        yardstick = 0.0
        print()  # noqa: T201
        for name, (query, variables) in _OPERATIONS.items():
            seconds, megabytes = await _cost(owner, query, {"id": community, **variables})
            yardstick = yardstick or seconds
            locked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(  # noqa: T201
                f"{name:52} {_points(query, {'id': community, **variables}):>8} points {seconds * 1000:7.1f} ms"
                f" {seconds / yardstick:6.1f} x viewer {megabytes:6.2f} MB, process {locked:.0f} MB"
            )


def _points(query: str, variables: dict[str, Any]) -> int:
    document = parse(query)
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return CostCounter(build(development=True)._schema, document, variables).operation(operation).total


async def _cost(owner: Browser, query: str, variables: dict[str, Any]) -> tuple[float, float]:
    """The processor seconds of the fastest of a few requests, and the megabytes of the answer."""
    taken, size = [], 0
    for _ in range(_ROUNDS):
        gc.collect()
        began = time.process_time()
        answer = await owner.post(query, **variables)
        taken.append(time.process_time() - began)
        size = len(answer.content)
        assert b'"errors"' not in answer.content, answer.text[:500]
    return min(taken), size / 1_000_000


async def _fill(service: Service, owner: Browser) -> str:
    """A community of a thousand invitations, the newest 100 with 100 events each, and 200 with 100 invitations."""
    community = await join_owner(service, owner)
    member, now = await Member.get(email="owner@example.com"), service.clock()
    newest = await _invitations(service, community, "a", 1000)
    for number in range(100):
        events = [audit.Event("invitation.sent", community, None, invitation.id) for invitation in newest[:100]]
        await audit.record(now + timedelta(seconds=number), *events)
    places = [Community(id=new_id("com"), name=f"B{number}", created_at=now) for number in range(200)]
    await Community.bulk_create(places)
    await Membership.bulk_create(
        Membership(id=new_id("mem"), community_id=access.id, member_id=member.id, role=Role.OWNER, joined_at=now)
        for access in places
    )
    for number, access in enumerate(places):
        await _invitations(service, access.id, f"b{number}-", 100)
    return community


async def _invitations(service: Service, community: str, prefix: str, number: int) -> list[Invitation]:
    now = service.clock()
    made = [
        Invitation(
            id=new_id("inv"), community_id=community, email=f"{prefix}{index}@example.com", role="MEMBER",
            created_at=now - timedelta(seconds=index - 1), expires_at=now + timedelta(days=7),
        )
        for index in range(number)
    ]  # fmt: skip
    await Invitation.bulk_create(made)
    return made
