"""Mail through an HTTP endpoint on loopback that speaks SES v2, with the real boto3."""

import io
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from typing import Literal

import pytest

from service.addresses import Address
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid
from service.mail.message import Mail
from service.mail.senders import SuppressionList, parse_mail_from
from service.mail.ses import SesSender, open_ses, parse_ses_url, silence_requests
from tests.support.mail_servers import SesFault, SesOnLoopback, ses_on_loopback

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-events"
LINK = "https://id.example.com/confirm#" + "k" * 43
BOB = Address("bob@example.com")
MAIL = Mail(
    to=BOB,
    subject="Zoë invites you to join Bücherclub",
    text=f"Zoë invites you.\n\n{LINK}\n",
    html=f'<p>Zoë invites you.</p><a href="{LINK}" ses:no-track>Open</a>\n',
    headers={"List-Unsubscribe": "<https://id.example.com/unsubscribe/x>"},
    tags={"order": "ord_A-1"},
)
EVENTS = ["BOUNCE", "COMPLAINT", "DELIVERY", "DELIVERY_DELAY", "REJECT"]


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Iterator[SesOnLoopback]:
    with ses_on_loopback() as ses:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret")
        monkeypatch.setenv("AWS_ENDPOINT_URL", ses.url)
        ses.identities["example.com"] = {"VerifiedForSendingStatus": True, "DkimAttributes": {"Status": "SUCCESS"}}
        ses.configuration_sets["guestlist"] = {"ConfigurationSetName": "guestlist"}
        ses.event_destinations["guestlist"] = [destination(*EVENTS)]
        yield ses


def sender_with(clock: Hand, timeout: float) -> SesSender:
    mail_from = parse_mail_from("Das Büro <invites@id.example.com>")
    return SesSender("eu-west-1", "guestlist", mail_from, topic_arns=(TOPIC,), clock=clock, timeout=timeout)


@pytest.fixture
async def sender(ses: SesOnLoopback, clock: Hand) -> AsyncIterator[SesSender]:
    sender = sender_with(clock, timeout=5)
    yield sender
    await sender.close()


def destination(*events: str, topic: str = TOPIC, enabled: bool = True) -> dict[str, object]:
    return {
        "Name": "events",
        "Enabled": enabled,
        "MatchingEventTypes": list(events),
        "SnsDestination": {"TopicArn": topic},
    }


async def test_a_mail_is_sent_to_exactly_the_canonical_address(sender: SesSender, ses: SesOnLoopback) -> None:
    """H086: the one recipient is the stored address byte for byte; no Cc, no Bcc, no Reply-To."""
    assert await sender.send(MAIL) == "ses-1"
    (request,) = ses.sent
    assert request["Destination"] == {"ToAddresses": ["bob@example.com"]}
    assert "ReplyToAddresses" not in request
    assert request["FromEmailAddress"].isascii()
    assert str(make_header(decode_header(request["FromEmailAddress"]))) == "Das Büro <invites@id.example.com>"


async def test_both_parts_headers_tags_and_configuration_set_arrive(sender: SesSender, ses: SesOnLoopback) -> None:
    """SES gets text and HTML as they are, with the marks against tracking, the unsubscribe header and the order's tag."""
    await sender.send(MAIL)
    (request,) = ses.sent
    simple = request["Content"]["Simple"]
    assert simple["Subject"] == {"Data": MAIL.subject, "Charset": "UTF-8"}
    assert simple["Body"]["Text"]["Data"] == MAIL.text
    assert simple["Body"]["Html"]["Data"] == MAIL.html
    assert "ses:no-track" in simple["Body"]["Html"]["Data"]
    assert {"Name": "List-Unsubscribe", "Value": "<https://id.example.com/unsubscribe/x>"} in simple["Headers"]
    assert {"Name": "Auto-Submitted", "Value": "auto-generated"} in simple["Headers"]
    assert request["EmailTags"] == [{"Name": "order", "Value": "ord_A-1"}]
    assert request["ConfigurationSetName"] == "guestlist"


async def test_open_and_click_tracking_are_switched_off_for_each_mail(sender: SesSender, ses: SesOnLoopback) -> None:
    """H095: whatever the account and the configuration set say, SES is told to rewrite no link and to add no image."""
    await sender.send(MAIL)
    assert ses.sent[0]["ConfigurationOverrides"] == {
        "Tracking": {"OpenTrackingEnabled": "DISABLED", "ClickTrackingEnabled": "DISABLED"}
    }


@pytest.mark.parametrize(
    ("fault", "words", "suppressed"),
    [
        (
            SesFault(400, "MessageRejected", "Email address is not verified: secret.person@example.com"),
            "not verified",
            False,
        ),
        (SesFault(400, "MessageRejected", "Address blacklisted."), "suppression list", True),
        (SesFault(400, "MessageRejected", f"Spam: {LINK}"), "content", False),
        (SesFault(400, "MailFromDomainNotVerifiedException"), "MAIL FROM domain", False),
        (SesFault(400, "AccountSuspendedException"), "suspended the account", False),
        (SesFault(400, "BadRequestException"), "malformed", False),
        (SesFault(418, "TeapotException"), r"\(TeapotException\)", False),
    ],
)
async def test_a_refusal_is_told_in_words_of_ours(
    fault: SesFault, words: str, *, suppressed: bool, sender: SesSender, ses: SesOnLoopback
) -> None:
    """What SES refuses for good is refused once, and nothing of its message, which repeats addresses, is passed on."""
    ses.faults["/v2/email/outbound-emails"] = fault
    with pytest.raises(MailRefused, match=words) as caught:
        await sender.send(MAIL)
    assert ses.sent == []
    assert len(ses.requests) == 1
    assert caught.value.suppressed is suppressed
    assert "secret.person" not in str(caught.value.reason)
    assert LINK not in str(caught.value.reason)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("fault", "words", "throttled", "retry_after"),
    [
        (
            SesFault(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
            "fewer",
            True,
            timedelta(seconds=5),
        ),
        (SesFault(400, "ThrottlingException"), "fewer", True, timedelta(seconds=5)),
        (
            SesFault(400, "LimitExceededException", "Daily message quota exceeded."),
            "24 hours",
            True,
            timedelta(hours=1),
        ),
        (SesFault(400, "SendingPausedException"), "paused", True, timedelta(minutes=15)),
        (SesFault(404, "NotFoundException"), "no configuration set guestlist", False, None),
        (SesFault(403, "UnrecognizedClientException"), "credentials", False, None),
        (SesFault(403, "AccessDeniedException"), "ses:SendEmail", False, None),
        (SesFault(403, "RequestTimeTooSkewed"), "clock", False, None),
        (SesFault(503, "ServiceUnavailable"), "fault of its own", False, None),
    ],
)
async def test_a_passing_trouble_defers_the_mail_with_its_remedy(
    fault: SesFault,
    words: str,
    *,
    throttled: bool,
    retry_after: timedelta | None,
    sender: SesSender,
    ses: SesOnLoopback,
) -> None:
    """Throttling, set-up and outages leave the mail to a later try, which then succeeds; SES was asked once, not hammered."""
    ses.faults["/v2/email/outbound-emails"] = fault
    with pytest.raises(MailDeferred, match=words) as caught:
        await sender.send(MAIL)
    assert (caught.value.throttled, caught.value.retry_after) == (throttled, retry_after)
    assert "secret.person" not in str(caught.value.reason)
    assert len(ses.requests) == 1
    ses.faults.clear()
    assert await sender.send(MAIL) == "ses-1"


@pytest.mark.parametrize("order", ["hang", "close", "nonsense"])
async def test_silence_half_an_answer_and_nonsense_defer_the_mail(
    order: Literal["hang", "close", "nonsense"], clock: Hand, ses: SesOnLoopback
) -> None:
    """A mail whose sending got no proper answer is tried again: it may have been sent, it must not be lost."""
    ses.faults["/v2/email/outbound-emails"] = order
    sender = sender_with(clock, timeout=0.2)
    with pytest.raises(MailDeferred, match="cannot be reached"):
        await sender.send(MAIL)
    ses.released.set()
    await sender.close()


async def test_without_credentials_the_mail_waits_for_the_operator(
    sender: SesSender, ses: SesOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing AWS credentials are the operator's to mend: deferred, naming them, and nothing was sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(MailDeferred, match="credentials"):
        await sender.send(MAIL)
    assert ses.requests == []


async def test_an_endpoint_that_is_not_there_is_named(
    sender: SesSender, ses: SesOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection is deferred, and doctor says it once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MailDeferred, match=r"eu-west-1 cannot be reached.*AWS_ENDPOINT_URL") as caught:
        await sender.send(MAIL)
    assert await sender.findings() == [str(caught.value.reason)]
    assert ses.requests == []


async def test_the_rate_is_asked_for_once_in_ten_minutes(sender: SesSender, ses: SesOnLoopback, clock: Hand) -> None:
    """MaxSendRate is remembered, refreshed when old, and survives a question that failed."""
    assert [await sender.rate(), await sender.rate()] == [14.0, 14.0]
    assert len(ses.requests) == 1
    clock.now += timedelta(minutes=10)
    ses.account["SendQuota"]["MaxSendRate"] = 50.0
    assert await sender.rate() == 50.0
    clock.now += timedelta(minutes=10)
    ses.faults["/v2/email/account"] = SesFault(429, "TooManyRequestsException")
    assert await sender.rate() == 50.0


async def test_the_rate_is_unknown_where_ses_does_not_say(sender: SesSender, ses: SesOnLoopback) -> None:
    """Without permission for GetAccount there is no rate, and no error."""
    ses.faults["/v2/email/account"] = SesFault(403, "AccessDeniedException")
    assert await sender.rate() is None


async def test_doctor_finds_nothing_where_all_is_well(sender: SesSender, ses: SesOnLoopback) -> None:
    """A verified parent domain, a topic that is believed and all events make no finding, and no mail is sent."""
    assert await sender.findings() == []
    assert ses.sent == []


async def test_doctor_names_each_fault_of_the_account(sender: SesSender, ses: SesOnLoopback) -> None:
    """Sandbox, review and engagement tracking are found; a paused account is found instead of the review."""
    ses.account |= {
        "ProductionAccessEnabled": False,
        "EnforcementStatus": "PROBATION",
        "VdmAttributes": {"VdmEnabled": "ENABLED", "DashboardAttributes": {"EngagementMetrics": "ENABLED"}},
    }
    review, sandbox, tracking = await sender.findings()
    assert "under review" in review
    assert "sandbox" in sandbox
    assert "Virtual Deliverability Manager" in tracking
    ses.account |= {"SendingEnabled": False}
    assert "has paused sending" in (await sender.findings())[0]


async def test_doctor_names_tracking_archives_and_missing_events(sender: SesSender, ses: SesOnLoopback) -> None:
    """H095: CLICK and OPEN destinations, engagement metrics and an archive are each found, with their remedy."""
    ses.configuration_sets["guestlist"] = {
        "ArchivingOptions": {"ArchiveArn": "arn:aws:ses:eu-west-1:1:mailmanager-archive/a"},
        "VdmOptions": {"DashboardOptions": {"EngagementMetrics": "ENABLED"}},
        "SendingOptions": {"SendingEnabled": False},
    }
    ses.event_destinations["guestlist"] = [
        destination("CLICK", "OPEN", "BOUNCE"),
        destination("COMPLAINT", topic=TOPIC + "-other"),
        destination("DELIVERY", enabled=False),
    ]
    findings = await sender.findings()
    words = [
        "switched off",
        "archives",
        "engagement",
        "publishes CLICK",
        "publishes OPEN",
        "DELIVERY, DELIVERY_DELAY",
        TOPIC + "-other",
    ]
    assert [word for word, finding in zip(words, findings, strict=True) if word not in finding] == []


async def test_doctor_names_an_unknown_or_unverified_sender(sender: SesSender, ses: SesOnLoopback) -> None:
    """A sender without identity, and one whose verification or DKIM is unfinished, are found."""
    ses.identities["example.com"] = {"VerifiedForSendingStatus": False, "DkimAttributes": {"Status": "PENDING"}}
    unverified, dkim = await sender.findings()
    assert "example.com is not verified" in unverified
    assert "DKIM" in dkim
    ses.identities.clear()
    (unknown,) = await sender.findings()
    assert "verify the domain id.example.com" in unknown


async def test_doctor_names_a_missing_permission_and_an_unknown_configuration_set(
    sender: SesSender, ses: SesOnLoopback
) -> None:
    """The IAM action that is missing is named, and the other checks go on."""
    ses.faults["/v2/email/account"] = SesFault(403, "AccessDeniedException")
    del ses.configuration_sets["guestlist"]
    permission, unknown = await sender.findings()
    assert "ses:GetAccount" in permission
    assert "knows no configuration set guestlist" in unknown


async def test_doctor_asks_for_a_configuration_set(ses: SesOnLoopback, clock: Hand) -> None:
    """Without one no event comes back, which is found; and SendEmail names none."""
    sender = open_ses("ses://eu-west-1", "invites@example.com", topic_arns=(), clock=clock)
    (finding,) = await sender.findings()
    assert "?configuration_set=NAME" in finding
    await sender.send(MAIL)
    assert "ConfigurationSetName" not in ses.sent[0]
    await sender.close()


async def test_an_address_leaves_the_suppression_list(sender: SesSender, ses: SesOnLoopback) -> None:
    """An address on SES's own list is found and removed; removing it again is fine, and the others stay."""
    ses.suppressed |= {"a+b/c@example.com", "eve@example.com"}
    address = Address("a+b/c@example.com")
    assert isinstance(sender, SuppressionList)
    assert await sender.on_suppression_list(address)
    await sender.remove_from_suppression_list(address)
    assert not await sender.on_suppression_list(address)
    await sender.remove_from_suppression_list(address)
    assert ses.suppressed == {"eve@example.com"}


async def test_no_link_address_or_key_is_logged_even_at_debug(sender: SesSender, ses: SesOnLoopback) -> None:
    """H155: with the root logger and botocore's own at DEBUG, sending and failing write neither body nor credentials."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    shouting = [
        logging.getLogger(name)
        for name in ("botocore.endpoint", "botocore.parsers", "urllib3.connectionpool", "botocore.auth")
    ]
    for logger in shouting:
        logger.setLevel(logging.DEBUG)
    try:
        await sender.send(MAIL)
        ses.faults["/v2/email/outbound-emails"] = SesFault(400, "MessageRejected")
        with pytest.raises(MailRefused):
            await sender.send(MAIL)
        logging.getLogger("botocore.endpoint").warning("a warning comes through")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        for logger in shouting:
            logger.setLevel(logging.NOTSET)
    assert "a warning comes through" in written.getvalue()
    for secret in (LINK, "k" * 43, "bob@", "aws-secret", "Zo", "outbound-emails"):
        assert secret not in written.getvalue()


def test_silencing_twice_hands_each_warning_on_once() -> None:
    """Importing and opening silence again; a warning still appears once."""
    silence_requests()
    silence_requests()
    assert (
        len(
            [
                handler
                for handler in logging.getLogger("botocore").handlers
                if type(handler).__module__ == "service.mail.ses"
            ]
        )
        == 1
    )


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("ses://eu-west-1", ("eu-west-1", None)),
        ("ses://us-gov-east-1?configuration_set=guest_list-2", ("us-gov-east-1", "guest_list-2")),
    ],
)
def test_a_ses_url_is_read(url: str, place: tuple[str, str | None]) -> None:
    """Region and configuration set stand in the URL."""
    assert parse_ses_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "ses://",
        "ses://Europe",
        "ses://eu-west-1/path",
        "ses://eu-west-1?set=a",
        "ses://eu-west-1?configuration_set=a/b",
        "ses://key:secret@eu-west-1",
    ],
)
def test_a_ses_url_that_cannot_work_is_refused(url: str) -> None:
    """A misspelt region or option is refused in words that show the right form, and no part of the URL."""
    with pytest.raises(MailSettingsInvalid, match=r"expected ses://REGION") as caught:
        parse_ses_url(url)
    assert "secret" not in str(caught.value)
