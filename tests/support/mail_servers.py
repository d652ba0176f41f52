"""Real mail services on loopback: an SMTP server, and an HTTP endpoint with the REST JSON of SES v2.

Both record received mails, and simulate faults.
"""

import asyncio
import json
import ssl
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# ------------------------------------------------------------------------------------------------------------- SMTP


@dataclass
class Received:
    """A mail that the SMTP server received."""

    mail_from: str
    recipients: list[str]
    content: bytes
    encrypted: bool
    authenticated: bool

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=default)


@dataclass
class SmtpServerOnLoopback:
    """An SMTP server with a fault for each step in `orders`.

    A fault is a reply line, "hang" (never answers), "wait" (answers once `released`) or "close" (closes the
    connection). With the prefix "accept", DATA takes the mail first. `reached` counts the steps.
    """

    port: int = 0
    login: tuple[str, str] | None = None
    orders: dict[Literal["MAIL", "RCPT", "DATA", "EHLO"], str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    reached: Counter[str] = field(default_factory=Counter)

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        await self._obey(server, "EHLO")
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._obey(server, "MAIL")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = await self._obey(server, "RCPT")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        accepts_first = self.orders.get("DATA", "").startswith("accept and ")
        reply = "2" if accepts_first else await self._obey(server, "DATA")
        if reply.startswith("2"):
            encrypted = _transport(server).get_extra_info("sslcontext") is not None
            self.received.append(
                Received(
                    str(envelope.mail_from), list(envelope.rcpt_tos), _bytes(envelope.content), encrypted,
                    bool(session.authenticated),
                )
            )  # fmt: skip
        return await self._obey(server, "DATA") if accepts_first else reply

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == self.login, handled=False)

    async def _obey(self, server: SMTP, step: Literal["MAIL", "RCPT", "DATA", "EHLO"]) -> str:
        self.reached[step] += 1
        order = self.orders.get(step, "250 OK").removeprefix("accept and ")
        if order == "wait":
            await self.released.wait()
            return "250 OK"
        if order == "hang":
            await asyncio.Event().wait()
        if order == "close":
            _transport(server).write(b"250-half an ans")
            _transport(server).close()
        return order


def _bytes(content: str | bytes | None) -> bytes:
    assert isinstance(content, bytes)
    return content


def _transport(server: SMTP) -> asyncio.Transport:
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport


@asynccontextmanager
async def smtp_on_loopback(
    *,
    tls: Literal["tls", "starttls"] | None = None,
    certificates: "Certificates | None" = None,
    login: tuple[str, str] | None = None,
) -> AsyncIterator[SmtpServerOnLoopback]:
    """Runs an SMTP server on 127.0.0.1 in this event loop. With `login`, it requires AUTH."""
    server = SmtpServerOnLoopback(login=login)
    context = certificates.server_context() if certificates else None
    serving: list[SMTP] = []

    def conversation() -> SMTP:
        server.connected.set()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")  # binds to loopback
            serving.append(
                SMTP(
                    server,
                    hostname="mail.test",
                    tls_context=context if tls == "starttls" else None,
                    require_starttls=tls == "starttls",
                    authenticator=server.authenticate if login else None,
                    auth_required=login is not None,
                    auth_require_tls=False,
                    loop=asyncio.get_running_loop(),
                )
            )
        return serving[-1]

    listening = await asyncio.get_running_loop().create_server(
        conversation, "127.0.0.1", 0, ssl=context if tls == "tls" else None
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for protocol in serving:
            if protocol.transport is not None:
                _transport(protocol).abort()
        tasks = [p._handler_coroutine for p in serving if p._handler_coroutine is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


@dataclass(frozen=True)
class Certificates:
    """A certificate authority for tests, and its certificate for localhost and 127.0.0.1."""

    authority: Path
    server: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def make_certificates(folder: Path) -> Certificates:
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    authority = _certificate(name, authority_key).add_extension(constraints, critical=True)
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    server = _certificate(server_name, server_key).issuer_name(name).add_extension(names, critical=False)
    made = Certificates(folder / "authority.pem", folder / "server.pem")
    made.authority.write_bytes(
        authority.issuer_name(name).sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    made.server.write_bytes(
        server.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


# -------------------------------------------------------------------------------------------------------------- SES


@dataclass
class SesFault:
    """An error in the format of SES."""

    status: int
    code: str
    message: str = "Something about secret.person@example.com"


@dataclass
class SesOnLoopback:
    """An endpoint with faults by path prefix.

    A fault is a SesFault, "hang" (never answers) or "close" (closes the connection). "accept and close" takes the mail
    first.
    """

    url: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: dict[str, SesFault | Literal["hang", "close", "nonsense", "accept and close"]] = field(default_factory=dict)
    account: dict[str, Any] = field(
        default_factory=lambda: {
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "EnforcementStatus": "HEALTHY",
            "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1.0},
        }
    )
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    configuration_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    event_destinations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]] | SesFault:
        *_, kind, name = ["", *path.removeprefix("/v2/email/").split("/")]
        if path == "/v2/email/outbound-emails":
            self.sent.append(json.loads(body))
            return 200, {"MessageId": f"ses-{len(self.sent)}"}
        if path == "/v2/email/account":
            return 200, self.account
        if name == "event-destinations":
            return 200, {"EventDestinations": self.event_destinations.get(kind, [])}
        if kind == "identities":
            return self._found(self.identities.get(unquote(name)))
        if kind == "configuration-sets":
            return self._found(self.configuration_sets.get(unquote(name)))
        return self._suppression(method, unquote(name))

    def _found(self, thing: dict[str, Any] | None) -> tuple[int, dict[str, Any]] | SesFault:
        return SesFault(404, "NotFoundException") if thing is None else (200, thing)

    def _suppression(self, method: str, address: str) -> tuple[int, dict[str, Any]] | SesFault:
        if address not in self.suppressed:
            return SesFault(404, "NotFoundException")
        if method == "DELETE":
            self.suppressed.remove(address)
            return 200, {}
        entry = {"EmailAddress": address, "Reason": "BOUNCE", "LastUpdateTime": 1_790_000_000}
        return 200, {"SuppressedDestination": entry}


class _SesConversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ses: SesOnLoopback

    def do_GET(self) -> None:
        self._converse()

    def do_POST(self) -> None:
        self._converse()

    def do_DELETE(self) -> None:
        self._converse()

    def log_message(self, *_: object) -> None:
        """Disables the log of requests."""

    def _converse(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.ses.requests.append((self.command, self.path))
        self.ses.bodies.append(body)
        fault = next((fault for path, fault in self.ses.faults.items() if self.path.startswith(path)), None)
        if isinstance(fault, str):
            if fault.startswith("accept and "):
                self.ses.answer(self.command, self.path, body)
            self._misbehave(fault.removeprefix("accept and "))
        elif self.path == "/" and fault is None:  # SNS answers in XML
            self._write_bytes(200, b"<r><ConfirmSubscriptionResult/></r>", {})
        else:
            self._write(fault or self.ses.answer(self.command, self.path, body))

    def _misbehave(self, order: str) -> None:
        self.close_connection = True
        if order == "hang":
            self.ses.released.wait(30)
        elif order == "nonsense":
            self._write_bytes(200, b"<html>not SES</html>", {})
        else:
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"MessageId": "half')

    def _write(self, answer: tuple[int, dict[str, Any]] | SesFault) -> None:
        if isinstance(answer, SesFault):
            body = json.dumps({"message": answer.message}).encode()
            self._write_bytes(answer.status, body, {"x-amzn-ErrorType": answer.code})
        else:
            self._write_bytes(answer[0], json.dumps(answer[1]).encode(), {})

    def _write_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            **headers,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def ses_on_loopback() -> Iterator[SesOnLoopback]:
    """Runs the endpoint on 127.0.0.1, in threads. AWS_ENDPOINT_URL must be its `url`."""
    ses = SesOnLoopback()

    conversation = type("_Conversation", (_SesConversation,), {"ses": ses})
    server = ThreadingHTTPServer(("127.0.0.1", 0), conversation)
    server.daemon_threads = True
    ses.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield ses
    finally:
        ses.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
