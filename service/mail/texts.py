"""The texts of the mails: invitations, codes and notices, as text and as HTML.

English is the source: each sentence below is a gettext message of the catalogues (`service.languages`). Texts from people go
through `service.mail.untrusted`, and Jinja escapes every value in the HTML part. A mail therefore contains only links of the
service: to the invitation, to unsubscribe, to lift a block, and to the front page. Each anchor has `ses:no-track` (H095).
"""

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
from service.mail.untrusted import plain_address, plain_message, plain_name
from service.templates import templates

Role = Literal["OWNER", "ADMIN", "MEMBER"]
Gettext = Callable[[str], str]

_TEMPLATES: Final = Path(__file__).parent / "templates"
_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})
_LONGEST_NAME_IN_SUBJECT: Final = 60


@dataclass(frozen=True, slots=True)
class InvitationFacts:
    """The facts of a mail with a link.

    `inviter_name` is None for invitations by the operator. `link_minutes` is the lifetime of the link, and
    `invitation_expires_at` the end of the invitation, aware UTC. `fresh` is set when an earlier link requested this one.
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
    """Returns the mail with an invitation's link, in the best language for `locale` (BCP 47)."""
    language = best_language(locale, fallback)
    headers = _unsubscribe_headers(facts.unsubscribe_url)
    return _mail(facts.to, "invitation", _invitation_words(facts, language), tags, headers)


def code_mail(facts: CodeFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY) -> Mail:
    """Returns the mail with the code that verifies the invited mailbox. Its subject, which lock screens show, omits the code."""
    return _mail(facts.to, "code", _code_words(facts, best_language(locale, fallback)), tags)


def address_blocked_mail(
    facts: BlockFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY
) -> Mail:
    """Returns the notice that a link was used to block the invited address, with a link that lifts the block."""
    return _mail(facts.to, "address_blocked", _block_words(facts, best_language(locale, fallback)), tags)


def identity_linked_mail(
    facts: LinkedIdentityFacts, *, locale: str | None, fallback: str = "en", tags: Mapping[str, str] = _EMPTY
) -> Mail:
    """Returns the notice that a sign-in was added to an account, with advice. It contains no link that acts."""
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
        "preview": validity,  # mail programs show it next to the subject
        "validity": validity,
        "afterwards": _("Too late? Open it anyway: the page sends a fresh link to this mailbox."),
        "end": _("The invitation itself ends on %(date)s.") % {"date": _day(facts.invitation_expires_at, language)},
        "personal": _(
            "This invitation is for %(address)s. Nobody else can use this link: joining takes a sign-in with exactly that"
            " address."
        )
        % {"address": plain_address(facts.to)},
        "decline": _("You do not want to join? Decline on the same page, or simply ignore this mail."),
        "unsubscribe": _("No more invitations to this address"),
        "unsubscribe_url": facts.unsubscribe_url or "",
    }


def _day(moment: datetime, language: str) -> str:
    """Formats the day in UTC."""
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
    address = plain_address(facts.to)
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


def _unsubscribe_headers(url: str | None) -> dict[str, str]:
    """Returns the headers of RFC 8058 section 3.1: the https address, and one-click POST."""
    if not url:
        return {}
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


@cache
def _gettext(language: str) -> Gettext:
    return translations(language).gettext


def _render(template: str, words: Mapping[str, str]) -> str:
    return templates(_TEMPLATES).get_template(template).render(words)
