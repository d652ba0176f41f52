"""Leaked access tokens: they cannot raise a role, their invitations can be revoked, and guesses are throttled."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from service.database import execute, select
from service.models import Invitation
from service.tokens import new_id
from tests.accounts.test_access_tokens import LIST, _ask, _create, _send
from tests.conftest import Serve
from tests.invitations.test_invite_many import INVITE_MANY, _kinds
from tests.schema.test_subscriptions import CHANGED, _close_code, _hear, _say, _socket, _subscribe
from tests.support.members import (
    audit_kinds,
    audit_sentences,
    change_role,
    invite_and_join,
    join_owner,
    members,
    update_policy,
)
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import INVITE, Browser, Service, http_client
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

RESEND = "mutation($input: ResendInviteInput!) { resendInvite(input: $input) { __typename ...on Problem { message } } }"
TAKE_BACK = (
    "mutation($input: RevokeInviteInput!) { revokeInvite(input: $input) { __typename ...on Problem { message } } }"
)
VIEW = "query($id: ID!) { invitation(id: $id) { status canResend canRevoke } }"


async def _token(browser: Browser, community: str, **values: Any) -> str:
    created = await _create(browser, community, **{"scopes": ["INVITE"], **values})
    assert created["__typename"] == "CreateAccessTokenSuccess", created
    return str(created["token"])


async def _invite(service: Service, token: str, community: str, email: str, role: str = "MEMBER") -> Any:
    expected = {"communityId": community, "email": email, "role": role}
    return (await _ask(service, token, INVITE, input=expected))["inviteMember"]


async def _invited(service: Service, token: str, community: str, email: str, role: str = "MEMBER") -> str:
    answer = await _invite(service, token, community, email, role)
    assert answer["__typename"] == "InviteMemberSuccess", answer
    return str(answer["invitation"]["id"])


async def _statuses(owner: Browser, *invitations: str) -> list[str]:
    return [(await owner.invitation(invitation))["status"] for invitation in invitations]


async def test_token_invites_members_only_unless_created_with_more(service: Service) -> None:
    """H196: an owner's INVITE token invites to MEMBER, singly and in lists. With the ceiling ADMIN it also invites to
    ADMIN, never to OWNER. Other ceilings do not exist, and a refusal writes and sends nothing.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        usual, higher = await _token(owner, community), await _token(owner, community, highestRole="ADMIN")
        refused = await _create(owner, community, highestRole="OWNER")
        assert (refused["__typename"], refused["field"]) == ("InvalidInput", "highestRole")
        listed = await owner.ask("{ viewer { accessTokens { highestRole } } }")
        assert sorted(row["highestRole"] for row in listed["viewer"]["accessTokens"]) == ["ADMIN", "MEMBER"]
        await service.deliver()
        before, mails = await Invitation.all().count(), len(service.mailbox.entries)
        for token, role in ((usual, "ADMIN"), (usual, "OWNER"), (higher, "OWNER")):
            answer = await _invite(service, token, community, "boss@example.com", role)
            assert answer["__typename"] == "NotPermitted", answer
            assert answer["message"] == f"This access token cannot be used for invitations to the role {role.lower()}."
        await service.deliver()
        assert (await Invitation.all().count(), len(service.mailbox.entries)) == (before, mails)
        rows = [{"email": f"{role}@example.com", "role": role} for role in ("MEMBER", "ADMIN", "OWNER")]
        for token, kinds in (
            (usual, ["InviteMemberSuccess", "NotPermitted", "NotPermitted"]),
            (higher, ["AlreadyInvited", "InviteMemberSuccess", "NotPermitted"]),
        ):
            many = await _ask(service, token, INVITE_MANY, input={"communityId": community, "invitees": rows})
            assert _kinds(many["inviteMembers"]) == kinds
        assert {row.role for row in await Invitation.filter(inviter_id__not_isnull=True)} == {"MEMBER", "ADMIN"}


async def test_token_changes_no_invitation_above_its_ceiling(service: Service) -> None:
    """H196: resendInvite and revokeInvite refuse an invitation to a role above the ceiling. canResend and canRevoke are
    false for it, and for a token that only reads.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        usual, higher = await _token(owner, community), await _token(owner, community, highestRole="ADMIN")
        reader = await _token(owner, community, scopes=["READ"], highestRole="ADMIN")
        admin = (await owner.invite(community, "admin@example.com", role="ADMIN"))["invitation"]["id"]
        member = (await owner.invite(community, "member@example.com"))["invitation"]["id"]
        await service.deliver()
        mails = len(service.mailbox.entries)
        for token, invitation, allowed in (
            (usual, admin, False), (usual, member, True), (higher, admin, True), (reader, member, False),
        ):  # fmt: skip
            found = (await _ask(service, token, VIEW, id=invitation))["invitation"]
            assert found == {"status": "PENDING", "canResend": allowed, "canRevoke": allowed}
        for name, mutation in (("resendInvite", RESEND), ("revokeInvite", TAKE_BACK)):
            answer = (await _ask(service, usual, mutation, input={"invitationId": admin}))[name]
            assert answer == {
                "__typename": "NotPermitted",
                "message": "This access token cannot be used for invitations to the role admin.",
            }
        await service.deliver()
        assert (await _statuses(owner, admin), len(service.mailbox.entries)) == (["PENDING"], mails)
        assert (await Invitation.get(id=admin)).generation == 1
        resent = (await _ask(service, higher, RESEND, input={"invitationId": admin}))["resendInvite"]
        assert resent["__typename"] == "ResendInviteSuccess"
        taken = (await _ask(service, higher, TAKE_BACK, input={"invitationId": admin}))["revokeInvite"]
        assert taken["__typename"] == "RevokeInviteSuccess"


async def test_token_never_exceeds_its_member(service: Service) -> None:
    """H196: after its member is demoted, a token with the ceiling ADMIN cannot invite, and its invitations cannot be
    accepted. An admin's token never changes an owner's invitation.
    """
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        token = await _token(admin, community, highestRole="ADMIN")
        top = (await owner.invite(community, "top@example.com", role="OWNER"))["invitation"]["id"]
        answer = (await _ask(service, token, TAKE_BACK, input={"invitationId": top}))["revokeInvite"]
        assert answer["message"] == "This is an invitation to the role owner, which is above your own."
        await _invited(service, token, community, "guest@example.com", "ADMIN")
        link = await service.token_for("guest@example.com")
        await change_role(owner, access, "MEMBER")
        for role in ("MEMBER", "ADMIN"):
            refused = await _invite(service, token, community, "more@example.com", role)
            assert refused["__typename"] == "NotPermitted"
        assert (await guest.accept_as(link, "guest@example.com"))["status"] == "NOT_ALLOWED"
        assert "guest@example.com" not in await members(owner, community)
        assert await _statuses(owner, top) == ["PENDING"]


async def test_token_of_an_earlier_release_invites_members(service: Service) -> None:
    """H196: a token without a stored ceiling has the lowest one."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        token = await _token(owner, community, highestRole="ADMIN")
        columns = "member_id, name, scopes, community_ids, created_at, expires_at"
        digest = (await select("SELECT digest FROM access_tokens"))[0]["digest"]
        await execute("UPDATE access_tokens SET digest = 'another'")
        await execute(
            f"INSERT INTO access_tokens (id, digest, {columns}) SELECT $1, $2, {columns} FROM access_tokens",  # noqa: S608 -- constants
            new_id("tok"), digest,
        )  # fmt: skip
        assert (await _invite(service, token, community, "a@example.com", "ADMIN"))["__typename"] == "NotPermitted"
        assert (await _invite(service, token, community, "a@example.com"))["__typename"] == "InviteMemberSuccess"


async def test_invitations_of_a_leaked_token_are_revoked_with_it(service: Service) -> None:
    """H197: revoking a token for compromise revokes exactly the pending invitations that it created or sent last. Their
    flows end, and subscribers receive each change. The audit log has one event for each, with the reason.
    """
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        leaked = await _create(owner, community, scopes=["INVITE"])
        token, other = leaked["token"], await _token(owner, community)
        made = await _invited(service, token, community, "made@example.com")
        rescued = await _invited(service, token, community, "rescued@example.com")
        kept = await _invited(service, other, community, "kept@example.com")
        own = (await owner.invite(community, "own@example.com"))["invitation"]["id"]
        await service.deliver()
        await owner.do("resendInvite", invitationId=rescued)
        await _ask(service, token, RESEND, input={"invitationId": own})
        started = await guest.accept(await service.token_for("made@example.com"))
        door = await guest.callback_url(started["authorizationUrl"], "made@example.com")
        async with _socket(service, owner) as socket:
            await _subscribe(socket, community)
            expected = {"accessTokenId": leaked["accessToken"]["id"], "revokeInvitations": True}
            assert (await owner.do("revokeAccessToken", **expected))["__typename"] == "RevokeAccessTokenSuccess"
            heard = {await _next_email(socket, status="REVOKED") for _ in range(2)}
            assert heard == {"made@example.com", "own@example.com"}
        assert await _statuses(owner, made, own, rescued, kept) == ["REVOKED", "REVOKED", "PENDING", "PENDING"]
        taken_by = await owner.ask("query($i: ID!) { invitation(id: $i) { revokedBy { email } } }", i=made)
        assert taken_by["invitation"]["revokedBy"] == {"email": "owner@example.com"}
        await guest.client.get(door)
        assert (await guest.acceptance())["status"] == "LINK_INVALID"
        assert "made@example.com" not in await members(owner, community)
        why = "Owner revoked the access token that had made this invitation, and the invitation with it."
        assert await audit_sentences(owner, community, "invitation.revoked") == [why, why]
        assert await audit_sentences(owner, community, "access_token.revoked") == [
            "Owner revoked an access token and the pending invitations made with it (2)."
        ]
        assert (await _send(service, token, LIST)).status_code == 401


async def _next_email(socket: Any, **facts: str) -> str:
    """Returns the address of the next change with these facts."""
    message = await _hear(socket)
    assert message["type"] == "next", message
    reported = message["payload"]["data"]["invitationChanged"]
    assert facts.items() <= reported.items(), reported
    return str(reported["email"])


async def test_audit_log_names_invitations_of_a_token(service: Service) -> None:
    """H197: the log distinguishes invitations, resends and revocations by an access token from those in a session."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        token = await _token(owner, community, highestRole="ADMIN")
        first = await _invited(service, token, community, "first@example.com", "ADMIN")
        rows = [{"email": "second@example.com"}]
        await _ask(service, token, INVITE_MANY, input={"communityId": community, "invitees": rows})
        await owner.invite(community, "third@example.com")
        await service.deliver()
        await _ask(service, token, RESEND, input={"invitationId": first})
        await _ask(service, token, TAKE_BACK, input={"invitationId": first})
        who = "Owner"
        assert (await audit_sentences(owner, community, "invitation.created"))[:3] == [
            f"{who} invited them as member.",
            f"{who} invited them as member with an access token.",
            f"{who} invited them as admin with an access token.",
        ]
        assert await audit_sentences(owner, community, "invitation.resent") == [
            f"{who} sent a new link with an access token; every earlier one died."
        ]
        assert await audit_sentences(owner, community, "invitation.revoked") == [
            f"{who} took the invitation back with an access token."
        ]
        made = (await audit_sentences(owner, community, "access_token.created"))[0]
        assert ", up to the role admin, until" in made


@pytest.mark.parametrize("end", ["revoked", "expired", "signed out"])
async def test_leak_is_noticed_after_the_token_ended(service: Service, end: str) -> None:
    """H197: the invitations of an ended token can be revoked later, by its member only."""
    async with service.browser() as owner, service.browser() as admin:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        created = await _create(owner, community, scopes=["INVITE"], expiresInDays=1)
        made = await _invited(service, created["token"], community, "guest@example.com")
        expected = {"accessTokenId": created["accessToken"]["id"]}
        if end == "revoked":
            await owner.do("revokeAccessToken", **expected)
        elif end == "expired":
            service.clock.advance(days=2)
        else:
            await owner.do("signOut", everywhere=True, accessTokens=True)
        await owner.sign_in("owner@example.com")
        await admin.sign_in("admin@example.com")
        events = (await audit_kinds(owner, community)).count("access_token.revoked")
        assert (await owner.do("revokeAccessToken", **expected))["__typename"] == "NotFound"
        foreign = await admin.do("revokeAccessToken", **expected, revokeInvitations=True)
        assert (foreign["__typename"], await _statuses(owner, made)) == ("NotFound", ["PENDING"])
        for _ in range(2):  # the second has nothing to revoke
            answer = await owner.do("revokeAccessToken", **expected, revokeInvitations=True)
            assert answer["__typename"] == "RevokeAccessTokenSuccess"
        assert await _statuses(owner, made) == ["REVOKED"]
        kinds = await audit_kinds(owner, community)
        assert (kinds.count("invitation.revoked"), kinds.count("access_token.revoked")) == (1, events)


async def test_thousands_of_invitations_are_revoked_at_once(service: Service, engine: str) -> None:
    """H197: three thousand invitations take as many statements as ten, plus one for each thousand audit events and one
    for each 250 notifications. Closed invitations are unchanged.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        used = []
        for number in (10, 3000):
            token = (await _create(owner, community, scopes=["INVITE"]))["accessToken"]["id"]
            await _fill(service, community, token, number)
            with recorded_statements() as statements:
                await owner.do("revokeAccessToken", accessTokenId=token, revokeInvitations=True)
            used.append(len(statements))
            revoked = await Invitation.filter(access_token_id=token, revoked_at__not_isnull=True).count()
            assert (revoked, await Invitation.filter(access_token_id=token).count()) == (number, number + 1)
            events = await select("SELECT details FROM audit_events WHERE kind = 'invitation.revoked'")
            assert sum(token in str(event["details"]) for event in events) == number
        assert used[1] - used[0] <= 2 + (11 if engine == "postgres" else 0)


async def _fill(service: Service, community: str, token: str, number: int) -> None:
    """Creates pending invitations of a token, and a declined one."""
    now = service.clock()
    await Invitation.bulk_create(
        Invitation(
            id=new_id("inv"), community_id=community, email=f"{token.lower()}-{index}@example.com", role="MEMBER",
            created_at=now, expires_at=now + timedelta(days=7), access_token_id=token,
            declined_at=now if index == number else None,
        )
        for index in range(number + 1)
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.parametrize("way", ["inviteMember", "inviteMembers", "resendInvite"])
async def test_invitations_cannot_be_created_while_the_token_is_revoked(
    service: Service, database_url: str, way: str
) -> None:
    """H197: an invitation or a resend of an earlier admitted request is refused after its token ended."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        created = await _create(owner, community, scopes=["INVITE"])
        await update_policy(owner, community, seatLimit=50)
        declined = (await owner.invite(community, "declined@example.com"))["invitation"]["id"]
        await guest.do("declineInvite", token=await service.token_for("declined@example.com"))
        mutation, expected = {
            "inviteMember": (INVITE, {"communityId": community, "email": "late@example.com"}),
            "inviteMembers": (INVITE_MANY, {"communityId": community, "invitees": [{"email": "late@example.com"}]}),
            "resendInvite": (RESEND, {"invitationId": declined}),
        }[way]
        async with hold_lock(database_url, "SELECT id FROM communities FOR UPDATE") as locked:
            late = asyncio.create_task(_ask(service, created["token"], mutation, input=expected))
            await wait_until(locked.awaited(), "the request waits for the community")
            answer = await owner.do(
                "revokeAccessToken", accessTokenId=created["accessToken"]["id"], revokeInvitations=True
            )
            assert answer["__typename"] == "RevokeAccessTokenSuccess"
        assert (await late)[way]["__typename"] == "NotSignedIn"
        assert await Invitation.filter(email="late@example.com").count() == 0
        assert await _statuses(owner, declined) == ["DECLINED"]


async def test_signing_out_everywhere_ends_tokens_too(service: Service) -> None:
    """H198: with accessTokens, signOut everywhere ends the caller's tokens and sockets immediately, and writes it to
    the audit log. Without it, and for other members, tokens remain.
    """
    async with service.browser() as owner, service.browser() as elsewhere, service.browser() as admin:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        first, second = await _token(owner, community), await _token(owner, community)
        others = await _token(admin, community)
        await owner.do("signOut", everywhere=True)
        assert (await _send(service, first, LIST)).status_code == 200
        await owner.sign_in("owner@example.com")
        await elsewhere.sign_in("owner@example.com")
        async with _socket(service, token=first) as socket:
            await _subscribe(socket, community)
            answer = await owner.ask(
                "mutation { signOut(input: {everywhere: true, accessTokens: true}) { ...on SignOutSuccess { signedOut } } }"
            )
            assert answer["signOut"] == {"signedOut": 2}, "sessions count, tokens do not"
            assert await _close_code(socket) == 4401
        assert [(await _send(service, token, LIST)).status_code for token in (first, second, others)] == [401, 401, 200]
        assert await elsewhere.viewer_email() is None
        assert (await audit_kinds(admin, community)).count("access_token.revoked") == 2


async def test_signing_out_of_tokens_alone_is_rejected(service: Service) -> None:
    """H198: accessTokens without everywhere is InvalidInput and ends nothing. An anonymous caller ends nothing."""
    async with service.browser() as owner, service.browser() as stranger:
        community = await join_owner(service, owner)
        token = await _token(owner, community)
        for expected in ({}, {"sessionId": "ses_AAAAAAAAAAAAAAAAAAAAAA"}):
            refused = await owner.do("signOut", accessTokens=True, **expected)
            assert refused["__typename"] == "InvalidInput"
        done = await stranger.do("signOut", everywhere=True, accessTokens=True)
        assert done["__typename"] == "SignOutSuccess"
        assert await owner.viewer_email() == "owner@example.com"
        assert (await _send(service, token, LIST)).status_code == 200


async def _exported(service: Service, token: str, community: str) -> int:
    async with http_client(service.url) as client:
        headers = {"authorization": f"Bearer {token}"}
        return (await client.get(f"/export/{community}/audit.csv", headers=headers)).status_code


async def _streamed(service: Service, token: str, community: str) -> int:
    body = {"query": CHANGED, "variables": {"id": community}}
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    async with http_client(service.url) as client, client.stream("POST", "/graphql", json=body, headers=headers) as got:
        return got.status_code


async def _greeted(service: Service, token: str, _: str) -> int:
    """Returns the close code of a socket with the token in connection_init, or 0 for an accepted one."""
    async with _socket(service, greet=False) as socket:
        return await _code(socket, {"payload": {"authorization": f"Bearer {token}"}})


async def _shaken(service: Service, token: str, _: str) -> int:
    """Returns the same for a token in the handshake's header."""
    async with _socket(service, greet=False, authorization=f"Bearer {token}") as socket:
        return await _code(socket, {})


async def _code(socket: Any, payload: dict[str, Any]) -> int:
    try:
        await _say(socket, {"type": "connection_init", **payload})
        await asyncio.wait_for(socket.recv(), 20)
    except Exception:  # noqa: BLE001 -- the close code follows
        return await _close_code(socket)
    return 0


@pytest.mark.parametrize(
    ("way", "answers"),
    [
        (_exported, (200, 401, 429)), (_streamed, (200, 401, 429)), (_greeted, (0, 4401, 4429)),
        (_shaken, (0, 4401, 4429)),
    ],
)  # fmt: skip
async def test_wrong_tokens_are_throttled_everywhere(serve: Serve, way: Any, answers: tuple[int, ...]) -> None:
    """H199: a wrong token counts as an attempt in exports, server-sent events and WebSockets, in the handshake and in
    connection_init. Over the limit, the answer is 429 or 4429 everywhere. A right token still works.
    """
    welcome, wrong, throttled = answers
    async with serve(rate_limits={"attempts_per_client": "4/1m"}) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        token = await _token(owner, community)
        service.clock.advance(minutes=2)
        for guess in ("guestlist_wrong", "x", f"{token}x", "guestlist_-"):
            assert await way(service, guess, community) == wrong
        assert await way(service, "guestlist_wrong", community) == throttled
        assert (await _send(service, "guestlist_wrong", LIST)).status_code == 429
        assert await way(service, token, community) == welcome
        service.clock.advance(minutes=2)
        assert await way(service, "guestlist_wrong", community) == wrong


async def test_wrong_token_in_a_handshake_always_counts(serve: Serve) -> None:
    """H199: a wrong token in a handshake counts without a connection_init, and before one with a right token."""
    async with serve(rate_limits={"attempts_per_client": "3/1m"}) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        token = await _token(owner, community)
        service.clock.advance(minutes=2)
        for _ in range(2):
            async with _socket(service, greet=False, authorization="Bearer guestlist_wrong") as socket:
                assert await _close_code(socket) == 4401
        async with _socket(service, greet=False, authorization="Bearer guestlist_wrong") as socket:
            assert await _code(socket, {"payload": {"authorization": f"Bearer {token}"}}) == 4401
        async with _socket(service, greet=False, authorization="Bearer guestlist_wrong") as socket:
            assert await _close_code(socket) == 4429
        assert (await _send(service, "guestlist_wrong", LIST)).status_code == 429
        assert await _shaken(service, token, community) == 0


async def test_sockets_without_a_token_are_no_guesses(serve: Serve) -> None:
    """H199: a socket or an export without a token costs no attempt."""
    async with serve(rate_limits={"attempts_per_client": "2/1m"}) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        service.clock.advance(minutes=2)
        async with http_client(service.url) as client:
            for _ in range(4):
                assert (await client.get(f"/export/{community}/audit.csv")).status_code == 404
                async with _socket(service, greet=False) as socket:
                    assert await _code(socket, {}) == 4401
        assert (await _send(service, "guestlist_wrong", LIST)).status_code == 401
