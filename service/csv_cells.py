"""Cells of CSV files: guarding them against formulas in spreadsheets, and reading guarded cells."""

import re
from typing import Final

# Characters that begin a formula in spreadsheets, including the full-width forms (OWASP, CSV Injection).
_FORMULA: Final = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
# A spreadsheet that splits at semicolons or tabs ignores the quotation marks, so a line break also ends its row.
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
    """The text before `guarded` changed it."""
    text = text[1:] if text.startswith("'") and _DROPPED.match(text) else text
    return _BEFORE.sub(lambda found: found[1] if _begins_formula(found) else found[0], text)


def _begins_formula(found: re.Match[str]) -> bool:
    begins_cell = found.start() == 0 or _SPLIT.search(found[1]) is not None
    return begins_cell and _FORMULA.match(found.string, found.end(1)) is not None
