"""Reads lists of invitees from CSV files, which spreadsheets or people wrote. Errors name the line and the cause."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.csv_cells import unguarded
from service.invitations.invite import Invitee
from service.models import Role

_COLUMNS: Final = ("email", "role", "message", "locale")
_EMAIL_NAMES: Final = {"email", "e-mail", "mail", "address", "email address", "e-mail address"}
_MOST_BYTES: Final = 20_000_000
_DELIMITERS: Final = ",;\t"
_NAMED_DELIMITER: Final = re.compile(
    r"\ufeff?\"?sep=([,;\t])\"?\r?\n", re.IGNORECASE
)  # some spreadsheets begin a file with this line


class ListUnreadable(Exception):
    """Raised when a file is no list of invitees. The text names the error and the expected format."""


@dataclass(frozen=True, slots=True)
class InviteeRow:
    """A row of a list: its line in the file, and the invitee or the problem with the row."""

    line: int
    email: str
    invitee: Invitee | None
    problem: str = ""


def read_list(path: Path, *, role: Role) -> list[InviteeRow]:
    """Reads the rows of a CSV file: email[,role[,message]], with or without a header. `role` is the default role."""
    text = _decoded(path)
    rows = [(line, cells) for line, cells in _split(text) if any(cell.strip() for cell in cells)]
    if not rows:
        raise ListUnreadable(f"{path} is empty; lines like name@example.com were expected.")
    columns = _columns(rows[0][1])
    if columns is not None:
        rows = rows[1:]
        if not rows:
            raise ListUnreadable(f"{path} has a header and no rows; lines like name@example.com were expected.")
    return [_invitee_row(line, cells, columns or list(_COLUMNS), role) for line, cells in rows]


def _decoded(path: Path) -> str:
    """Decodes UTF-8 with or without a byte order mark, and UTF-16 with one, as spreadsheets save them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ListUnreadable(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > _MOST_BYTES:
        raise ListUnreadable(f"{path} has {len(content)} bytes; at most {_MOST_BYTES} were expected.")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ListUnreadable(
            f"{path} is not UTF-8 (line {line}); save it as CSV in UTF-8 (a spreadsheet's `CSV UTF-8`)."
        ) from None
    if "\0" in text:
        raise ListUnreadable(f"{path} has NUL characters, so it is no text; a CSV file in UTF-8 was expected.")
    return text


def _split(text: str) -> list[tuple[int, list[str]]]:
    """Returns the cells of each row, with the line on which the row begins."""
    named = _NAMED_DELIMITER.match(text)
    first = next((line for line in text.splitlines() if any(mark in line for mark in _DELIMITERS)), "")
    delimiter = named[1] if named else max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ListUnreadable(f"Line {line} is no CSV: {error}. A quotation mark may be unclosed.") from None
    return rows[1:] if named else rows


def _columns(cells: list[str]) -> list[str] | None:
    """Returns the columns of a header, or None when the first line is a row of data."""
    names = [cell.strip().lower() for cell in cells]
    if any("@" in name for name in names) or not set(names) & _EMAIL_NAMES:
        return None
    return ["email" if name in _EMAIL_NAMES else name for name in names]


def _invitee_row(line: int, cells: list[str], columns: list[str], role: Role) -> InviteeRow:
    row = {name: unguarded(cell).strip() for name, cell in zip(columns, cells, strict=False)}
    email = row.get("email", "")
    named = row.get("role", "").upper() or role.value
    if named not in Role.__members__:
        expected = ", ".join(known.lower() for known in Role)
        return InviteeRow(line, email, None, f"{row['role']!r} is no role; one of {expected} was expected.")
    invitee = Invitee(email, Role(named), row.get("message") or None, row.get("locale") or None)
    return InviteeRow(line, email, invitee)
