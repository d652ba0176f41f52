"""Simultaneous returns: exactly one succeeds, with one account and one membership. All others get an error."""

import asyncio
import contextlib
from collections import Counter

import pytest

from service.models import AuditEvent, Identity, Member, Membership, Session
from tests.support.service import Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
CROWD = 20


async def test_twenty_returns_of_one_flow_admit_one_person(service: Service) -> None:
    """Twenty simultaneous returns of one flow make one account, one membership and one session."""
    async with service.browser() as owner:
        started = await owner.accept(await service.token_for(OWNER))
        callback = await owner.callback_url(started["authorizationUrl"], OWNER)
        answers = await asyncio.gather(*(owner.client.get(callback) for _ in range(CROWD)))
        assert {answer.status_code for answer in answers} == {303}
        assert sum("guestlist_session" in answer.headers.get("set-cookie", "") for answer in answers) == 1
        assert (await owner.acceptance())["status"] == "ACCEPTED"
    await _assert_one_joined()


async def test_twenty_acceptances_of_one_link_admit_one(service: Service) -> None:
    """H006: twenty browsers that return simultaneously with one link and one identity make one account and one
    membership.
    """
    token = await service.token_for(OWNER)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_accept(service, token)) for _ in range(CROWD)]
    statuses = [task.result() for task in tasks]
    assert sorted(statuses) == ["ACCEPTED"] + ["LINK_INVALID"] * (CROWD - 1)
    await _assert_one_joined()


async def test_twenty_sign_ins_of_one_address_admit_one(service: Service) -> None:
    """H006: of twenty different sign-ins of one address that return simultaneously with one link, exactly one succeeds."""
    token = await service.token_for(OWNER)
    async with contextlib.AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(service.browser()) for _ in range(CROWD)]
        callbacks = []
        for number, browser in enumerate(browsers):
            started = await browser.accept(token)
            callbacks.append(await browser.callback_url(started["authorizationUrl"], OWNER, sub=f"person {number}"))
        await asyncio.gather(
            *(browser.client.get(callback) for browser, callback in zip(browsers, callbacks, strict=True))
        )
        statuses = Counter([(await browser.acceptance())["status"] for browser in browsers])
    assert statuses["ACCEPTED"] == 1
    assert statuses["LINK_INVALID"] + statuses["IDENTITY_CONFLICT"] == CROWD - 1
    await _assert_one_joined()


async def _accept(service: Service, token: str) -> str:
    async with service.browser() as browser:
        return str((await browser.accept_as(token, OWNER))["status"])


async def _assert_one_joined() -> None:
    counts = [await model.all().count() for model in (Member, Identity, Membership)]
    assert counts == [1, 1, 1]
    assert await Session.filter(ended_at=None).count() == 1
    assert await AuditEvent.filter(kind="invitation.accepted").count() == 1
    assert await AuditEvent.filter(kind="membership.joined").count() == 1


async def test_one_person_accepting_two_invitations_at_once_gets_one_account(service: Service) -> None:
    """Two communities that a new person joins simultaneously share one account."""
    async with service.browser() as owner, service.browser() as one, service.browser() as other:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        await owner.do("createCommunity", name="Second")
        callbacks = []
        for browser, name in ((one, "Demo"), (other, "Second")):
            await owner.invite(await owner.community_id(name), GUEST)
            started = await browser.accept(await service.token_for(GUEST))
            callbacks.append(await browser.callback_url(started["authorizationUrl"], GUEST))
        await asyncio.gather(one.client.get(callbacks[0]), other.client.get(callbacks[1]))
        assert [(await browser.acceptance())["status"] for browser in (one, other)] == ["ACCEPTED"] * 2
    assert await Member.filter(email=GUEST).count() == 1
    assert await Membership.filter(member__email=GUEST).count() == 2


async def test_twenty_invitations_of_one_address_make_one(service: Service) -> None:
    """H084: of twenty simultaneous invitations in various cases, one is created, the others get it, and one mail is
    sent.
    """
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        community = await owner.community_id()
        spellings = [GUEST, GUEST.upper(), "Guest@Example.com", " guest@example.com"] * 5
        answers = await asyncio.gather(*(owner.invite(community, spelling) for spelling in spellings))
    kinds = sorted(answer["__typename"] for answer in answers)
    assert kinds == ["AlreadyInvited"] * (CROWD - 1) + ["InviteMemberSuccess"]
    assert len({answer["invitation"]["id"] for answer in answers}) == 1
    await service.deliver()
    assert len([mail for mail in service.mailbox.entries if mail.to == GUEST]) == 1
