"""Mail through Amazon SES v2, with boto3 in threads of its own.

SES is given the two parts and builds the message itself (Content.Simple): exactly one recipient, and no MIME of ours to get
wrong. Tracking would put the link into the hands of a redirector and a pixel into the mail (H095), so each mail switches
it off (ConfigurationOverrides), each anchor says `ses:no-track`, and findings() names whatever would switch it on.

SendEmail knows no idempotency token: a mail can arrive twice, which the outbox allows for.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address as MailAddress
from email.utils import formataddr
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from service.addresses import Address
from service.clock import Clock
from service.languages import Sentence
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid
from service.mail.message import Mail, refuse_broken_mail
from service.mail.reasons import delivery_reason
from service.mail.senders import parse_mail_from
from service.mail.ses_findings import (
    account_findings,
    configuration_set_findings,
    event_findings,
    identity_findings,
)

if TYPE_CHECKING:
    from types_boto3_sesv2.client import SESV2Client
    from types_boto3_sesv2.type_defs import GetEmailIdentityResponseTypeDef, SendEmailRequestTypeDef

Answer = TypeVar("Answer")

_THREADS: Final = 16
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXPECTED: Final = "expected ses://REGION or ses://REGION?configuration_set=NAME, such as ses://eu-west-1"
_RATE_HOLDS: Final = timedelta(minutes=10)

_FORBIDDEN: Final = 403
_BROKEN: Final = 500
_TOO_FAST: Final = timedelta(seconds=5)
_PAUSED: Final = timedelta(minutes=15)
_OUT_OF_QUOTA: Final = timedelta(hours=1)

_CREDENTIALS: Final = delivery_reason("SES_CREDENTIALS")
_BAD_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_REFUSALS: Final = {
    "AccountSuspendedException": "SES_ACCOUNT_SUSPENDED",
    "MailFromDomainNotVerifiedException": "SES_MAIL_FROM_NOT_VERIFIED",
    "BadRequestException": "SES_MAIL_MALFORMED",
}
_UNNAMED_SET: Final = (
    "GUESTLIST_MAIL_URL names no configuration set, so bounces and deliveries stay unknown: "
    "make one in Amazon SES that publishes its events to SNS, and add ?configuration_set=NAME."
)


def open_ses(url: str, mail_from: str, *, topic_arns: tuple[str, ...], clock: Clock) -> "SesSender":
    """Raises MailSettingsInvalid; connects to nothing yet."""
    region, configuration_set = ses_place(url)
    return SesSender(region, configuration_set, parse_mail_from(mail_from), topic_arns=topic_arns, clock=clock)


def ses_place(url: str) -> tuple[str, str | None]:
    """The region and the configuration set of a ses:// URL. Raises MailSettingsInvalid."""
    try:
        parts = urlsplit(url)
        wishes = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.") from None
    configuration_set = wishes.pop("configuration_set", None)
    well_named = configuration_set is None or _NAME.fullmatch(configuration_set)
    if not _REGION.fullmatch(parts.netloc) or parts.path not in {"", "/"} or wishes or not well_named:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.")
    return parts.netloc, configuration_set


class SesSender:
    """A MailSender and SuppressionList on Amazon SES v2. Credentials and endpoint come the way AWS tools find them."""

    def __init__(
        self,
        region: str,
        configuration_set: str | None,
        sender: MailAddress,
        *,
        topic_arns: tuple[str, ...],
        clock: Clock,
        patience: float = 10.0,
    ) -> None:
        """`patience` is how many seconds SES may take to connect, and again to answer."""
        self._patience = patience
        self._region = region
        self._configuration_set = configuration_set
        self._sender = sender
        self._topic_arns = frozenset(topic_arns)
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ses")
        self._opening = Lock()
        self._opened: SESV2Client | None = None
        self._known_rate: _Rate | None = None
        self._asking_rate = asyncio.Lock()

    async def send(self, mail: Mail) -> str:
        with refuse_broken_mail():
            request = self._request(mail)
        answer = await self._ask(lambda client: client.send_email(**request))
        # Half an answer, or a proxy's page, comes out of botocore as an answer without members.
        message_id = answer.get("MessageId")
        if not message_id:
            raise MailDeferred(self._unreachable())
        return message_id

    async def rate(self) -> float | None:
        """SES's MaxSendRate, asked for every ten minutes; None as well when SES did not say."""
        async with self._asking_rate:
            if self._known_rate is None or self._clock() >= self._known_rate.good_until:
                self._known_rate = _Rate(await self._current_rate(), self._clock() + _RATE_HOLDS)
        return self._known_rate.mails_a_second

    async def findings(self) -> list[str]:
        groups = await asyncio.gather(
            self._findings(self._of_account),
            self._findings(self._of_sender),
            self._findings(self._of_configuration_set),
        )
        return list(dict.fromkeys(finding for group in groups for finding in group))

    async def on_suppression_list(self, address: Address) -> bool:
        entry = await self._ask_if_found(lambda client: client.get_suppressed_destination(EmailAddress=address))
        return entry is not None

    async def remove_from_suppression_list(self, address: Address) -> None:
        await self._ask_if_found(lambda client: client.delete_suppressed_destination(EmailAddress=address))

    async def close(self) -> None:
        """Waits for the mails that are under way: each has its own timeouts."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._opened is not None:
            self._opened.close()

    def _request(self, mail: Mail) -> "SendEmailRequestTypeDef":
        headers = {"Auto-Submitted": "auto-generated", **mail.headers}
        request: SendEmailRequestTypeDef = {
            "FromEmailAddress": formataddr((self._sender.display_name, self._sender.addr_spec)),
            "Destination": {"ToAddresses": [mail.to]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": mail.text, "Charset": "UTF-8"},
                        "Html": {"Data": mail.html, "Charset": "UTF-8"},
                    },
                    "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
                }
            },
            "EmailTags": [{"Name": name, "Value": value} for name, value in mail.tags.items()],
            "ConfigurationOverrides": {
                "Tracking": {"OpenTrackingEnabled": "DISABLED", "ClickTrackingEnabled": "DISABLED"}
            },
        }
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        return request

    async def _current_rate(self) -> float | None:
        try:
            account = await self._ask(lambda client: client.get_account())
        except (MailDeferred, MailRefused):
            return self._known_rate.mails_a_second if self._known_rate else None
        rate = account.get("SendQuota", {}).get("MaxSendRate", 0)
        return rate if rate > 0 else None

    async def _ask(self, question: "Callable[[SESV2Client], Answer]") -> Answer:
        """Runs one call in a thread of ours. Raises MailRefused or MailDeferred, without SES's own words."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: question(self._client()))
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise self._verdict(error) from None

    async def _ask_if_found(self, question: "Callable[[SESV2Client], Answer]") -> Answer | None:
        """The same, and None where SES knows no such thing."""

        def answer_or_none(client: "SESV2Client") -> Answer | None:
            try:
                return question(client)
            except client.exceptions.NotFoundException:
                return None

        return await self._ask(answer_or_none)

    def _client(self) -> "SESV2Client":
        """Made in the first thread that needs it: that takes a quarter of a second. Afterwards all share it."""
        with self._opening:
            if self._opened is None:
                silence_requests()
                config = Config(
                    connect_timeout=self._patience,
                    read_timeout=self._patience,
                    max_pool_connections=_THREADS,
                    # The outbox tries again, with a new link; a second try in here would only send the same mail twice.
                    retries={"mode": "standard", "total_max_attempts": 1},
                )
                self._opened = boto3.session.Session().client("sesv2", region_name=self._region, config=config)
            return self._opened

    def _verdict(self, error: Exception) -> MailRefused | MailDeferred:
        if isinstance(error, ClientError):
            return _verdict_of_ses(error, self._configuration_set)
        if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
            return MailDeferred(_CREDENTIALS)
        if isinstance(error, ParamValidationError):
            return MailRefused(delivery_reason("SES_MAIL_MALFORMED"))
        return MailDeferred(self._unreachable())

    def _unreachable(self) -> Sentence:
        return delivery_reason("SES_UNREACHABLE", region=self._region)

    async def _findings(self, check: "Callable[[], Awaitable[list[str]]]") -> list[str]:
        try:
            return await check()
        except (MailDeferred, MailRefused) as trouble:
            return [str(trouble.reason)]

    async def _of_account(self) -> list[str]:
        return account_findings(await self._ask(lambda client: client.get_account()), self._region)

    async def _of_sender(self) -> list[str]:
        """The identity of the sender's very address, else that of its domain, else that of a parent domain."""
        for name in _identities(self._sender):
            identity = await self._identity(name)
            if identity is not None:
                return identity_findings(identity, name, self._region)
        unknown = f"The sender of GUESTLIST_MAIL_FROM is unknown to Amazon SES in {self._region}"
        return [f"{unknown}: verify the domain {self._sender.domain} there."]

    async def _identity(self, name: str) -> "GetEmailIdentityResponseTypeDef | None":
        return await self._ask_if_found(lambda client: client.get_email_identity(EmailIdentity=name))

    async def _of_configuration_set(self) -> list[str]:
        name = self._configuration_set
        if name is None:
            return [_UNNAMED_SET]
        found = await self._ask_if_found(lambda client: client.get_configuration_set(ConfigurationSetName=name))
        if found is None:
            return [str(_no_configuration_set(name))]
        events = await self._ask(
            lambda client: client.get_configuration_set_event_destinations(ConfigurationSetName=name)
        )
        return [
            *configuration_set_findings(found, name),
            *event_findings(events.get("EventDestinations", []), name, self._topic_arns),
        ]


@dataclass(frozen=True, slots=True)
class _Rate:
    mails_a_second: float | None
    good_until: datetime


def _identities(sender: MailAddress) -> list[str]:
    """A verified domain speaks for its subdomains too; a top-level domain is nobody's identity."""
    labels = sender.domain.split(".")
    domains = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    return [sender.addr_spec, *(domains or [sender.domain])]


def _verdict_of_ses(error: ClientError, configuration_set: str | None) -> MailRefused | MailDeferred:
    """What an error of SES means for the mail. Its message is read here and goes no further: it repeats addresses."""
    code = error.response.get("Error", {}).get("Code", "")
    complaint = error.response.get("Error", {}).get("Message", "").lower()
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "MessageRejected":
        return _rejected(complaint)
    if code in _REFUSALS:
        return MailRefused(delivery_reason(_REFUSALS[code]))
    if code == "NotFoundException" and configuration_set:
        return MailDeferred(_no_configuration_set(configuration_set))
    return _throttled(code, complaint) or _turned_away(code, status, error.operation_name)


def _rejected(complaint: str) -> MailRefused:
    if "not verified" in complaint:
        return MailRefused(delivery_reason("SES_SENDER_NOT_VERIFIED"))
    if "suppress" in complaint or "blacklisted" in complaint:
        return MailRefused(delivery_reason("SES_ADDRESS_SUPPRESSED"), suppressed=True)
    return MailRefused(delivery_reason("MAIL_CONTENT_REFUSED"))


def _throttled(code: str, complaint: str) -> MailDeferred | None:
    if code == "SendingPausedException":
        return MailDeferred(delivery_reason("SES_PAUSED"), retry_after=_PAUSED, throttled=True)
    if "Throttl" not in code and code not in {"TooManyRequestsException", "LimitExceededException"}:
        return None
    if "daily" in complaint:
        return MailDeferred(delivery_reason("SES_QUOTA_REACHED"), retry_after=_OUT_OF_QUOTA, throttled=True)
    return MailDeferred(delivery_reason("SES_TOO_FAST"), retry_after=_TOO_FAST, throttled=True)


def _turned_away(code: str, status: int, operation: str) -> MailRefused | MailDeferred:
    if code in _BAD_CREDENTIALS:
        return MailDeferred(_CREDENTIALS)
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return MailDeferred(delivery_reason("SES_CLOCK_WRONG"))
    if status == _FORBIDDEN or code.startswith("AccessDenied"):
        return MailDeferred(delivery_reason("SES_NOT_ALLOWED", operation=operation))
    if status >= _BROKEN:
        return MailDeferred(delivery_reason("SES_FAULT", status=status))
    return MailRefused(delivery_reason("SES_REFUSED", status=code if _NAME.fullmatch(code) else status))


def _no_configuration_set(name: str) -> Sentence:
    return delivery_reason("SES_NO_CONFIGURATION_SET", name=name)


def silence_requests() -> None:
    """Keeps these libraries' loggers from saying anything below a warning, whatever the level elsewhere.

    At DEBUG botocore prints the body of each request, and with it the link (H155). Their records stop at a handler that lets
    warnings through to the root logger, so a logger below them that was set to DEBUG by hand stays silent too.
    """
    for name in ("boto3", "botocore", "s3transfer", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
        logger.propagate = False
        if not any(isinstance(handler, _WarningsOnly) for handler in logger.handlers):
            logger.addHandler(_WarningsOnly(logging.WARNING))


class _WarningsOnly(logging.Handler):
    """Hands records on to the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().handle(record)


silence_requests()
