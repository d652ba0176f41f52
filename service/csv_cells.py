"""Cells of CSV files that no spreadsheet runs as a formula, and the way back to what they said."""

import re
from typing import Final

# What spreadsheets begin a formula with, the full-width forms among them (OWASP, CSV Injection).
_FORMULA: Final = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
# A spreadsheet that splits at semicolons or tabs loses count of the quotation marks, so a line break ends its row too.
_SPLIT: Final = re.compile(r"[;\t\r\n]")
_BEFORE: Final = re.compile(r"""(\A[;\s"]*|[;\s"]+)('?)""")
_DROPPED: Final = re.compile(r"'*[\t\r\n]")


def guarded(text: str) -> str:
    """The text with an apostrophe before each formula with which a cell begins, or could begin after a split (H193).

    Cells are safe in files that are split at commas, semicolons or tabs.
    """
    guarded = _BEFORE.sub(lambda found: f"{found[1]}'{found[2]}" if _begins_formula(found) else found[0], text)
    return f"'{guarded}" if _DROPPED.match(guarded) else guarded


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    text = text[1:] if text.startswith("'") and _DROPPED.match(text) else text
    return _BEFORE.sub(lambda found: found[1] if _begins_formula(found) else found[0], text)


def _begins_formula(found: re.Match[str]) -> bool:
    begins_cell = found.start() == 0 or _SPLIT.search(found[1]) is not None
    return begins_cell and _FORMULA.match(found.string, found.end(1)) is not None
