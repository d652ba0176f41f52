"""Amazon SNS: verification of notifications, and confirmation of subscriptions.

A notification is valid if the operator has configured its topic and its timestamp is recent. Its signature (version 2: RSA
with SHA-256) must match a certificate from the host of Amazon SNS. Other URLs in a message are never fetched. An API call
confirms a subscription, not its SubscribeURL (H145).
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
# Other paths on that host are rejected: its API repeats parameters of the query.
_CERTIFICATE_PATH: Final = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{8,64}\.pem")
_SIGNED_FIELDS: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_MAX_AGE: Final = timedelta(days=1)  # SNS retries an HTTP endpoint for some hours
_MAX_CLOCK_SKEW: Final = timedelta(minutes=15)
_MIN_KEY_BITS: Final = 2048
_MAX_ID_LENGTH: Final = 100
_MAX_CERTIFICATE_BYTES: Final = 32 * 1024
_FETCH_SECONDS: Final = 5.0
_CACHE_LIFETIME: Final = timedelta(hours=24)
_RETRY_AFTER: Final = timedelta(minutes=1)  # after a failed download
_MAX_FAILED_URLS: Final = 16
_API_SECONDS: Final = 5.0


class InvalidMessage(Exception):
    """Raised for a message that is not from SNS or not for this service; `reason` is a short code for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(Exception):
    """Raised when Amazon does not answer. SNS sends the message again later."""


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """A verified message. `token` confirms a subscription and must not be logged."""

    type: str
    id: str
    topic_arn: str
    content: str
    token: str | None

    def __repr__(self) -> str:
        return f"SnsMessage(type={self.type!r}, id={self.id!r})"


class FetchCertificate(Protocol):
    """Downloads the PEM at a URL that was checked before. Raises RetryLater."""

    async def __call__(self, url: str) -> bytes: ...


class Certificates:
    """Caches the certificates of SNS by URL for a day.

    A flood of invented URLs causes at most sixteen downloads a minute and evicts no certificate. An expired entry stays in
    use while its download fails.
    """

    def __init__(self, fetch: FetchCertificate) -> None:
        self._fetch = fetch
        self._cache: dict[str, tuple[x509.Certificate | None, datetime]] = {}
        self._lock = asyncio.Lock()

    async def key(self, url: str, now: datetime) -> RSAPublicKey:
        """Returns the key of a certificate. Raises InvalidMessage if it is not in force, RetryLater if it is unavailable."""
        certificate = await self._certificate(url, now)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise InvalidMessage("certificate_not_in_force")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_KEY_BITS:
            raise InvalidMessage("certificate_weak")
        return key

    async def _certificate(self, url: str, now: datetime) -> x509.Certificate:
        if not self._is_cached(url, now):
            async with self._lock:
                if not self._is_cached(url, now):
                    await self._refresh(url, now)
        certificate = self._cache[url][0]
        if certificate is None:
            raise RetryLater
        return certificate

    def _is_cached(self, url: str, now: datetime) -> bool:
        return url in self._cache and self._cache[url][1] > now

    async def _refresh(self, url: str, now: datetime) -> None:
        self._cache = {cached: entry for cached, entry in self._cache.items() if entry[0] is not None or entry[1] > now}
        earlier = self._cache[url][0] if url in self._cache else None
        if earlier is None and sum(entry[0] is None for entry in self._cache.values()) >= _MAX_FAILED_URLS:
            raise RetryLater
        try:
            certificate = x509.load_pem_x509_certificate(await self._fetch(url))
        except (RetryLater, ValueError) as error:
            log.warning("sns.certificate_unavailable", error=type(error).__name__)
            self._cache[url] = (earlier, now + _RETRY_AFTER)
        else:
            self._cache[url] = (certificate, now + _CACHE_LIFETIME)


async def fetch_certificate(url: str, *, seconds: float = _FETCH_SECONDS) -> bytes:
    """Downloads a URL over verified TLS, without redirects, within limits of size and time. Raises RetryLater."""
    try:
        async with (
            asyncio.timeout(seconds),
            httpx2.AsyncClient(timeout=seconds, follow_redirects=False) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            return await _read_body(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
        log.warning("sns.fetch_failed", error=type(error).__name__)
        raise RetryLater from None


async def _read_body(response: httpx2.Response) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise RetryLater
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_CERTIFICATE_BYTES:
            raise RetryLater
    return body


async def verify_message(
    body: bytes, *, topics: tuple[str, ...], certificates: Certificates, now: datetime
) -> SnsMessage:
    """Parses and verifies the message in a request's body. The cheap checks precede the download (H141 to H147).

    Raises InvalidMessage, or RetryLater when the certificate is unavailable.
    """
    fields = _fields(body)
    kind = fields.get("Type", "")
    if kind not in _SIGNED_FIELDS:
        raise InvalidMessage("unknown_type")
    # Version 1 signs with SHA-1. The operator must set the topic to SignatureVersion 2.
    if fields.get("SignatureVersion") != "2":
        raise InvalidMessage("signature_version")
    if fields.get("TopicArn") not in topics:
        raise InvalidMessage("unknown_topic")
    _refuse_stale(fields.get("Timestamp", ""), now)
    url = _certificate_url(fields.get("SigningCertURL", ""), fields["TopicArn"])
    signature, signed = _signature(fields), canonical_text(fields)
    key = await certificates.key(url, now)
    try:
        key.verify(signature, signed.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise InvalidMessage("signature") from None
    return SnsMessage(kind, fields["MessageId"], fields["TopicArn"], fields["Message"], fields.get("Token"))


def _fields(body: bytes) -> dict[str, str]:
    """Returns the members that are texts. Other members are not signed, so they are ignored."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidMessage("no_json") from None
    if not isinstance(message, dict):
        raise InvalidMessage("no_object")
    return {name: value for name, value in message.items() if isinstance(value, str)}


def _certificate_url(url: str, topic_arn: str) -> str:
    """Returns the URL of a certificate of Amazon SNS in the topic's partition and region (H142, H192).

    Other regions and partitions do not sign messages of this topic. `topic_arn` is a configured topic.
    """
    try:
        parts = urlsplit(url)
        malformed = not url.isascii() or not url.isprintable() or " " in url or "\\" in url
    except ValueError:
        raise InvalidMessage("certificate_url") from None
    # The comparison of the whole network location excludes a user, a port and a trailing dot.
    if (
        malformed
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


def _refuse_stale(timestamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.fromisoformat(timestamp)
    except ValueError:
        raise InvalidMessage("timestamp") from None
    if signed_at.tzinfo is None:
        signed_at = signed_at.replace(tzinfo=UTC)
    if not now - _MAX_AGE <= signed_at <= now + _MAX_CLOCK_SKEW:
        raise InvalidMessage("timestamp")


def canonical_text(fields: Mapping[str, str]) -> str:
    """Returns the text that SNS signs: alternating lines of names and values in this order. Subject is optional."""
    names = [name for name in _SIGNED_FIELDS[fields["Type"]] if name in fields or name != "Subject"]
    missing = [name for name in names if name not in fields]
    if missing or not 0 < len(fields["MessageId"]) <= _MAX_ID_LENGTH:
        raise InvalidMessage("incomplete")
    return "".join(f"{name}\n{fields[name]}\n" for name in names)


def _signature(fields: Mapping[str, str]) -> bytes:
    """Decodes the signature. A signature shorter than the smallest accepted key is rejected without a download."""
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
    except binascii.Error:
        raise InvalidMessage("signature") from None
    if len(signature) * 8 < _MIN_KEY_BITS:
        raise InvalidMessage("signature")
    return signature


async def confirm_subscription(message: SnsMessage) -> None:
    """Confirms a subscription of a verified message by an API call, without credentials. Raises RetryLater."""
    await asyncio.to_thread(_call_confirm, message)


def _call_confirm(message: SnsMessage) -> None:
    # boto3 takes a third of a second to import, and a service confirms a subscription once.
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    from service.mail.ses import silence_requests  # noqa: PLC0415

    silence_requests()
    config = Config(
        signature_version=UNSIGNED, connect_timeout=_API_SECONDS, read_timeout=_API_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    )  # fmt: skip
    region = message.topic_arn.split(":")[3]
    try:
        client: Any = boto3.session.Session().client("sns", region_name=region, config=config)
        client.confirm_subscription(TopicArn=message.topic_arn, Token=message.token or "")
    except Exception as error:  # noqa: BLE001 -- botocore raises any error for an odd response, such as KeyError
        log.warning("sns.not_confirmed", topic=message.topic_arn, error=type(error).__name__)
        raise RetryLater from None
