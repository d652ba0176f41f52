r"""The words of the mails: invitations, codes and notices, as text and as HTML, in four languages.

English is the source: each sentence below is a gettext message of the catalogues (`service.languages`).

Names and messages come from people, and a mail from this service must not be theirs to abuse (H087, H088):

- Control, format and bidirectional characters go, line breaks in names become spaces, lengths are bounded.
- Right-to-left names are isolated, so that they do not turn the sentence around.
- Mail programs make links of whatever looks like one, in the text part and in the HTML part, escaped or not:
  `evil.com`, `https://…`, `a@b.com`, `\\host\share`. No grammar of links has a space in it, so a hair space (U+200A)
  goes behind each dot, @, colon or doubled slash that could be part of one. "J.R.R. Tolkien" stays readable and the host
  of a link never comes about. Zero-width characters would not do: browsers drop them from host names (UTS #46).
- The invitee's own address is treated alike where it is odd: whoever invites chooses what stands behind its plus.
- Jinja escapes every value in the HTML part. Braces are kept apart as well: SES fills in `{{ses:openTracker}}`. And so
  is `=?`, with which a subject could say in code what it may not say in clear.

So the only links in a mail are the service's own: that of the invitation, of unsubscribing, of lifting a block, and the
service's front page. Each anchor carries `ses:no-track` (H095).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from babel.dates import format_time

from service.addresses import Address
from service.languages import best_language, day_in_words, translations
from service.mail.message import Mail
from service.templates import templates

Role = Literal["OWNER", "ADMIN", "MEMBER"]
Gettext = Callable[[str], str]

_TEMPLATES: Final = Path(__file__).parent / "templates"
_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})
_LONGEST_NAME: Final = 100
_LONGEST_NAME_IN_SUBJECT: Final = 60
_LONGEST_MESSAGE: Final = 1_000

_HAIR_SPACE: Final = "\u200a"
_JOINERS: Final = "\u200c\u200d"  # ZWNJ and ZWJ are spelling in Persian and make families of emoji
# Beside the ASCII characters: those that IDNA or a kind mail program would take for them.
_DOT: Final = r".\u3002\uff0e\uff61\u2024\ufe52"
_AT: Final = r"@\uff20\ufe6b"
_COLON: Final = r":\uff1a\ufe55\ua789"
_SLASH: Final = r"/\\\uff0f\uff3c\u2044\u2215\u29f8"
_PART_OF_A_LINK: Final = re.compile(
    rf"[{_DOT}{_AT}](?=\S)"  # host names and addresses
    rf"|(?<=[^\W\d_])[{_COLON}](?=\S)"  # schemes; 10:30 stays
    rf"|[{_SLASH}](?=[{_SLASH}])"  # //host and \\host
    r"|\{(?=\{)"  # what SES would fill in
    r"|=(?=\?)"  # encoded words of RFC 2047, which mail programs take apart in a subject
)
# Behind a plus, where whoever invites may have written anything, no dot; and nowhere what ends the host of a URL.
_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9._-]+(\+[A-Za-z0-9_-]*)?@[a-z0-9.-]+")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})


@dataclass(frozen=True, slots=True)
class InvitationFacts:
    """What an invitation's mail tells.

    `inviter_name` is None when the operator invites; `link_minutes` is the link's lifetime in minutes;
    `invitation_expires_at` is the invitation's own end, aware UTC; `fresh` marks a link that somebody asked for with an earlier one.
    """

    to: Address = field(repr=False)
    community_name: str
    inviter_name: str | None
    role: Role
    message: str | None = field(repr=False)
    link: str = field(repr=False)
    link_minutes: int
    invitation_expires_at: datetime
    unsubscribe_url: str | None = field(default=None, repr=False)
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """The facts of the mail with a code; `minutes` is the lifetime of the code."""

    to: Address = field(repr=False)
    code: str = field(repr=False)
    community_name: str
    minutes: int


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """The facts of the notice about a block; `undo_ends_at` is the end of the link that lifts it, aware UTC."""

    to: Address = field(repr=False)
    community_name: str
    undo_url: str = field(repr=False)
    undo_ends_at: datetime


@dataclass(frozen=True, slots=True)
class LinkedIdentityFacts:
    """The facts of the notice about an added sign-in; `provider` is its label, `at` the instant, aware UTC."""

    to: Address = field(repr=False)
    provider: str
    at: datetime
    service_url: str


def invitation_mail(
    facts: InvitationFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY
) -> Mail:
    """The mail with an invitation's link, in the language that fits `locale` (BCP 47) best."""
    language = best_language(locale, fallback)
    headers = _unsubscribe_headers(facts.unsubscribe_url)
    return _mail(facts.to, "invitation", _invitation_words(facts, language), tags, headers)


def code_mail(facts: CodeFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY) -> Mail:
    """The mail with the six-digit code that proves the invited mailbox. The subject does not show it: lock screens do."""
    return _mail(facts.to, "code", _code_words(facts, best_language(locale, fallback)), tags)


def address_blocked_mail(
    facts: BlockFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY
) -> Mail:
    """The notice that a link was used to block the invited address, with a link of its own that lifts the block."""
    return _mail(facts.to, "address_blocked", _block_words(facts, best_language(locale, fallback)), tags)


def identity_linked_mail(
    facts: LinkedIdentityFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY
) -> Mail:
    """The notice that a sign-in was added to an account, and what to do about a foreign one. No link in it acts."""
    return _mail(facts.to, "identity_linked", _linked_words(facts, best_language(locale, fallback)), tags)


def _mail(
    to: Address,
    template: str,
    words: Mapping[str, str],
    tags: Mapping[str, str],
    headers: Mapping[str, str] = _EMPTY,
) -> Mail:
    return Mail(
        to=to, subject=words["subject"], text=_render(f"{template}.txt", words), html=_render(f"{template}.html", words),
        headers=headers, tags=tags,
    )  # fmt: skip


def _invitation_words(facts: InvitationFacts, language: str) -> dict[str, str]:
    _ = _gettext(language)
    community = plain_name(facts.community_name) or _("a private community")
    inviter = plain_name(facts.inviter_name or "")
    who = {"inviter": inviter, "community": community}
    return {
        "language": language,
        "subject": _invitation_subject(facts, _),
        "community": community,
        "heading": _heading(_, inviter=bool(inviter)) % who,
        "lead": _lead(facts, _),
        "role": _role_words(facts.role, _),
        "attribution": _("%(inviter)s writes:") % who if inviter else _("A message for you:"),
        "message": plain_message(facts.message or ""),
        "button": _("Open the invitation"),
        "copy": _("Or copy this address into your browser:"),
        "link": facts.link,
        **_small_print(facts, language, _),
    }


def _invitation_subject(facts: InvitationFacts, _: Gettext) -> str:
    who = {
        "inviter": plain_name(facts.inviter_name or "", _LONGEST_NAME_IN_SUBJECT),
        "community": plain_name(facts.community_name, _LONGEST_NAME_IN_SUBJECT) or _("a private community"),
    }
    if facts.fresh:
        return _("Your fresh link to join %(community)s") % who
    return _heading(_, inviter=bool(who["inviter"])) % who


def _heading(_: Gettext, *, inviter: bool) -> str:
    if inviter:
        return _("%(inviter)s invites you to join %(community)s")
    return _("You are invited to join %(community)s")


def _lead(facts: InvitationFacts, _: Gettext) -> str:
    if not facts.fresh:
        return ""
    return _("Somebody asked for this fresh link with an earlier one.")


def _role_words(role: Role, _: Gettext) -> str:
    if role == "OWNER":
        return _("You would join as an owner, with every right in this community.")
    if role == "ADMIN":
        return _("You would join as an admin, who invites people and looks after the members.")
    return _("You would join as a member.")


def _small_print(facts: InvitationFacts, language: str, _: Gettext) -> dict[str, str]:
    validity = _("The link works for about %(minutes)d minutes after this mail arrives.")
    validity %= {"minutes": facts.link_minutes}
    return {
        "preview": validity,  # beside the subject in a list of mails: that it does not wait
        "validity": validity,
        "afterwards": _("Too late? Open it anyway: the page sends a fresh link to this mailbox."),
        "end": _("The invitation itself ends on %(date)s.") % {"date": _day(facts.invitation_expires_at, language)},
        "personal": _(
            "This invitation is for %(address)s. Nobody else can use this link: joining takes a sign-in with exactly that"
            " address."
        )
        % {"address": _shown_address(facts.to)},
        "decline": _("You do not want to join? Decline on the same page, or simply ignore this mail."),
        "unsubscribe": _("No more invitations to this address"),
        "unsubscribe_url": facts.unsubscribe_url or "",
    }


def _day(moment: datetime, language: str) -> str:
    """The day in UTC, in words."""
    return day_in_words(moment.astimezone(UTC).date(), language)


def _time(moment: datetime, language: str) -> str:
    return format_time(moment.astimezone(UTC).time(), format="HH:mm", locale=language)


def _code_words(facts: CodeFacts, language: str) -> dict[str, str]:
    _ = _gettext(language)
    community = plain_name(facts.community_name) or _("a private community")
    short = plain_name(facts.community_name, _LONGEST_NAME_IN_SUBJECT) or community
    return {
        "language": language,
        "subject": _("Your code for %(community)s") % {"community": short},
        "community": community,
        "heading": _("One more step to join %(community)s") % {"community": community},
        "preview": _("Enter this code in the browser in which you began:"),
        "instruction": _("Enter this code in the browser in which you began:"),
        "code": facts.code,
        "validity": _("The code works for %(minutes)d minutes, and only in that browser.") % {"minutes": facts.minutes},
        "secret": _(
            "Nobody will ever ask you for this code: not by phone, not by mail, not in a chat. Tell it to no one."
        ),
        "surprise": _("You did not just try to join? Then ignore this mail; without the code nothing happens."),
    }


def _block_words(facts: BlockFacts, language: str) -> dict[str, str]:
    _ = _gettext(language)
    community = plain_name(facts.community_name) or _("a private community")
    short = plain_name(facts.community_name, _LONGEST_NAME_IN_SUBJECT) or community
    address = _shown_address(facts.to)
    return {
        "language": language,
        "subject": _("%(community)s can no longer invite you") % {"community": short},
        "community": community,
        "heading": _("%(community)s can no longer invite you") % {"community": community},
        "preview": _("Somebody with the link of your invitation blocked this community."),
        "lead": _(
            "Somebody opened the link of your invitation to %(community)s, declined the invitation, and blocked further"
            " invitations from this community to %(address)s. This took the link alone: nobody signed in."
        )
        % {"community": community, "address": address},
        "yours": _("Was it you? Then there is nothing to do."),
        "foreign": _("It was not you, or you changed your mind? Lift the block on this page:"),
        "button": _("Lift the block"),
        "copy": _("Or copy this address into your browser:"),
        "link": facts.undo_url,
        "validity": _("The link works until %(date)s. After that, the operator of this service can lift the block.")
        % {"date": _day(facts.undo_ends_at, language)},
        "afterwards": _("The invitation stays declined until an admin of the community sends it again."),
    }


def _linked_words(facts: LinkedIdentityFacts, language: str) -> dict[str, str]:
    _ = _gettext(language)
    provider = plain_name(facts.provider) or _("a provider")
    return {
        "language": language,
        "subject": _("A sign-in was added to your account"),
        "community": "Guestlist",
        "heading": _("A sign-in was added to your account"),
        "preview": _("Since then, it opens your account too."),
        "lead": _("On %(date)s at %(time)s (UTC), a sign-in with %(provider)s was added. It opens your account too.")
        % {"date": _day(facts.at, language), "time": _time(facts.at, language), "provider": provider},
        "yours": _("Did you add it? Then there is nothing to do."),
        "foreign": _("You did not add it? Then somebody else can open your account. Do this now:"),
        "first": _("Sign in to this service, and open your account."),
        "service": facts.service_url,
        "second": _("Look at your sign-ins, and at the places where you are signed in."),
        "third": _("Sign out everywhere."),
        "fourth": _("Write to the operator of this service: name the sign-in that is not yours."),
        "harmless": _("No link in this mail changes anything."),
    }


def block_words(language: str, *, lifted: bool) -> dict[str, str]:
    """The words of the page behind the link that lifts a block, before and after its button was pressed."""
    _ = _gettext(language)
    if lifted:
        return {
            "title": _("The block is lifted"),
            "text": _("If the link still worked, the community can invite your address again."),
            "button": "",
            "next": _(
                "The invitation stays declined until an admin sends it again. Links in these mails work for 30 days;"
                " after that, the operator of this service can lift the block."
            ),
        }
    return {
        "title": _("Lift the block?"),
        "text": _("The community that the mail names could then invite your address again."),
        "button": _("Lift the block"),
        "next": _("Nothing has been changed yet."),
    }


def unsubscribe_words(language: str, *, stopped: bool) -> dict[str, str]:
    """The words of the page behind a mail's unsubscribe link, before and after its button was pressed."""
    _ = _gettext(language)
    if stopped:
        return {
            "title": _("No more invitations"),
            "text": _("No more invitations will be sent to this address."),
            "button": "",
            "next": _("You may close this page. If you change your mind, tell the person who wants to invite you."),
        }
    return {
        "title": _("Stop invitations to this address?"),
        "text": _("No more invitations would be sent to the address at which you found this link."),
        "button": _("Stop them"),
        "next": _("Nothing has been changed yet."),
    }


def _unsubscribe_headers(url: str | None) -> dict[str, str]:
    """RFC 8058 section 3.1: a one-click POST to the https address beside the older header."""
    if not url:
        return {}
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def plain_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name on one line that is no link and turns no sentence around (H087, H088); empty when nothing is left."""
    line = " ".join(_visible(name).split())
    if not line.strip(_JOINERS + " "):
        return ""
    return _isolated(_unlinked(_shortened(line, longest)))


def plain_message(message: str) -> str:
    """A message of at most 1,000 characters that is no link: lines stay, blank ones at most one in a row."""
    lines = "\n".join(" ".join(line.split()) for line in _visible(message).split("\n"))
    return _unlinked(re.sub(r"\n{3,}", "\n\n", lines).strip()[:_LONGEST_MESSAGE])


def _visible(text: str) -> str:
    lines = re.sub(r"\r\n?|[\v\f\x85\u2028\u2029]", "\n", text)
    return "".join(character for character in unicodedata.normalize("NFC", lines) if _is_visible(character))


def _is_visible(character: str) -> bool:
    return character in "\n\t" or character in _JOINERS or unicodedata.category(character)[0] != "C"


def _unlinked(text: str) -> str:
    return _PART_OF_A_LINK.sub(lambda found: found.group() + _HAIR_SPACE, text)


def _shown_address(address: Address) -> str:
    """As it is, unless a link could hide in it; no line breaks at the narrow spaces that it gets then."""
    if _PLAIN_ADDRESS.fullmatch(address):
        return address
    return _unlinked(address).replace(_HAIR_SPACE, "\u202f")


def _isolated(text: str) -> str:
    """Between FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE where a letter reads from the right."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"\u2068{text}\u2069"
    return text


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


@cache
def _gettext(language: str) -> Gettext:
    return translations(language).gettext


def _render(template: str, words: Mapping[str, str]) -> str:
    return templates(_TEMPLATES).get_template(template).render(words)
