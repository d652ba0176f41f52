"""The audit log: one event for each decision, with actor, time and reason. Events cannot be changed or forged."""

import logging
from collections import Counter
from datetime import timedelta

import pytest
import structlog

from service import logs
from service.addresses import Address
from service.app import printed_schema
from service.invitations.operator import invite_owner
from service.models import AuditEvent, Community, Member
from tests.support.members import invite_and_join, join_owner
from tests.support.service import Service, query_of, token_in

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"


async def test_every_decision_writes_one_event(service: Service) -> None:
    """H159: invite, send, refusals with their reasons, resend, decline, reopen, revoke and accept each write one event,
    with the actor and the time. Three equal started sign-ins are counted on one event.
    """
    began = service.clock()
    async with service.browser() as owner, service.browser() as guest:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        community = await owner.community_id()
        invitation_id = (await owner.invite(community, GUEST))["invitation"]["id"]
        token = await service.token_for(GUEST)
        await guest.accept_as(token, "other@example.com")
        await guest.accept_as(token, GUEST, verified=False)
        started = await guest.accept(token)
        await guest.client.get(f"/auth/dev/callback?error=access_denied&state={_state(started['authorizationUrl'])}")
        await owner.do("resendInvite", invitationId=invitation_id)
        await guest.do("declineInvite", token=await service.token_for(GUEST))
        service.clock.advance(minutes=1)
        await owner.do("resendInvite", invitationId=invitation_id)
        await service.deliver()
        await owner.do("revokeInvite", invitationId=invitation_id)
        second = (await owner.invite(community, GUEST))["invitation"]["id"]
        await guest.accept_as(await service.token_for(GUEST), GUEST)

    events = await AuditEvent.filter(invitation_id=invitation_id).order_by("seq")
    assert [event.kind for event in events] == [
        "invitation.created", "invitation.sent", "invitation.sign_in_started", *["invitation.accept_refused"] * 3,
        "invitation.resent", "invitation.sent", "invitation.declined", "invitation.reopened",
        "invitation.sent", "invitation.revoked",
    ]  # fmt: skip
    assert [event.times for event in events if event.kind == "invitation.sign_in_started"] == [3]
    assert {event.at for event in events} == {began, began + timedelta(minutes=1)}
    reasons = [event.details["reason"] for event in events if event.kind == "invitation.accept_refused"]
    assert reasons[:2] == ["email_mismatch", "email_unverified"]
    assert len(set(reasons)) == 3
    by_admin = {event.kind for event in events if event.actor_id is not None}
    assert by_admin == {"invitation.created", "invitation.resent", "invitation.reopened", "invitation.revoked"}
    kinds = Counter(event.kind for event in await AuditEvent.filter(invitation_id=second))
    once = ("created", "sent", "sign_in_started", "accepted")
    assert kinds == {"membership.joined": 1} | {f"invitation.{kind}": 1 for kind in once}


async def test_roles_and_sign_ins_write_one_event_each(service: Service) -> None:
    """H159: a role change, a removal, a sign-in, a sign-out and a refused sign-in each write one event, with the actor
    and the time. The refused sign-in changes nothing.
    """
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        await join_owner(service, owner)
        membership = await invite_and_join(service, owner, guest, GUEST)
        ids = [str(member.id) for member in await Member.all().order_by("created_at", "email")]
        before = await AuditEvent.all().count()
        await owner.do("changeRole", membershipId=membership, role="ADMIN")
        service.clock.advance(seconds=1)
        await owner.do("removeMember", membershipId=membership)
        await guest.do("signOut")
        assert (await stranger.sign_in("stranger@example.com"))["status"] == "NOT_INVITED"
        await owner.sign_in(OWNER)
        link = (
            "mutation($i: LinkIdentityInput!) { linkIdentity(input: $i) { ...on SignInStarted { authorizationUrl } } }"
        )
        started = (await owner.ask(link, i={"providerId": "dev"}))["linkIdentity"]
        await owner.log_in(started["authorizationUrl"], GUEST)
    events = (await AuditEvent.all().order_by("seq"))[before:]
    owner_id = next(str(member.id) for member in await Member.filter(email=OWNER))
    guest_id = next(id for id in ids if id != owner_id)
    assert [(event.kind, event.actor_id) for event in events] == [
        ("membership.role_changed", owner_id), ("membership.removed", owner_id), ("member.signed_out", guest_id),
        ("member.sign_in_refused", None), ("member.signed_in", owner_id), ("member.sign_in_refused", owner_id),
    ]  # fmt: skip
    assert (events[0].details["role"], events[0].details["former_role"]) == ("ADMIN", "MEMBER")
    assert [events[number].details["reason"] for number in (3, 5)] == ["identity_unknown", "identity_in_use"]
    assert events[3].details["email"] == "s•••@example.com"
    assert [event.at for event in events[1:]] == [service.clock()] * 5
    assert await Member.all().count() == 2


def _state(url: str) -> str:
    return query_of(url)["state"]


def test_no_mutation_changes_the_audit_log() -> None:
    """H159: no mutation writes, changes or removes audit events."""
    mutations = printed_schema().partition("type Mutation {")[2].partition("\n}")[0]
    assert "inviteMember" in mutations
    assert "audit" not in mutations.lower()


async def test_external_text_is_one_line_of_log(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    """H063, H157: control characters and markup in an error, its description or a logged name do not forge a log line.
    They do not reach the audit log or a page.
    """
    logs.configure("debug", "json")
    forged = 'x\r\n{"event": "forged"}\u001b[31m'
    async with service.browser(**{"user-agent": "agent (odd; [31m)"}) as owner:
        started = await owner.accept(await service.token_for(OWNER))
        answer = await owner.client.get(
            "/auth/dev/callback",
            params={
                "error": forged,
                "error_description": "<script>" * 5000,
                "state": _state(started["authorizationUrl"]),
            },
        )
        assert answer.status_code == 303
        found = await owner.acceptance()
        assert found["status"] == "SIGN_IN_FAILED"
        assert not [word for word in ("script", "forged") if word in found["message"]]
    logging.getLogger("test").warning("a name %s", forged)
    out = capfd.readouterr().err
    assert not [line for line in out.splitlines() if line.startswith('{"event": "forged"')]
    assert "\u001b" not in out
    stored = [event.details for event in await AuditEvent.all()]
    assert "forged" not in str(stored)


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_tokens_are_long_and_random(service: Service) -> None:
    """H001: a thousand tokens from captured mails are different texts of 43 URL-safe characters. They contain no
    address, community or time.
    """
    tokens: list[str] = []
    await service.deliver()
    community = await Community.all().first()
    assert community is not None
    for number in range(1000):
        await invite_owner(
            community.id, Address(f"p{number % 400}@example.com"), now=service.clock(), settings=service.settings
        )
        if number % 200 == 199:
            await service.deliver()
            tokens += [token_in(mail) for mail in service.mailbox.entries[:200]]
    assert len(tokens) == len(set(tokens)) == 1000
    assert {len(token) for token in tokens} == {43}
    # The last of 43 characters carries only four bits, so it is not counted.
    alphabet = Counter("".join(token[:-1] for token in tokens))
    assert len(alphabet) == 64
    assert max(alphabet.values()) < 1.6 * min(alphabet.values())


def test_exceptions_are_logged_without_their_messages(capfd: pytest.CaptureFixture[str]) -> None:
    """H117, H155: a logged exception has its type and location. Its message, which may repeat a parameter, is omitted."""
    logs.configure("debug", "json")
    try:
        int("the-secret-parameter")
    except ValueError as error:
        structlog.get_logger().error("work.failed", exc_info=error)
        logging.getLogger("uvicorn.error").exception("it failed")
    out = capfd.readouterr().err
    assert out.count("ValueError") == 2
    assert "the-secret-parameter" not in out
