"""Canonical addresses and their comparison, with examples by hypothesis."""

import re
import string
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.policy import SMTP as SMTP_POLICY
from email.policy import compat32
from email.utils import getaddresses, parseaddr
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from aiosmtplib.email import quote_address
from hypothesis import example, given
from hypothesis import strategies as st

from service.addresses import Address, AddressInvalid, as_written, canonical, domain_of, mailbox_of, masked, same
from service.mail.message import Mail
from service.mail.senders import parse_mail_from
from service.mail.smtp import build_message
from service.models import Invitation, MailOrder
from tests.cli.test_invite_command import _guestlist
from tests.support.members import join_owner
from tests.support.service import Service

_LOCAL = st.text(string.ascii_letters + string.digits + "#$&'*+=^_`{}~", min_size=1, max_size=30)
_LABEL = st.text(string.ascii_letters + string.digits, min_size=1, max_size=20)
_DOMAIN = st.tuples(_LABEL, st.sampled_from(["com", "org", "Example", "co.uk"])).map(".".join)


@given(_LOCAL, _DOMAIN)
def test_canonical_is_lower_case_ascii_and_idempotent(local: str, domain: str) -> None:
    """H079: a plain address has one canonical form in lower-case ASCII, which is its own canonical form."""
    form = canonical(f"{local}@{domain}")
    assert form == f"{local}@{domain}".lower()
    assert form.isascii()
    assert canonical(form) == form


@given(_LOCAL, _LOCAL, _DOMAIN)
def test_addresses_differ_unless_only_case_differs(one: str, other: str, domain: str) -> None:
    """H080: only ASCII case is folded. Dots and plus tags count."""
    equal = same(canonical(f"{one}@{domain}"), canonical(f"{other}@{domain.upper()}"))
    assert equal == (one.lower() == other.lower())


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_rejected_with_a_sentence(text: str) -> None:
    """Any text becomes canonical ASCII with one @, or raises AddressInvalid with a sentence."""
    form, words = _canonical_or_words(text)
    assert (form is None) == (len(words) > 20)
    if form is None:
        return
    assert form.isascii()
    assert form == form.lower()
    assert form.count("@") == 1
    assert not set(form) & set(' \t\r\n,;<>()[]"\\\x00')


def _canonical_or_words(text: str) -> tuple[str | None, str]:
    try:
        return canonical(text), ""
    except AddressInvalid as refused:
        return None, str(refused)


@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.isascii()), _DOMAIN)
def test_local_parts_outside_ascii_are_rejected(local: str, domain: str) -> None:
    """H075: no character outside ASCII before the @ is mapped to an ASCII character."""
    with pytest.raises(AddressInvalid):
        canonical(f"{local}@{domain}")


@pytest.mark.parametrize(
    "text",
    [
        "mıke@github.com", "mi\u212ae@github.com", "ｍike@github.com", "victim＠example.com", "a@example.com,b@example.com",
        '"e@attacker.com"@victim.com', "user@example.com(x)evil.com", "Name <a@b.com>", "<a@b.com>", "a@[127.0.0.1]",
        "a@localhost", "a@b@c.com", "a b@c.com", "a@b.com\r\nBcc: x@y.com", "a@b.com\u2028", "a@ｅxample.com", "a@b..com",
        "a@-b.com", "a@b.com.", "@b.com", "a@", "", "a" * 65 + "@b.com", "a@" + "b" * 250 + ".com", "a@xn--a.com",
        ".a@b.com", "a.@b.com", "a..b@c.com", "a@b_c.com", "mailto:a@b.com", "a@example。com", "a@example．com",
        "a@example｡com", "a@--b.com", "a@ab--cd.com", "a@xn--abc-.com", "a@1.2.3.4", "a@127.1", "a@b.0x7f", "a@b.123",
        "a@.b.com", "a@[ipv6:::1]", "a@xn--maana-pta.c_m",
    ],
)  # fmt: skip
def test_complex_addresses_are_rejected(text: str) -> None:
    """H075, H077: look-alikes, lists, comments, quotes, display names, literals and injections are rejected."""
    with pytest.raises(AddressInvalid):
        canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "=?utf-8?q?victim?=@corp.example", "=?us-ascii?b?dmljdGlt?=@corp.example", "a=?utf-8?q?b?=@corp.example",
        "=?utf-8?q?x=40y.example=2C?=@corp.example", "bob?cc=eve=40x.example@corp.example", "bob?@corp.example",
        "victim%corp.example@relay.example", "bob%40x@corp.example", "host!victim@relay.example", "|prog@corp.example",
        "a|b@corp.example", "/var/mail/bob@corp.example", "/c=us/s=bob/@corp.example", "-oq/tmp@corp.example",
        "@relay.example:bob@corp.example", "<@relay.example,@b.example:bob@corp.example>", '"bob"@corp.example',
        "bob(victim)@corp.example", "bob.(x)victim@corp.example", "bob@corp.example.", "bob@corp..example",
        "bob@(x)corp.example", "bob @corp.example", "bob:victim@corp.example", "bob;victim@corp.example",
    ],
)  # fmt: skip
def test_ambiguous_spellings_are_rejected(text: str) -> None:
    """H185: encoded words, routes, pipes, files, options, comments and quoted parts are rejected."""
    with pytest.raises(AddressInvalid):
        canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "bob+tag@example.com", "o'neil@example.com", "first_last@example.com", "first.last@example.com", "b-o-b@example.com",
        "bounce+bob=example.org@example.com", "prvs=1234abcd=bob@example.com", "a/b@example.com", "#1&2@example.com",
        "bob@sub.example.co.uk", "bob@1.example.com", "123@example.com", "bob@xn--p1ai.xn--p1ai", "_@example.com",
    ],
)  # fmt: skip
def test_ordinary_addresses_are_valid(text: str) -> None:
    """Tags, apostrophes, underscores, VERP and digits are valid."""
    assert canonical(text) == text


_PIECES = [
    "=?utf-8?q?", "=?utf-8?b?", "?=", "=40", "=2C", "=20", "bob", "victim", "Y", "9", ".", "..", "+", "-", "_", "=", "?", "%",
    "!", "|", "/", "'", "*", "&", "#", "~", "{", "`", "^", "$", '"', "(", ")", "<", ">", "[", "]", "@", ",", ";", ":", " ",
    "\\", "\t", "\r\n", "\x00", "é",
]  # fmt: skip
_DOMAIN_PIECES = [
    "corp",
    "example",
    "com",
    "xn--",
    "xn--bcher-kva",
    "bücher",
    ".",
    "-",
    "1",
    "0x7f",
    "。",
    "．",
    "_",
    "[",
    "]",
    ":",
]


@given(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6).map("".join),
    st.one_of(st.just("corp.example"), st.lists(st.sampled_from(_DOMAIN_PIECES), min_size=1, max_size=5).map("".join)),
)
@example("=?utf-8?q?victim?=", "corp.example")
@example("o'neil+x=y.z", "corp.example")
def test_every_parser_reads_a_canonical_address_as_itself(local: str, domain: str) -> None:
    """H185: Python's parsers, an SMTP server's, an SMTP client's and our own message name exactly the one address."""
    try:
        address = canonical(f"{local}@{domain}")
    except AddressInvalid:
        return
    assert _readings(address) == {reader: [address] for reader in _readings(address)}


def _readings(address: Address) -> dict[str, list[str]]:
    """Returns the addresses that each parser finds."""
    header = SMTP_POLICY.header_factory("To", address)
    assert isinstance(header, AddressHeader)
    sender = parse_mail_from("Guestlist <invites@example.com>")
    mail = Mail(to=address, subject="Hello", text="Hello", html="<p>Hello</p>")
    content = build_message(mail, sender, "1@example.com", datetime.now(UTC)).as_bytes()
    smtpd: Any = SMTP._getaddr  # aiosmtpd's parser of RCPT TO, which reads a limit of its server
    readings = {
        "header": [one.addr_spec for one in header.addresses],
        "parseaddr": [parseaddr(address)[1]],
        "decoded": [str(make_header(decode_header(address)))],
        "aiosmtpd": [smtpd(SimpleNamespace(local_part_limit=0), f"<{address}> SIZE=1")[0]],
        "aiosmtplib": [quote_address(address).strip("<>")],
        "our message": [one.addr_spec for one in message_from_bytes(content, policy=SMTP_POLICY)["To"].addresses],
        "our message, older parser": [message_from_bytes(content, policy=compat32)["To"]],
        "getaddresses": [found for _, found in getaddresses([address])],
    }
    if "strict" in signature(getaddresses).parameters:
        lax: Any = getaddresses
        readings["getaddresses, not strict"] = [found for _, found in lax([address], strict=False)]
    return readings


@pytest.mark.anyio
async def test_encoded_word_is_not_invited(service: Service) -> None:
    """H185: inviteMember rejects the spelling. It creates no invitation and no mail."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        before = await Invitation.all().count(), await MailOrder.all().count()
        for email in ("=?utf-8?q?victim?=@corp.example", "victim%corp.example@relay.example"):
            answer = await owner.invite(community, email)
            assert answer["__typename"] == "InvalidEmail"
        assert (await Invitation.all().count(), await MailOrder.all().count()) == before


@pytest.mark.anyio
async def test_address_of_an_earlier_version_can_be_erased(service: Service) -> None:
    """H185: `guestlist erase` finds rows with addresses that are invalid today."""
    stored = "victim%corp.example@relay.example"
    async with service.browser() as owner:
        invited = await owner.invite(await join_owner(service, owner), "bob@example.com")
    await Invitation.filter(id=invited["invitation"]["id"]).update(email=stored)
    url = service.settings.database_url.get_secret_value()
    code, out, said = await _guestlist("erase", stored.upper(), url=url)
    assert (code, "1 invitations" in out) == (0, True), said
    assert not await Invitation.filter(email=stored).exists()
    code, _, said = await _guestlist("erase", "<bob@example.com>", url=url)
    assert (code, "email address" in said) == (2, True), said


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("bob@example.com", "bob+1@example.com", True),
        ("bob+1@example.com", "bob+2+3@example.com", True),
        ("b.o.b@gmail.com", "bob+x@googlemail.com", True),
        ("b.ob@example.com", "bob@example.com", False),
        ("bob@example.com", "bob@example.org", False),
        ("+a@example.com", "+b@example.com", False),
    ],
)
def test_mailbox_has_one_key(one: str, other: str, together: bool) -> None:
    """H186: the key ignores plus tags everywhere, and dots at Gmail. The addresses differ in every other respect."""
    first, second = canonical(one), canonical(other)
    assert (mailbox_of(first) == mailbox_of(second)) is together
    assert not same(first, second)


def test_international_domains_are_compared_as_a_labels() -> None:
    """H082: bücher.example is its A-label, in whichever form it is written; a homograph is another domain."""
    assert canonical("x@bücher.example") == canonical("X@XN--BCHER-KVA.example") == "x@xn--bcher-kva.example"
    assert canonical("x@xn--80ak6aa92e.com") != canonical("x@apple.com")
    assert domain_of(canonical("x@bücher.example")) == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("address", "shown"),
    [("anna@example.com", "a•••@example.com"), ("a@example.com", "•••@example.com"), ("ab@x.co", "a•••@x.co")],
)
def test_masked_addresses_show_the_first_letter(address: str, shown: str) -> None:
    """A masked address shows the first letter and the domain. An address with one letter shows only the domain."""
    assert masked(address) == shown


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"a b"@example.com', "in quotation marks"),
        ("a b@example.com", "not allowed: U+0020"),
        ("a(b)@example.com", "not allowed: ( and )"),
        ("a\n@example.com", "not allowed: U+000A"),
        (".a@example.com", "begins or ends with a period"),
        ("a..b@example.com", "two in a row"),
        ("a@localhost", "has no period"),
    ],
)
def test_rejected_address_names_its_fault(text: str, fault: str) -> None:
    """An admin reads the fault of an address, and the expected input."""
    with pytest.raises(AddressInvalid, match=re.escape(fault)):
        canonical(text)


@pytest.mark.parametrize(
    "domain",
    [
        "bücher.example", "müller-straße.de", "łódź.pl", "thạnh.vn", "почта.example", "россия.рф", "ελλάδα.gr", "שלום.co.il",
        "السعودية.sa", "日本語.jp", "ひらがな.jp", "例え.テスト", "한국.kr", "ไทย.th", "सभा.भारत", "xn--a.bücher.example",
    ],
)  # fmt: skip
def test_domains_are_shown_as_people_write_them(domain: str) -> None:
    """A label of one script is shown in Unicode, and means the same address when it is entered again."""
    if domain.startswith("xn--"):  # no A-label of IDNA 2008, stored by an earlier version
        assert as_written("a@xn--a.xn--bcher-kva.example") == "a@xn--a.bücher.example"
        return
    stored = canonical(f"alice@{domain}")
    assert as_written(stored) == f"alice@{domain}"
    assert canonical(as_written(stored)) == stored
    assert as_written(masked(stored)) == f"a•••@{domain}"
    assert as_written(domain_of(stored)) == domain


@pytest.mark.parametrize(
    "stored",
    [
        "xn--80ak6aa92e.com",  # "apple" in Cyrillic
        "xn--ypal-43d9g.com",  # "paypal" with two Cyrillic letters
        "xn--oogle-qmc.com",  # "google" with the script g
        "xn--stanbul-qfb.example",  # "istanbul" with a dotless i
        "xn--mxa.example",  # one Greek letter
        "xn--apple-6e1k07e.jp",  # Latin and Han
        "xn--a.com", "xn--.com", "XN--BCHER-KVA.example",
    ],
)  # fmt: skip
def test_imitated_domains_are_shown_in_ascii(stored: str) -> None:
    """H213: a label of several scripts, or of letters that pass for letters of ASCII, stays an A-label."""
    assert as_written(f"alice@{stored}") == f"alice@{stored}"


@given(st.text(max_size=12), st.sampled_from(["com", "рф", "xn--p1ai"]))
def test_every_written_form_is_the_same_address(label: str, top: str) -> None:
    """Each address that can be invited reads back from its written form."""
    try:
        stored = canonical(f"alice@{label}.{top}")
    except AddressInvalid:
        return
    assert canonical(as_written(stored)) == stored
