"""Amazon SNS for tests: notifications with real signatures, and their certificates."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from service.delivery.sns import RetryLater, canonical_text

TOPIC = "arn:aws:sns:eu-central-1:123456789012:guestlist"
CERTIFICATE_URL = (
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)


def certificate_of(key: rsa.RSAPrivateKey, *, now: datetime, days: int = 30) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@dataclass
class Sns:
    """Signs messages, serves certificates by URL, and records the fetched URLs."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    certificates: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificates[CERTIFICATE_URL] = certificate_of(self.key, now=datetime.now(UTC))

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self.certificates:
            raise RetryLater
        return self.certificates[url]

    def notification(self, event: Any, *, now: datetime, **changes: str) -> dict[str, str]:
        """Returns a signed Notification. `changes` are applied before signing."""
        content = event if isinstance(event, str) else json.dumps(event)
        return self.signed({"Type": "Notification", "Message": content, **_envelope(now), **changes})

    def confirmation(self, *, now: datetime, **changes: str) -> dict[str, str]:
        """Returns a signed SubscriptionConfirmation."""
        words = {
            "Type": "SubscriptionConfirmation",
            "Message": "You have chosen to subscribe to the topic.",
            "Token": "2336412f37fb687f5d51e6e2425c464de3c8d3d8ef6a7a5c",
            "SubscribeURL": "http://169.254.169.254/latest/meta-data/",
        }
        return self.signed({**words, **_envelope(now), **changes})

    def signed(self, fields: dict[str, str]) -> dict[str, str]:
        signature = self.key.sign(canonical_text(fields).encode(), PKCS1v15(), hashes.SHA256())
        return {**fields, "Signature": base64.b64encode(signature).decode()}


def _envelope(now: datetime) -> dict[str, str]:
    return {
        "MessageId": str(uuid4()),
        "TopicArn": TOPIC,
        "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }


def event(kind: str, order_id: str | None, *, message_id: str = "ses-1", **details: Any) -> dict[str, Any]:
    """Returns an event of SES about the mail of an order, in the format of its event publishing."""
    key = {"Delivery": "delivery", "DeliveryDelay": "deliveryDelay", "Bounce": "bounce", "Complaint": "complaint",
           "Reject": "reject", "Rendering Failure": "failure"}.get(kind, kind.lower())  # fmt: skip
    tags = {"ses:configuration-set": ["guestlist"]} | ({"order": [order_id]} if order_id else {})
    return {"eventType": kind, "mail": {"messageId": message_id, "tags": tags}, key: details}


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
