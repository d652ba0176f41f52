"""Fresh links: one at a time, to the invited mailbox only. A request reveals nothing, and affects neither invitee nor
admin.
"""

import asyncio
import contextvars
from typing import Any

import pytest

from service import database
from service.addresses import canonical
from service.mail import suppression
from service.retention.pruning import prune
from service.tokens import digest_of
from tests.conftest import Serve
from tests.support.members import join_owner
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import PREVIEW, Browser, Service
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"

VIEW = """
query($id: ID!, $community: ID!) {
  invitation(id: $id) { status delivery deliveryReason lastSentAt deliveredAt canResend canResendAt blockedReason
    timeline { nodes { id kind at summary times lastAt } } }
  community(id: $community) { auditLog { nodes { id kind times } } } }
"""


async def _invited(service: Service, owner: Browser) -> tuple[str, str, str]:
    """The community, the guest's invitation, and the token of its first link."""
    community = await join_owner(service, owner)
    invitation = str((await owner.invite(community, GUEST))["invitation"]["id"])
    return community, invitation, await service.token_for(GUEST)


def _mails(service: Service, address: str = GUEST) -> int:
    return len([mail for mail in service.mailbox.entries if mail.to == address])


async def _is_live(browser: Browser, token: str) -> bool:
    return (await browser.ask(PREVIEW, token=token))["invitePreview"] is not None


async def _ask(service: Service, browser: Browser, token: str | None) -> Any:
    """Requests a fresh link, and lets the worker decide."""
    answer = await browser.do("requestFreshLink", **({} if token is None else {"token": token}))
    await service.deliver()
    return answer


async def test_holder_of_an_expired_link_affects_no_other_mail(serve: Serve) -> None:
    """H179: eight requests with an expired link send one mail, whose link stays valid. The admin's resend is sent
    immediately, although fresh links have reached the recipient's limit.
    """
    limits = {"mails_per_recipient": "2/1h", "mails_per_recipient_overall": "2/1h", "attempts_per_client": "off"}
    async with serve(rate_limits=limits) as service:
        async with service.browser() as owner, service.browser() as guest, service.browser() as thief:
            _, invitation, dead = await _invited(service, owner)
            service.clock.advance(minutes=11)
            for _ in range(8):
                await _ask(service, thief, dead)
            assert _mails(service) == 1 + 1
            fresh = await service.token_for(GUEST)
            started = await guest.accept(fresh)
            service.clock.advance(minutes=9)
            await _ask(service, thief, dead)
            assert await _is_live(guest, fresh)
            await guest.log_in(started["authorizationUrl"], "other@example.com")
            assert (await guest.acceptance())["status"] == "EMAIL_MISMATCH"
            service.clock.advance(minutes=2)
            await _ask(service, thief, dead)
            assert _mails(service) == 1 + 2
            assert (await owner.do("resendInvite", invitationId=invitation))["__typename"] == "ResendInviteSuccess"
            await service.deliver()
            assert (_mails(service), (await owner.invitation(invitation))["delivery"]) == (1 + 2 + 1, "SENT")


async def test_a_fresh_link_ends_no_flow(service: Service) -> None:
    """H179: a flow that a link started returns after that link expired and a stranger requested a fresh one."""
    async with service.browser() as owner, service.browser() as guest, service.browser() as thief:
        _, invitation, first = await _invited(service, owner)
        started = await guest.accept(first)
        service.clock.advance(minutes=11)
        await _ask(service, thief, first)
        assert _mails(service) == 2
        await guest.log_in(started["authorizationUrl"], GUEST)
        assert (await guest.acceptance())["status"] == "ACCEPTED"
        assert (await owner.invitation(invitation))["status"] == "ACCEPTED"


async def test_a_day_has_twelve_fresh_links(service: Service) -> None:
    """FRESH_LINKS_PER_INVITATION: requests every eleven minutes send twelve links a day, and more on the next day."""
    async with service.browser() as owner, service.browser() as thief:
        _, _, dead = await _invited(service, owner)
        for expected in [*range(2, 14), 13, 13]:
            service.clock.advance(minutes=11)
            await _ask(service, thief, dead)
            assert _mails(service) == expected
        service.clock.advance(days=1)
        await _ask(service, thief, dead)
        assert _mails(service) == 14


async def test_browsers_own_link_is_enough(service: Service) -> None:
    """Without a token the link of the browser's newest flow counts. A browser without a flow requests nothing."""
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        _, _, token = await _invited(service, owner)
        await guest.accept(token)
        service.clock.advance(minutes=11)
        none = await _ask(service, stranger, None)
        assert _mails(service) == 1
        assert await _ask(service, guest, None) == none
        assert _mails(service) == 2


@pytest.mark.parametrize("reason", ["unsubscribed", "bounced", "complained", "blocked"])
async def test_address_that_accepts_no_mail_gets_no_fresh_link(service: Service, reason: str) -> None:
    """H180: such a request sends nothing, orders nothing, counts nothing, and changes nothing that an admin sees."""
    async with service.browser() as owner, service.browser() as thief:
        community, invitation, dead = await _invited(service, owner)
        await _keep_mail_away(service, community, reason)
        service.clock.advance(minutes=11)
        before = await owner.ask(VIEW, id=invitation, community=community), await _stored()
        for _ in range(3):
            await _ask(service, thief, dead)
        assert (await owner.ask(VIEW, id=invitation, community=community), await _stored()) == before
        assert _mails(service) == 1


async def _keep_mail_away(service: Service, community: str, reason: str) -> None:
    async with database.transaction():
        if reason != "blocked":
            await suppression.add(canonical(GUEST), suppression.Reason(reason), now=service.clock())
            return
        await database.execute(
            "INSERT INTO blocks (id, community_id, email, created_at) VALUES ('blk_1', $1, $2, $3)",
            community, GUEST, service.clock(),
        )  # fmt: skip


async def _stored() -> list[Any]:
    """The rows that requests could leave."""
    tables = ("mail_orders", "links", "audit_events", "fresh_link_requests", "invitations")
    counters = await database.select("SELECT key, count FROM counters WHERE key NOT LIKE 'client:%' ORDER BY key")
    return [counters, *[await database.select(f"SELECT * FROM {table} ORDER BY 1") for table in tables]]  # noqa: S608 -- ours


async def test_unsubscribing_cancels_a_waiting_fresh_link(serve: Serve) -> None:
    """H180: a fresh link that waits for the recipient's limit when the address unsubscribes is not sent, and the
    admin's view does not change.
    """
    async with serve(rate_limits={"mails_per_recipient": "1/1h", "attempts_per_client": "off"}) as service:
        async with service.browser() as owner, service.browser() as thief:
            community, invitation, dead = await _invited(service, owner)
            for _ in range(2):
                service.clock.advance(minutes=11)
                await _ask(service, thief, dead)
            before = await owner.ask(VIEW, id=invitation, community=community)
            await _keep_mail_away(service, community, "unsubscribed")
            service.clock.advance(hours=1)
            await service.deliver()
            assert await owner.ask(VIEW, id=invitation, community=community) == before
            assert _mails(service) == 2
            orders = await database.select("SELECT id FROM mail_orders WHERE sent_at IS NULL AND cancelled_at IS NULL")
            assert orders == []


async def test_every_token_runs_the_same_statements(service: Service) -> None:
    """H184: a valid, an expired, an unknown, an empty and an overlong token run the same statements, write one row of
    the same form, and get one answer. So does a link whose invitation is closed. The worker takes them all.
    """
    query = """mutation($token: String) { requestFreshLink(input: {token: $token}) {
        __typename ...on RequestFreshLinkAnswer { message } } }"""
    async with service.browser() as owner, service.browser() as thief:
        community, _, dead = await _invited(service, owner)
        closed = await owner.invite(community, "closed@example.com")
        revoked = await service.token_for("closed@example.com")
        await owner.do("revokeInvite", invitationId=closed["invitation"]["id"])
        service.clock.advance(minutes=11)
        await owner.invite(community, "live@example.com")
        live = await service.token_for("live@example.com")
        await thief.ask(query, token="first")
        found, mails = [], len(service.mailbox.entries)
        for number, token in enumerate((live, dead, revoked, "A" * 43, "", "\u0000", "é", "A" * 100_000), start=2):
            with recorded_statements() as statements:
                answer = await thief.ask(query, token=token)
            found.append(([statement.sql.split("(")[0] for statement in statements], answer))
            rows = await database.select("SELECT digest, requested_at FROM fresh_link_requests")
            assert len(rows) == number
            assert {len(row["digest"]) for row in rows} == {64}
        assert all(each == found[0] for each in found)
        assert len(found[0][0]) >= 1
        await service.deliver()
        assert await database.select("SELECT 1 AS one FROM fresh_link_requests") == []
        assert [mail.to for mail in list(service.mailbox.entries)[: len(service.mailbox.entries) - mails]] == [GUEST]


async def test_repeated_requests_are_one_row(service: Service) -> None:
    """H184: repeated requests add nothing while one waits. A request that no worker took in a day is pruned."""
    async with service.browser() as browser:
        for _ in range(5):
            await browser.do("requestFreshLink", token="A" * 43)
        assert len(await database.select("SELECT 1 AS one FROM fresh_link_requests")) == 1
        service.clock.advance(hours=23)
        assert (await prune(now=service.clock(), settings=service.settings))["fresh_link_requests"] == 0
        service.clock.advance(hours=2)
        assert (await prune(now=service.clock(), settings=service.settings))["fresh_link_requests"] == 1


@pytest.mark.parametrize("engine", ["postgres"])
async def test_concurrent_workers_send_one_link(service: Service) -> None:
    """H179: of two workers that decide on one invitation, the second waits for the first and sees its order."""
    url = service.settings.database_url.get_secret_value()
    async with service.browser() as owner, service.browser() as thief:
        _, invitation, dead = await _invited(service, owner)
        service.clock.advance(minutes=11)
        await thief.do("requestFreshLink", token=dead)
        lock = f"SELECT id FROM invitations WHERE id = '{invitation}' FOR NO KEY UPDATE"  # noqa: S608 -- our own id
        async with hold_lock(url, lock) as other:
            deciding = asyncio.create_task(service.worker.deliver_due(), context=contextvars.Context())
            await wait_until(other.awaited(), "a worker that waits")
            await other.connection.execute(_ORDER, invitation, service.clock())
        await deciding
        await service.deliver()
        assert _mails(service) == 2
        assert len(await database.select("SELECT id FROM mail_orders WHERE kind = 'fresh_link'")) == 1


_ORDER = """
INSERT INTO mail_orders (id, kind, invitation_id, generation, created_at, due_at, attempt, tries)
VALUES ('ord_AAAAAAAAAAAAAAAAAAAAAA', 'fresh_link', $1, 1, $2, $2, 0, 0)
"""


@pytest.mark.parametrize("engine", ["postgres"])
async def test_workers_take_different_requests(service: Service) -> None:
    """A worker skips a request that another worker has locked, and takes the others."""
    url = service.settings.database_url.get_secret_value()
    async with service.browser() as browser:
        for token in ("one", "two"):
            await browser.do("requestFreshLink", token=token)
        locked = f"SELECT digest FROM fresh_link_requests WHERE digest = '{digest_of('one')}' FOR UPDATE"  # noqa: S608 -- ours
        async with hold_lock(url, locked):
            async with asyncio.timeout(20):
                await service.deliver()
            rows = await database.select("SELECT digest FROM fresh_link_requests")
            assert [row["digest"] for row in rows] == [digest_of("one")]
        await service.deliver()
        assert await database.select("SELECT digest FROM fresh_link_requests") == []
