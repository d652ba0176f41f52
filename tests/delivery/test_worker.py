"""The worker between the outbox and mail servers, with every kind of answer."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service import database
from service.delivery.worker import Worker
from service.mail import send_rate
from service.mail.errors import MailRefused, MailUnsafe
from service.mail.message import Mail
from service.mail.reasons import delivery_reason
from service.mail.senders import MailSender, open_sender
from service.settings import load_settings
from tests.support.mail_servers import SesFault, SesOnLoopback, ses_on_loopback, smtp_on_loopback
from tests.support.members import audit_sentences, update_policy
from tests.support.processes import wait_until
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def _worker_with(service: Service, sender: MailSender, **settings: Any) -> Worker:
    return Worker(service.settings.model_copy(update=settings), sender, service.clock)


def _sender(service: Service, url: str) -> MailSender:
    settings = load_settings(environ={}, mail_url=url, mail_from="a@example.com")
    return open_sender(settings, clock=service.clock)


async def _invite(service: Service, owner: Browser, *emails: str) -> list[str]:
    """Invites addresses by the owner. Only these mails wait. Returns the ids."""
    await owner.accept_as(await service.token_for(OWNER), OWNER)
    community = await owner.community_id()
    return [(await owner.invite(community, email))["invitation"]["id"] for email in emails]


async def _order(service: Service) -> dict[str, Any]:
    rows = await database.select(
        "SELECT o.* FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id WHERE i.email = $1", GUEST
    )
    return rows[0]


async def test_server_outage_is_retried_for_days(service: Service) -> None:
    """Each attempt waits longer, up to about an hour, and the admin reads the reason. After the last attempt, the mail
    is FAILED.
    """
    sender = _sender(service, "smtp://127.0.0.1:9")
    async with service.browser() as owner:
        (invitation_id,) = await _invite(service, owner, GUEST)
        worker, pauses = _worker_with(service, sender), []
        for _ in range(53):
            assert await worker.deliver_due() == 1
            invitation = await owner.invitation(invitation_id)
            assert (invitation["delivery"], "The service tries again" in invitation["deliveryReason"]) == (
                "QUEUED",
                True,
            )
            due_at = (await _order(service))["due_at"]
            pauses.append(due_at - service.clock())
            assert await worker.deliver_due() == 0
            service.clock.time = due_at
        assert timedelta(seconds=7) < pauses[0] < timedelta(seconds=13)
        assert timedelta(minutes=45) <= pauses[-1] <= timedelta(minutes=75)
        assert timedelta(days=1.5) < sum(pauses, timedelta(0)) < timedelta(days=2.5)
        assert await worker.deliver_due() == 1
        invitation = await owner.invitation(invitation_id)
        assert invitation["delivery"] == "FAILED"
        assert "127.0.0.1:9 cannot be reached" in invitation["deliveryReason"]
        service.clock.advance(days=1)
        assert await worker.deliver_due() == 0


@pytest.mark.parametrize(
    ("step", "order", "delivery"),
    [
        ("RCPT", "550 5.1.1 no such user", "FAILED"),
        ("DATA", "554 5.7.1 no", "FAILED"),
        ("RCPT", "451 4.7.1 greylisted", "QUEUED"),
        ("DATA", "close", "QUEUED"),
        ("MAIL", "421 4.3.2 slow down", "QUEUED"),
    ],
)
async def test_answer_of_the_mail_server_decides(service: Service, step: Any, order: str, delivery: str) -> None:
    """A permanent rejection ends as FAILED with its reason. Other answers are retried, and the mail is sent once the
    server works.
    """
    async with service.browser() as owner, smtp_on_loopback() as smtp:
        (invitation_id,) = await _invite(service, owner, GUEST)
        smtp.orders[step] = order
        worker = _worker_with(service, _sender(service, f"smtp://127.0.0.1:{smtp.port}"))
        await worker.deliver_due()
        invitation = await owner.invitation(invitation_id)
        assert invitation["delivery"] == delivery
        assert invitation["deliveryReason"]
        assert smtp.received == []
        smtp.orders.clear()
        service.clock.advance(hours=2)
        await worker.deliver_due()
        assert len(smtp.received) == (delivery == "QUEUED")


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Any:
    with ses_on_loopback() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        yield endpoint


@asynccontextmanager
async def _ses_sender(service: Service, url: str = "ses://eu-west-1") -> AsyncIterator[MailSender]:
    sender = _sender(service, url)
    try:
        yield sender
    finally:
        await sender.close()


async def test_throttling_pauses_without_costing_attempts(service: Service, ses: SesOnLoopback) -> None:
    """While SES throttles, every worker pauses. After thirty rejections, the mail is still QUEUED, and is then sent."""
    async with service.browser() as owner, _ses_sender(service) as sender:
        (invitation_id,) = await _invite(service, owner, GUEST)
        worker = _worker_with(service, sender)
        ses.faults["/v2/email/outbound-emails"] = SesFault(429, "TooManyRequestsException", "Maximum sending rate")
        await worker.deliver_due()
        assert await send_rate.reserve(1, rate=None, now=service.clock()) >= [timedelta(seconds=4)]
        for _ in range(30):
            service.clock.advance(hours=2)
            await worker.deliver_due()
        assert (await _order(service))["tries"] == 0
        ses.faults.clear()
        service.clock.advance(hours=2)
        await owner.sign_in(OWNER)
        await worker.deliver_due()
        assert (await owner.invitation(invitation_id))["delivery"] == "SENT"


async def test_mail_without_a_receipt_of_ses_is_sent_again(service: Service, ses: SesOnLoopback) -> None:
    """SES accepts the mail and its answer breaks off. The next attempt sends another mail, both links are valid, and
    the invitation is SENT once.
    """
    async with service.browser() as owner, service.browser() as guest, _ses_sender(service) as sender:
        (invitation_id,) = await _invite(service, owner, GUEST)
        ses.faults["/v2/email/outbound-emails"] = "accept and close"
        worker = _worker_with(service, sender)
        await worker.deliver_due()
        waiting = await owner.invitation(invitation_id)
        assert (len(ses.sent), waiting["delivery"], "tries again" in waiting["deliveryReason"]) == (1, "QUEUED", True)
        ses.faults.clear()
        service.clock.advance(minutes=1)
        await worker.deliver_due()
        invitation = await owner.invitation(invitation_id)
        assert (len(ses.sent), invitation["delivery"], invitation["deliveryReason"]) == (2, "SENT", None)
        assert [node["kind"] for node in invitation["timeline"]["nodes"]].count("invitation.sent") == 1
        texts = [sent["Content"]["Simple"]["Body"]["Text"]["Data"] for sent in ses.sent]
        tokens = [re.findall(r"/confirm#(\S+)", text)[0] for text in texts]
        assert tokens[0] != tokens[1]
        for token in tokens:
            assert (await guest.accept(token))["__typename"] == "AcceptInviteStarted"


async def test_each_mail_carries_its_order(service: Service, ses: SesOnLoopback) -> None:
    """Each mail has the tag by which events find it, and the id of SES is stored."""
    async with service.browser() as owner, _ses_sender(service) as sender:
        await _invite(service, owner, GUEST)
        await _worker_with(service, sender).deliver_due()
        order = await _order(service)
        assert ses.sent[0]["EmailTags"] == [{"Name": "order", "Value": order["id"]}]
        assert order["message_id"] == "ses-1"


async def test_suppression_list_of_ses_applies(service: Service, ses: SesOnLoopback) -> None:
    """An address that SES suppresses is SUPPRESSED with the usual sentence, and is not tried again."""
    async with service.browser() as owner, _ses_sender(service) as sender:
        (invitation_id,) = await _invite(service, owner, GUEST)
        ses.faults["/v2/email/outbound-emails"] = SesFault(400, "MessageRejected", "on the suppression list")
        await _worker_with(service, sender).deliver_due()
        invitation = await owner.invitation(invitation_id)
        assert (invitation["delivery"], invitation["deliveryReason"][:8]) == ("SUPPRESSED", "Not sent")
        assert (await database.select("SELECT reason FROM suppressions"))[0]["reason"] == "bounced"


@pytest.mark.parametrize("event", ["OPEN", "CLICK"])
async def test_worker_does_not_start_with_rewritten_links(service: Service, ses: SesOnLoopback, event: str) -> None:
    """H095: a configuration set that publishes OPEN or CLICK events stops the worker before its first mail."""
    ses.configuration_sets["main"] = {}
    destination = {"Name": "x", "Enabled": True, "MatchingEventTypes": ["BOUNCE", event]}
    ses.event_destinations["main"] = [destination]
    async with _ses_sender(service, "ses://eu-west-1?configuration_set=main") as sender:
        with pytest.raises(MailUnsafe, match=event):
            await _worker_with(service, sender).check()
        destination["MatchingEventTypes"] = ["BOUNCE"]
        await _worker_with(service, sender).check()
    assert ses.sent == []


async def test_limit_of_a_recipient_costs_no_attempt(serve: Callable[..., Any]) -> None:
    """H134: over MAILS_PER_RECIPIENT the mail is QUEUED without a reason, for any time, and is then sent."""
    limits = {"mails_per_recipient": "1/1h", "attempts_per_client": "off"}
    async with serve(rate_limits=limits) as service, service.browser() as owner:
        ids = await _invite(service, owner, GUEST)
        await service.deliver()
        for _ in range(20):
            await database.execute("UPDATE counters SET started_at = $1", service.clock())
            service.clock.advance(minutes=2)
            await owner.do("resendInvite", invitationId=ids[0])
            await service.deliver()
        invitation = await owner.invitation(ids[0])
        assert (invitation["delivery"], invitation["deliveryReason"]) == ("QUEUED", None)
        assert {row["tries"] for row in await database.select("SELECT tries FROM mail_orders")} == {0}
        service.clock.advance(hours=1)
        await service.deliver()
        assert (await owner.invitation(ids[0]))["delivery"] == "SENT"


class _SlowSender:
    """A sender so slow that the lease ends and another worker leases the order."""

    def __init__(self, service: Service) -> None:
        self.service, self.sent = service, 0

    async def send(self, mail: Mail) -> str:
        del mail
        self.sent += 1
        if self.sent == 1:
            self.service.clock.advance(minutes=3)
            await Worker(self.service.settings, self, self.service.clock).deliver_due()
        return f"message-{self.sent}"

    async def rate(self) -> float | None:
        return None

    async def findings(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Has nothing to close."""


async def test_only_the_last_attempt_is_recorded(service: Service) -> None:
    """A worker that lost its lease while sending records nothing. The links of both mails are valid."""
    async with service.browser() as owner:
        (invitation_id,) = await _invite(service, owner, GUEST)
        sender = _SlowSender(service)
        await _worker_with(service, sender).deliver_due()
        order = await _order(service)
        assert (sender.sent, order["attempt"], order["message_id"]) == (2, 2, "message-2")
        kinds = [node["kind"] for node in (await owner.invitation(invitation_id))["timeline"]["nodes"]]
        assert kinds.count("invitation.sent") == 1
        alive = await database.select("SELECT id FROM links WHERE mail_order_id = $1", order["id"])
        assert len(alive) == 2


class _FaultySender(_SlowSender):
    """A sender with an unexpected error."""

    async def send(self, mail: Mail) -> str:
        raise RuntimeError(mail.text)


async def test_internal_error_is_retried_a_limited_number_of_times(service: Service) -> None:
    """A mail that causes an internal error waits with a reason, without the error's text, and is FAILED after its
    attempts.
    """
    async with service.browser() as owner:
        (invitation_id,) = await _invite(service, owner, GUEST)
        worker = _worker_with(service, _FaultySender(service))
        await worker.deliver_due()
        invitation = await owner.invitation(invitation_id)
        assert (invitation["delivery"], invitation["deliveryReason"][:36]) == (
            "QUEUED",
            "This service has a fault of its own ",
        )
        for _ in range(53):
            service.clock.time = (await _order(service))["due_at"]
            assert await worker.deliver_due() == 1
        await owner.sign_in(OWNER)
        invitation = await owner.invitation(invitation_id)
        assert (invitation["delivery"], "confirm#" in invitation["deliveryReason"]) == ("FAILED", False)


async def test_stored_address_that_is_invalid_fails_at_once(service: Service) -> None:
    """H185: an address that only an earlier version accepted receives no mail. The single attempt ends as FAILED, with
    the reason.
    """
    hostile = "=?utf-8?q?victim?=@corp.example"
    async with service.browser() as owner:
        (invitation_id,) = await _invite(service, owner, GUEST)
        await database.execute("UPDATE invitations SET email = $1 WHERE id = $2", hostile, invitation_id)
        async with smtp_on_loopback() as smtp:
            worker = _worker_with(service, _sender(service, f"smtp://127.0.0.1:{smtp.port}"))
            assert await worker.deliver_due() == 1
            service.clock.advance(days=1)
            assert await worker.deliver_due() == 0
            assert (smtp.received, smtp.reached["RCPT"]) == ([], 0)
        await owner.sign_in(OWNER)
        invitation = await owner.invitation(invitation_id)
        assert (invitation["delivery"], "not one plain email address" in invitation["deliveryReason"]) == (
            "FAILED",
            True,
        )


class _RevokingSender(_SlowSender):
    """A sender that rejects a mail while an admin revokes the invitation."""

    async def send(self, mail: Mail) -> str:
        del mail
        await database.execute("UPDATE invitations SET revoked_at = $1 WHERE accepted_at IS NULL", self.service.clock())
        raise MailRefused(delivery_reason("SMTP_REFUSED", status=550))


async def test_failure_does_not_change_a_closed_invitation(service: Service) -> None:
    """An invitation that was revoked during the rejection of its mail keeps its delivery from before."""
    async with service.browser() as owner:
        (invitation_id,) = await _invite(service, owner, GUEST)
        await _worker_with(service, _RevokingSender(service)).deliver_due()
        invitation = await owner.invitation(invitation_id)
        assert (invitation["status"], invitation["delivery"]) == ("REVOKED", "CANCELLED")
        assert (await _order(service))["failed_at"] is not None
        assert [node["kind"] for node in invitation["timeline"]["nodes"]] == ["invitation.created"]


async def test_slow_rate_does_not_delay_the_end(service: Service) -> None:
    """A worker that is stopped while mails wait for their slots sends no more mails, and returns the orders without an
    attempt.
    """
    async with service.browser() as owner:
        await _invite(service, owner, GUEST, "second@example.com", "third@example.com")
        sent, stopping = len(service.mailbox.entries), asyncio.Event()
        sender = open_sender(service.settings, mailbox=service.mailbox, clock=service.clock)
        worker = _worker_with(service, sender, mails_per_second=0.1)
        running = asyncio.create_task(worker.run(stopping))

        async def first_mail_sent() -> bool:
            return len(service.mailbox.entries) > sent

        await wait_until(first_mail_sent, "the first mail")
        stopping.set()
        await asyncio.wait_for(running, 20)
        assert len(service.mailbox.entries) == sent + 1
        due = "SELECT tries FROM mail_orders WHERE sent_at IS NULL AND due_at <= $1"
        assert [row["tries"] for row in await database.select(due, service.clock())] == [0, 0]
        # At this rate, one mail at most is reserved at a time, so a code is the second next.
        leased = "SELECT sum(attempt) AS leases FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id"
        assert (await database.select(f"{leased} WHERE i.email <> $1", OWNER))[0]["leases"] <= 2


async def test_codes_and_fresh_links_are_sent_first(service: Service) -> None:
    """A fresh link is sent before thirty earlier invitations, because a person waits for it at a screen."""
    async with service.browser() as owner:
        (first,) = await _invite(service, owner, GUEST)
        token = await service.token_for(GUEST)
        community = await owner.community_id()
        for number in range(30):
            await owner.invite(community, f"bulk{number}@example.com")
        service.clock.advance(minutes=11)
        await owner.do("requestFreshLink", token=token)
        await service.worker.deliver_due()
        newest = list(service.mailbox.entries)[:10]
        assert GUEST in {mail.to for mail in newest}
        assert len([mail for mail in service.mailbox.entries if mail.to.startswith("bulk")]) == 9
        assert (await owner.invitation(first))["delivery"] == "SENT"


async def test_requests_while_a_mail_waits_cost_nothing(service: Service) -> None:
    """Many requests for a fresh link while one waits send one mail, and the other fresh links of the day remain
    available.
    """
    async with service.browser() as guest:
        token = await service.token_for(OWNER)
        service.clock.advance(minutes=11)
        for _ in range(7):
            await guest.do("requestFreshLink", token=token)
        await service.deliver()
        assert len([mail for mail in service.mailbox.entries if mail.to == OWNER]) == 1 + 1
        for _ in range(12):
            service.clock.advance(minutes=11)
            await guest.do("requestFreshLink", token=token)
            await service.deliver()
        assert len([mail for mail in service.mailbox.entries if mail.to == OWNER]) == 1 + 12


async def test_replaced_mail_does_not_block_a_fresh_link(service: Service) -> None:
    """A first mail that still waits for its next attempt after a sent resend does not prevent a fresh link."""
    async with service.browser() as owner, service.browser() as guest:
        (invitation_id,) = await _invite(service, owner, GUEST)
        await _worker_with(service, _sender(service, "smtp://127.0.0.1:9")).deliver_due()
        hour = service.clock() + timedelta(hours=1)
        await database.execute("UPDATE mail_orders SET due_at = $1 WHERE sent_at IS NULL", hour)
        await owner.do("resendInvite", invitationId=invitation_id)
        token = await service.token_for(GUEST)
        service.clock.advance(minutes=11)
        await guest.do("requestFreshLink", token=token)
        assert await service.token_for(GUEST) != token


async def test_language_of_the_invitation_takes_precedence(service: Service) -> None:
    """A mail is in the invitation's language, or else in the community's, or else in English."""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        community = await owner.community_id()
        await owner.invite(community, "plain@example.com")
        plain = await service.mail_to("plain@example.com")
        assert (await update_policy(owner, community, locale="fr-CA"))["community"]["policy"]["locale"] == "fr-CA"
        await owner.invite(community, "french@example.com")
        await owner.invite(community, "german@example.com", locale="de-AT")
        await owner.invite(community, "japanese@example.com", locale="ja")
        assert 'lang="en"' in plain.html
        assert 'lang="fr"' in (await service.mail_to("french@example.com")).html
        assert 'lang="de"' in (await service.mail_to("german@example.com")).html
        assert 'lang="fr"' in (await service.mail_to("japanese@example.com")).html
        nonsense = await update_policy(owner, community, locale="klingon!")
        assert (nonsense["__typename"], nonsense["field"]) == ("InvalidInput", "locale")
        assert (await update_policy(owner, community, locale=None))["community"]["policy"]["locale"] is None
        await owner.invite(community, "plain-again@example.com")
        assert 'lang="en"' in (await service.mail_to("plain-again@example.com")).html
        sentences = await audit_sentences(owner, community, "policy.changed")
        assert "language of the mails: fr-CA" in sentences[-1]


async def test_community_is_created_with_its_language(service: Service) -> None:
    """createCommunity accepts a language for the mails of its invitations, and rejects invalid ones."""
    create = """mutation($locale: String) { createCommunity(input: {name: "Club", locale: $locale}) { __typename
        ...on CreateCommunitySuccess { community { id } } ...on InvalidInput { field } } }"""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        refused = (await owner.ask(create, locale="no language"))["createCommunity"]
        assert refused == {"__typename": "InvalidInput", "field": "locale"}
        made = (await owner.ask(create, locale="es"))["createCommunity"]["community"]["id"]
        await owner.invite(made, GUEST)
        assert (await service.mail_to(GUEST)).subject.endswith("«Club»")


# -------------------------------------------------------------------------------------------------------- the send rate


@pytest.fixture
async def connected(database_url: str) -> AsyncIterator[None]:
    await database.connect(database_url)
    yield
    await database.disconnect()


async def test_workers_share_one_rate(connected: None) -> None:
    """At four mails a second, the slots of two workers are a quarter of a second apart. Idle time is not made up for."""
    first = await send_rate.reserve(2, rate=4, now=NOW)
    second = await send_rate.reserve(2, rate=4, now=NOW)
    assert [wait.total_seconds() for wait in [*first, *second]] == [0, 0.25, 0.5, 0.75]
    later = await send_rate.reserve(2, rate=4, now=NOW + timedelta(minutes=1))
    assert [wait.total_seconds() for wait in later] == [0, 0.25]


async def test_simultaneous_workers_get_different_slots(connected: None) -> None:
    """Ten simultaneous workers get ten slots."""

    async def turn() -> list[timedelta]:
        return await send_rate.reserve(1, rate=10, now=NOW)

    turns = await asyncio.gather(*(turn() for _ in range(10)))
    assert sorted(wait.total_seconds() for (wait,) in turns) == [turn / 10 for turn in range(10)]


async def test_pause_applies_to_all_workers(connected: None) -> None:
    """After throttling by the mail service, all slots are after the pause, with or without a rate."""
    await send_rate.pause_until(NOW + timedelta(seconds=20), now=NOW)
    await send_rate.pause_until(NOW + timedelta(seconds=5), now=NOW)
    assert await send_rate.reserve(1, rate=None, now=NOW) == [timedelta(seconds=20)]
    assert await send_rate.reserve(2, rate=2, now=NOW) == [timedelta(seconds=20), timedelta(seconds=20.5)]
    assert await send_rate.reserve(1, rate=None, now=NOW + timedelta(seconds=30)) == [timedelta(0)]
