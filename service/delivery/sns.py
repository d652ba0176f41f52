"""Amazon SNS: which notifications are believed, and how a subscription is confirmed.

A notification is believed when its topic is one that the operator listed, it was signed a short while ago, and its
signature (version 2: RSA with SHA-256) fits a certificate of Amazon SNS's own host. Whatever else a message names is
never fetched: a subscription is confirmed by the API call, not by its SubscribeURL (H145).
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
import orjson
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

log = structlog.get_logger()

# The DNS suffixes of the partitions in ARNs, as in botocore's partitions.json.
_SUFFIXES: Final = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-us-gov": "amazonaws.com",
}
# Nothing else on that host may be named: its API repeats what callers put into their queries.
_CERTIFICATE_PATH: Final = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{8,64}\.pem")
_SIGNED_FIELDS: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_OLDEST: Final = timedelta(days=1)  # SNS gives up on an HTTP endpoint within hours
_FUTURE: Final = timedelta(minutes=15)
_SMALLEST_KEY: Final = 2048
_LONGEST_ID: Final = 100
_LARGEST_CERTIFICATE: Final = 32 * 1024
_FETCH_SECONDS: Final = 5.0
_KEPT: Final = timedelta(hours=24)
_FORGOTTEN: Final = timedelta(minutes=1)  # a certificate that could not be had is not asked for again so long
_MOST_INVENTED: Final = 16
_PATIENCE: Final = 5.0


class InvalidMessage(Exception):
    """Raised for a message that is not SNS's, or not for us; `reason` is a short word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(Exception):
    """Raised when Amazon could not be asked; SNS sends the message again later."""


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """A message that was believed. `token` confirms a subscription, and goes into no log."""

    type: str
    id: str
    topic_arn: str
    content: str
    token: str | None

    def __repr__(self) -> str:
        return f"SnsMessage(type={self.type!r}, id={self.id!r})"


class FetchCertificate(Protocol):
    """The door to Amazon's certificates: the PEM at a URL that was checked before. Raises NotNow."""

    async def __call__(self, url: str) -> bytes: ...


class Certificates:
    """The public keys of SNS by URL, asked for anew every day; however many URLs are invented, few are asked for in a
    minute, and a certificate that was had once is neither crowded out by them nor lost while Amazon cannot be reached.
    """

    def __init__(self, fetch: FetchCertificate) -> None:
        self._fetch = fetch
        self._known: dict[str, tuple[x509.Certificate | None, datetime]] = {}
        self._fetching = asyncio.Lock()

    async def key(self, url: str, now: datetime) -> RSAPublicKey:
        """Raises NotBelieved for what is no certificate in force, NotNow where it cannot be had."""
        certificate = await self._certificate(url, now)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise InvalidMessage("certificate_not_in_force")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_KEY:
            raise InvalidMessage("certificate_weak")
        return key

    async def _certificate(self, url: str, now: datetime) -> x509.Certificate:
        if not self._knows(url, now):
            async with self._fetching:
                if not self._knows(url, now):
                    await self._remember(url, now)
        certificate = self._known[url][0]
        if certificate is None:
            raise RetryLater
        return certificate

    def _knows(self, url: str, now: datetime) -> bool:
        return url in self._known and self._known[url][1] > now

    async def _remember(self, url: str, now: datetime) -> None:
        self._known = {known: kept for known, kept in self._known.items() if kept[0] is not None or kept[1] > now}
        earlier = self._known[url][0] if url in self._known else None
        if earlier is None and sum(kept[0] is None for kept in self._known.values()) >= _MOST_INVENTED:
            raise RetryLater
        try:
            certificate = x509.load_pem_x509_certificate(await self._fetch(url))
        except (RetryLater, ValueError) as error:
            log.warning("sns.certificate_unavailable", error=type(error).__name__)
            self._known[url] = (earlier, now + _FORGOTTEN)
        else:
            self._known[url] = (certificate, now + _KEPT)


async def fetch_certificate(url: str, *, seconds: float = _FETCH_SECONDS) -> bytes:
    """The body at the URL: small, whole, in time, without redirects, from the host that its TLS certificate names."""
    try:
        async with (
            asyncio.timeout(seconds),
            httpx2.AsyncClient(timeout=seconds, follow_redirects=False) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            return await _small_body(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
        log.warning("sns.fetch_failed", error=type(error).__name__)
        raise RetryLater from None


async def _small_body(response: httpx2.Response) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise RetryLater
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _LARGEST_CERTIFICATE:
            raise RetryLater
    return body


async def verify_message(
    body: bytes, *, topics: tuple[str, ...], certificates: Certificates, now: datetime
) -> SnsMessage:
    """The message in a request's body, after every check; nothing is fetched before the cheap ones (H141 to H147).

    Raises NotBelieved, and NotNow where the certificate cannot be had.
    """
    fields = _fields(body)
    kind = fields.get("Type", "")
    if kind not in _SIGNED_FIELDS:
        raise InvalidMessage("unknown_type")
    # A signature of version 1 is SHA-1: the topic has to be set to SignatureVersion 2.
    if fields.get("SignatureVersion") != "2":
        raise InvalidMessage("signature_version")
    if fields.get("TopicArn") not in topics:
        raise InvalidMessage("unknown_topic")
    _refuse_other_times(fields.get("Timestamp", ""), now)
    url = certificate_url(fields.get("SigningCertURL", ""), fields["TopicArn"])
    signature, signed = _signature(fields), canonical_text(fields)
    key = await certificates.key(url, now)
    try:
        key.verify(signature, signed.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise InvalidMessage("signature") from None
    return SnsMessage(kind, fields["MessageId"], fields["TopicArn"], fields["Message"], fields.get("Token"))


def _fields(body: bytes) -> dict[str, str]:
    """The texts among the message's members; whatever else is in there is not signed and not read."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidMessage("no_json") from None
    if not isinstance(message, dict):
        raise InvalidMessage("no_object")
    return {name: value for name, value in message.items() if isinstance(value, str)}


def certificate_url(url: str, topic_arn: str) -> str:
    """The URL, if it is one of Amazon SNS's certificates in the topic's own partition and region (H142, H192).

    Another region, or a partition that other people run, has no say about this topic. `topic_arn` is a listed one.
    """
    try:
        parts = urlsplit(url)
        hostile = not url.isascii() or not url.isprintable() or " " in url or "\\" in url
    except ValueError:
        raise InvalidMessage("certificate_url") from None
    # The network location is compared whole, so a user, a port or a trailing dot cannot stand in it.
    if (
        hostile
        or parts.scheme != "https"
        or parts.netloc != _certificate_host(topic_arn)
        or not _CERTIFICATE_PATH.fullmatch(parts.path)
        or parts.query
        or parts.fragment
    ):
        raise InvalidMessage("certificate_url")
    return f"https://{parts.netloc}{parts.path}"


def _certificate_host(topic_arn: str) -> str | None:
    _, partition, _, region, *_ = topic_arn.split(":")
    suffix = _SUFFIXES.get(partition)
    return None if suffix is None else f"sns.{region}.{suffix}"


def _refuse_other_times(timestamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.fromisoformat(timestamp)
    except ValueError:
        raise InvalidMessage("timestamp") from None
    if signed_at.tzinfo is None:
        signed_at = signed_at.replace(tzinfo=UTC)
    if not now - _OLDEST <= signed_at <= now + _FUTURE:
        raise InvalidMessage("timestamp")


def canonical_text(fields: Mapping[str, str]) -> str:
    """What SNS signs: names and values in turn, a line each, in this order; a Subject only where there is one."""
    names = [name for name in _SIGNED_FIELDS[fields["Type"]] if name in fields or name != "Subject"]
    missing = [name for name in names if name not in fields]
    if missing or not 0 < len(fields["MessageId"]) <= _LONGEST_ID:
        raise InvalidMessage("incomplete")
    return "".join(f"{name}\n{fields[name]}\n" for name in names)


def _signature(fields: Mapping[str, str]) -> bytes:
    """As long as a key that is strong enough makes it, so that an invented one costs no fetch."""
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
    except binascii.Error:
        raise InvalidMessage("signature") from None
    if len(signature) * 8 < _SMALLEST_KEY:
        raise InvalidMessage("signature")
    return signature


async def confirm_subscription(message: SnsMessage) -> None:
    """Confirms a subscription of a believed topic by API call; it needs no credentials. Raises NotNow."""
    await asyncio.to_thread(_confirm, message)


def _confirm(message: SnsMessage) -> None:
    # boto3 takes a third of a second to import, and a subscription is confirmed once in a service's life.
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    from service.mail.ses import silence_requests  # noqa: PLC0415

    silence_requests()
    config = Config(
        signature_version=UNSIGNED, connect_timeout=_PATIENCE, read_timeout=_PATIENCE,
        retries={"mode": "standard", "total_max_attempts": 1},
    )  # fmt: skip
    region = message.topic_arn.split(":")[3]
    try:
        client: Any = boto3.session.Session().client("sns", region_name=region, config=config)
        client.confirm_subscription(TopicArn=message.topic_arn, Token=message.token or "")
    except Exception as error:  # noqa: BLE001 -- on an odd answer botocore raises anything, KeyError for one
        log.warning("sns.not_confirmed", topic=message.topic_arn, error=type(error).__name__)
        raise RetryLater from None
