"""The words of the pages: the English modules in static/words are the source, and the catalogues have the translations.

A module maps ids to English words, one a line. `make catalogues` extracts the words (`extract`), and the service builds the
modules of the other languages from the catalogues.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from service.languages import LANGUAGES, LOCALES, SOURCE, translations

TRANSLATED: Final = tuple(language for language in LANGUAGES if language != SOURCE)

_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_LINE: Final = re.compile(
    rf'^(?P<start>  "[\w.]+":\s+)'
    rf"(?:(?P<function>forms|inContext)\((?P<first>{_TEXT}), (?P<second>{_TEXT})\)|(?P<text>{_TEXT})),$",
    re.MULTILINE,
)
# The functions of the modules, and those of gettext with the same arguments.
_FUNCTIONS: Final = {"forms": "ngettext", "inContext": "pgettext"}


def extract(
    fileobj: IO[bytes], _keywords: object, _comment_tags: object, **_options: object
) -> Iterator[tuple[int, str | None, str | tuple[str, str], list[str]]]:
    """The words of a module, for Babel: line, function, message and comments."""
    source = fileobj.read().decode()
    for word in _LINE.finditer(source):
        line = source.count("\n", 0, word.start()) + 1
        if word["function"]:
            yield line, _FUNCTIONS[word["function"]], (json.loads(word["first"]), json.loads(word["second"])), []
        else:
            yield line, None, json.loads(word["text"]), []


def translated_module(english: Path, language: str) -> str:
    """The module of an English one in another language."""
    return _LINE.sub(lambda word: word["start"] + _translation(word, language) + ",", english.read_text("utf-8"))


def _translation(word: re.Match[str], language: str) -> str:
    catalogue = translations(language)
    if not word["function"]:
        return _quoted(catalogue.gettext(json.loads(word["text"])))
    first, second = json.loads(word["first"]), json.loads(word["second"])
    if word["function"] == "inContext":
        return _quoted(catalogue.pgettext(first, second))
    one, other = (catalogue.ngettext(first, second, count) for count in (1, 2))
    return f"forms({_quoted(one)}, {_quoted(other)})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def catalogue_files() -> list[Path]:
    """The catalogues that the modules are built from."""
    return [LOCALES / language / "LC_MESSAGES" / "guestlist.po" for language in TRANSLATED]
