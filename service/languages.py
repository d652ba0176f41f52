"""Languages and their gettext catalogues: of the mails, of the sentences in the API, and of the pages.

English is the source. The catalogues are locales/LANGUAGE/LC_MESSAGES/guestlist.po; each is read and compiled when its
language is first needed. `make catalogues` updates them from the source (CONTRIBUTING.md).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final, overload

from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

SOURCE: Final = "en"
LANGUAGES: Final = (SOURCE, "de", "fr", "es")
LOCALES: Final = Path(__file__).parent / "locales"

_LONGEST_HEADER: Final = 1000  # characters; browsers send fewer than 100
_MOST_RANGES: Final = 20
# RFC 9110 section 12.5.4: a range of RFC 4647 section 2.1, and its weight (RFC 9110 section 12.4.2).
_RANGE: Final = re.compile(
    r"\s*(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


# ---------------------------------------------------------------------------------------------------------- choosing


def negotiated(*accept_language: str) -> str:
    """The best of LANGUAGES for the lines of an Accept-Language header: the highest weight, then the first; else English.

    `de-CH` accepts German (RFC 4647 section 3.4). A weight of 0 excludes a language. Malformed ranges are ignored, and so
    is everything beyond the first 20 ranges or 1,000 characters.
    """
    weights: dict[str, float] = {}
    for language, weight in _ranges(",".join(accept_language)):
        weights.setdefault(language, weight)
    anything = weights.pop("*", 0.0)
    accepted = {language: weight for language, weight in weights.items() if language in LANGUAGES and weight > 0}
    if anything > max(accepted.values(), default=0.0):
        accepted |= {language: anything for language in LANGUAGES if language not in weights}
    return max(accepted, key=lambda language: accepted[language], default=SOURCE)


def _ranges(header: str) -> list[tuple[str, float]]:
    parts = header[:_LONGEST_HEADER].split(",")[:_MOST_RANGES]
    found = (_RANGE.fullmatch(part) for part in parts)
    return [(match[1].split("-")[0].lower(), float(match[2] or 1)) for match in found if match]


def best_language(*tags: str | None) -> str:
    """The language of the first tag that has a catalogue (`de-CH` is `de`), else English."""
    for tag in tags:
        language = re.split(r"[-_]", tag or "", maxsplit=1)[0].lower()
        if language in LANGUAGES:
            return language
    return SOURCE


_current: ContextVar[str] = ContextVar("language", default=SOURCE)


def current_language() -> str:
    """The language of this context's reader: of its request, or of its connection. English outside requests."""
    return _current.get()


@contextmanager
def override_language(language: str) -> Iterator[None]:
    """Sets the language of this context, and of the tasks that are created in it."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


# -------------------------------------------------------------------------------------------------------- catalogues


@cache
def translations(language: str) -> NullTranslations:
    """The catalogue of one of LANGUAGES; English needs none."""
    if language == SOURCE:
        return NullTranslations()
    with (LOCALES / language / "LC_MESSAGES" / "guestlist.po").open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


# ---------------------------------------------------------------------------------------------------------- sentences


@dataclass(frozen=True, slots=True)
class Plural:
    """A message in the singular and in the plural; its fact `count` selects the form."""

    one: str
    other: str


Message = str | Plural


def gettext_noop(message: str) -> str:
    """Marks a message for the catalogues; it is translated where its reader's language is known."""
    return message


def ngettext_noop(one: str, other: str) -> Plural:
    """Marks a message with a plural form for the catalogues."""
    return Plural(one, other)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A message with its facts, not yet in a language. A sentence of the API has a stable `code`; part of one has none.

    Facts are texts, numbers, dates, instants (shown in UTC), further sentences, and tuples of these.
    """

    message: Message
    code: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text(SOURCE)

    def text(self, language: str) -> str:
        """The sentence in one of LANGUAGES."""
        catalogue = translations(language)
        message = self._translated(catalogue)
        if not self.facts and (not self.code or "%(" not in message):
            return message
        words = {name: _in_words(fact, language) for name, fact in self.facts.items()}
        return message % _Words(words, unknown=catalogue.gettext(_UNKNOWN))

    def _translated(self, catalogue: NullTranslations) -> str:
        if not isinstance(self.message, Plural):
            return catalogue.gettext(self.message)
        count = str(self.facts.get("count", ""))
        return catalogue.ngettext(self.message.one, self.message.other, int(count) if count.isdecimal() else 0)


_UNKNOWN: Final = gettext_noop("unknown")


class _Words(dict[str, str]):
    """The facts of a sentence in words. A fact that a row of another version lacks is "unknown"."""

    def __init__(self, words: Mapping[str, str], *, unknown: str) -> None:
        super().__init__(words)
        self._unknown = unknown

    def __missing__(self, name: str) -> str:
        return self._unknown


def sentence(code: str, message: Message, /, **facts: object) -> Sentence:
    """A sentence of the API: its stable code, its message, which is extracted for the catalogues, and its facts."""
    return Sentence(message, code, facts)


@overload
def localized(sentence: Sentence) -> str: ...
@overload
def localized(sentence: Sentence | None) -> str | None: ...
def localized(sentence: Sentence | None) -> str | None:
    """The sentence in the language of this context's reader; None for none."""
    return None if sentence is None else sentence.text(current_language())


def _in_words(fact: object, language: str) -> str:
    if isinstance(fact, Sentence):
        return fact.text(language)
    if isinstance(fact, tuple):
        return format_list([_in_words(part, language) for part in fact], locale=language)
    if isinstance(fact, datetime):
        return instant_in_words(fact, language)
    if isinstance(fact, date):
        return day_in_words(fact, language)
    return format_decimal(fact, locale=language) if isinstance(fact, int) else str(fact)


def day_in_words(day: date, language: str) -> str:
    """A day such as December 1, 2026. Babel writes the French first of a month without its "er"."""
    words = format_date(day, format="long", locale=language)
    return re.sub(r"^1 ", "1er ", words) if language == "fr" else words


def instant_in_words(instant: datetime, language: str) -> str:
    """An instant with date and time, in UTC."""
    utc = instant.astimezone(UTC)
    return f"{format_date(utc, locale=language)}, {format_time(utc, 'HH:mm', locale=language)} UTC"
