"""Mail through Amazon SES v2, with boto3 in a thread pool.

SES receives the two parts and builds the MIME message (Content.Simple), which has exactly one recipient. Tracking would
pass the link to a redirector and add a pixel to the mail (H095). Each mail switches it off (ConfigurationOverrides), each
anchor has `ses:no-track`, and findings() reports configurations that switch it on.

SendEmail has no idempotency token: a mail can arrive twice.
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

Response = TypeVar("Response")

_THREADS: Final = 16
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXPECTED: Final = "expected ses://REGION or ses://REGION?configuration_set=NAME, such as ses://eu-west-1"
_RATE_LIFETIME: Final = timedelta(minutes=10)

_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
_THROTTLE_PAUSE: Final = timedelta(seconds=5)
_PAUSED: Final = timedelta(minutes=15)
_OUT_OF_QUOTA: Final = timedelta(hours=1)

_CREDENTIALS: Final = delivery_reason("SES_CREDENTIALS")
_CREDENTIAL_ERRORS: Final = frozenset(
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
_PERMANENT_ERRORS: Final = {
    "AccountSuspendedException": "SES_ACCOUNT_SUSPENDED",
    "MailFromDomainNotVerifiedException": "SES_MAIL_FROM_NOT_VERIFIED",
    "BadRequestException": "SES_MAIL_MALFORMED",
}
_UNNAMED_SET: Final = (
    "GUESTLIST_MAIL_URL names no configuration set, so bounces and deliveries stay unknown: "
    "make one in Amazon SES that publishes its events to SNS, and add ?configuration_set=NAME."
)


def open_ses(url: str, mail_from: str, *, topic_arns: tuple[str, ...], clock: Clock) -> "SesSender":
    """Returns the sender of a ses:// URL. Opens no connection. Raises MailSettingsInvalid."""
    region, configuration_set = parse_ses_url(url)
    return SesSender(region, configuration_set, parse_mail_from(mail_from), topic_arns=topic_arns, clock=clock)


def parse_ses_url(url: str) -> tuple[str, str | None]:
    """Returns the region and the configuration set of a ses:// URL. Raises MailSettingsInvalid."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.") from None
    configuration_set = options.pop("configuration_set", None)
    valid_name = configuration_set is None or _NAME.fullmatch(configuration_set)
    if not _REGION.fullmatch(parts.netloc) or parts.path not in {"", "/"} or options or not valid_name:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.")
    return parts.netloc, configuration_set


class SesSender:
    """A MailSender and SuppressionList for Amazon SES v2. Reads credentials and endpoint from the usual AWS sources."""

    def __init__(
        self,
        region: str,
        configuration_set: str | None,
        sender: MailAddress,
        *,
        topic_arns: tuple[str, ...],
        clock: Clock,
        timeout: float = 10.0,
    ) -> None:
        """`timeout` is the limit in seconds for connecting, and for reading a response."""
        self._timeout = timeout
        self._region = region
        self._configuration_set = configuration_set
        self._sender = sender
        self._topic_arns = frozenset(topic_arns)
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ses")
        self._client_lock = Lock()
        self._cached_client: SESV2Client | None = None
        self._cached_rate: _Rate | None = None
        self._rate_lock = asyncio.Lock()

    async def send(self, mail: Mail) -> str:
        with refuse_broken_mail():
            request = self._request(mail)
        response = await self._call(lambda client: client.send_email(**request))
        # botocore returns a truncated response, or the page of a proxy, as a response without members.
        message_id = response.get("MessageId")
        if not message_id:
            raise MailDeferred(self._unreachable())
        return message_id

    async def rate(self) -> float | None:
        """Returns the MaxSendRate of SES, cached for ten minutes, or None when it is unknown."""
        async with self._rate_lock:
            if self._cached_rate is None or self._clock() >= self._cached_rate.expires_at:
                self._cached_rate = _Rate(await self._current_rate(), self._clock() + _RATE_LIFETIME)
        return self._cached_rate.mails_a_second

    async def findings(self) -> list[str]:
        groups = await asyncio.gather(
            self._findings(self._account_findings),
            self._findings(self._sender_findings),
            self._findings(self._configuration_set_findings),
        )
        return list(dict.fromkeys(finding for group in groups for finding in group))

    async def on_suppression_list(self, address: Address) -> bool:
        entry = await self._call_if_found(lambda client: client.get_suppressed_destination(EmailAddress=address))
        return entry is not None

    async def remove_from_suppression_list(self, address: Address) -> None:
        await self._call_if_found(lambda client: client.delete_suppressed_destination(EmailAddress=address))

    async def close(self) -> None:
        """Waits for the mails in progress, which have timeouts."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._cached_client is not None:
            self._cached_client.close()

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
            account = await self._call(lambda client: client.get_account())
        except (MailDeferred, MailRefused):
            return self._cached_rate.mails_a_second if self._cached_rate else None
        rate = account.get("SendQuota", {}).get("MaxSendRate", 0)
        return rate if rate > 0 else None

    async def _call(self, operation: "Callable[[SESV2Client], Response]") -> Response:
        """Runs a call in a thread. Raises MailRefused or MailDeferred; neither repeats the message of SES."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: operation(self._client()))
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise self._mail_error(error) from None

    async def _call_if_found(self, operation: "Callable[[SESV2Client], Response]") -> Response | None:
        """Runs a call in a thread. Returns None when SES does not find its subject."""

        def response_or_none(client: "SESV2Client") -> Response | None:
            try:
                return operation(client)
            except client.exceptions.NotFoundException:
                return None

        return await self._call(response_or_none)

    def _client(self) -> "SESV2Client":
        """Creates the client in the first thread that uses it, which takes a quarter of a second, and caches it."""
        with self._client_lock:
            if self._cached_client is None:
                silence_requests()
                config = Config(
                    connect_timeout=self._timeout,
                    read_timeout=self._timeout,
                    max_pool_connections=_THREADS,
                    # The outbox retries with a new link. A retry in boto3 would send the same mail twice.
                    retries={"mode": "standard", "total_max_attempts": 1},
                )
                self._cached_client = boto3.session.Session().client("sesv2", region_name=self._region, config=config)
            return self._cached_client

    def _mail_error(self, error: Exception) -> MailRefused | MailDeferred:
        if isinstance(error, ClientError):
            return _mail_error_of_ses(error, self._configuration_set)
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
        except (MailDeferred, MailRefused) as error:
            return [str(error.reason)]

    async def _account_findings(self) -> list[str]:
        return account_findings(await self._call(lambda client: client.get_account()), self._region)

    async def _sender_findings(self) -> list[str]:
        """Checks the identity of the sender's address, of its domain, or of a parent domain: the first that exists."""
        for name in _identities(self._sender):
            identity = await self._identity(name)
            if identity is not None:
                return identity_findings(identity, name, self._region)
        unknown = f"The sender of GUESTLIST_MAIL_FROM is unknown to Amazon SES in {self._region}"
        return [f"{unknown}: verify the domain {self._sender.domain} there."]

    async def _identity(self, name: str) -> "GetEmailIdentityResponseTypeDef | None":
        return await self._call_if_found(lambda client: client.get_email_identity(EmailIdentity=name))

    async def _configuration_set_findings(self) -> list[str]:
        name = self._configuration_set
        if name is None:
            return [_UNNAMED_SET]
        found = await self._call_if_found(lambda client: client.get_configuration_set(ConfigurationSetName=name))
        if found is None:
            return [str(_no_configuration_set(name))]
        events = await self._call(
            lambda client: client.get_configuration_set_event_destinations(ConfigurationSetName=name)
        )
        return [
            *configuration_set_findings(found, name),
            *event_findings(events.get("EventDestinations", []), name, self._topic_arns),
        ]


@dataclass(frozen=True, slots=True)
class _Rate:
    mails_a_second: float | None
    expires_at: datetime


def _identities(sender: MailAddress) -> list[str]:
    """Returns the address, its domain and the parent domains: verification of a domain covers its subdomains."""
    labels = sender.domain.split(".")
    domains = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    return [sender.addr_spec, *(domains or [sender.domain])]


def _mail_error_of_ses(error: ClientError, configuration_set: str | None) -> MailRefused | MailDeferred:
    """Converts an error of SES. Only this function reads its message, because it repeats addresses."""
    code = error.response.get("Error", {}).get("Code", "")
    text = error.response.get("Error", {}).get("Message", "").lower()
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "MessageRejected":
        return _rejection(text)
    if code in _PERMANENT_ERRORS:
        return MailRefused(delivery_reason(_PERMANENT_ERRORS[code]))
    if code == "NotFoundException" and configuration_set:
        return MailDeferred(_no_configuration_set(configuration_set))
    return _throttling(code, text) or _other_error(code, status, error.operation_name)


def _rejection(text: str) -> MailRefused:
    if "not verified" in text:
        return MailRefused(delivery_reason("SES_SENDER_NOT_VERIFIED"))
    if "suppress" in text or "blacklisted" in text:
        return MailRefused(delivery_reason("SES_ADDRESS_SUPPRESSED"), suppressed=True)
    return MailRefused(delivery_reason("MAIL_CONTENT_REFUSED"))


def _throttling(code: str, text: str) -> MailDeferred | None:
    if code == "SendingPausedException":
        return MailDeferred(delivery_reason("SES_PAUSED"), retry_after=_PAUSED, throttled=True)
    if "Throttl" not in code and code not in {"TooManyRequestsException", "LimitExceededException"}:
        return None
    if "daily" in text:
        return MailDeferred(delivery_reason("SES_QUOTA_REACHED"), retry_after=_OUT_OF_QUOTA, throttled=True)
    return MailDeferred(delivery_reason("SES_TOO_FAST"), retry_after=_THROTTLE_PAUSE, throttled=True)


def _other_error(code: str, status: int, operation: str) -> MailRefused | MailDeferred:
    if code in _CREDENTIAL_ERRORS:
        return MailDeferred(_CREDENTIALS)
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return MailDeferred(delivery_reason("SES_CLOCK_WRONG"))
    if status == _FORBIDDEN or code.startswith("AccessDenied"):
        return MailDeferred(delivery_reason("SES_NOT_ALLOWED", operation=operation))
    if status >= _SERVER_ERROR:
        return MailDeferred(delivery_reason("SES_FAULT", status=status))
    return MailRefused(delivery_reason("SES_REFUSED", status=code if _NAME.fullmatch(code) else status))


def _no_configuration_set(name: str) -> Sentence:
    return delivery_reason("SES_NO_CONFIGURATION_SET", name=name)


def silence_requests() -> None:
    """Suppresses all records of these libraries below a warning, independently of other log levels.

    At DEBUG, botocore logs the body of each request, including the link (H155). A handler passes only warnings on to the
    root logger, so it also covers child loggers that were set to DEBUG.
    """
    for name in ("boto3", "botocore", "s3transfer", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
        logger.propagate = False
        if not any(isinstance(handler, _WarningsOnly) for handler in logger.handlers):
            logger.addHandler(_WarningsOnly(logging.WARNING))


class _WarningsOnly(logging.Handler):
    """Passes records on to the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().handle(record)


silence_requests()
