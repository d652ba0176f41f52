"""Validation of texts from people: names, messages and language tags."""

from dataclasses import dataclass
from typing import Final

from babel import Locale, UnknownLocaleError

from service.errors import InvalidInput
from service.languages import Sentence, gettext_noop, sentence

_LONGEST_TAG: Final = 35  # RFC 5646 section 4.4.1


@dataclass(frozen=True, slots=True)
class Bounds:
    """The maximum length of a text in characters. `label` is the name of the field in sentences for people."""

    field: str
    label: str
    longest: int
    lines: bool = False


NAME = Bounds("name", gettext_noop("name"), 100)
MESSAGE = Bounds("message", gettext_noop("message"), 1000, lines=True)


def validated_text(text: str, bounds: Bounds) -> str:
    """Returns the trimmed text. Raises InvalidInput when it is empty, too long, or has control characters (H087)."""
    trimmed = text.strip()
    if not trimmed:
        raise InvalidInput(bounds.field, _empty(bounds))
    if len(trimmed) > bounds.longest:
        raise InvalidInput(bounds.field, _too_long(bounds, len(trimmed)))
    if not all(_printable(character, lines=bounds.lines) for character in trimmed):
        raise InvalidInput(bounds.field, _not_plain(bounds))
    return trimmed


def _empty(bounds: Bounds) -> Sentence:
    return sentence(
        "TEXT_EMPTY",
        "The %(field)s is empty; between 1 and %(longest)s characters were expected.",
        field=Sentence(bounds.label), longest=bounds.longest,
    )  # fmt: skip


def _too_long(bounds: Bounds, length: int) -> Sentence:
    return sentence(
        "TEXT_TOO_LONG",
        "The %(field)s has %(length)s characters; at most %(longest)s were expected.",
        field=Sentence(bounds.label), length=length, longest=bounds.longest,
    )  # fmt: skip


def _not_plain(bounds: Bounds) -> Sentence:
    return sentence(
        "TEXT_NOT_PLAIN",
        "The %(field)s has a control character or a line break where plain text was expected.",
        field=Sentence(bounds.label),
    )  # fmt: skip


def _printable(character: str, *, lines: bool) -> bool:
    return character.isprintable() or character in _INVISIBLE_BUT_FINE or (lines and character in "\n\r\t")


# Joiners shape names and emoji in many scripts. The mails neutralize them where they could mislead.
_INVISIBLE_BUT_FINE = "\u200c\u200d\u00a0\u202f\u3000"


def language_tag(locale: str | None) -> str | None:
    """Returns a language tag (BCP 47), or None for an empty one. Raises InvalidInput for a tag that Babel rejects.

    The language may have no catalogue. The mail then falls back (`service.languages.best_language`).
    """
    if not locale:
        return None
    try:
        if len(locale) <= _LONGEST_TAG:
            Locale.parse(locale, sep="-")
            return locale
    except (ValueError, UnknownLocaleError):
        pass
    reason = sentence("LANGUAGE_UNKNOWN", "The locale is no language tag; one like de or pt-BR was expected (BCP 47).")
    raise InvalidInput("locale", reason)
