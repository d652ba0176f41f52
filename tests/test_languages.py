"""Languages: the catalogues are current and complete, a request's language is chosen, and sentences take it."""

import re
from datetime import UTC, date, datetime

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.pofile import read_po

from service.languages import (
    LANGUAGES,
    LOCALES,
    Sentence,
    best_language,
    gettext_noop,
    negotiated,
    ngettext_noop,
    translations,
)
from tests import ROOT

TRANSLATED = [language for language in LANGUAGES if language != "en"]
# %(name)s of Python and {name} of the pages.
PLACEHOLDERS = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")


def catalogue(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES" / "guestlist.po").open("rb") as source:
        return read_po(source, locale=language, abort_invalid=True)


def messages_of_the_source() -> set[tuple[str | None, str | tuple[str, ...]]]:
    """The messages and their contexts that `make catalogues` extracts: by the same files, and by the same keywords."""
    with (ROOT / "babel.cfg").open() as configuration:
        mapping, options = parse_mapping_cfg(configuration)  # type: ignore[no-untyped-call]
    extra = re.findall(r"-k (\S+)", (ROOT / "Makefile").read_text())
    keywords = {**DEFAULT_KEYWORDS, **parse_keywords(extra)}
    found = extract_from_dir(ROOT, mapping, options, keywords=keywords)
    return {
        (context, message if isinstance(message, str) else tuple(message))
        for _file, _line, message, _comments, context in found
    }


def forms(text: object) -> list[str]:
    return [str(form) for form in text] if isinstance(text, list | tuple) else [str(text)]


def faults(message: Message) -> list[str]:
    """The reasons why a message is not translated; a singular may spell out its number."""
    sources, translated = forms(message.id), forms(message.string)
    expected = set(PLACEHOLDERS.findall(sources[-1]))
    found = [set(PLACEHOLDERS.findall(form)) for form in translated]
    return [
        *(["empty"] if not all(translated) else []),
        *(["fuzzy"] if message.fuzzy else []),
        *(["forms"] if len(sources) != len(translated) else []),
        *(["placeholders"] if found[-1] != expected or not all(names <= expected for names in found) else []),
    ]


# ------------------------------------------------------------------------------------------------------ catalogues


@pytest.mark.parametrize("language", TRANSLATED)
def test_each_catalogue_translates_every_sentence_with_its_placeholders(language: str) -> None:
    """A catalogue has exactly the messages of the source, each translated, none fuzzy, with the same placeholders."""
    entries = {(message.context, message.id): message for message in catalogue(language) if message.id}
    source = messages_of_the_source()
    assert set(entries) == source, f"run `make catalogues`, and translate in {language}"
    assert len(entries) > 20
    assert {message: wrong for message, entry in entries.items() if (wrong := faults(entry))} == {}


@pytest.mark.parametrize(
    ("translated", "wrong"),
    [
        (Message("%(a)s is here", "%(a)s ist hier"), []),
        (Message("%(a)s is here", ""), ["empty", "placeholders"]),
        (Message("%(a)s is here", "%(b)s ist hier"), ["placeholders"]),
        (Message("{a} is here", "a ist hier"), ["placeholders"]),
        (Message("Here", "Hier", flags=["fuzzy"]), ["fuzzy"]),
        (Message(("one seat", "%(count)s seats"), ("ein Platz", "%(count)s Plätze")), []),
        (Message(("one seat", "%(count)s seats"), ("ein Platz", "")), ["empty", "placeholders"]),
        (Message(("one seat", "%(count)s seats"), ("ein Platz",)), ["forms", "placeholders"]),
    ],
)
def test_a_missing_or_damaged_translation_is_a_fault(translated: Message, wrong: list[str]) -> None:
    """The completeness test reports an empty translation, a fuzzy one, a missing form, and differing placeholders."""
    assert faults(translated) == wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogues_compile(language: str) -> None:
    """Each language's catalogue loads; English is the source and returns a message as it is."""
    assert (translations(language).gettext("Open the invitation") == "Open the invitation") is (language == "en")


# ------------------------------------------------------------------------------------------------------- negotiation


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-ch", "de"),
        ("fr-CA, fr;q=0.9, en;q=0.8", "fr"),
        ("ja, es;q=0.5, de;q=0.4", "es"),
        ("de;q=0.2, fr;q=0.9", "fr"),
        ("de;q=0.5, fr;q=0.5", "de"),
        ("de;q=0, fr;q=0.001", "fr"),
        ("de;q=0", "en"),
        ("en;q=0.1, *;q=0.5, de;q=0", "fr"),
        ("*", "en"),
        ("de;q=0.5, *;q=0.1", "de"),
        ("ja", "en"),
        ("de ; Q=1.000 , fr", "de"),
        ("deutsch, de_DE, de;q=2, de;q=1.5, de;level=1, es", "es"),
        ("i-klingon, x-de, zh-Hant-TW, es-419", "es"),
    ],
)
def test_accept_language_selects_the_best_catalogue(header: str, language: str) -> None:
    """RFC 9110 section 12.5.4: weights decide, then order; regional tags match their language; malformed ranges do not."""
    assert negotiated(header) == language


def test_lines_of_accept_language_are_one_list() -> None:
    """Several header lines count as one list (RFC 9110 section 5.2), and no line at all means English."""
    assert negotiated("ja", "fr;q=0.3", "es;q=0.4") == "es"
    assert negotiated() == "en"


@pytest.mark.parametrize(
    "header",
    [
        "ja," * 20 + "de",
        "x" * 1_000 + ",de",
        "de;q=" + "1" * 50_000,
        "," * 100_000,
        " " * 100_000 + "de",
        "de;q=0." + "0" * 100,
        "\x00de, ../de, de\u200b",
    ],
)
def test_hostile_accept_language_is_english(header: str) -> None:
    """Only the first 20 ranges and 1,000 characters of a header are read."""
    assert negotiated(header) == "en"


@pytest.mark.parametrize(
    ("preferred", "fallback", "language"),
    [
        ("de", "en", "de"),
        ("de-CH", "en", "de"),
        ("FR_ca", "en", "fr"),
        ("es-419", "de", "es"),
        ("pt-BR", "de-AT", "de"),
        (None, "fr", "fr"),
        ("tlh", "xx", "en"),
        ("", "", "en"),
        ("../../de", "en", "en"),
    ],
)
def test_the_best_language_is_chosen(preferred: str | None, fallback: str, language: str) -> None:
    """A regional tag selects its language, and an unknown tag the fallback's. Only known tags become a path."""
    assert best_language(preferred, fallback) == language


# --------------------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "12,000 and a, b, and c on December 1, 2026 at Dec 1, 2026, 09:05 UTC"),
        ("de", "12.000 and a, b und c on 1. Dezember 2026 at 01.12.2026, 09:05 UTC"),
        ("fr", "12\u202f000 and a, b et c on 1er décembre 2026 at 1 déc. 2026, 09:05 UTC"),
        ("es", "12.000 and a, b y c on 1 de diciembre de 2026 at 1 dic 2026, 09:05 UTC"),
    ],
)
def test_facts_take_the_form_of_the_language(language: str, text: str) -> None:
    """Numbers, lists, days and instants are written as the language writes them."""
    facts = {
        "number": 12_000,
        "list": ("a", "b", "c"),
        "day": date(2026, 12, 1),
        "at": datetime(2026, 12, 1, 9, 5, tzinfo=UTC),
    }
    message = "%(number)s and %(list)s on %(day)s at %(at)s"
    assert Sentence(message, facts=facts).text(language) == text


def test_a_sentence_may_hold_another_one() -> None:
    """A fact that is a sentence is translated too, and a sentence without facts may contain a percent sign."""
    button = Sentence(gettext_noop("Open the invitation"))
    assert Sentence("100% %% %s").text("de") == "100% %% %s"
    assert Sentence("<%(button)s>", facts={"button": button}).text("de") == "<Einladung öffnen>"


def test_count_selects_the_plural_form() -> None:
    """The fact `count` selects the form, and is written in it."""
    seats = ngettext_noop("%(count)s of 2 seats", "%(count)s of the seats")
    assert [str(Sentence(seats, facts={"count": count})) for count in (1, 2)] == ["1 of 2 seats", "2 of the seats"]
