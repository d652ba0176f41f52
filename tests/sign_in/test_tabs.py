"""Several tabs of one browser: each action names its object, and each page the member whom it shows."""

from typing import Any

import httpx2
import pytest

from service.models import Flow, FlowKind, FreshLinkRequest, Identity, Invitation
from tests.conftest import Serve
from tests.support.members import invite_and_join, join_owner
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
OTHER = "other@example.com"
VIEWER = "guestlist-viewer"


# ------------------------------------------------------------------------------------------------ acceptances of two tabs


async def _two_tabs(service: Service, owner: Browser, guest: Browser) -> tuple[Any, Any]:
    """Starts an acceptance of "Demo" in a first tab, and then one of "Second club" in a second tab of the same browser."""
    await join_owner(service, owner)
    started = []
    for name in ("Demo", "Second club"):
        if name != "Demo":
            await owner.do("createCommunity", name=name)
        await owner.invite(await owner.community_id(name), GUEST)
        started.append(await guest.accept(await service.token_for(GUEST)))
    return started[0], started[1]


async def test_each_tab_declines_its_own_invitation(service: Service) -> None:
    """H210: declineInvite with an acceptance declines the invitation of that acceptance, not of the browser's newest."""
    async with service.browser() as owner, service.browser() as guest:
        first, second = await _two_tabs(service, owner, guest)
        query = "mutation($input: DeclineInviteInput!) { declineInvite(input: $input) { ...on DeclineInviteSuccess { communityName } } }"
        declined = await guest.ask(query, input={"acceptanceId": first["acceptanceId"]})
        assert declined["declineInvite"] == {"communityName": "Demo"}
        assert await _declined() == ["Demo"]
        assert (await guest.acceptance(second["acceptanceId"]))["canRetry"]


async def _declined() -> list[str]:
    rows = await Invitation.filter(declined_at__isnull=False).prefetch_related("community")
    return [row.community.name for row in rows]


@pytest.mark.parametrize("acceptance", ["", "flw_unknown", "flw_" + "a" * 26])
async def test_an_unknown_acceptance_stands_for_no_other(service: Service, acceptance: str) -> None:
    """H210: an id that is not an acceptance of this browser never falls back to the newest one. Nothing happens."""
    async with service.browser() as owner, service.browser() as guest:
        await _two_tabs(service, owner, guest)
        service.clock.advance(minutes=15)
        assert (await guest.do("declineInvite", acceptanceId=acceptance))["__typename"] == "InviteLinkInvalid"
        assert (await guest.do("requestFreshLink", acceptanceId=acceptance))["__typename"] == "RequestFreshLinkAnswer"
        assert await guest.ask(_PREVIEW_AND_OUTCOME, id=acceptance) == {"invitePreview": None, "signInOutcome": None}
        assert (await _declined(), await FreshLinkRequest.all().count()) == ([], 0)


_PREVIEW_AND_OUTCOME = (
    "query($id: ID) { invitePreview(acceptanceId: $id) { communityName } signInOutcome(id: $id) { status } }"
)


async def test_another_browser_cannot_name_an_acceptance(service: Service) -> None:
    """H210: an acceptance's id without the flow cookie of its browser neither declines nor shows anything."""
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        first, _ = await _two_tabs(service, owner, guest)
        named = first["acceptanceId"]
        assert (await stranger.do("declineInvite", acceptanceId=named))["__typename"] == "InviteLinkInvalid"
        await stranger.do("requestFreshLink", acceptanceId=named)
        assert (await stranger.ask(_PREVIEW_AND_OUTCOME, id=named))["invitePreview"] is None
        assert (await _declined(), await FreshLinkRequest.all().count()) == ([], 0)


async def test_blocking_still_needs_the_token(service: Service) -> None:
    """H210: an acceptance's id declines, but blocks no community."""
    async with service.browser() as owner, service.browser() as guest:
        first, _ = await _two_tabs(service, owner, guest)
        refused = await guest.do("declineInvite", acceptanceId=first["acceptanceId"], block=True)
        assert refused["__typename"] == "InviteLinkInvalid"
        assert await _declined() == []


async def test_a_fresh_link_is_of_the_named_acceptance(service: Service) -> None:
    """H210: requestFreshLink with an acceptance sends the link of that acceptance's invitation."""
    async with service.browser() as owner, service.browser() as guest:
        first, _ = await _two_tabs(service, owner, guest)
        service.clock.advance(minutes=16)
        mails = len(service.mailbox.entries)
        await guest.do("requestFreshLink", acceptanceId=first["acceptanceId"])
        await service.deliver()
        assert len(service.mailbox.entries) == mails + 1
        assert "Demo" in (await service.mail_to(GUEST)).text


async def test_a_preview_is_of_the_named_acceptance(service: Service) -> None:
    """InvitePreview with an acceptance shows that acceptance's invitation; the token takes precedence."""
    async with service.browser() as owner, service.browser() as guest:
        first, _ = await _two_tabs(service, owner, guest)
        token = await service.token_for(GUEST)
        query = "query($token: String, $id: ID) { invitePreview(token: $token, acceptanceId: $id) { communityName } }"
        named = {"id": first["acceptanceId"]}
        assert (await guest.ask(query, **named))["invitePreview"] == {"communityName": "Demo"}
        assert (await guest.ask(query, token=token, **named))["invitePreview"] == {"communityName": "Second club"}
        assert (await guest.ask(query))["invitePreview"] == {"communityName": "Second club"}


async def test_each_tab_reads_its_own_sign_in(service: Service) -> None:
    """H210: signInOutcome with an id is the outcome of that sign-in, also after another tab began one."""
    query = 'mutation { signIn(input: {providerId: "dev"}) { ...on SignInStarted { signInId authorizationUrl } } }'
    outcome = "query($id: ID) { signInOutcome(id: $id) { status } }"
    async with service.browser() as owner:
        await join_owner(service, owner)
        first, second = [(await owner.ask(query))["signIn"] for _ in range(2)]
        await owner.log_in(first["authorizationUrl"], OWNER)
        assert (await owner.ask(outcome, id=first["signInId"]))["signInOutcome"] == {"status": "SIGNED_IN"}
        assert (await owner.ask(outcome, id=second["signInId"]))["signInOutcome"] == {"status": "STARTED"}
        assert (await owner.ask(outcome))["signInOutcome"] == {"status": "STARTED"}


# ------------------------------------------------------------------------------------------------- one link in two tabs


async def _one_link_in_two_tabs(service: Service, owner: Browser, guest: Browser) -> tuple[Any, Any]:
    """Starts two acceptances with one link. The newer tab joins. Returns the older and the newer start."""
    await owner.invite(await join_owner(service, owner), GUEST)
    token = await service.token_for(GUEST)
    older, newer = [await guest.accept(token) for _ in range(2)]
    await guest.log_in(newer["authorizationUrl"], GUEST)
    return older, newer


async def test_the_older_of_two_tabs_reports_the_membership(service: Service) -> None:
    """A return that finds its link used by another tab of the same member reports the membership, and no error."""
    async with service.browser() as owner, service.browser() as guest:
        older, newer = await _one_link_in_two_tabs(service, owner, guest)
        await guest.log_in(older["authorizationUrl"], GUEST)
        acceptance = await guest.acceptance(older["acceptanceId"])
        assert (acceptance["status"], acceptance["canRetry"]) == ("ALREADY_MEMBER", False)
        assert acceptance["membership"]["community"]["name"] == "Demo"
        assert (await guest.acceptance(newer["acceptanceId"]))["status"] == "ACCEPTED"


async def test_a_person_who_is_not_the_member_learns_nothing(service: Service) -> None:
    """H210: the older tab's acceptance stays LINK_INVALID for another session, and without one."""
    async with service.browser() as owner, service.browser() as guest:
        older, _ = await _one_link_in_two_tabs(service, owner, guest)
        await guest.log_in(older["authorizationUrl"], GUEST)
        await guest.do("signOut")
        assert (await guest.acceptance(older["acceptanceId"]))["status"] == "LINK_INVALID"
        await guest.sign_in(OWNER)
        acceptance = await guest.acceptance(older["acceptanceId"])
        assert (acceptance["status"], acceptance["membership"]) == ("LINK_INVALID", None)


async def test_a_removed_member_is_no_member_in_the_older_tab(service: Service) -> None:
    """After the member was removed, the older tab's acceptance is LINK_INVALID."""
    async with service.browser() as owner, service.browser() as guest:
        older, newer = await _one_link_in_two_tabs(service, owner, guest)
        joined = await guest.acceptance(newer["acceptanceId"])
        await owner.do("removeMember", membershipId=joined["membership"]["id"])
        await guest.log_in(older["authorizationUrl"], GUEST)
        assert (await guest.acceptance(older["acceptanceId"]))["status"] == "LINK_INVALID"


# ------------------------------------------------------------------------------------------- a page of another member


async def _member_id(browser: Browser) -> str:
    return str((await browser.ask("{ viewer { member { id } } }"))["viewer"]["member"]["id"])


_LINK_IDENTITY = (
    "mutation($input: LinkIdentityInput!) { linkIdentity(input: $input) { __typename ...on Problem { code } } }"
)


async def test_linking_is_refused_for_another_member(service: Service) -> None:
    """H211: linkIdentity names the member of its page. With another member's session it links nothing."""
    async with service.browser() as owner, service.browser() as browser:
        community = await join_owner(service, owner)
        for address in (GUEST, OTHER):
            await owner.invite(community, address)
        await browser.accept_as(await service.token_for(GUEST), GUEST)
        shown = await _member_id(browser)
        named = {"providerId": "dev", "memberId": shown}
        assert (await browser.ask(_LINK_IDENTITY, input=named))["linkIdentity"]["__typename"] == "SignInStarted"
        await browser.accept_as(await service.token_for(OTHER), OTHER)
        identities = await Identity.all().count()
        flows = await Flow.filter(kind=FlowKind.LINK_IDENTITY).count()
        refused = (await browser.ask(_LINK_IDENTITY, input=named))["linkIdentity"]
        assert refused == {"__typename": "SessionChanged", "code": "SESSION_CHANGED"}
        assert await Flow.filter(kind=FlowKind.LINK_IDENTITY).count() == flows
        assert await Identity.all().count() == identities


async def _post_as(browser: Browser, member_id: str | None, query: str, **variables: Any) -> httpx2.Response:
    headers = {} if member_id is None else {VIEWER: member_id}
    return await browser.client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)


async def test_an_operation_of_another_members_page_is_not_run(service: Service) -> None:
    """H211: a request that names another member than the session's gets 409 with SESSION_CHANGED, and nothing runs."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, GUEST)
        invite = "mutation($input: InviteMemberInput!) { inviteMember(input: $input) { __typename } }"
        invited = {"communityId": community, "email": OTHER}
        refused = await _post_as(owner, await _member_id(guest), invite, input=invited)
        assert refused.status_code == 409
        assert refused.json()["errors"][0]["extensions"]["code"] == "SESSION_CHANGED"
        assert refused.headers[VIEWER] == await _member_id(owner)
        assert not await Invitation.filter(email=OTHER).exists()
        allowed = await _post_as(owner, await _member_id(owner), invite, input=invited)
        assert allowed.json()["data"]["inviteMember"]["__typename"] == "InviteMemberSuccess"


async def test_an_ended_session_is_no_other_member(service: Service) -> None:
    """A request that names a member and has no session gets the usual answer, NotSignedIn."""
    async with service.browser() as owner, service.browser() as stranger:
        await join_owner(service, owner)
        answer = await _post_as(stranger, await _member_id(owner), _LINK_IDENTITY, input={"providerId": "dev"})
        assert answer.json()["data"]["linkIdentity"]["__typename"] == "NotSignedIn"


async def test_every_answer_names_the_viewer(service: Service) -> None:
    """The header Guestlist-Viewer is the member of the session after the operation, or none."""
    async with service.browser() as owner:
        asked = "{ viewer { member { id } } }"
        assert (await owner.post(asked)).headers[VIEWER] == "none"
        await join_owner(service, owner)
        member = await _member_id(owner)
        assert (await owner.post(asked)).headers[VIEWER] == member
        assert (await owner.post("{ unknown }")).headers[VIEWER] == member
        assert (await owner.post("mutation { signOut { __typename } }")).headers[VIEWER] == "none"


async def test_a_repeated_viewer_is_rejected(service: Service) -> None:
    """Two Guestlist-Viewer headers are a bad request, because readers could choose different ones."""
    async with service.browser() as owner:
        headers = [(VIEWER, "per_a"), (VIEWER, "per_b")]
        answer = await owner.client.post("/graphql", json={"query": "{ providers { id } }"}, headers=headers)
        assert answer.status_code == 400


async def test_an_allowed_origin_may_send_and_read_the_viewer(serve: Serve) -> None:
    """SPAs on an allowed origin send the header and read it, by CORS."""
    origin = "http://localhost:3000"
    async with serve(allowed_origins=[origin]) as service, service.browser(origin=origin) as browser:
        asks = {"access-control-request-method": "POST", "access-control-request-headers": VIEWER}
        preflight = await browser.client.options("/graphql", headers=asks)
        assert VIEWER in preflight.headers["access-control-allow-headers"].lower()
        answer = await browser.post("{ viewer { member { id } } }")
        assert VIEWER in answer.headers["access-control-expose-headers"].lower()
