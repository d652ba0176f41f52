"""Rate limits: exact, counted in the database, and without loss of an invitation."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from service.invitations.errors import LIMITS
from service.limits import client_key
from service.models import AuditEvent, Invitation
from tests.cli.test_serve import PROVIDER, serving
from tests.conftest import Serve
from tests.support.members import audit_sentences
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"


async def _own(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for(OWNER), OWNER)
    return await browser.community_id()


async def test_inviter_has_a_quota(serve: Serve) -> None:
    """H135: INVITES_PER_INVITER counts created invitations. The next one is RateLimited and creates nothing. It
    succeeds later.
    """
    async with serve(rate_limits={"invites_per_inviter": "2/1h"}) as service, service.browser() as owner:
        community = await _own(service, owner)
        for address in ("a@example.com", "nonsense", "a@example.com", "b@example.com"):
            await owner.invite(community, address)
        over = await owner.invite(community, "c@example.com")
        assert (over["__typename"], over["retryAfterSeconds"]) == ("RateLimited", 3600)
        assert await Invitation.filter(email="c@example.com").count() == 0
        await _refusals_in_the_audit(service, owner, community, "INVITER_LIMIT_REACHED")
        service.clock.advance(hours=1)
        assert (await owner.invite(community, "c@example.com"))["__typename"] == "InviteMemberSuccess"


async def test_community_has_a_quota(serve: Serve) -> None:
    """H135: INVITES_PER_COMMUNITY counts all inviters of a community together, and each community separately."""
    async with serve(rate_limits={"invites_per_community": "2/1d"}) as service:
        async with service.browser() as owner, service.browser() as admin:
            community = await _own(service, owner)
            await owner.invite(community, "admin@example.com", role="ADMIN")
            await admin.accept_as(await service.token_for("admin@example.com"), "admin@example.com")
            assert (await admin.invite(community, "a@example.com"))["__typename"] == "InviteMemberSuccess"
            assert (await owner.invite(community, "b@example.com"))["__typename"] == "RateLimited"
            this = "COMMUNITY_LIMIT_REACHED"
            await _refusals_in_the_audit(service, owner, community, this)
            await owner.do("createCommunity", name="Second")
            second = await owner.invite(await owner.community_id("Second"), "b@example.com")
            assert second["__typename"] == "InviteMemberSuccess"


async def _refusals_in_the_audit(
    service: Service, owner: Browser, community: str, reason: str, *, rows: int = 1, invitation_id: str | None = None
) -> None:
    """Asserts that the newest event names the member, the time and the reason of a refusal, and that admins can read
    it.
    """
    event = await AuditEvent.filter(kind="invitation.rate_limited").order_by("-seq").first()
    assert event is not None
    assert (event.invitation_id, event.at) == (invitation_id, service.clock())
    assert event.details == {"reason": reason, "rows": str(rows)}
    assert event.actor_id == (await owner.ask("{ viewer { member { id } } }"))["viewer"]["member"]["id"]
    (sentence, *_) = await audit_sentences(owner, community, "invitation.rate_limited")
    assert str(LIMITS[reason]) in sentence


async def test_resends_have_a_pause_and_a_limit(serve: Serve) -> None:
    """H135: RESENDS_PER_INVITATION limits the resends, with one a minute. Each refusal is answered and recorded in the
    audit log. It sends nothing, and the link remains valid.
    """
    async with serve(rate_limits={"resends_per_invitation": "2/1d"}) as service, service.browser() as owner:
        community = await _own(service, owner)
        invitation_id = (await owner.invite(community, "guest@example.com"))["invitation"]["id"]
        for minutes, kinds in ((0, ["ResendInviteSuccess", "RateLimited"]), (1, ["ResendInviteSuccess"])):
            service.clock.advance(minutes=minutes)
            for kind in kinds:
                assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == kind
        token = await service.token_for("guest@example.com")
        sent = len(service.mailbox.entries)
        service.clock.advance(minutes=2)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "RateLimited"
        again = "RESENT_TOO_SOON"
        await _refusals_in_the_audit(service, owner, community, again, invitation_id=invitation_id)
        assert await AuditEvent.filter(kind="invitation.rate_limited").count() == 2
        await service.deliver()
        assert len(service.mailbox.entries) == sent
        async with service.browser() as guest:
            assert (await guest.accept(token))["__typename"] == "AcceptInviteStarted"
        service.clock.advance(days=1)
        await owner.sign_in(OWNER)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"


async def test_quota_of_invite_many_is_in_the_audit_log(serve: Serve) -> None:
    """H135: the first invitees are invited up to the limit. One event has the number of the others."""
    query = "mutation($i: InviteMembersInput!) { inviteMembers(input: $i) { __typename ...on InviteMembersSuccess { invitedCount } } }"
    async with serve(rate_limits={"invites_per_inviter": "2/1h"}) as service, service.browser() as owner:
        community = await _own(service, owner)
        reason = "INVITES_LIMITED"
        for name, answer, refused in (
            ("p", {"__typename": "InviteMembersSuccess", "invitedCount": 2}, 3),
            ("q", {"__typename": "RateLimited"}, 5),
        ):
            rows = [{"email": f"{name}{number}@example.com"} for number in range(5)]
            values = {"communityId": community, "invitees": rows}
            assert (await owner.ask(query, i=values))["inviteMembers"] == answer
            await _refusals_in_the_audit(service, owner, community, reason, rows=refused)
        assert await Invitation.filter(email__startswith="p").count() == 2
        assert await Invitation.filter(email__startswith="q").count() == 0


async def _communities(owner: Browser, *names: str) -> list[str]:
    """Creates communities of these names, and returns their ids."""
    for name in names:
        await owner.do("createCommunity", name=name)
    return [await owner.community_id(name) for name in names]


async def _invited(owner: Browser, community: str, *addresses: str) -> list[str]:
    answers = [await owner.invite(community, address) for address in addresses]
    return [str(answer["invitation"]["id"]) for answer in answers]


async def _deliveries(owner: Browser, ids: list[str]) -> list[str]:
    """Returns the sorted deliveries of these invitations. Asserts that no reason reveals other communities."""
    found = [await owner.invitation(id) for id in ids]
    assert {invitation["deliveryReason"] for invitation in found} == {None}
    return sorted(invitation["delivery"] for invitation in found)


async def test_mails_of_all_communities_share_a_higher_limit(serve: Serve) -> None:
    """H134: over MAILS_PER_RECIPIENT_OVERALL, a mail of any community stays QUEUED without a reason, and is sent later."""
    limits = {"mails_per_recipient": "2/1h", "mails_per_recipient_overall": "3/1h"}
    async with serve(rate_limits=limits) as service, service.browser() as owner:
        await _own(service, owner)
        communities = await _communities(owner, "One", "Two", "Three", "Four")
        ids = [id for community in communities for id in await _invited(owner, community, "guest@example.com")]
        await service.deliver()
        assert await _deliveries(owner, ids) == ["QUEUED", "SENT", "SENT", "SENT"]
        assert len([mail for mail in service.mailbox.entries if mail.to == "guest@example.com"]) == 3
        service.clock.advance(hours=1)
        await service.deliver()
        assert await _deliveries(owner, ids) == ["SENT"] * 4


async def test_mails_of_another_community_cause_no_delay(serve: Serve) -> None:
    """H183: a community with an exhausted limit and waiting mails does not delay the mails of another one to the same
    mailbox.
    """
    limits = {"mails_per_recipient": "2/1h", "mails_per_recipient_overall": "4/1h", "attempts_per_client": "off"}
    async with serve(rate_limits=limits) as service, service.browser() as owner:
        await _own(service, owner)
        loud, quiet = await _communities(owner, "Loud", "Quiet")
        (invitation,) = await _invited(owner, loud, "guest@example.com")
        for _ in range(4):
            await service.deliver()
            service.clock.advance(minutes=2)
            await owner.do("resendInvite", invitationId=invitation)
        await service.deliver()
        assert await _deliveries(owner, [invitation]) == ["QUEUED"]
        ids = await _invited(owner, quiet, "guest@example.com")
        await service.deliver()
        assert await _deliveries(owner, ids) == ["SENT"]


async def test_tags_and_dots_are_one_mailbox(serve: Serve) -> None:
    """H183: addresses with tags, and those of Gmail with dots, share the limit of their mailbox. Different mailboxes do
    not.
    """
    async with serve(rate_limits={"mails_per_recipient": "2/1h"}) as service, service.browser() as owner:
        await _own(service, owner)
        (community,) = await _communities(owner, "Tagged")
        for addresses, expected in (
            (["g@example.com", "g+1@example.com", "g+2@example.com"], ["QUEUED", "SENT", "SENT"]),
            (["gu.est@gmail.com", "guest+1@gmail.com", "g.uest@googlemail.com"], ["QUEUED", "SENT", "SENT"]),
            (["gu.est@example.com", "guest@example.com", "g.uest@example.com"], ["SENT", "SENT", "SENT"]),
        ):
            ids = await _invited(owner, community, *addresses)
            await service.deliver()
            assert await _deliveries(owner, ids) == expected, addresses


async def test_plus_tags_and_gmails_dots_share_a_recipients_limit(serve: Serve) -> None:
    """H186: spellings of one mailbox are separate invitations, and share one limit of mails. A different mailbox has
    its own.
    """
    async with serve(rate_limits={"mails_per_recipient": "2/1h"}) as service, service.browser() as owner:
        community = await _own(service, owner)
        one = ["bob@example.com", "bob+1@example.com", "bob+2@example.com"]
        other = ["b.ob@gmail.com", "bob@gmail.com", "bo.b+x@googlemail.com"]
        for email in (*one, *other, "b.ob@example.com"):
            assert (await owner.invite(community, email))["__typename"] == "InviteMemberSuccess"
        await service.deliver()
        written = [entry.to for entry in service.mailbox.entries]
        assert [len(set(written) & set(spellings)) for spellings in (one, other)] == [2, 2]
        assert "b.ob@example.com" in written
        service.clock.advance(hours=1)
        await service.deliver()
        assert {*one, *other} <= {entry.to for entry in service.mailbox.entries}


async def test_disabled_limit_is_not_counted(serve: Serve) -> None:
    """A limit that is off is not counted."""
    async with serve(rate_limits={"resends_per_invitation": "off"}) as service, service.browser() as owner:
        community = await _own(service, owner)
        invitation_id = (await owner.invite(community, "guest@example.com"))["invitation"]["id"]
        for _ in range(8):
            assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("203.0.113.7", "client:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "client:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "client:2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "client:203.0.113.7"),
        ("testclient", "client:testclient"),
    ],
)
def test_clients_are_counted_by_address(client: str, key: str) -> None:
    """IPv6 clients are counted by /64, and IPv4-mapped addresses as IPv4."""
    assert client_key(client) == key


@pytest.mark.parametrize("engine", ["postgres"])
async def test_several_processes_count_together(database_url: str, tmp_path: Path) -> None:
    """H136: of a hundred concurrent attempts of one client at three processes, exactly sixty are accepted."""
    query = {"query": 'mutation { declineInvite(input: {token: "x"}) { __typename } }'}
    environ = {**PROVIDER, "GUESTLIST_DATABASE_URL": database_url}
    found: Counter[str] = Counter()
    async with serving("serve", "--workers", "3", folder=tmp_path, **environ) as client:

        async def attempt() -> None:
            # Each attempt has a new connection, so that every process receives some.
            answer = await client.post("/graphql", json=query, headers={"connection": "close"})
            found[answer.json()["data"]["declineInvite"]["__typename"]] += 1

        await asyncio.gather(*(attempt() for _ in range(100)))
    assert found == {"InviteLinkInvalid": 60, "RateLimited": 40}
