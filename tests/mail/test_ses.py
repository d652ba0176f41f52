"""Sending through the real boto3 to a local HTTP server that implements SES v2."""

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


class ManualClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


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


def sender_with(clock: ManualClock, timeout: float) -> SesSender:
    mail_from = parse_mail_from("Das Büro <invites@id.example.com>")
    return SesSender("eu-west-1", "guestlist", mail_from, topic_arns=(TOPIC,), clock=clock, timeout=timeout)


@pytest.fixture
async def sender(ses: SesOnLoopback, clock: ManualClock) -> AsyncIterator[SesSender]:
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
    """H086: the only recipient is the stored address byte for byte. There is no Cc, Bcc or Reply-To."""
    assert await sender.send(MAIL) == "ses-1"
    (request,) = ses.sent
    assert request["Destination"] == {"ToAddresses": ["bob@example.com"]}
    assert "ReplyToAddresses" not in request
    assert request["FromEmailAddress"].isascii()
    assert str(make_header(decode_header(request["FromEmailAddress"]))) == "Das Büro <invites@id.example.com>"


async def test_both_parts_headers_tags_and_configuration_set_arrive(sender: SesSender, ses: SesOnLoopback) -> None:
    """SES receives text and HTML unchanged, with the ses:no-track marks, the unsubscribe header and the order's tag."""
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
    """H095: each request disables link rewriting and tracking images, independent of account and configuration set."""
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
async def test_a_refusal_has_our_reason(
    fault: SesFault, words: str, *, suppressed: bool, sender: SesSender, ses: SesOnLoopback
) -> None:
    """A permanent refusal of SES is not retried. Its message, which repeats addresses, is not passed on."""
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
async def test_a_temporary_error_defers_the_mail_with_its_remedy(
    fault: SesFault,
    words: str,
    *,
    throttled: bool,
    retry_after: timedelta | None,
    sender: SesSender,
    ses: SesOnLoopback,
) -> None:
    """Throttling, wrong setup and outages defer the mail, and a later try succeeds. Each try calls SES once."""
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
    order: Literal["hang", "close", "nonsense"], clock: ManualClock, ses: SesOnLoopback
) -> None:
    """A mail without a valid answer is retried: it may have been sent, but must not be lost."""
    ses.faults["/v2/email/outbound-emails"] = order
    sender = sender_with(clock, timeout=0.2)
    with pytest.raises(MailDeferred, match="cannot be reached"):
        await sender.send(MAIL)
    ses.released.set()
    await sender.close()


async def test_without_credentials_the_mail_waits_for_the_operator(
    sender: SesSender, ses: SesOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing AWS credentials defer the mail. The reason names them for the operator, and SES receives no request."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(MailDeferred, match="credentials"):
        await sender.send(MAIL)
    assert ses.requests == []


async def test_an_unreachable_endpoint_is_named(
    sender: SesSender, ses: SesOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection defers the mail, and doctor reports it once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MailDeferred, match=r"eu-west-1 cannot be reached.*AWS_ENDPOINT_URL") as caught:
        await sender.send(MAIL)
    assert await sender.findings() == [str(caught.value.reason)]
    assert ses.requests == []


async def test_the_rate_is_cached_for_ten_minutes(sender: SesSender, ses: SesOnLoopback, clock: ManualClock) -> None:
    """MaxSendRate is cached and refreshed when it expires. A failed refresh keeps the cached value."""
    assert [await sender.rate(), await sender.rate()] == [14.0, 14.0]
    assert len(ses.requests) == 1
    clock.now += timedelta(minutes=10)
    ses.account["SendQuota"]["MaxSendRate"] = 50.0
    assert await sender.rate() == 50.0
    clock.now += timedelta(minutes=10)
    ses.faults["/v2/email/account"] = SesFault(429, "TooManyRequestsException")
    assert await sender.rate() == 50.0


async def test_the_rate_is_unknown_without_permission(sender: SesSender, ses: SesOnLoopback) -> None:
    """Without permission for GetAccount there is no rate and no error."""
    ses.faults["/v2/email/account"] = SesFault(403, "AccessDeniedException")
    assert await sender.rate() is None


async def test_doctor_accepts_a_correct_account(sender: SesSender, ses: SesOnLoopback) -> None:
    """A verified parent domain, a trusted topic and all events cause no finding. No mail is sent."""
    assert await sender.findings() == []
    assert ses.sent == []


async def test_doctor_names_each_fault_of_the_account(sender: SesSender, ses: SesOnLoopback) -> None:
    """Sandbox, review and engagement tracking are findings. A paused account is reported in place of the review."""
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
    """H095: CLICK and OPEN destinations, engagement metrics and an archive are each reported with their remedy."""
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
    """A sender without an identity, and one with unfinished verification or DKIM, are findings."""
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
    """Doctor names the missing IAM action and continues with the other checks."""
    ses.faults["/v2/email/account"] = SesFault(403, "AccessDeniedException")
    del ses.configuration_sets["guestlist"]
    permission, unknown = await sender.findings()
    assert "ses:GetAccount" in permission
    assert "knows no configuration set guestlist" in unknown


async def test_doctor_reports_a_missing_configuration_set(ses: SesOnLoopback, clock: ManualClock) -> None:
    """Without a configuration set SES sends no events, which is a finding. SendEmail then names none."""
    sender = open_ses("ses://eu-west-1", "invites@example.com", topic_arns=(), clock=clock)
    (finding,) = await sender.findings()
    assert "?configuration_set=NAME" in finding
    await sender.send(MAIL)
    assert "ConfigurationSetName" not in ses.sent[0]
    await sender.close()


async def test_an_address_is_removed_from_the_suppression_list(sender: SesSender, ses: SesOnLoopback) -> None:
    """An address on SES's list is found and removed. Removing it twice succeeds, and other addresses stay."""
    ses.suppressed |= {"a+b/c@example.com", "eve@example.com"}
    address = Address("a+b/c@example.com")
    assert isinstance(sender, SuppressionList)
    assert await sender.on_suppression_list(address)
    await sender.remove_from_suppression_list(address)
    assert not await sender.on_suppression_list(address)
    await sender.remove_from_suppression_list(address)
    assert ses.suppressed == {"eve@example.com"}


async def test_no_link_address_or_key_is_logged_even_at_debug(sender: SesSender, ses: SesOnLoopback) -> None:
    """H155: with the root logger and botocore's logger at DEBUG, sending and failing log no body and no credentials."""
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


def test_silencing_twice_emits_each_warning_once() -> None:
    """Importing and opening a sender silence the loggers again. A warning still appears once."""
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
    ("url", "parts"),
    [
        ("ses://eu-west-1", ("eu-west-1", None)),
        ("ses://us-gov-east-1?configuration_set=guest_list-2", ("us-gov-east-1", "guest_list-2")),
    ],
)
def test_a_ses_url_is_parsed(url: str, parts: tuple[str, str | None]) -> None:
    """The URL contains region and configuration set."""
    assert parse_ses_url(url) == parts


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
def test_an_invalid_ses_url_is_refused(url: str) -> None:
    """The error for a wrong region or option shows the valid form, and no part of the URL."""
    with pytest.raises(MailSettingsInvalid, match=r"expected ses://REGION") as caught:
        parse_ses_url(url)
    assert "secret" not in str(caught.value)
