"""Reads lists of invitees: addresses, recipients of a mail program, rows of a spreadsheet, and exports of address books.

The console has the same reader (static/console/invitee-list.js). tests/support/invitee_lists.py has the cases of both. Errors
name the line and the cause.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.csv_cells import unguarded
from service.invitations.invite import Invitee
from service.models import Role

_MOST_BYTES: Final = 20_000_000
_LONGEST_CELL: Final = 200  # lines of a quoted cell; a quotation mark that stays open longer is an error


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
    """Reads the rows of a file. `role` is the role of rows without one. Raises ListUnreadable."""
    entries = entries_in(_decoded(path))
    if not entries:
        raise ListUnreadable(f"{path} has no rows; lines like name@example.com were expected.")
    return [_invitee_row(entry, role) for entry in entries]


def _decoded(path: Path) -> str:
    """Decodes UTF-8, UTF-16 with a byte order mark, or else Windows-1252, as spreadsheets save them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ListUnreadable(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > _MOST_BYTES:
        raise ListUnreadable(f"{path} has {len(content)} bytes; at most {_MOST_BYTES} were expected.")
    encodings = ("utf-16",) if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ListUnreadable(f"{path} is no text; a list in UTF-8, such as a spreadsheet's `CSV UTF-8`, was expected.")


def _invitee_row(entry: "Entry", role: Role) -> InviteeRow:
    if entry.is_unreadable:
        problem = 'The quotation marks do not fit. Quote a whole cell ("..."), and double the quotation marks in it.'
        return InviteeRow(entry.line, entry.email, None, problem)
    named = entry.role.upper() or role.value
    if named not in Role.__members__:
        expected = ", ".join(known.lower() for known in Role)
        return InviteeRow(entry.line, entry.email, None, f"{entry.role!r} is no role; one of {expected} was expected.")
    return InviteeRow(
        entry.line, entry.email, Invitee(entry.email, Role(named), entry.message or None, entry.locale or None)
    )


# ------------------------------------------------------------------------------------------------------------- entries


@dataclass(frozen=True, slots=True)
class Entry:
    """The cells of one invitee as written, and the line on which the row begins. An unreadable row is its own `email`."""

    line: int
    email: str
    role: str = ""
    message: str = ""
    locale: str = ""
    is_unreadable: bool = False


def entries_in(text: str) -> list[Entry]:
    """The entries of a text, in order. A header row gives none."""
    rows = _rows(text)
    named = _NAMED_SEPARATOR.fullmatch(rows[0].text) if rows else None
    rows = rows[1:] if named else rows
    separator = named[1] if named else _separator_of(rows)
    columns = _columns(_cells(rows[0].text, separator) or []) if rows else None
    if columns is not None:
        return [entry for row in rows[1:] for entry in _table_row(row, separator, columns)]
    usual = next((at for row in rows if (at := _address_at(_cells(row.text, separator))) is not None), 0)
    return [entry for row in rows for entry in _free_row(row, separator, usual)]


def _free_row(row: "_Row", separator: str, usual: int) -> list[Entry]:
    """The entries of a row without a header: every recipient, or the cells from the first address on.

    The row may have another separator than the others. `usual` is the position of the address in other rows.
    """
    recipients = _recipients(row.text)
    if recipients:
        return [Entry(row.line, address) for address in recipients]
    separator = _best_separator(row.text, separator)
    at = _address_at(_cells(row.text, separator))
    return _table_row(row, separator, _columns_from(usual if at is None else at))


def _table_row(row: "_Row", separator: str, columns: dict[str, int]) -> list[Entry]:
    cells = None if row.is_open else _cells(row.text, separator)
    if cells is None:
        return [Entry(row.line, _trimmed(row.text), is_unreadable=True)]
    if not any(cells):
        return []
    named = {column: cells[at] for column, at in columns.items() if at < len(cells)}
    email, role, message, locale = (named.get(column, "") for column in _COLUMNS)
    # A row without an address shows its first cell, so that people recognise it.
    return [Entry(row.line, _address_in(email) or next(filter(None, cells)), role, message, locale)]


# ---------------------------------------------------------------------------------------------------------------- rows

# Blanks and invisible characters, which pasted text has around addresses. An invisible character inside an address stays, and
# makes it invalid: without it, the text would be another address.
_BLANK: Final = "\t\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_INVISIBLE: Final = "\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_EDGES: Final = re.compile(rf"^[\n{_BLANK}{_INVISIBLE}]+|[\n{_BLANK}{_INVISIBLE}]+$")
_LINE_BREAK: Final = re.compile(r"\r\n?|\n")
_SEPARATORS: Final = (",", ";", "\t")
_NAMED_SEPARATOR: Final = re.compile(
    r'"?sep=([,;\t])"?', re.IGNORECASE
)  # some spreadsheets begin a file with this line


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its first line. Quoted cells may have several lines. `is_open` means that a quotation mark stays open."""

    line: int
    text: str
    is_open: bool = False


def _trimmed(text: str) -> str:
    return _EDGES.sub("", text)


def _rows(text: str) -> list[_Row]:
    """The rows that are not blank."""
    lines = _LINE_BREAK.split(text.removeprefix("\ufeff"))
    found, at = [], 0
    while at < len(lines):
        length = _lines_of_row(lines[at : at + _LONGEST_CELL])
        found.append(_Row(at + 1, "\n".join(lines[at : at + (length or 1)]), is_open=not length))
        at += length or 1
    return [row for row in found if _trimmed(row.text)]


def _lines_of_row(lines: list[str]) -> int | None:
    """The number of lines up to the end of a row; None when a quoted cell does not end."""
    is_open = False
    for number, line in enumerate(lines, start=1):
        is_open = _is_open_after(line, is_open=is_open)
        if not is_open:
            return number
    return None


_OPENING: Final = re.compile(rf'(?:^|[,;\t])[{_BLANK}{_INVISIBLE}]*"')
_REST_OF_QUOTED: Final = re.compile(r'(?:[^"]|"")*("(?!"))?')


def _is_open_after(line: str, *, is_open: bool) -> bool:
    """Whether a quoted cell is open after a line. A quotation mark opens a cell only where a cell begins (RFC 4180)."""
    at = 0
    while True:
        if is_open:
            rest = _REST_OF_QUOTED.match(line, at)
            if rest is None or not rest[1]:
                return True
            at = rest.end()
        opening = _OPENING.search(line, at)
        if opening is None:
            return False
        at, is_open = opening.end(), True


def _separator_of(rows: list[_Row]) -> str:
    """The separator of the first row of a table."""
    texts = (row.text for row in rows if any(mark in row.text for mark in _SEPARATORS))
    return _best_separator(next((text for text in texts if not _recipients(text)), ""), ",")


def _best_separator(row: str, usual: str) -> str:
    """The separator that gives a header, or a cell with an address, or most cells; the usual one if others fit no better."""
    return max((usual, *_SEPARATORS), key=lambda separator: _fit(_cells(row, separator) or []))


def _fit(cells: list[str]) -> tuple[bool, bool, int]:
    return _columns(cells) is not None, _address_at(cells) is not None, len(cells)


def _cell_pattern(separator: str) -> re.Pattern[str]:
    """A cell: a quoted name before its address, a quoted cell, or text that begins with no quotation mark."""
    around = f"[{_BLANK}{_INVISIBLE}]*".replace(separator, "")
    named, quoted = rf'"[^"\n]*"{around}<[^<>\n]*>', r'"(?:[^"]|"")*"'
    plain = rf'(?!{around}")[^{separator}\n]*'
    return re.compile(f"{around}(?:(?P<named>{named})|(?P<quoted>{quoted})){around}|(?P<plain>{plain})")


_CELL: Final = {separator: _cell_pattern(separator) for separator in _SEPARATORS}


def _cells(row: str, separator: str) -> list[str] | None:
    """The cells of a row, unquoted and trimmed; None when its quotation marks do not fit."""
    cells, at = [], 0
    while True:
        cell = _CELL[separator].match(row, at)
        if cell is None:
            return None
        quoted = cell["quoted"]
        text = quoted[1:-1].replace('""', '"') if quoted else cell["named"] or cell["plain"] or ""
        cells.append(_trimmed(unguarded(_trimmed(text))))
        at = cell.end()
        if at == len(row):
            return cells
        if row[at] != separator:
            return None
        at += 1


# ----------------------------------------------------------------------------------------------------------- addresses

_PART: Final = rf'[^\n{_BLANK}{_INVISIBLE}<>,;:"()\\\[\]@]+'
_BARE: Final = re.compile(rf"(?:mailto:)?({_PART}@{_PART})", re.IGNORECASE)
_NAMED: Final = re.compile(r'(?:"[^"\n]*"|[^"<>@\n])*<([^<>\n]*@[^<>\n]*)>')
_RECIPIENTS: Final = re.compile(rf"(?:{_NAMED.pattern})+[;,{_BLANK}{_INVISIBLE}]*")
_PIECE: Final = re.compile(r'(?:"[^"\n]*"|[^";,\n])+')
_GAP: Final = re.compile(rf"[;,{_BLANK}]+")


def _recipients(row: str) -> list[str]:
    """The addresses of a row that has only recipients, such as "Smith, Ann" <ann@example.com>; bob@example.com."""
    text = _trimmed(row)
    if _RECIPIENTS.fullmatch(text):
        return [_trimmed(address) for address in _NAMED.findall(text)]
    for pieces in (_PIECE.findall(text), _GAP.split(text)):
        mailboxes = [_mailbox(_trimmed(piece)) for piece in pieces if _trimmed(piece)]
        addresses = [address for address in mailboxes if address is not None]
        if len(mailboxes) > 1 and len(addresses) == len(mailboxes):
            return addresses
    return []


def _mailbox(text: str) -> str | None:
    """The address of a text that is an address, or a name with an address in angle brackets."""
    found = _BARE.fullmatch(text) or _NAMED.fullmatch(text)
    return _trimmed(found[1]) if found else None


def _address_at(cells: list[str] | None) -> int | None:
    """The first cell with an address. People put names before it."""
    return next((at for at, cell in enumerate(cells or []) if _mailbox(cell) is not None), None)


def _address_in(cell: str) -> str:
    """The address of a cell as written. Google separates several values by three colons; the first one counts."""
    first = _trimmed(cell.split(" ::: ", maxsplit=1)[0])
    return _mailbox(first) or first


# ------------------------------------------------------------------------------------------------------------- columns

# The names of the columns in the languages of the pages and of address books. "Address" alone may be that of a house.
_MAIL: Final = (
    r"(primary |member |user )?e-?mail([ -]address)?( 1 - value)?|mail([ -]address)?|adresse[ -](e-?)?mail|e-?mail-?adresse"
    r"|mail-?adresse|adresse (de messagerie|électronique)|courriel|(direcci[oó]n de )?correo( electr[oó]nico)?"
)
_COLUMNS: Final = {
    "email": (_MAIL, "address|adresse|direcci[oó]n"),
    "role": ("role|rolle|r[oô]le|rol",),
    "message": ("message|nachricht|mensaje",),
    "locale": ("locale|language|sprache|langue|idioma",),
}
_MARK_OF_REQUIRED: Final = re.compile(r" *([\[(](required|erforderlich|obligatoire|obligatorio)[\])]|\*)$")


def _columns(cells: list[str]) -> dict[str, int] | None:
    """The position of each known column in a header; None when the row is no header."""
    if any("@" in cell for cell in cells):
        return None
    names = [_MARK_OF_REQUIRED.sub("", cell.lower()) for cell in cells]
    found = {field: _position(names, patterns) for field, patterns in _COLUMNS.items()}
    columns = {field: at for field, at in found.items() if at is not None}
    return columns if "email" in columns else None


def _position(names: list[str], patterns: tuple[str, ...]) -> int | None:
    at = (at for pattern in patterns for at, name in enumerate(names) if re.fullmatch(pattern, name))
    return next(at, None)


def _columns_from(at: int) -> dict[str, int]:
    """The columns of a row without a header whose address is at a position."""
    return {field: at + offset for offset, field in enumerate(_COLUMNS)}
