"""POST /webhooks/ses: what Amazon SES tells through SNS, and who else might write there."""

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
from tests.support.postgres import holding
from tests.support.processes import until
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
class Stage:
    """A service with one invitation that was sent, its owner's browser, and SNS."""

    service: Service
    owner: Browser
    sns: Sns
    invitation_id: str
    token: str

    async def post(self, message: dict[str, str] | bytes) -> httpx2.Response:
        """As SNS posts: JSON, called plain text."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
        async with http_client() as client:
            return await client.post(f"{self.service.url}/webhooks/ses", content=body, headers=headers)

    async def tell(self, kind: str, *, order: str | None = None, message_id: str = "unknown", **told: Any) -> None:
        """SES tells something of the invitation's newest mail, and is believed."""
        about = event(kind, order or await self.order(), message_id=message_id, **told)
        answer = await self.post(self.sns.notification(about, now=self.service.clock()))
        assert answer.status_code == 200, answer.text

    async def bounce(self, kind: str = "Permanent", subtype: str = "NoEmail", diagnostic: str = "smtp; 550") -> None:
        recipients = [{"emailAddress": GUEST, "diagnosticCode": diagnostic}]
        await self.tell("Bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=recipients,
                        timestamp=stamp(self.service.clock()))  # fmt: skip

    async def order(self) -> str:
        rows = await database.select(
            "SELECT id FROM mail_orders WHERE invitation_id = $1 AND kind <> 'code' ORDER BY created_at DESC, attempt"
            " LIMIT 1",
            self.invitation_id,
        )
        return str(rows[0]["id"])

    async def seen(self) -> tuple[str, str | None]:
        """What the admin sees of the delivery."""
        invitation = await self.owner.invitation(self.invitation_id)
        return invitation["delivery"], invitation["deliveryReason"]

    async def kinds(self) -> list[str]:
        return [node["kind"] for node in (await self.owner.invitation(self.invitation_id))["timeline"]["nodes"]]

    async def link_ends(self) -> Any:
        rows = await database.select("SELECT expires_at FROM links WHERE digest = $1", digest_of(self.token))
        return rows[0]["expires_at"]

    async def everything(self) -> list[Any]:
        """All that a notification could change."""
        tables = ("invitations", "mail_orders", "links", "suppressions", "audit_events", "notifications")
        return [await database.select(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 -- our tables


@pytest.fixture
async def stage(serve: Serve, sns: Sns) -> AsyncIterator[Stage]:
    async with (
        serve(fetch_certificate=sns.fetch, ses_topic_arns=[TOPIC]) as service,
        service.browser() as owner,
    ):
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        invited = await owner.invite(await owner.community_id(), GUEST)
        token = await service.token_for(GUEST)
        yield Stage(service, owner, sns, invited["invitation"]["id"], token)


# -------------------------------------------------------------------------------------------------- what events do


async def test_a_delivery_is_seen(stage: Stage) -> None:
    """A Delivery event makes SENT DELIVERED, with its time and a line in the history."""
    assert (await stage.seen())[0] == "SENT"
    stage.service.clock.advance(minutes=1)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    assert await stage.seen() == ("DELIVERED", None)
    assert (await stage.kinds())[-1] == "invitation.delivered"


async def test_a_mail_is_found_by_its_message_id_too(stage: Stage) -> None:
    """An event without our tag is matched by the id that the mail service gave the mail."""
    rows = await database.select("SELECT message_id FROM mail_orders WHERE id = $1", await stage.order())
    about = event("Delivery", None, message_id=rows[0]["message_id"], timestamp=stamp(stage.service.clock()))
    assert (await stage.post(stage.sns.notification(about, now=stage.service.clock()))).status_code == 200
    assert (await stage.seen())[0] == "DELIVERED"


async def test_a_permanent_bounce_is_explained_and_suppresses(stage: Stage) -> None:
    """The admin sees type and diagnostic, without links and addresses in it; a resend writes to nobody."""
    link = f"http://localhost/confirm#{stage.token}"
    await stage.bounce(diagnostic=f"smtp; 550 5.1.1 <{GUEST}>: unknown\r\n user, see {link} {stage.token}")
    delivery, reason = await stage.seen()
    assert delivery == "BOUNCED"
    assert reason is not None
    assert "(Permanent, NoEmail)" in reason
    assert "550 5.1.1" in reason
    assert not [secret for secret in (stage.token, link, "\n") if secret in reason]
    stage.service.clock.advance(minutes=2)
    sent = len(stage.service.mailbox.entries)
    await stage.owner.do("resendInvite", invitationId=stage.invitation_id)
    await stage.service.deliver()
    assert len(stage.service.mailbox.entries) == sent
    assert (await stage.seen())[0] == "SUPPRESSED"


FUNNEL: Final = """query($id: ID!, $weeks: Int!) { community(id: $id) { invitationFunnel(weeks: $weeks) {
  startsAt invited delivered opened accepted } } }"""


async def test_the_funnel_counts_how_far_each_weeks_invitations_came(stage: Stage) -> None:
    """Weeks are those of inviting; a delivery counts also after a resend; who opened or accepted counts as delivered."""
    clock, owner, service = stage.service.clock, stage.owner, stage.service
    community = await owner.community_id()
    await stage.tell("Delivery", timestamp=stamp(clock()))
    clock.advance(minutes=2)
    await owner.do("resendInvite", invitationId=stage.invitation_id)
    clock.advance(days=7)
    await owner.sign_in(OWNER)
    for name in ("only.sent", "opens", "accepts"):
        await owner.invite(community, f"{name}@example.com")
    async with service.browser() as opens, service.browser() as accepts:
        await opens.accept(await service.token_for("opens@example.com"))
        await accepts.accept_as(await service.token_for("accepts@example.com"), "accepts@example.com")
    funnel = (await owner.ask(FUNNEL, id=community, weeks=3))["community"]["invitationFunnel"]
    numbers = [[week[stage] for stage in ("invited", "delivered", "opened", "accepted")] for week in funnel]
    assert numbers == [[0, 0, 0, 0], [2, 2, 1, 1], [3, 2, 2, 1]]
    for weeks in (0, 27):
        assert await owner.errors(FUNNEL, id=community, weeks=weeks) == [
            f"weeks is {weeks}; between 1 and 26 was expected."
        ]
    everything = (await owner.ask(FUNNEL, id=community, weeks=26))["community"]["invitationFunnel"]
    assert sum(week["invited"] for week in everything) == 5


async def test_another_community_learns_nothing_of_a_bounce(stage: Stage) -> None:
    """After a complaint in one community another one's admin sees SUPPRESSED, in the words of every suppression."""
    await stage.tell("Complaint", complaintFeedbackType="abuse", timestamp=stamp(stage.service.clock()))
    assert (await stage.seen())[0] == "COMPLAINED"
    created = await stage.owner.ask(
        'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
    )
    other = await stage.owner.invite(created["createCommunity"]["community"]["id"], GUEST)
    await stage.service.deliver()
    seen = await stage.owner.invitation(other["invitation"]["id"])
    assert seen["delivery"] == "SUPPRESSED"
    assert "complain" not in seen["deliveryReason"]
    assert "spam" not in seen["deliveryReason"]


async def test_a_temporary_bounce_does_not_suppress(stage: Stage) -> None:
    """A full mailbox is BOUNCED with what helps, and a resend is sent."""
    await stage.bounce("Transient", "MailboxFull")
    delivery, reason = await stage.seen()
    assert delivery == "BOUNCED"
    assert "mailbox is full" in str(reason)
    stage.service.clock.advance(minutes=2)
    await stage.owner.do("resendInvite", invitationId=stage.invitation_id)
    assert await stage.service.token_for(GUEST) != stage.token
    assert (await stage.seen())[0] == "SENT"


async def test_an_automatic_reply_is_no_bounce(stage: Stage) -> None:
    """A transient bounce after the delivery, as out-of-office replies look, changes nothing."""
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    await stage.bounce("Transient", "General")
    assert (await stage.seen())[0] == "DELIVERED"


@pytest.mark.parametrize(
    ("told", "delivery", "words"),
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
async def test_each_kind_of_event_has_its_words(
    stage: Stage, told: tuple[str, dict[str, Any]], delivery: str, words: str
) -> None:
    """Every kind of event shows as a delivery with a sentence, and stands in the history."""
    before = len(await stage.kinds())
    await stage.tell(told[0], **told[1])
    seen, reason = await stage.seen()
    assert seen == delivery
    assert words in str(reason)
    assert len(await stage.kinds()) == before + 1


async def test_other_events_change_nothing(stage: Stage) -> None:
    """Kinds of events that say nothing about delivery are taken and passed over."""
    before = await stage.seen(), await stage.kinds()
    for kind in ("Send", "Open", "Click", "Subscription", "Surprise"):
        await stage.tell(kind)
    assert (await stage.seen(), await stage.kinds()) == before


async def test_nothing_moves_backwards(stage: Stage) -> None:
    """H147: a Delivery and a delay after a bounce, out of order and twice, leave it BOUNCED."""
    await stage.bounce()
    history = await stage.kinds()
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    await stage.tell("DeliveryDelay")
    await stage.bounce()
    assert (await stage.seen())[0] == "BOUNCED"
    assert await stage.kinds() == history


async def test_an_earlier_mail_says_nothing_of_the_newest(stage: Stage) -> None:
    """After a resend the old mail's bounce does not show as the new mail's."""
    old = await stage.order()
    stage.service.clock.advance(minutes=2)
    await stage.owner.do("resendInvite", invitationId=stage.invitation_id)
    await stage.service.deliver()
    await stage.tell("Bounce", order=old, bounceType="Transient", bounceSubType="General")
    assert (await stage.seen())[0] == "SENT"


async def test_a_fresh_link_s_mail_is_the_newest(stage: Stage) -> None:
    """After a fresh link was sent, the first mail's bounce does not show as the fresh one's."""
    old = await stage.order()
    stage.service.clock.advance(minutes=11)
    async with stage.service.browser() as guest:
        await guest.do("requestFreshLink", token=stage.token)
    await stage.service.deliver()
    await stage.tell("Bounce", order=old, bounceType="Transient", bounceSubType="General")
    assert (await stage.seen())[0] == "SENT"


@pytest.mark.parametrize("end", ["REVOKED", "ACCEPTED", "DECLINED"])
async def test_a_closed_invitation_stays_as_it_was(stage: Stage, end: str) -> None:
    """H147: once it is closed, a delivery and a bounce move neither delivery nor history; the address is suppressed all
    the same.
    """
    async with stage.service.browser() as guest:
        if end == "REVOKED":
            await stage.owner.do("revokeInvite", invitationId=stage.invitation_id)
        elif end == "ACCEPTED":
            await guest.accept_as(stage.token, GUEST)
        else:
            await guest.do("declineInvite", token=stage.token)
    assert (await stage.owner.invitation(stage.invitation_id))["status"] == end
    before = await stage.seen(), await stage.kinds(), await stage.link_ends()
    stage.service.clock.advance(minutes=5)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    await stage.bounce()
    assert (await stage.seen(), await stage.kinds(), await stage.link_ends()) == before
    assert (await database.select("SELECT reason FROM suppressions"))[0]["reason"] == "bounced"


async def test_an_event_may_come_before_the_sending_is_recorded(stage: Stage) -> None:
    """A delivery that is told while the worker has not recorded the mail as sent is not overwritten by SENT."""
    stage.service.clock.advance(minutes=2)
    await stage.owner.do("resendInvite", invitationId=stage.invitation_id)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    await stage.service.deliver()
    assert (await stage.seen())[0] == "DELIVERED"
    assert (await stage.owner.invitation(stage.invitation_id))["lastSentAt"] is not None


@pytest.mark.parametrize("engine", ["postgres"])
async def test_an_event_waits_for_a_worker_that_records(stage: Stage) -> None:
    """While a worker holds the invitation and then its links, an event of the first mail waits, and both come through."""
    url = stage.service.settings.database_url.get_secret_value()
    recording = f"UPDATE invitations SET last_sent_at = now() WHERE id = '{stage.invitation_id}'"  # noqa: S608 -- our own id
    async with holding(url, recording) as worker:
        stage.service.clock.advance(minutes=5)
        delivered = stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
        telling = asyncio.create_task(delivered, context=contextvars.Context())
        await until(worker.awaited(), "an event that waits")
        await worker.connection.execute(
            "UPDATE links SET expires_at = expires_at WHERE invitation_id = $1", stage.invitation_id
        )
    await telling
    assert (await stage.seen())[0] == "DELIVERED"


# --------------------------------------------------------------------------------------------------- the link's clock


async def test_a_late_delivery_gives_the_link_its_minutes(stage: Stage) -> None:
    """A mail that greylisting held for 25 minutes has a link that works for ten minutes after it arrived."""
    sent = stage.service.clock()
    stage.service.clock.advance(minutes=25)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    assert await stage.link_ends() == sent + timedelta(minutes=35)
    stage.service.clock.advance(minutes=9)
    async with stage.service.browser() as guest:
        assert (await guest.accept_as(stage.token, GUEST))["status"] == "ACCEPTED"


async def test_a_link_never_lives_longer_than_an_hour(stage: Stage) -> None:
    """A delivery 55 minutes after the sending leaves five minutes, and one after two hours none."""
    sent = stage.service.clock()
    stage.service.clock.advance(minutes=55)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    assert await stage.link_ends() == sent + timedelta(minutes=60)


async def test_a_delivery_of_the_future_counts_as_now(stage: Stage) -> None:
    """A mail server whose clock is ahead does not lengthen a link."""
    now = stage.service.clock()
    await stage.tell("Delivery", timestamp=stamp(now + timedelta(minutes=40)))
    assert await stage.link_ends() == now + timedelta(minutes=10)


async def test_an_early_delivery_shortens_nothing(stage: Stage) -> None:
    """The deadline only ever moves to later."""
    before = await stage.link_ends()
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock() - timedelta(minutes=5)))
    assert await stage.link_ends() == before


async def test_a_dead_link_is_not_revived(stage: Stage) -> None:
    """A late delivery lengthens no link that a resend or a revocation ended."""
    order = await stage.order()
    stage.service.clock.advance(minutes=11)
    await stage.owner.do("resendInvite", invitationId=stage.invitation_id)
    newer = await stage.service.token_for(GUEST)
    before = await stage.link_ends()
    await stage.tell("Delivery", order=order, timestamp=stamp(stage.service.clock()))
    assert await stage.link_ends() == before
    stage.token = newer
    await stage.owner.do("revokeInvite", invitationId=stage.invitation_id)
    before = await stage.link_ends()
    stage.service.clock.advance(minutes=5)
    await stage.tell("Delivery", timestamp=stamp(stage.service.clock()))
    assert await stage.link_ends() == before


async def test_a_fresh_link_ends_no_other(stage: Stage) -> None:
    """H179: a first mail that arrives after a fresh link was sent has a link that works for its minutes all the same."""
    order, first = await stage.order(), stage.token
    stage.service.clock.advance(minutes=11)
    async with stage.service.browser() as guest, stage.service.browser() as thief:
        await thief.do("requestFreshLink", token=first)
        fresh = await stage.service.token_for(GUEST)
        await stage.tell("Delivery", order=order, timestamp=stamp(stage.service.clock()))
        for token in (first, fresh):
            assert (await guest.accept(token))["__typename"] == "AcceptInviteStarted"


# ------------------------------------------------------------------------------------------------------ who is believed


async def _refused(stage: Stage, message: dict[str, str] | bytes, *, fetches: int = 0) -> None:
    """A message that is not believed: 403, nothing changed, and no more fetched than that."""
    before = await stage.everything()
    assert (await stage.post(message)).status_code == 403
    assert await stage.everything() == before
    assert len(stage.sns.fetched) == fetches


async def test_a_changed_or_unsigned_message_is_refused(stage: Stage) -> None:
    """H141: a changed Message and another's signature answer 403 and change nothing; so do none, one that is no base64
    and one that is too short, for which no certificate is even fetched.
    """
    bounce = event("Bounce", await stage.order(), bounceType="Permanent", bounceSubType="NoEmail")
    good = stage.sns.notification({"eventType": "Send"}, now=stage.service.clock())
    for unsigned in ("", "!", "AAAA", "A" * 340):
        await _refused(stage, good | {"Signature": unsigned})
    await _refused(stage, {name: value for name, value in good.items() if name != "Signature"})
    await _refused(stage, good | {"Message": json.dumps(bounce)}, fetches=1)
    foreign = Sns(rsa.generate_private_key(65537, 2048)).notification(bounce, now=stage.service.clock())
    await _refused(stage, foreign, fetches=1)


async def test_a_subject_is_part_of_what_is_signed(stage: Stage) -> None:
    """A Subject that was added afterwards breaks the signature, and a signed one is fine."""
    good = stage.sns.notification("hello", now=stage.service.clock())
    await _refused(stage, good | {"Subject": "Amazon SES"}, fetches=1)
    signed = stage.sns.notification("hello", now=stage.service.clock(), Subject="Amazon SES")
    assert (await stage.post(signed)).status_code == 200


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


async def test_a_certificate_from_elsewhere_is_not_even_fetched(stage: Stage) -> None:
    """H142: a certificate URL that is not exactly one of SNS's answers 403 before anything is fetched."""
    bounce = event("Bounce", await stage.order(), bounceType="Permanent", bounceSubType="NoEmail")
    for url in _ELSEWHERE:
        await _refused(stage, stage.sns.notification(bounce, now=stage.service.clock(), SigningCertURL=url))


async def test_a_certificate_of_another_region_or_partition_is_not_even_fetched(serve: Serve) -> None:
    """H192: each topic's messages are signed by SNS of its own partition and region; nothing is fetched for others."""
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


async def test_another_topic_is_refused(stage: Stage) -> None:
    """H144: a well signed message of a topic that is not listed answers 403, unfetched."""
    topic = "arn:aws:sns:eu-central-1:999999999999:guestlist"
    bounce = event("Bounce", await stage.order(), bounceType="Permanent", bounceSubType="NoEmail")
    await _refused(stage, stage.sns.notification(bounce, now=stage.service.clock(), TopicArn=topic))


async def test_other_signature_versions_are_refused(stage: Stage) -> None:
    """A signature of version 1 is SHA-1, and is refused unfetched."""
    for version in ("1", "3", ""):
        await _refused(stage, stage.sns.notification("x", now=stage.service.clock(), SignatureVersion=version))


async def test_a_message_of_another_day_is_refused(stage: Stage) -> None:
    """H147: what was signed more than a day ago, or will be in an hour, answers 403, however well it is signed."""
    bounce = event("Bounce", await stage.order(), bounceType="Permanent", bounceSubType="NoEmail")
    for hours in (-25, 1):
        await _refused(stage, stage.sns.notification(bounce, now=stage.service.clock() + timedelta(hours=hours)))


_NO_MESSAGES = [
    b"", b"null", b"[]", b"{}", b'{"Type": []}', b'{"Type": "Notification"}', b"\xff\xfe", b"[" * 100_000,
    b'{"eventType": "Bounce", "bounce": {}}',
]  # fmt: skip


async def test_what_is_no_message_is_refused(stage: Stage) -> None:
    """Whatever is no signed SNS message, raw message delivery among it, answers 403 and never 500."""
    for body in _NO_MESSAGES:
        await _refused(stage, body)


async def test_a_huge_body_is_not_read(stage: Stage) -> None:
    """A body of more than half a megabyte answers 413."""
    assert (await stage.post(b"x" * 600_000)).status_code == 413


async def test_a_certificate_must_be_in_force(stage: Stage) -> None:
    """A certificate that has ended does not make a signature good."""
    stage.sns.certificates[CERTIFICATE_URL] = certificate_of(stage.sns.key, now=stage.service.clock(), days=-1)
    await _refused(stage, stage.sns.notification("x", now=stage.service.clock()), fetches=1)


async def test_a_certificate_is_fetched_once(stage: Stage) -> None:
    """Twenty notifications cost one fetch; where the certificate cannot be had, SNS is asked to come again."""
    for _ in range(20):
        assert (await stage.post(stage.sns.notification("x", now=stage.service.clock()))).status_code == 200
    assert stage.sns.fetched == [CERTIFICATE_URL]
    elsewhere = CERTIFICATE_URL.replace("0123456789abcdef.pem", "fedcba9876543210.pem")
    for _ in range(5):
        unknown = stage.sns.notification("x", now=stage.service.clock(), SigningCertURL=elsewhere)
        assert (await stage.post(unknown)).status_code == 503
    assert stage.sns.fetched == [CERTIFICATE_URL, elsewhere]


async def test_invented_certificates_cost_few_fetches(stage: Stage) -> None:
    """A hundred messages with as many well-formed certificate URLs cause at most sixteen fetches a minute."""
    for number in range(100):
        url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"
        message = stage.sns.notification("x", now=stage.service.clock(), SigningCertURL=url)
        assert (await stage.post(message)).status_code == 503
    assert len(stage.sns.fetched) == 16


async def test_invented_certificates_crowd_out_no_real_one(stage: Stage) -> None:
    """A day later, with the minute's fetches used up by inventions, the real certificate is asked for anew; and where it
    cannot be had then, the one of yesterday still counts.
    """
    clock = stage.service.clock
    assert (await stage.post(stage.sns.notification("x", now=clock()))).status_code == 200
    clock.advance(hours=25)
    for number in range(20):
        url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"
        assert (await stage.post(stage.sns.notification("x", now=clock(), SigningCertURL=url))).status_code == 503
    assert (await stage.post(stage.sns.notification("x", now=clock()))).status_code == 200
    assert stage.sns.fetched.count(CERTIFICATE_URL) == 2
    clock.advance(hours=25)
    del stage.sns.certificates[CERTIFICATE_URL]
    assert (await stage.post(stage.sns.notification("x", now=clock()))).status_code == 200
    assert stage.sns.fetched.count(CERTIFICATE_URL) == 3
    clock.advance(days=40)
    await _refused(stage, stage.sns.notification("x", now=clock()), fetches=len(stage.sns.fetched) + 1)


async def test_a_replay_changes_nothing(stage: Stage) -> None:
    """H147: the very same bounce again, after the operator took the address off the list, does not put it back."""
    bounce = event("Bounce", await stage.order(), bounceType="Permanent", bounceSubType="NoEmail")
    message = stage.sns.notification(bounce, now=stage.service.clock())
    assert (await stage.post(message)).status_code == 200
    await database.execute("DELETE FROM suppressions")
    before = await stage.everything()
    assert (await stage.post(message)).status_code == 200
    assert await stage.everything() == before


async def test_a_subscription_is_confirmed_without_fetching_its_url(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H145: a believed confirmation is answered by the API call at AWS_ENDPOINT_URL; its SubscribeURL is not touched."""
    with ses_on_loopback() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        refused = stage.sns.confirmation(now=stage.service.clock()) | {"Token": "changed"}
        assert (await stage.post(refused)).status_code == 403
        assert aws.requests == []
        internal = f"{aws.url}/internal"
        message = stage.sns.confirmation(now=stage.service.clock(), SubscribeURL=internal)
        assert (await stage.post(message)).status_code == 200
        assert [path for _, path in aws.requests] == ["/"]
        assert message["Token"].encode() in aws.bodies[0]
        assert TOPIC.encode().replace(b":", b"%3A") in aws.bodies[0]
        aws.faults["/"] = "close"
        assert (await stage.post(stage.sns.confirmation(now=stage.service.clock()))).status_code == 503
