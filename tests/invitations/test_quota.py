"""Community.quota: how many invitations the limits still allow."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.members import invite_and_join, join_owner
from tests.support.service import Browser
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

_QUOTA = "query($id: ID!) { community(id: $id) { quota { byYou byCommunity resetsAt } } }"


async def _quota(browser: Browser, community: str) -> Any:
    return (await browser.ask(_QUOTA, id=community))["community"]["quota"]


def _limits(**limits: str) -> dict[str, Any]:
    return {"rate_limits": {"attempts_per_client": "100000/1m", **limits}}


async def test_quota_counts_own_invitations_and_those_of_the_community(serve: Serve) -> None:
    """Each admin has an own number, and all admins share that of the community. Reading counts nothing."""
    limits = _limits(invites_per_inviter="5/1h", invites_per_community="6/1d")
    async with serve(**limits) as service, service.browser() as owner, service.browser() as admin:
        community = await join_owner(service, owner)
        unused = {"byYou": 5, "byCommunity": 6, "resetsAt": _at(service.clock(), hours=1)}
        assert await _quota(owner, community) == unused
        await invite_and_join(service, owner, admin, "admin@example.com", role="ADMIN")
        began = service.clock()
        service.clock.advance(minutes=10)
        assert await _quota(admin, community) == {"byYou": 5, "byCommunity": 5, "resetsAt": _at(began, hours=24)}
        assert await _quota(owner, community) == {"byYou": 4, "byCommunity": 5, "resetsAt": _at(began, hours=1)}
        for number in range(4):
            await owner.invite(community, f"person{number}@example.com")
        assert (await owner.invite(community, "more@example.com"))["__typename"] == "RateLimited"
        assert (await _quota(owner, community))["byYou"] == 0
        service.clock.advance(minutes=50)
        assert (await _quota(owner, community))["byYou"] == 5


def _at(began: datetime, *, hours: int) -> str:
    return (began + timedelta(hours=hours)).isoformat()


async def test_quota_without_limits_is_null(serve: Serve) -> None:
    """A limit that is off has no number."""
    limits = _limits(invites_per_inviter="off", invites_per_community="off")
    async with serve(**limits) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await owner.invite(community, "one@example.com")
        assert await _quota(owner, community) == {"byYou": None, "byCommunity": None, "resetsAt": None}


async def test_quota_is_for_admins(serve: Serve) -> None:
    """A member receives null, and a stranger no community."""
    async with serve() as service, service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        assert await _quota(guest, community) is None
        async with service.browser() as stranger:
            assert (await stranger.ask(_QUOTA, id=community))["community"] is None


async def test_quotas_of_many_communities_are_one_statement(serve: Serve) -> None:
    """The quotas of all communities of the caller are read by one statement."""
    query = "{ viewer { memberships { community { quota { byYou byCommunity } } } } }"
    async with serve(community_creation="members") as service, service.browser() as owner:
        await join_owner(service, owner)
        with recorded_statements() as one:
            await owner.ask(query)
        for number in range(9):
            await owner.do("createCommunity", name=f"Club {number}")
        with recorded_statements() as ten:
            assert len((await owner.ask(query))["viewer"]["memberships"]) == 10
        assert len(ten) == len(one)
