"""POST /webhooks/ses: events of Amazon SES through SNS, and forged messages."""

import asyncio
import contextvars
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from service import database
from service.tokens import digest_of
from tests.conftest import Serve
from tests.support.mail_servers import ses_on_loopback
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import Browser, Service, http_client
from tests.support.sns import CERTIFICATE_URL, TOPIC, Sns, certificate_of, event, stamp

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def sns(signing_key: rsa.RSAPrivateKey) -> Sns:
    return Sns(signing_key)


@dataclass
class Feedback:
    """A service with a sent invitation, its owner's browser, and SNS."""

    service: Service
    owner: Browser
    sns: Sns
    invitation_id: str
    token: str

    async def post(self, message: dict[str, str] | bytes) -> httpx2.Response:
        """Posts like SNS: JSON with the type of plain text."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
        async with http_client() as client:
            return await client.post(f"{self.service.url}/webhooks/ses", content=body, headers=headers)

    async def report(self, kind: str, *, order: str | None = None, message_id: str = "unknown", **facts: Any) -> None:
        """Sends an event of SES about the invitation's newest mail. It is accepted."""
        about = event(kind, order or await self.order(), message_id=message_id, **facts)
        answer = await self.post(self.sns.notification(about, now=self.service.clock()))
        assert answer.status_code == 200, answer.text

    async def bounce(self, kind: str = "Permanent", subtype: str = "NoEmail", diagnostic: str = "smtp; 550") -> None:
        recipients = [{"emailAddress": GUEST, "diagnosticCode": diagnostic}]
        await self.report("Bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=recipients,
                        timestamp=stamp(self.service.clock()))  # fmt: skip

    async def order(self) -> str:
        rows = await database.select(
            "SELECT id FROM mail_orders WHERE invitation_id = $1 AND kind <> 'code' ORDER BY created_at DESC, attempt"
            " LIMIT 1",
            self.invitation_id,
        )
        return str(rows[0]["id"])

    async def visible(self) -> tuple[str, str | None]:
        """Returns the delivery and its reason as the admin reads them."""
        invitation = await self.owner.invitation(self.invitation_id)
        return invitation["delivery"], invitation["deliveryReason"]

    async def kinds(self) -> list[str]:
        return [node["kind"] for node in (await self.owner.invitation(self.invitation_id))["timeline"]["nodes"]]

    async def link_ends(self) -> Any:
        rows = await database.select("SELECT expires_at FROM links WHERE digest = $1", digest_of(self.token))
        return rows[0]["expires_at"]

    async def stored_facts(self) -> list[Any]:
        """Returns all data that a notification could change."""
        tables = ("invitations", "mail_orders", "links", "suppressions", "audit_events", "notifications")
        return [await database.select(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 -- our tables


@pytest.fixture
async def feedback(serve: Serve, sns: Sns) -> AsyncIterator[Feedback]:
    async with (
        serve(fetch_certificate=sns.fetch, ses_topic_arns=[TOPIC]) as service,
        service.browser() as owner,
    ):
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        invited = await owner.invite(await owner.community_id(), GUEST)
        token = await service.token_for(GUEST)
        yield Feedback(service, owner, sns, invited["invitation"]["id"], token)


# ---------------------------------------------------------------------------------------------------- effects of events


async def test_delivery_is_visible(feedback: Feedback) -> None:
    """A Delivery event changes SENT to DELIVERED, with its time and an entry in the timeline."""
    assert (await feedback.visible())[0] == "SENT"
    feedback.service.clock.advance(minutes=1)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    assert await feedback.visible() == ("DELIVERED", None)
    assert (await feedback.kinds())[-1] == "invitation.delivered"


async def test_mail_is_found_by_its_message_id(feedback: Feedback) -> None:
    """An event without our tag is matched by the message id of the mail service."""
    rows = await database.select("SELECT message_id FROM mail_orders WHERE id = $1", await feedback.order())
    about = event("Delivery", None, message_id=rows[0]["message_id"], timestamp=stamp(feedback.service.clock()))
    assert (await feedback.post(feedback.sns.notification(about, now=feedback.service.clock()))).status_code == 200
    assert (await feedback.visible())[0] == "DELIVERED"


async def test_permanent_bounce_is_explained_and_suppresses(feedback: Feedback) -> None:
    """The admin reads type and diagnostic without links and addresses. A resend sends no mail."""
    link = f"http://localhost/confirm#{feedback.token}"
    await feedback.bounce(diagnostic=f"smtp; 550 5.1.1 <{GUEST}>: unknown\r\n user, see {link} {feedback.token}")
    delivery, reason = await feedback.visible()
    assert delivery == "BOUNCED"
    assert reason is not None
    assert "(Permanent, NoEmail)" in reason
    assert "550 5.1.1" in reason
    assert not [secret for secret in (feedback.token, link, "\n") if secret in reason]
    feedback.service.clock.advance(minutes=2)
    sent = len(feedback.service.mailbox.entries)
    await feedback.owner.do("resendInvite", invitationId=feedback.invitation_id)
    await feedback.service.deliver()
    assert len(feedback.service.mailbox.entries) == sent
    assert (await feedback.visible())[0] == "SUPPRESSED"


FUNNEL: Final = """query($id: ID!, $weeks: Int!) { community(id: $id) { invitationFunnel(weeks: $weeks) {
  startsAt invited sent delivered opened accepted } } }"""


async def test_funnel_counts_each_weeks_invitations(feedback: Feedback) -> None:
    """Weeks are those of inviting. A delivery counts also after a resend. Opened and accepted invitations count as
    delivered.
    """
    clock, owner, service = feedback.service.clock, feedback.owner, feedback.service
    community = await owner.community_id()
    await feedback.report("Delivery", timestamp=stamp(clock()))
    clock.advance(minutes=2)
    await owner.do("resendInvite", invitationId=feedback.invitation_id)
    clock.advance(days=7)
    await owner.sign_in(OWNER)
    for name in ("only.sent", "opens", "accepts"):
        await owner.invite(community, f"{name}@example.com")
    async with service.browser() as opens, service.browser() as accepts:
        await opens.accept(await service.token_for("opens@example.com"))
        await accepts.accept_as(await service.token_for("accepts@example.com"), "accepts@example.com")
    funnel = (await owner.ask(FUNNEL, id=community, weeks=3))["community"]["invitationFunnel"]
    numbers = [
        [week[feedback] for feedback in ("invited", "sent", "delivered", "opened", "accepted")] for week in funnel
    ]
    assert numbers == [[0, 0, 0, 0, 0], [2, 2, 2, 1, 1], [3, 3, 2, 2, 1]]
    for weeks in (0, 27):
        assert await owner.errors(FUNNEL, id=community, weeks=weeks) == [
            f"weeks is {weeks}; between 1 and 26 was expected."
        ]
    funnel = (await owner.ask(FUNNEL, id=community, weeks=26))["community"]["invitationFunnel"]
    assert sum(week["invited"] for week in funnel) == 5


async def test_bounce_reveals_nothing_to_another_community(feedback: Feedback) -> None:
    """After a complaint in one community, the admin of another reads SUPPRESSED with the usual sentence."""
    await feedback.report("Complaint", complaintFeedbackType="abuse", timestamp=stamp(feedback.service.clock()))
    assert (await feedback.visible())[0] == "COMPLAINED"
    created = await feedback.owner.ask(
        'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
    )
    other = await feedback.owner.invite(created["createCommunity"]["community"]["id"], GUEST)
    await feedback.service.deliver()
    invitation = await feedback.owner.invitation(other["invitation"]["id"])
    assert invitation["delivery"] == "SUPPRESSED"
    assert "complain" not in invitation["deliveryReason"]
    assert "spam" not in invitation["deliveryReason"]


async def test_temporary_bounce_does_not_suppress(feedback: Feedback) -> None:
    """A full mailbox is BOUNCED with a remedy, and a resend is sent."""
    await feedback.bounce("Transient", "MailboxFull")
    delivery, reason = await feedback.visible()
    assert delivery == "BOUNCED"
    assert "mailbox is full" in str(reason)
    feedback.service.clock.advance(minutes=2)
    await feedback.owner.do("resendInvite", invitationId=feedback.invitation_id)
    assert await feedback.service.token_for(GUEST) != feedback.token
    assert (await feedback.visible())[0] == "SENT"


async def test_automatic_reply_is_no_bounce(feedback: Feedback) -> None:
    """A transient bounce after the delivery changes nothing. Out-of-office replies look like that."""
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    await feedback.bounce("Transient", "General")
    assert (await feedback.visible())[0] == "DELIVERED"


@pytest.mark.parametrize(
    ("reported", "delivery", "words"),
    [
        (("DeliveryDelay", {"delayType": "MailboxFull"}), "DELAYED", "tries again"),
        (("Reject", {"reason": "Bad content"}), "FAILED", "content"),
        (("Rendering Failure", {"errorMessage": "Attribute 'x' is not present"}), "FAILED", "operator"),
        (
            ("Bounce", {"bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList"}),
            "SUPPRESSED",
            "Not sent",
        ),
        (("Complaint", {"complaintSubType": "OnAccountSuppressionList"}), "SUPPRESSED", "Not sent"),
        (("Bounce", {"bounceType": "Undetermined", "bounceSubType": "Undetermined"}), "BOUNCED", "came back"),
        (("Bounce", {"bounceType": 7, "bouncedRecipients": "x"}), "BOUNCED", "came back"),
    ],
    ids=["delay", "reject", "rendering", "suppression list", "complaint list", "undetermined", "strange"],
)
async def test_each_kind_of_event_has_its_sentence(
    feedback: Feedback, reported: tuple[str, dict[str, Any]], delivery: str, words: str
) -> None:
    """Every kind of event is a delivery with a sentence, and is in the timeline."""
    before = len(await feedback.kinds())
    await feedback.report(reported[0], **reported[1])
    status, reason = await feedback.visible()
    assert status == delivery
    assert words in str(reason)
    assert len(await feedback.kinds()) == before + 1


async def test_other_events_change_nothing(feedback: Feedback) -> None:
    """Kinds of events without relation to delivery are accepted and ignored."""
    before = await feedback.visible(), await feedback.kinds()
    for kind in ("Send", "Open", "Click", "Subscription", "Surprise"):
        await feedback.report(kind)
    assert (await feedback.visible(), await feedback.kinds()) == before


async def test_delivery_does_not_move_backwards(feedback: Feedback) -> None:
    """H147: a Delivery and a delay after a bounce, out of order and repeated, leave it BOUNCED."""
    await feedback.bounce()
    history = await feedback.kinds()
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    await feedback.report("DeliveryDelay")
    await feedback.bounce()
    assert (await feedback.visible())[0] == "BOUNCED"
    assert await feedback.kinds() == history


async def test_event_of_an_earlier_mail_is_not_the_newest_ones(feedback: Feedback) -> None:
    """After a resend, the bounce of the old mail is not that of the new mail."""
    old = await feedback.order()
    feedback.service.clock.advance(minutes=2)
    await feedback.owner.do("resendInvite", invitationId=feedback.invitation_id)
    await feedback.service.deliver()
    await feedback.report("Bounce", order=old, bounceType="Transient", bounceSubType="General")
    assert (await feedback.visible())[0] == "SENT"


async def test_mail_of_a_fresh_link_is_the_newest(feedback: Feedback) -> None:
    """After a fresh link was sent, the bounce of the first mail is not that of the fresh one."""
    old = await feedback.order()
    feedback.service.clock.advance(minutes=11)
    async with feedback.service.browser() as guest:
        await guest.do("requestFreshLink", token=feedback.token)
    await feedback.service.deliver()
    await feedback.report("Bounce", order=old, bounceType="Transient", bounceSubType="General")
    assert (await feedback.visible())[0] == "SENT"


@pytest.mark.parametrize("end", ["REVOKED", "ACCEPTED", "DECLINED"])
async def test_closed_invitation_is_unchanged(feedback: Feedback, end: str) -> None:
    """H147: after closing, a delivery and a bounce do not change delivery and timeline. The address is suppressed."""
    async with feedback.service.browser() as guest:
        if end == "REVOKED":
            await feedback.owner.do("revokeInvite", invitationId=feedback.invitation_id)
        elif end == "ACCEPTED":
            await guest.accept_as(feedback.token, GUEST)
        else:
            await guest.do("declineInvite", token=feedback.token)
    assert (await feedback.owner.invitation(feedback.invitation_id))["status"] == end
    before = await feedback.visible(), await feedback.kinds(), await feedback.link_ends()
    feedback.service.clock.advance(minutes=5)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    await feedback.bounce()
    assert (await feedback.visible(), await feedback.kinds(), await feedback.link_ends()) == before
    assert (await database.select("SELECT reason FROM suppressions"))[0]["reason"] == "bounced"


async def test_event_before_the_sending_is_recorded(feedback: Feedback) -> None:
    """SENT does not overwrite a delivery that arrives before the worker has recorded the mail."""
    feedback.service.clock.advance(minutes=2)
    await feedback.owner.do("resendInvite", invitationId=feedback.invitation_id)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    await feedback.service.deliver()
    assert (await feedback.visible())[0] == "DELIVERED"
    assert (await feedback.owner.invitation(feedback.invitation_id))["lastSentAt"] is not None


@pytest.mark.parametrize("engine", ["postgres"])
async def test_event_waits_for_a_worker_that_records(feedback: Feedback) -> None:
    """While a worker locks the invitation and then its links, an event of the first mail waits. Both succeed."""
    url = feedback.service.settings.database_url.get_secret_value()
    update = f"UPDATE invitations SET last_sent_at = now() WHERE id = '{feedback.invitation_id}'"  # noqa: S608 -- our own id
    async with hold_lock(url, update) as worker:
        feedback.service.clock.advance(minutes=5)
        delivered = feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
        reporting = asyncio.create_task(delivered, context=contextvars.Context())
        await wait_until(worker.awaited(), "an event that waits")
        await worker.connection.execute(
            "UPDATE links SET expires_at = expires_at WHERE invitation_id = $1", feedback.invitation_id
        )
    await reporting
    assert (await feedback.visible())[0] == "DELIVERED"


# --------------------------------------------------------------------------------------------------- deadlines of links


async def test_late_delivery_extends_the_link(feedback: Feedback) -> None:
    """A mail after 25 minutes of greylisting has a link that is valid for ten minutes from its arrival."""
    sent = feedback.service.clock()
    feedback.service.clock.advance(minutes=25)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    assert await feedback.link_ends() == sent + timedelta(minutes=35)
    feedback.service.clock.advance(minutes=9)
    async with feedback.service.browser() as guest:
        assert (await guest.accept_as(feedback.token, GUEST))["status"] == "ACCEPTED"


async def test_link_is_valid_for_an_hour_at_most(feedback: Feedback) -> None:
    """A delivery 55 minutes after sending leaves five minutes. One after two hours leaves none."""
    sent = feedback.service.clock()
    feedback.service.clock.advance(minutes=55)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    assert await feedback.link_ends() == sent + timedelta(minutes=60)


async def test_delivery_in_the_future_counts_as_now(feedback: Feedback) -> None:
    """A mail server with a fast clock does not extend a link."""
    now = feedback.service.clock()
    await feedback.report("Delivery", timestamp=stamp(now + timedelta(minutes=40)))
    assert await feedback.link_ends() == now + timedelta(minutes=10)


async def test_early_delivery_shortens_nothing(feedback: Feedback) -> None:
    """A deadline only moves later."""
    before = await feedback.link_ends()
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock() - timedelta(minutes=5)))
    assert await feedback.link_ends() == before


async def test_dead_link_is_not_revived(feedback: Feedback) -> None:
    """A late delivery does not extend a link that a resend or a revocation ended."""
    order = await feedback.order()
    feedback.service.clock.advance(minutes=11)
    await feedback.owner.do("resendInvite", invitationId=feedback.invitation_id)
    newer = await feedback.service.token_for(GUEST)
    before = await feedback.link_ends()
    await feedback.report("Delivery", order=order, timestamp=stamp(feedback.service.clock()))
    assert await feedback.link_ends() == before
    feedback.token = newer
    await feedback.owner.do("revokeInvite", invitationId=feedback.invitation_id)
    before = await feedback.link_ends()
    feedback.service.clock.advance(minutes=5)
    await feedback.report("Delivery", timestamp=stamp(feedback.service.clock()))
    assert await feedback.link_ends() == before


async def test_fresh_link_leaves_other_links_valid(feedback: Feedback) -> None:
    """H179: a first mail that arrives after a fresh link was sent has a link that is valid for its usual minutes."""
    order, first = await feedback.order(), feedback.token
    feedback.service.clock.advance(minutes=11)
    async with feedback.service.browser() as guest, feedback.service.browser() as thief:
        await thief.do("requestFreshLink", token=first)
        fresh = await feedback.service.token_for(GUEST)
        await feedback.report("Delivery", order=order, timestamp=stamp(feedback.service.clock()))
        for token in (first, fresh):
            assert (await guest.accept(token))["__typename"] == "AcceptInviteStarted"


# --------------------------------------------------------------------------------------------------------- authenticity


async def _refused(feedback: Feedback, message: dict[str, str] | bytes, *, fetches: int = 0) -> None:
    """Asserts that a message is rejected: 403, no change, and only these fetches."""
    before = await feedback.stored_facts()
    assert (await feedback.post(message)).status_code == 403
    assert await feedback.stored_facts() == before
    assert len(feedback.sns.fetched) == fetches


async def test_changed_or_unsigned_message_is_rejected(feedback: Feedback) -> None:
    """H141: a changed Message and another signature answer 403 and change nothing. So do a missing, malformed and short
    signature, for which no certificate is fetched.
    """
    bounce = event("Bounce", await feedback.order(), bounceType="Permanent", bounceSubType="NoEmail")
    good = feedback.sns.notification({"eventType": "Send"}, now=feedback.service.clock())
    for unsigned in ("", "!", "AAAA", "A" * 340):
        await _refused(feedback, good | {"Signature": unsigned})
    await _refused(feedback, {name: value for name, value in good.items() if name != "Signature"})
    await _refused(feedback, good | {"Message": json.dumps(bounce)}, fetches=1)
    foreign = Sns(rsa.generate_private_key(65537, 2048)).notification(bounce, now=feedback.service.clock())
    await _refused(feedback, foreign, fetches=1)


async def test_subject_is_part_of_the_signed_text(feedback: Feedback) -> None:
    """A Subject that is added later breaks the signature. A signed one is accepted."""
    good = feedback.sns.notification("hello", now=feedback.service.clock())
    await _refused(feedback, good | {"Subject": "Amazon SES"}, fetches=1)
    signed = feedback.sns.notification("hello", now=feedback.service.clock(), Subject="Amazon SES")
    assert (await feedback.post(signed)).status_code == 200


_ELSEWHERE = [
    CERTIFICATE_URL.replace("https:", "http:"),
    "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
    "https://evil.example/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-0123456789abcdef.pem",
    "https://user:pass@sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns-eu-central-1.s3.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://bucket.s3.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.eu.central.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
    "https://sns.eu-central-1.amazonaws.com/?Action=GetTopicAttributes&x=.pem",
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem?x=1",
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem#x",
    "https://sns.eu-central-1.amazonaws.com/../evil.pem",
    "https://sns.eu-central-1.amazonaws.com\\@evil.example/SimpleNotificationService-0123456789abcdef.pem",
    "https://SNS.eu-central-1.amazonaws.com./SimpleNotificationService-0123456789abcdef.pem",
    "https://[::1/SimpleNotificationService-0123456789abcdef.pem",
    "file:///etc/passwd.pem",
    "",
]


async def test_certificate_from_elsewhere_is_not_fetched(feedback: Feedback) -> None:
    """H142: a certificate URL that is not exactly one of SNS answers 403 before any fetch."""
    bounce = event("Bounce", await feedback.order(), bounceType="Permanent", bounceSubType="NoEmail")
    for url in _ELSEWHERE:
        await _refused(feedback, feedback.sns.notification(bounce, now=feedback.service.clock(), SigningCertURL=url))


async def test_certificate_of_another_region_or_partition_is_not_fetched(serve: Serve) -> None:
    """H192: each topic's messages are signed by SNS in the same partition and region. Other certificates are not
    fetched.
    """
    topics = {
        "arn:aws:sns:eu-central-1:123456789012:guestlist": "sns.eu-central-1.amazonaws.com",
        "arn:aws-cn:sns:cn-north-1:123456789012:guestlist": "sns.cn-north-1.amazonaws.com.cn",
        "arn:aws-us-gov:sns:us-gov-west-1:123456789012:guestlist": "sns.us-gov-west-1.amazonaws.com",
        "arn:aws-eusc:sns:eusc-de-east-1:123456789012:guestlist": "sns.eusc-de-east-1.amazonaws.eu",
        "arn:aws-iso:sns:us-iso-east-1:123456789012:guestlist": None,
    }
    others = ["sns.eu-central-1.amazonaws.com.cn", "sns.us-east-1.amazonaws.com", "sns.cn-north-1.amazonaws.com"]
    others += ["sns.us-iso-east-1.amazonaws.com", "sns.us-iso-east-1.c2s.ic.gov", "sns.EU-central-1.amazonaws.com"]
    sns = Sns()
    async with serve(fetch_certificate=sns.fetch, ses_topic_arns=list(topics)) as service:
        for topic, own in topics.items():
            for host in {*others, *filter(None, topics.values())} - {own}:
                await _certified(service, sns, topic, host, 403)
        assert sns.fetched == []
        for topic, own in topics.items():
            if own is not None:
                await _certified(service, sns, topic, own, 200)
        assert [url.split("/")[2] for url in sns.fetched] == [own for own in topics.values() if own]


async def _certified(service: Service, sns: Sns, topic: str, host: str, status: int) -> None:
    url = f"https://{host}/SimpleNotificationService-0123456789abcdef.pem"
    sns.certificates[url] = certificate_of(sns.key, now=service.clock())
    message = sns.notification("x", now=service.clock(), TopicArn=topic, SigningCertURL=url)
    async with service.browser() as browser:
        answer = await browser.client.post("/webhooks/ses", json=message)
    assert answer.status_code == status, (topic, host)


async def test_another_topic_is_rejected(feedback: Feedback) -> None:
    """H144: a correctly signed message of an unlisted topic answers 403 without a fetch."""
    topic = "arn:aws:sns:eu-central-1:999999999999:guestlist"
    bounce = event("Bounce", await feedback.order(), bounceType="Permanent", bounceSubType="NoEmail")
    await _refused(feedback, feedback.sns.notification(bounce, now=feedback.service.clock(), TopicArn=topic))


async def test_other_signature_versions_are_rejected(feedback: Feedback) -> None:
    """A signature of version 1 is SHA-1, and is rejected without a fetch."""
    for version in ("1", "3", ""):
        await _refused(feedback, feedback.sns.notification("x", now=feedback.service.clock(), SignatureVersion=version))


async def test_message_of_another_day_is_rejected(feedback: Feedback) -> None:
    """H147: a valid message that was signed over a day ago, or an hour in the future, answers 403."""
    bounce = event("Bounce", await feedback.order(), bounceType="Permanent", bounceSubType="NoEmail")
    for hours in (-25, 1):
        await _refused(
            feedback, feedback.sns.notification(bounce, now=feedback.service.clock() + timedelta(hours=hours))
        )


_NO_MESSAGES = [
    b"", b"null", b"[]", b"{}", b'{"Type": []}', b'{"Type": "Notification"}', b"\xff\xfe", b"[" * 100_000,
    b'{"eventType": "Bounce", "bounce": {}}',
]  # fmt: skip


async def test_other_messages_are_rejected(feedback: Feedback) -> None:
    """Other bodies, raw message delivery included, answer 403 and never 500."""
    for body in _NO_MESSAGES:
        await _refused(feedback, body)


async def test_huge_body_is_not_read(feedback: Feedback) -> None:
    """A body of more than half a megabyte answers 413."""
    assert (await feedback.post(b"x" * 600_000)).status_code == 413


async def test_certificate_must_be_valid_now(feedback: Feedback) -> None:
    """An expired certificate verifies no signature."""
    feedback.sns.certificates[CERTIFICATE_URL] = certificate_of(feedback.sns.key, now=feedback.service.clock(), days=-1)
    await _refused(feedback, feedback.sns.notification("x", now=feedback.service.clock()), fetches=1)


async def test_certificate_is_fetched_once(feedback: Feedback) -> None:
    """Twenty notifications cost one fetch. While the certificate is unavailable, SNS gets a 503 and retries."""
    for _ in range(20):
        assert (await feedback.post(feedback.sns.notification("x", now=feedback.service.clock()))).status_code == 200
    assert feedback.sns.fetched == [CERTIFICATE_URL]
    elsewhere = CERTIFICATE_URL.replace("0123456789abcdef.pem", "fedcba9876543210.pem")
    for _ in range(5):
        unknown = feedback.sns.notification("x", now=feedback.service.clock(), SigningCertURL=elsewhere)
        assert (await feedback.post(unknown)).status_code == 503
    assert feedback.sns.fetched == [CERTIFICATE_URL, elsewhere]


async def test_invented_certificates_cost_few_fetches(feedback: Feedback) -> None:
    """A hundred messages with different well-formed certificate URLs cause at most sixteen fetches a minute."""
    for number in range(100):
        url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"
        message = feedback.sns.notification("x", now=feedback.service.clock(), SigningCertURL=url)
        assert (await feedback.post(message)).status_code == 503
    assert len(feedback.sns.fetched) == 16


async def test_invented_certificates_do_not_block_the_real_one(feedback: Feedback) -> None:
    """A day later, after invented URLs exhausted the fetches of the minute, the real certificate is fetched again.
    While it is unavailable, yesterday's remains valid.
    """
    clock = feedback.service.clock
    assert (await feedback.post(feedback.sns.notification("x", now=clock()))).status_code == 200
    clock.advance(hours=25)
    for number in range(20):
        url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"
        assert (await feedback.post(feedback.sns.notification("x", now=clock(), SigningCertURL=url))).status_code == 503
    assert (await feedback.post(feedback.sns.notification("x", now=clock()))).status_code == 200
    assert feedback.sns.fetched.count(CERTIFICATE_URL) == 2
    clock.advance(hours=25)
    del feedback.sns.certificates[CERTIFICATE_URL]
    assert (await feedback.post(feedback.sns.notification("x", now=clock()))).status_code == 200
    assert feedback.sns.fetched.count(CERTIFICATE_URL) == 3
    clock.advance(days=40)
    await _refused(feedback, feedback.sns.notification("x", now=clock()), fetches=len(feedback.sns.fetched) + 1)


async def test_replay_changes_nothing(feedback: Feedback) -> None:
    """H147: a repeated bounce, after the operator removed the address from the list, does not add it again."""
    bounce = event("Bounce", await feedback.order(), bounceType="Permanent", bounceSubType="NoEmail")
    message = feedback.sns.notification(bounce, now=feedback.service.clock())
    assert (await feedback.post(message)).status_code == 200
    await database.execute("DELETE FROM suppressions")
    before = await feedback.stored_facts()
    assert (await feedback.post(message)).status_code == 200
    assert await feedback.stored_facts() == before


async def test_subscription_is_confirmed_without_fetching_its_url(
    feedback: Feedback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H145: a valid confirmation is answered by the API call at AWS_ENDPOINT_URL. Its SubscribeURL is not fetched."""
    with ses_on_loopback() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        refused = feedback.sns.confirmation(now=feedback.service.clock()) | {"Token": "changed"}
        assert (await feedback.post(refused)).status_code == 403
        assert aws.requests == []
        internal = f"{aws.url}/internal"
        message = feedback.sns.confirmation(now=feedback.service.clock(), SubscribeURL=internal)
        assert (await feedback.post(message)).status_code == 200
        assert [path for _, path in aws.requests] == ["/"]
        assert message["Token"].encode() in aws.bodies[0]
        assert TOPIC.encode().replace(b":", b"%3A") in aws.bodies[0]
        aws.faults["/"] = "close"
        assert (await feedback.post(feedback.sns.confirmation(now=feedback.service.clock()))).status_code == 503
