"""Repeated events of anonymous visitors are counted on few rows, so that an invitation's history remains visible."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.languages import instant_in_words
from service.models import AuditEvent
from tests.support.members import join_owner
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
REPEATS = 200
MOST_ROWS = 31  # twenty different ones, and one more of each of eleven kinds

TIMELINE = """
query($id: ID!) { invitation(id: $id) { timeline { nodes { kind at summary times lastAt } pageInfo { hasNextPage } } } }
"""


async def _timeline(owner: Browser, invitation: str) -> list[dict[str, Any]]:
    """Returns the first page of an invitation's timeline."""
    found: list[dict[str, Any]] = (await owner.ask(TIMELINE, id=invitation))["invitation"]["timeline"]["nodes"]
    return found


async def _invited(service: Service, owner: Browser) -> tuple[str, str]:
    """Returns the guest's invitation and the token of its link."""
    community = await join_owner(service, owner)
    invited = await owner.invite(community, GUEST)
    return str(invited["invitation"]["id"]), await service.token_for(GUEST)


async def _rows(invitation: str) -> int:
    return await AuditEvent.filter(invitation_id=invitation).count()


async def test_repeats_are_counted_on_one_event(service: Service) -> None:
    """H181: two hundred started sign-ins of a link are one event, with their number and the time of the last one."""
    async with service.browser() as owner, service.browser() as stranger:
        invitation, token = await _invited(service, owner)
        before, began = await _rows(invitation), service.clock()
        for _ in range(REPEATS):
            assert (await stranger.accept(token))["__typename"] == "AcceptInviteStarted"
            service.clock.advance(seconds=1)
        assert await _rows(invitation) == before + 1
        (event,) = [event for event in await _timeline(owner, invitation) if event["kind"].endswith("sign_in_started")]
        assert (event["times"], event["at"]) == (REPEATS, began.isoformat())
        assert event["lastAt"] == (service.clock() - timedelta(seconds=1)).isoformat()
        last = instant_in_words(datetime.fromisoformat(event["lastAt"]), "en")
        assert f"({REPEATS} times, the last at {last})" in event["summary"]


async def test_two_hundred_refusals_leave_few_rows(service: Service) -> None:
    """H181: the first five refused returns with different addresses have their own events. The others are counted on
    one.
    """
    async with service.browser() as owner, service.browser() as stranger:
        invitation, token = await _invited(service, owner)
        for number in range(REPEATS):
            started = await stranger.accept(token)
            await stranger.log_in(started["authorizationUrl"], f"a@{number}.example.com")
        refused = [
            event for event in await _timeline(owner, invitation) if event["kind"] == "invitation.accept_refused"
        ]
        assert [event["times"] for event in refused] == [1] * 5 + [REPEATS - 5]
        assert ["•••@0.example.com" in refused[0]["summary"], "with different details" in refused[-1]["summary"]] == [
            True
        ] * 2
        assert await _rows(invitation) <= MOST_ROWS


async def test_history_of_an_abused_invitation_stays_on_the_first_page(service: Service) -> None:
    """H181: resends and the revocation are on the first page, after repeated anonymous events of every kind in four
    generations.
    """
    async with service.browser() as owner, service.browser() as stranger:
        invitation, token = await _invited(service, owner)
        for generation in range(4):
            for number in range(8):
                started = await stranger.accept(token)
                await stranger.log_in(
                    started["authorizationUrl"], f"a@{generation}{number}.example.com", verified=number % 2 == 0
                )
                acceptance = await stranger.acceptance()
                await stranger.do("requestOtherAddress", acceptanceId=acceptance["id"])
            service.clock.advance(minutes=11)
            await owner.sign_in(OWNER)
            for _ in range(3):
                await stranger.do("requestFreshLink", token=token)
            await service.deliver()
            service.clock.advance(minutes=2)
            await owner.do("resendInvite", invitationId=invitation)
            token = await service.token_for(GUEST)
        await owner.do("revokeInvite", invitationId=invitation)
        own = [event["kind"] for event in await _timeline(owner, invitation) if event["times"] == 1]
        assert own.count("invitation.resent") == 4
        assert (own[0], own[-1]) == ("invitation.created", "invitation.revoked")
        assert await _rows(invitation) <= MOST_ROWS + 2 * 5 + 1
        assert not (await owner.ask(TIMELINE, id=invitation))["invitation"]["timeline"]["pageInfo"]["hasNextPage"]


async def test_resend_starts_a_new_count(service: Service) -> None:
    """Anonymous events after a resend are counted on a new event, which follows the resend in the timeline."""
    async with service.browser() as owner, service.browser() as stranger:
        invitation, token = await _invited(service, owner)
        for _ in range(2):
            await stranger.accept(token)
        service.clock.advance(minutes=2)
        await owner.do("resendInvite", invitationId=invitation)
        await stranger.accept(await service.token_for(GUEST))
        reported = [
            (event["kind"].removeprefix("invitation."), event["times"]) for event in await _timeline(owner, invitation)
        ]
        assert reported == [
            ("created", 1), ("sent", 1), ("sign_in_started", 2), ("resent", 1), ("sent", 1), ("sign_in_started", 1),
        ]  # fmt: skip


async def test_counting_does_not_move_cursors(service: Service) -> None:
    """A page's cursor remains valid while its event and earlier ones are counted."""
    query = """query($id: ID!, $after: String) { invitation(id: $id) { timeline(first: 3, after: $after) {
        nodes { kind times } pageInfo { endCursor } } } }"""
    async with service.browser() as owner, service.browser() as stranger:
        invitation, token = await _invited(service, owner)
        await stranger.accept(token)
        first = (await owner.ask(query, id=invitation))["invitation"]["timeline"]
        assert first["nodes"][-1] == {"kind": "invitation.sign_in_started", "times": 1}
        for _ in range(3):
            service.clock.advance(seconds=10)
            await stranger.accept(token)
        await owner.do("revokeInvite", invitationId=invitation)
        rest = (await owner.ask(query, id=invitation, after=first["pageInfo"]["endCursor"]))["invitation"]["timeline"]
        assert rest["nodes"] == [{"kind": "invitation.revoked", "times": 1}]
