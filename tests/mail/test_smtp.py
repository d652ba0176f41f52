"""Sending to a real SMTP server on loopback."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from service.addresses import Address
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid
from service.mail.mailbox import Mailbox
from service.mail.message import Mail
from service.mail.senders import open_sender, parse_mail_from
from service.mail.smtp import Encryption, SmtpSender, SmtpServer, open_smtp, parse_smtp_url
from service.mail.untrusted import plain_name
from service.settings import Settings
from tests.support.mail_servers import Certificates, SmtpServerOnLoopback, make_certificates, smtp_on_loopback

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
UNSUBSCRIBE = "https://id.example.com/unsubscribe/" + "t" * 43 + "/a-long-path-that-no-line-of-78-characters-could-hold"
LINK = "https://id.example.com/confirm#" + "k" * 43
MAIL = Mail(
    to=Address("bob@example.com"),
    subject="Zoë invites you to join Bücherclub",
    text=f"Zoë invites you.\n\n{LINK}\n",
    html=f'<p>Zoë invites you.</p><a href="{LINK}" ses:no-track>Open</a>\n',
    headers={"List-Unsubscribe": f"<{UNSUBSCRIBE}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    return certificates


def sender_to(
    server: SmtpServerOnLoopback,
    encryption: Encryption = "starttls where offered",
    login: tuple[str, str] | None = None,
    timeout: float = 5,
) -> SmtpSender:
    user, password = login or (None, None)
    server_settings = SmtpServer("127.0.0.1", server.port, encryption, user, password)
    return SmtpSender(server_settings, parse_mail_from("Das Büro <invites@example.com>"), lambda: NOW, timeout=timeout)


async def test_a_mail_arrives_as_one_message_with_both_parts_and_the_unsubscribe_headers() -> None:
    """H086: the envelope and To contain the canonical address byte for byte. There is no second recipient and no
    Reply-To.
    """
    async with smtp_on_loopback() as server:
        message_id = await sender_to(server).send(MAIL)
    (received,) = server.received
    message = received.message
    assert received.recipients == ["bob@example.com"]
    assert received.mail_from == "invites@example.com"
    assert b"\r\nTo: bob@example.com\r\n" in received.content
    assert message.get_all("To") == ["bob@example.com"]
    assert [name for name in message if name.lower() in {"cc", "bcc", "reply-to", "resent-to"}] == []
    assert message["From"] == "Das Büro <invites@example.com>"
    assert message["Subject"] == MAIL.subject
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == f"<{message_id}>"
    assert message_id.endswith("@example.com")
    assert message["Auto-Submitted"] == "auto-generated"
    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in received.content
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().replace("\r\n", "\n") == MAIL.html
    assert received.content.isascii()
    assert max(map(len, received.content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "to", ["bob+tag@example.com", "o'neil@example.com", "prvs=1a=bob@example.com", "{a}`$&@example.com"]
)
async def test_unusual_addresses_are_sent_unchanged(to: str) -> None:
    """H185: the envelope and To repeat the address byte for byte, without quotes and without decoding."""
    async with smtp_on_loopback() as server:
        await sender_to(server).send(replace(MAIL, to=Address(to)))
    assert server.received[0].recipients == [to]
    assert f"\r\nTo: {to}\r\n".encode() in server.received[0].content


async def test_a_mail_that_cannot_be_composed_is_refused_permanently() -> None:
    """H185: a text that cannot be encoded is refused before the server receives a mail."""
    async with smtp_on_loopback() as server:
        with pytest.raises(MailRefused, match="could not compose"):
            await sender_to(server).send(replace(MAIL, text="\ud800"))
    assert (server.received, server.reached["MAIL"]) == ([], 0)


@pytest.mark.parametrize(
    "subject",
    [
        "\u2068שלום עולם\u2069 le invita a unirse a «J. R. R. Tolkien»",
        "Åsa Müller 🚣 lädt Sie zu „日本語コミュニティ“ ein, und " + "noch ein langes Wörtchen " * 6 + "dazu",
        "A" * 60 + " invites you to join " + "B" * 60,
        plain_name("=?utf-8?b?d3d3LmV2aWwuY29t?=") + " invites you to join " + plain_name("=?utf-8?q?a=0Ab?="),
    ],
)
async def test_a_subject_arrives_unchanged(subject: str) -> None:
    """Mixed scripts, emoji, long lines, and names that imitate encoded words (RFC 2047) arrive unchanged."""
    async with smtp_on_loopback() as server:
        await sender_to(server).send(replace(MAIL, subject=subject))
    assert server.received[0].message["Subject"] == subject
    assert all(len(line) <= 78 for line in server.received[0].content.split(b"\r\n") if b"=?utf-8" in line)


@pytest.mark.parametrize(("tls", "encryption"), [("tls", "tls"), ("starttls", "starttls")])
async def test_mail_and_password_are_encrypted_in_transit(
    tls: str, encryption: Encryption, trusted: Certificates
) -> None:
    """With TLS or STARTTLS the server receives login and mail only over an encrypted connection."""
    login = ("mailer@example.com", "p:a/s%s#wörd")
    async with smtp_on_loopback(tls=tls, certificates=trusted, login=login) as server:  # type: ignore[arg-type]
        await sender_to(server, encryption, login).send(MAIL)
    assert [(received.encrypted, received.authenticated) for received in server.received] == [(True, True)]
    assert server.logins == [login]


async def test_a_server_without_starttls_gets_no_mail_and_no_password() -> None:
    """If STARTTLS is required, a server (or an attacker in between) that does not offer it gets nothing. The reason
    names the remedy.
    """
    async with smtp_on_loopback(login=("user", "secret")) as server:
        sender = sender_to(server, "starttls", ("user", "secret"))
        with pytest.raises(MailDeferred, match=r"offers no STARTTLS.*starttls=never") as caught:
            await sender.send(MAIL)
    assert server.received == []
    assert server.logins == []
    assert "secret" not in str(caught.value.reason)


async def test_a_loopback_mail_catcher_needs_no_starttls() -> None:
    """On loopback, smtp:// sends without STARTTLS to a server that does not offer it."""
    async with smtp_on_loopback() as server:
        await open_smtp(f"smtp://127.0.0.1:{server.port}", "invites@example.com", clock=lambda: NOW).send(MAIL)
    assert [received.encrypted for received in server.received] == [False]


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_an_untrusted_certificate_is_refused(tls: str, certificates: Certificates) -> None:
    """A server with an untrusted certificate gets no mail. The reason names SSL_CERT_FILE as the remedy."""
    async with smtp_on_loopback(tls=tls, certificates=certificates) as server:  # type: ignore[arg-type]
        with pytest.raises(MailDeferred, match="SSL_CERT_FILE"):
            await sender_to(server, "tls" if tls == "tls" else "starttls").send(MAIL)
    assert server.received == []


async def test_a_wrong_password_defers_the_mail() -> None:
    """A refused login (535) defers the mail. The reason names the setting and does not contain the password."""
    async with smtp_on_loopback(login=("user", "right")) as server:
        with pytest.raises(MailDeferred, match=r"refused the login \(535\).*GUESTLIST_MAIL_URL") as caught:
            await sender_to(server, login=("user", "wrong-secret")).send(MAIL)
    assert server.received == []
    assert "wrong-secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("step", "reply", "words"),
    [
        ("RCPT", "550 5.1.1 <bob@example.com> no such user", "no such mailbox"),
        ("RCPT", "552 5.2.2 over quota", "mailbox is full"),
        ("RCPT", "550 nothing more", r"\(550\).*check the address"),
        ("DATA", f"554 5.7.1 spam: {LINK} is on a list", "its rules do not allow it"),
    ],
)
async def test_a_permanent_answer_refuses_the_mail_with_our_reason(step: str, reply: str, words: str) -> None:
    """5xx for recipient or content is final. The server's text, which may quote the link, is not passed on."""
    async with smtp_on_loopback() as server:
        server.orders = {step: reply}  # type: ignore[dict-item]
        with pytest.raises(MailRefused, match=words) as caught:
            await sender_to(server).send(MAIL)
    assert server.received == []
    assert not caught.value.suppressed
    assert LINK not in str(caught.value.reason)
    assert "bob@" not in str(caught.value.reason)


@pytest.mark.parametrize(
    ("step", "reply", "throttled"),
    [
        ("RCPT", "450 4.2.0 greylisted, come back", False),
        ("RCPT", "421 4.7.0 too many", True),
        ("DATA", "452 4.3.1 disk full", False),
        ("MAIL", "451 4.3.0 later", False),
        ("MAIL", "550 5.7.1 not your sender", False),
    ],
)
async def test_a_temporary_error_defers_the_mail(step: str, reply: str, *, throttled: bool) -> None:
    """4xx, and a sender that the operator must correct, defer the mail. 421 lowers the send rate."""
    async with smtp_on_loopback() as server:
        server.orders = {step: reply}  # type: ignore[dict-item]
        sender = sender_to(server)
        with pytest.raises(MailDeferred) as caught:
            await sender.send(MAIL)
        assert server.received == []
        assert caught.value.throttled is throttled
        server.orders = {}
        await sender.send(MAIL)
    assert len(server.received) == 1


@pytest.mark.parametrize("step", ["EHLO", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("order", "words"), [("hang", "did not answer in time"), ("close", "closed the connection|is not taking")]
)
async def test_a_server_that_hangs_or_closes_in_mid_answer_defers_the_mail(step: str, order: str, words: str) -> None:
    """A missing or truncated answer defers the mail within the sender's timeout."""
    async with smtp_on_loopback() as server:
        server.orders = {step: order}  # type: ignore[dict-item]
        with pytest.raises(MailDeferred, match=words):
            async with asyncio.timeout(20):
                await sender_to(server, timeout=0.2 if order == "hang" else 5).send(MAIL)
    assert server.received == []


async def test_an_unreachable_server_is_named() -> None:
    """A closed port defers the mail with host and port in the reason. Doctor reports the same."""
    async with smtp_on_loopback() as server:
        port = server.port
    sender = sender_to(replace(server, port=port))
    with pytest.raises(MailDeferred, match=rf"127\.0\.0\.1:{port} cannot be reached") as caught:
        await sender.send(MAIL)
    assert await sender.findings() == [str(caught.value.reason)]


async def test_a_cancelled_send_closes_its_connection() -> None:
    """Cancelling a send, as a stopping worker does, leaves no open connection and no partly sent mail."""
    async with smtp_on_loopback() as server:
        server.orders = {"RCPT": "hang"}
        sending = asyncio.create_task(sender_to(server).send(MAIL))
        await server.connected.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert server.received == []


async def test_doctor_accepts_a_correct_server_and_sends_no_mail() -> None:
    """findings() connects and logs in, returns no finding, and sends no mail."""
    login = ("user", "right")
    async with smtp_on_loopback(login=login) as server:
        assert await sender_to(server, login=login).findings() == []
        (finding,) = await sender_to(server, login=("user", "wrong")).findings()
        assert "refused the login" in finding
        unencrypted = await sender_to(server, "none", login).findings()
    assert [("unencrypted" in line) for line in unencrypted] == [True]
    assert server.received == []


async def test_smtp_has_no_rate() -> None:
    """SMTP does not define a maximum send rate."""
    sender = open_smtp("smtp://mail.example.com", "invites@example.com", clock=lambda: NOW)
    assert await sender.rate() is None
    await sender.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 587, "starttls", None, None)),
        ("smtps://mail.example.com", SmtpServer("mail.example.com", 465, "tls", None, None)),
        (
            "smtp://us%40er:p%2Fa%23s@mail.example.com:2525",
            SmtpServer("mail.example.com", 2525, "starttls", "us@er", "p/a#s"),
        ),
        ("smtp://localhost:1025", SmtpServer("localhost", 1025, "starttls where offered", None, None)),
        ("smtp://[::1]:1025", SmtpServer("::1", 1025, "starttls where offered", None, None)),
        ("smtp://mailpit:1025?starttls=never", SmtpServer("mailpit", 1025, "none", None, None)),
    ],
)
def test_a_mail_url_is_parsed(url: str, expected: SmtpServer) -> None:
    """The URL defines ports, percent-encoded credentials and encryption. Encryption is the default."""
    assert parse_smtp_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "smtp://user:se/cret@mail.example.com",
        "smtp://user:secret@mail.example.com:port",
        "smtp://user:secret@mail.example.com?starttls=never",
        "smtp://user:secret@mail.example.com?starttls=maybe",
        "smtps://user:secret@mail.example.com?starttls=never",
        "smtp://user:secret@mail.example.com/folder",
    ],
)
def test_an_invalid_mail_url_is_refused_without_its_password(url: str) -> None:
    """The error names the setting, and no part of the password."""
    with pytest.raises(MailSettingsInvalid, match="GUESTLIST_MAIL_URL") as caught:
        parse_smtp_url(url)
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_server_shows_no_credentials() -> None:
    """The repr of a server, which appears in tracebacks, contains no user and no password."""
    text = repr(parse_smtp_url("smtp://someone:secret@mail.example.com"))
    assert "secret" not in text
    assert "someone" not in text


@pytest.mark.parametrize(
    "mail_from",
    [
        "", "no address", "a@b.example, c@d.example", "A <a@b.example>\nBcc: x@y.example", "<>",
        "=?utf-8?q?victim?=@b.example", "A <=?utf-8?q?victim?=@b.example>", "a@b。example", "A <a@ｂ.example>",
    ],
)  # fmt: skip
def test_a_sender_that_is_not_one_address_is_refused(mail_from: str) -> None:
    """MAIL_FROM is one address with or without a name. Anything else is refused, and the error names the setting."""
    with pytest.raises(MailSettingsInvalid, match="GUESTLIST_MAIL_FROM"):
        parse_mail_from(mail_from)


@pytest.mark.parametrize(
    ("mail_from", "name", "address"),
    [
        ("invites@example.com", "", "invites@example.com"),
        ("Das Büro <Invites@Example.COM>", "Das Büro", "Invites@example.com"),
        ('"Büro, Nord" <invites@bücher.example>', "Büro, Nord", "invites@xn--bcher-kva.example"),
        ("=?utf-8?q?B=C3=BCro?= <invites@example.com>", "Büro", "invites@example.com"),
        ("guestlist@localhost", "", "guestlist@localhost"),
    ],
)
def test_a_sender_is_parsed_with_or_without_a_name(mail_from: str, name: str, address: str) -> None:
    """Display names in any script and international domains are encoded as mail servers require."""
    sender = parse_mail_from(mail_from)
    assert (sender.display_name, sender.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "change",
    [
        {"to": "bob@example.com, eve@example.com"},
        {"to": "bob@example.com\r\nBcc: eve@example.com"},
        {"to": '"eve@example.com"@example.com'},
        {"to": "=?utf-8?q?eve?=@example.com"},
        {"to": "eve%example.com@example.org"},
        {"to": "BOB@example.com"},
        {"to": "bob@example.com>"},
        {"subject": "Hello\r\nBcc: eve@example.com"},
        {"subject": "Hello\u2028Bcc: eve@example.com"},
        {"headers": {"X-A": "1\nBcc: eve@example.com"}},
        {"headers": {"X-A\r\nBcc": "eve@example.com"}},
    ],
)
def test_a_mail_with_a_second_recipient_cannot_be_created(change: dict[str, str]) -> None:
    """H087: line breaks in headers and lists of addresses raise MailRefused before any sending."""
    with pytest.raises(MailRefused, match="was not sent"):
        replace(MAIL, **change)  # type: ignore[arg-type]


def test_a_mails_repr_hides_its_content() -> None:
    """The repr of a mail, which appears in logs, contains no part of the text and masks the address."""
    assert repr(MAIL) == "Mail(to='b•••@example.com', tags={})"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ses://eu-west-1?configuration_set=guestlist", "SesSender"),
        ("smtp://user:pass@mail.example.com:587", "SmtpSender"),
        ("smtps://mail.example.com", "SmtpSender"),
        ("mailbox:", "MailboxSender"),
    ],
)
async def test_the_mail_url_selects_the_sender(url: str, kind: str) -> None:
    """Each scheme has its sender. Opening a sender does not connect."""
    settings = Settings(mail_url=SecretStr(url), mail_from="invites@example.com", development=True)
    sender = open_sender(settings, mailbox=Mailbox())
    assert type(sender).__name__ == kind
    await sender.close()


def test_a_mailbox_exists_in_development_only() -> None:
    """Without a mailbox object, mailbox: is refused with a message."""
    with pytest.raises(MailSettingsInvalid, match="guestlist dev"):
        open_sender(Settings(mail_url=SecretStr("mailbox:"), development=True))


def test_a_missing_mail_url_is_named() -> None:
    """Without MAIL_URL there is no sender, and the error shows the valid forms."""
    with pytest.raises(MailSettingsInvalid, match=r"GUESTLIST_MAIL_URL.*ses://REGION"):
        open_sender(Settings(mail_from="invites@example.com", development=True))
