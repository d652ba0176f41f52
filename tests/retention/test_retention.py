"""Pruning of expired rows, and erasure of a person's data. The history remains."""

import asyncio
import contextvars
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service import database
from service.addresses import canonical
from service.mail import suppression
from service.mail.suppression import Reason
from service.models import __models__
from service.retention import pruning
from service.retention.erasure import LeavesNoOwner, erase
from service.settings import RateLimit
from service.sign_in import mailbox_codes
from tests.conftest import Serve
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"


async def _count(table: str) -> int:
    return int((await database.select(f"SELECT count(*) AS rows FROM {table}"))[0]["rows"])  # noqa: S608


async def _prune(service: Service) -> dict[str, int]:
    return await pruning.prune(now=service.clock(), settings=service.settings)


async def _owner_in(service: Service, owner: Browser) -> str:
    await owner.accept_as(await service.token_for(OWNER), OWNER)
    return await owner.community_id()


async def _everything() -> str:
    """Returns every stored value."""
    values: list[Any] = []
    for model in __models__:
        rows = await database.select(f"SELECT * FROM {model._meta.db_table}")  # noqa: S608
        values += [value for row in rows for value in row.values()]
    return "\n".join(map(str, values))


async def test_active_rows_are_not_pruned(service: Service) -> None:
    """One second before their end, flows, links, sessions and tokens remain."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        await owner.invite(community, GUEST)
        token = await service.token_for(GUEST)
        await guest.accept(token)
        service.clock.advance(minutes=9, seconds=59)
        assert sum((await _prune(service)).values()) == 0
        assert (await guest.accept_as(token, GUEST))["status"] == "ACCEPTED"
        assert await owner.viewer_email() == OWNER


async def test_flows_are_pruned_after_an_hour(service: Service) -> None:
    """A flow is pruned an hour after its start. A dead link of an open invitation remains, because it offers a fresh
    link.
    """
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        await owner.invite(community, GUEST)
        token = await service.token_for(GUEST)
        await guest.accept(token)
        service.clock.advance(hours=1, seconds=1)
        assert (await _prune(service))["flows"] == 2
        assert await _count("flows") == 0
        await guest.do("requestFreshLink", token=token)
        assert await service.token_for(GUEST) != token


async def test_links_are_pruned_after_their_invitation_closed(service: Service) -> None:
    """A day after a revocation, the links of the invitation are gone. Those of other invitations remain."""
    async with service.browser() as owner:
        community = await _owner_in(service, owner)
        invited = await owner.invite(community, GUEST)
        await owner.invite(community, "other@example.com")
        await service.deliver()
        await owner.do("revokeInvite", invitationId=invited["invitation"]["id"])
        service.clock.advance(days=1, seconds=1)
        assert (await _prune(service))["links"] == 2  # the owner's own, and the revoked one
        assert await _count("links") == 1


async def test_ended_sessions_are_pruned(service: Service) -> None:
    """Sessions that are signed out, idle for too long or too old are removed. The active session remains."""
    async with service.browser() as owner, service.browser() as other:
        await _owner_in(service, owner)
        await other.sign_in(OWNER)
        await other.ask("mutation { signOut { __typename } }")
        assert (await _prune(service))["sessions"] == 1
        assert await owner.viewer_email() == OWNER
        service.clock.advance(hours=12, seconds=1)
        assert (await _prune(service))["sessions"] == 1
        assert await _count("sessions") == 0


async def test_expired_codes_counters_and_tokens_are_pruned(service: Service) -> None:
    """Codes are pruned after ten minutes, counters after the longest period, unsubscribe tokens after 30 days."""
    async with service.browser() as owner:
        await _owner_in(service, owner)
        await database.execute("UPDATE flows SET status = 'CODE_REQUIRED'")
        flow = (await database.select("SELECT id FROM flows"))[0]["id"]
        assert await mailbox_codes.issue(flow, now=service.clock())
        service.clock.advance(minutes=10, seconds=1)
        assert (await _prune(service))["codes"] == 1
        service.clock.advance(days=1)
        assert await _count("counters") > 0
        await _prune(service)
        assert await _count("counters") == 0
        assert await _count("unsubscribe_tokens") == 1
        service.clock.advance(days=30)
        await _prune(service)
        assert await _count("unsubscribe_tokens") == 0


async def test_long_limits_keep_their_counters(serve: Serve) -> None:
    """A counter of a limit over ten days remains after one day."""
    async with serve(rate_limits={"invites_per_inviter": "5/10d"}) as service:
        await database.execute(
            "INSERT INTO counters (key, started_at, count) VALUES ('x', $1, 5)", service.clock() - timedelta(days=9)
        )
        assert service.settings.rate_limits.invites_per_inviter == RateLimit(5, timedelta(days=10))
        await _prune(service)
        assert await _count("counters") >= 1


async def test_retention_erases_closed_invitations(service: Service) -> None:
    """RETENTION_DAYS after closing, address and message are erased. The history and open invitations remain."""
    async with service.browser() as owner:
        community = await _owner_in(service, owner)
        closed = await owner.invite(community, GUEST, message="A word that goes")
        declined = await owner.invite(community, "no@example.com")
        async with service.browser() as invitee:
            await invitee.do("declineInvite", token=await service.token_for("no@example.com"))
        await service.deliver()
        await owner.do("revokeInvite", invitationId=closed["invitation"]["id"])
        service.clock.advance(days=89)
        assert (await _prune(service))["invitations"] == 0
        service.clock.advance(days=1, seconds=1)
        await owner.sign_in(OWNER)
        await owner.invite(community, "open@example.com")
        assert (await _prune(service))["invitations"] == 3  # the owner's own too
        stored = await _everything()
        assert not [gone for gone in (GUEST, "A word that goes", "no@example.com") if gone in stored]
        assert "open@example.com" in stored
        found = await owner.invitation(closed["invitation"]["id"])
        assert (found["status"], found["email"]) == ("REVOKED", pruning.ERASED_ADDRESS)
        assert [node["kind"] for node in found["timeline"]["nodes"]][-1] == "invitation.revoked"
        again = await owner.invitation(declined["invitation"]["id"])
        assert (again["status"], again["canResend"]) == ("DECLINED", False)
        resent = await owner.do("resendInvite", invitationId=declined["invitation"]["id"])
        assert resent["__typename"] == "InvitationClosed"


async def test_one_worker_prunes_every_ten_minutes(service: Service) -> None:
    """Of two workers, one prunes. Ten minutes later, either may prune again."""

    async def in_turn() -> None:
        await pruning.prune_in_turn(now=service.clock(), settings=service.settings)

    await _ended_token(service)
    await in_turn()
    assert await _count("unsubscribe_tokens") == 0
    await _ended_token(service)
    await in_turn()
    assert await _count("unsubscribe_tokens") == 1
    service.clock.advance(minutes=10)
    await in_turn()
    assert await _count("unsubscribe_tokens") == 0


async def _ended_token(service: Service) -> None:
    await database.execute(
        "INSERT INTO unsubscribe_tokens (digest, email, expires_at) VALUES ('x', 'x@example.com', $1)", service.clock()
    )


# --------------------------------------------------------------------------------------------------------- erasing


async def test_erasing_removes_every_trace_of_the_person(service: Service) -> None:
    """After `erase`, no stored value contains the address, the name or the subject. The audit log still has every
    event.
    """
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        invited = await owner.invite(community, GUEST, message="Dear guest")
        await guest.accept_as(await service.token_for(GUEST), GUEST, sub="the-subject-of-guest")
        other = await owner.invite(community, "second@example.com")
        await guest.accept_as(await service.token_for("second@example.com"), GUEST, sub="the-subject-of-guest")
        events = await _count("audit_events")
        erased = await erase(canonical(GUEST), even_last_owner=False, now=service.clock())
        assert (erased.accounts, erased.memberships, erased.invitations) == (1, 1, 1)
        stored = await _everything()
        assert not [gone for gone in (GUEST, "Dear guest", "the-subject-of-guest") if gone in stored]
        assert await _count("audit_events") > events
        assert await guest.viewer_email() is None
        assert (await guest.sign_in(GUEST, sub="the-subject-of-guest"))["status"] == "NOT_INVITED"
        found = await owner.invitation(invited["invitation"]["id"])
        assert (found["status"], found["acceptedBy"]["email"]) == ("ACCEPTED", None)
        assert (await owner.invitation(other["invitation"]["id"]))["status"] == "PENDING"
        again = await owner.invite(community, GUEST)
        assert again["__typename"] == "InviteMemberSuccess"


async def test_erasing_finds_other_addresses_of_the_person(service: Service) -> None:
    """An invitation to another address that the account accepted is erased, too, and so is a sign-in in capital
    letters.
    """
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        await owner.invite(await _owner_in(service, owner), GUEST)
        await guest.accept_as(await service.token_for(GUEST), GUEST, sub="the-subject-of-guest")
        created = await owner.ask(
            'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
        )
        elsewhere = await owner.invite(created["createCommunity"]["community"]["id"], "at-work@example.com")
        token = await service.token_for("at-work@example.com")
        joined = await guest.accept_as(token, "at-work@example.com", sub="the-subject-of-guest")
        assert joined["status"] == "ACCEPTED"
        await stranger.sign_in(GUEST.upper())
        assert (await erase(canonical(GUEST), even_last_owner=False, now=service.clock())).invitations == 2
        stored = (await _everything()).lower()
        assert not [gone for gone in (GUEST, "at-work@example.com", "the-subject-of-guest") if gone in stored]
        found = await owner.invitation(elsewhere["invitation"]["id"])
        assert (found["status"], found["email"]) == ("ACCEPTED", pruning.ERASED_ADDRESS)


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_erased_bytes_are_removed_from_the_files(service: Service, tmp_path: Path) -> None:
    """SQLite's file and its log contain no byte of an erased person or an erased invitation."""

    def bytes_on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("guestlist.db*"))

    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        await owner.invite(community, GUEST, message="Dear guest")
        await guest.accept_as(await service.token_for(GUEST), GUEST, sub="the-subject-of-guest")
        revoked = await owner.invite(community, "second@example.com", message="Dear second")
        await service.deliver()
        await owner.do("revokeInvite", invitationId=revoked["invitation"]["id"])
        assert not [kept for kept in (GUEST, "second@example.com") if kept.encode() not in bytes_on_disk()]
        await erase(canonical(GUEST), even_last_owner=False, now=service.clock())
        gone = (GUEST, "Dear guest", "the-subject-of-guest")
        assert not [word for word in gone if word.encode() in bytes_on_disk()]
        service.clock.advance(days=91)
        await _prune(service)
        assert not [word for word in ("second@example.com", "Dear second") if word.encode() in bytes_on_disk()]


@pytest.mark.parametrize("engine", ["postgres"])
async def test_erasing_waits_for_a_worker_that_records(service: Service) -> None:
    """While a worker records a mail, with the order locked before the invitation, an erasure waits. Then it succeeds."""
    async with service.browser() as owner:
        await owner.invite(await _owner_in(service, owner), GUEST)
        await service.deliver()
        url = service.settings.database_url.get_secret_value()
        async with hold_lock(url, "SELECT id FROM mail_orders FOR UPDATE") as worker:
            erasing = asyncio.create_task(
                erase(canonical(GUEST), even_last_owner=False, now=service.clock()), context=contextvars.Context()
            )
            await wait_until(worker.awaited(), "an erasure that waits")
            await worker.connection.execute("UPDATE invitations SET delivery = 'SENT'")
        assert (await erasing).invitations == 1
        assert GUEST not in await _everything()


async def test_erasing_revokes_open_invitations(service: Service) -> None:
    """An open invitation to the address is revoked, its waiting mail is not sent, and its link is invalid."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        invited = await owner.invite(community, GUEST)
        token = await service.token_for(GUEST)
        service.clock.advance(minutes=2)
        await owner.do("resendInvite", invitationId=invited["invitation"]["id"])
        sent = len(service.mailbox.entries)
        await erase(canonical(GUEST), even_last_owner=False, now=service.clock())
        await service.deliver()
        assert len(service.mailbox.entries) == sent
        assert (await guest.accept(token))["__typename"] == "InviteLinkInvalid"
        assert (await owner.invitation(invited["invitation"]["id"]))["status"] == "REVOKED"


async def test_last_owner_of_other_members_is_not_erased(service: Service) -> None:
    """The only owner of a community with members is not erased without --even-last-owner."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        await owner.invite(community, GUEST)
        await guest.accept_as(await service.token_for(GUEST), GUEST)
        before = await _everything()
        with pytest.raises(LeavesNoOwner, match="Demo"):
            await erase(canonical(OWNER), even_last_owner=False, now=service.clock())
        assert await _everything() == before
        assert (await erase(canonical(OWNER), even_last_owner=True, now=service.clock())).accounts == 1
        assert await owner.viewer_email() is None


async def test_suppressions_and_blocks_survive_an_erasure(service: Service) -> None:
    """A suppressed or blocked address remains so after an erasure. Otherwise it would receive mail again."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner_in(service, owner)
        await owner.invite(community, GUEST)
        await guest.do("declineInvite", token=await service.token_for(GUEST), block=True)
        async with database.transaction():
            await suppression.add(canonical(GUEST), Reason.UNSUBSCRIBED, now=service.clock())
        erased = await erase(canonical(GUEST), even_last_owner=False, now=service.clock())
        assert (erased.stays_suppressed, erased.stays_blocked) == (True, 1)
