"""The texts of the mails: complete in each language, and safe against hostile community names and messages."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.addresses import Address
from service.languages import LANGUAGES
from service.mail.message import Mail
from service.mail.texts import (
    BlockFacts,
    CodeFacts,
    InvitationFacts,
    LinkedIdentityFacts,
    address_blocked_mail,
    code_mail,
    identity_linked_mail,
    invitation_mail,
)
from service.mail.untrusted import plain_message, plain_name

BOB = Address("bob@example.com")
TOKEN = "k_-" + "K" * 40
LINK = f"https://id.example.com/confirm#{TOKEN}"
UNSUBSCRIBE = "https://id.example.com/unsubscribe/uuuuuuuuuuuu"
FACTS = InvitationFacts(
    to=BOB,
    community_name="Book Club",
    inviter_name="Alice",
    role="MEMBER",
    message="Hello Bob,\nwelcome!",
    link=LINK,
    link_minutes=10,
    invitation_expires_at=datetime(2026, 12, 1, 22, 30, tzinfo=UTC),
    unsubscribe_url=UNSUBSCRIBE,
)
UNDO = "https://id.example.com/blocks/bbbbbbbbbbbb"
SERVICE = "https://id.example.com"
BLOCK = BlockFacts(BOB, "Book Club", UNDO, datetime(2026, 12, 31, 22, 30, tzinfo=UTC))
LINKED = LinkedIdentityFacts(
    BOB, "Example ID", datetime(2026, 12, 1, 2, 5, tzinfo=timezone(timedelta(hours=3))), SERVICE
)
# Texts that mail programs turn into links: a host, an address, a scheme, two slashes, with any dot of IDNA.
LINKLIKE = re.compile(r"\S[.。．｡․@＠](?=\S)|(?<=[^\W\d_])[:：](?=\S)|[/\\]{2}")


class Reader(HTMLParser):
    """Collects the anchors, the other tags and the visible text of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden += tag in {"style", "title"}
        if tag == "a":
            self.anchors.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def without_our_links(text: str) -> str:
    """Removes our links, and the invitee's address, which a mail program may turn into a link."""
    for ours in (LINK, UNSUBSCRIBE, UNDO, SERVICE, BOB):
        text = text.replace(ours, "")
    return text


def mails() -> Iterator[Mail]:
    for language in LANGUAGES:
        for role in ("OWNER", "ADMIN", "MEMBER"):
            yield invitation_mail(replace(FACTS, role=role), locale=language)
        yield invitation_mail(replace(FACTS, inviter_name=None, fresh=True, message=None), locale=language)


# ------------------------------------------------------------------------------------------------------- languages


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_no_english_is_left_in_a_translated_mail(language: str) -> None:
    """Every sentence of a translated mail differs from the English one, except names, links, dates and codes."""
    facts = replace(FACTS, fresh=True, role="ADMIN")
    kept = {"Book Club", LINK, UNSUBSCRIBE, UNDO, SERVICE, "407152", "> Hello Bob,", "> welcome!", ""}
    for english, translated in (
        (invitation_mail(facts, locale="en"), invitation_mail(facts, locale=language)),
        (
            code_mail(CodeFacts(BOB, "407152", "Book Club", 10), locale="en"),
            code_mail(CodeFacts(BOB, "407152", "Book Club", 10), locale=language),
        ),
        (address_blocked_mail(BLOCK, locale="en"), address_blocked_mail(BLOCK, locale=language)),
        (identity_linked_mail(LINKED, locale="en"), identity_linked_mail(LINKED, locale=language)),
    ):
        assert set(english.text.splitlines()) & set(translated.text.splitlines()) <= kept
        assert f'<html lang="{language}">' in translated.html


@pytest.mark.parametrize(
    ("language", "subject", "end"),
    [
        ("en", "Alice invites you to join Book Club", "December 1, 2026"),
        ("de", "Alice lädt Sie zu „Book Club“ ein", "1. Dezember 2026"),
        ("fr", "Alice vous invite à rejoindre «\xa0Book Club\xa0»", "1er décembre 2026"),
        ("es", "Alice le invita a unirse a «Book Club»", "1 de diciembre de 2026"),
    ],
)
def test_subject_and_date_use_the_invitees_language(language: str, subject: str, end: str) -> None:
    """The subject names inviter and community, and the invitation's end is formatted for the language."""
    mail = invitation_mail(FACTS, locale=language)
    assert mail.subject == subject
    assert end in mail.text
    assert end in Reader(mail.html).text


# --------------------------------------------------------------------------------------------------------- contents


def test_both_parts_have_the_same_contents() -> None:
    """The HTML part contains the text part's contents, for every language and role."""
    for mail in mails():
        html = Reader(mail.html).text
        for line in mail.text.splitlines():
            sentence = " ".join(line.removeprefix("> ").split())
            if sentence != UNSUBSCRIBE:
                assert sentence in html, sentence


def test_an_invitation_contains_the_required_facts() -> None:
    """The mail names inviter, community and role, and quotes the message. It gives the link's minutes, the way to a
    fresh link, the link's owner, the deadline and the way to decline.
    """
    text = invitation_mail(replace(FACTS, role="ADMIN"), locale="en").text
    for words in (
        "Alice invites you to join Book Club",
        "as an admin",
        "> Hello Bob,\n> welcome!",
        "about 10 minutes after this mail arrives",
        "sends a fresh link to this mailbox",
        "This invitation is for bob@example.com. Nobody else can use this link",
        "ends on December 1, 2026",
        "Decline on the same page",
        "No more invitations to this address",
    ):
        assert words in text
    assert re.findall(r"\d\d:\d\d", text) == []


def test_an_operators_invitation_names_no_inviter() -> None:
    """Without an inviter the mail invents no name. Without message and unsubscribe link it has no gaps for them."""
    mail = invitation_mail(replace(FACTS, inviter_name=None, message=None, unsubscribe_url=None), locale="en")
    assert mail.subject == "You are invited to join Book Club"
    assert "None" not in mail.text
    assert "writes" not in mail.text
    assert "No more" not in mail.text
    assert mail.headers == {}
    assert len(Reader(mail.html).anchors) == 2


def test_a_fresh_link_says_that_it_was_requested() -> None:
    """A fresh link's mail begins with its reason, and its subject differs from the invitation's."""
    mail = invitation_mail(replace(FACTS, fresh=True), locale="en")
    assert mail.subject == "Your fresh link to join Book Club"
    assert "Somebody asked for this fresh link with an earlier one." in mail.text


def test_a_block_notice_names_no_author_and_offers_the_undo() -> None:
    """H175: the notice says that the link alone made the block. Its one link lifts the block until the stated day."""
    for language in LANGUAGES:
        mail = address_blocked_mail(BLOCK, locale=language)
        assert "Book Club" in mail.subject
        assert BOB in mail.text
        assert mail.text.splitlines().count(UNDO) == 1
        page = Reader(mail.html)
        assert [anchor["href"] for anchor in page.anchors] == [UNDO, UNDO]
        assert all("ses:no-track" in anchor for anchor in page.anchors)
        assert mail.headers == {}
        for line in filter(None, mail.text.splitlines()):
            assert " ".join(line.split()) in page.text
    text = address_blocked_mail(BLOCK, locale="en").text
    assert "Somebody opened the link" in text
    assert "nobody signed in" in text
    assert "December 31, 2026" in text


def test_a_notice_of_a_sign_in_names_it_and_the_time() -> None:
    """The notice names the provider and the time in UTC, and gives advice. Its one link leads to the front page."""
    for language in LANGUAGES:
        mail = identity_linked_mail(LINKED, locale=language)
        assert "Example ID" in mail.text
        assert "23:05" in mail.text
        page = Reader(mail.html)
        assert [anchor["href"] for anchor in page.anchors] == [SERVICE]
        assert re.findall(r"https?://\S+", mail.text) == [SERVICE]
        for line in filter(None, mail.text.splitlines()):
            assert " ".join(re.sub(r"^\d\. ", "", line).split()) in page.text
    assert "November 30, 2026" in identity_linked_mail(LINKED, locale="en").text
    assert "Sign out everywhere." in identity_linked_mail(LINKED, locale="en").text


def test_the_link_has_its_own_line() -> None:
    """The text part contains the link exactly once, unwrapped on one line."""
    for mail in mails():
        assert mail.text.splitlines().count(LINK) == 1
        assert mail.text.count(TOKEN) == 1


def test_all_links_are_ours_and_untracked() -> None:
    """H095: button and copy line lead to the invitation, and one anchor unsubscribes. Each has ses:no-track. The mail
    fetches no resource.
    """
    for mail in mails():
        page = Reader(mail.html)
        assert [anchor["href"] for anchor in page.anchors] == [LINK, LINK, UNSUBSCRIBE]
        assert all("ses:no-track" in anchor for anchor in page.anchors)
        assert {"img", "link", "script", "iframe", "form", "video", "object"}.isdisjoint(page.tags)
        assert "url(" not in mail.html
        assert "@import" not in mail.html
        assert page.text.count(LINK) == 1


def test_unsubscribing_takes_one_click() -> None:
    """RFC 8058: a mail with an unsubscribe link has both headers."""
    assert invitation_mail(FACTS, locale="en").headers == {
        "List-Unsubscribe": f"<{UNSUBSCRIBE}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_tags_and_recipient_are_passed_unchanged() -> None:
    """H086: the mail has exactly the recipient of the facts, and the caller's tags."""
    mail = invitation_mail(FACTS, locale="de", tags={"order": "o1"})
    assert (mail.to, mail.tags) == (BOB, {"order": "o1"})


def test_a_code_is_in_both_parts_and_not_in_the_subject() -> None:
    """The code has its own line. The mail calls it secret and bound to the same browser, and no lock screen
    shows it.
    """
    for language in LANGUAGES:
        mail = code_mail(CodeFacts(BOB, "407152", "Book Club", 10), locale=language)
        assert "407152" in mail.text.splitlines()
        assert "407152" in Reader(mail.html).text
        assert "407152" not in mail.subject
        assert "Book Club" in mail.subject
        assert Reader(mail.html).anchors == []
        assert "407152" not in repr(mail)
    assert "in which you began" in code_mail(CodeFacts(BOB, "407152", "Book Club", 10), locale=None).text
    assert "Nobody will ever ask you" in code_mail(CodeFacts(BOB, "407152", "Book Club", 10), locale=None).text


def test_facts_do_not_show_link_address_or_message() -> None:
    """The repr of the facts, which appears in tracebacks, contains no secret."""
    text = repr(FACTS)
    assert [secret for secret in (TOKEN, "bob@", "Hello", UNSUBSCRIBE) if secret in text] == []


# -------------------------------------------------------------------------------------------------------- injection


@pytest.mark.parametrize(
    "name",
    [
        "Alice\r\nBcc: eve@evil.com",
        "Alice\u2028Bcc: eve",
        "Alice\x00\x1b[31m\x85Red",
        "<a href='https://evil.com'>free</a>",
        '"><img src=x onerror=alert(1)><style>*{display:none}</style>',
        "\u202egro.live\u202c",
        "https://evil.com/login",
        "evil。com pay@evil．com",
        "{{ses:openTracker}} %(link)s {{ link }}",
        "=?utf-8?b?d3d3LmV2aWwuY29t?=",
        "\ud800 lone",
        "\\\\evil\\share",
        "tel:+4930123456 javascript:alert(1)",
    ],
)
def test_a_hostile_name_is_plain_text(name: str) -> None:
    """H087, H088: in subject, text and HTML the name is one line of plain words, without markup, links or templates."""
    facts = replace(FACTS, inviter_name=name, community_name=name, message=name)
    for mail in (
        invitation_mail(facts, locale="en"),
        code_mail(CodeFacts(BOB, "407152", name, 10), locale="de"),
        address_blocked_mail(replace(BLOCK, community_name=name), locale="en"),
        identity_linked_mail(replace(LINKED, provider=name), locale="en"),
    ):
        page = Reader(mail.html)
        assert len(mail.subject.splitlines()) == 1
        assert {anchor["href"] for anchor in page.anchors} <= {LINK, UNSUBSCRIBE, UNDO, SERVICE}
        assert {"img", "script"}.isdisjoint(page.tags)
        assert page.tags.count("style") == 1
        for text in (mail.subject, without_our_links(mail.text), without_our_links(page.text)):
            assert LINKLIKE.findall(text) == []
            assert "{{" not in text
            assert "=?" not in text
            assert [c for c in text if unicodedata.category(c)[0] == "C" and c not in "\n\u2068\u2069"] == []


@given(st.text(max_size=200))
def test_no_name_looks_like_a_link_or_has_a_second_line(name: str) -> None:
    """H087: for any text, a plain name is short, on one line, encodable, and does not look like a link."""
    plain = plain_name(name)
    assert LINKLIKE.findall(plain) == []
    assert len(plain.splitlines()) <= 1
    assert len(plain) <= 202
    plain.encode()
    assert re.findall("[\u202a-\u202e\u200e\u200f\u061c\ufeff]", plain) == []


@given(st.text(max_size=300))
def test_no_message_looks_like_a_link(message: str) -> None:
    """For any text, a plain message contains no lookalike of a link, no control character and no gap of many lines."""
    plain = plain_message(message)
    assert LINKLIKE.findall(plain) == []
    assert "\n\n\n" not in plain
    assert [c for c in plain if unicodedata.category(c) == "Cc" and c != "\n"] == []


@pytest.mark.parametrize("to", ["b.o-b@example.com", "bob+clubs_2@example.com"])
def test_an_ordinary_address_can_be_copied(to: str) -> None:
    """Both parts contain the invitee's address unchanged."""
    mail = invitation_mail(replace(FACTS, to=Address(to)), locale="en")
    assert f"This invitation is for {to}. " in mail.text
    assert f"This invitation is for {to}. " in mail.html


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("bob+www.evil.example@example.com", "bob+www.~evil.~example@~example.~com"),
        ("bob+evil.example/login@example.com", "bob+evil.~example/login@~example.~com"),
        ("evil.example/=bob@example.com", "evil.~example/=bob@~example.~com"),
    ],
)
def test_an_odd_address_is_not_a_link(to: str, expected: str) -> None:
    """The part after an address's plus is readable, and no mail program turns it into a link."""
    mail = invitation_mail(replace(FACTS, to=Address(to)), locale="en")
    for part in (mail.text, mail.html):
        assert expected.replace("~", "\u202f") in part
        assert to not in part


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Alice  Adams ", "Alice Adams"),
        ("Dr. Zoë O'Hara-Núñez", "Dr. Zoë O'Hara-Núñez"),
        ("J.R.R. Tolkien", "J.\u200aR.\u200aR. Tolkien"),
        ("Team 10:30", "Team 10:30"),
        ("👩‍👩‍👧 Familie", "👩‍👩‍👧 Familie"),
        ("مكتبة", "\u2068مكتبة\u2069"),
        ("\u200d\u200c \u200b", ""),
        ("\u202e\u2066", ""),
    ],
)
def test_an_honest_name_stays_readable(name: str, plain: str) -> None:
    """Spaces, accents, initials, times, emoji and right-to-left names are kept. A name without visible characters is
    empty.
    """
    assert plain_name(name) == plain


def test_missing_names_are_replaced_by_words() -> None:
    """Names without visible characters are replaced by words, so that sentences stay complete."""
    mail = invitation_mail(replace(FACTS, community_name="\u200b", inviter_name="\u202e"), locale="en")
    assert mail.subject == "You are invited to join a private community"


def test_long_names_are_cut_in_the_subject_and_whole_in_the_mail() -> None:
    """A subject contains at most 60 characters of each name. The heading contains all 100."""
    facts = replace(FACTS, inviter_name="A" * 100, community_name="B" * 100)
    mail = invitation_mail(facts, locale="en")
    assert mail.subject == f"{'A' * 59}… invites you to join {'B' * 59}…"
    assert f"{'A' * 100} invites you to join {'B' * 100}" in mail.text


def test_a_message_keeps_its_lines_and_every_line_is_quoted() -> None:
    """Line breaks of any kind are kept, and several blank lines become one. No line can pass for a sentence of the
    service.
    """
    facts = replace(FACTS, message="One\r\nTwo\u2028Three\n\n\n\n  Four\t4 ")
    mail = invitation_mail(facts, locale="en")
    assert "> One\n> Two\n> Three\n>\n> Four 4\n" in mail.text
    assert "One<br>\nTwo<br>\nThree<br>\n<br>\nFour 4\n" in mail.html
