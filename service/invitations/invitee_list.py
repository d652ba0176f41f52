"""Reads lists of invitees: addresses, recipients of a mail program, rows of a spreadsheet, and exports of address books.

The console has the same reader (static/console/list-reader.js). tests/support/invitee_lists.py has the cases of both. Errors
name the line and the cause.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

from service.csv_cells import unguarded
from service.invitations.invite import Invitee
from service.models import Role

_MOST_BYTES: Final = 20_000_000
_LONGEST_CELL: Final = 200  # lines of a quoted cell; a quotation mark that stays open longer is an error
_MOST_OPEN: Final = 50  # rows with a quotation mark that stays open; each costs a search for its end
_SAMPLE: Final = 100  # lines that decide on the separator
_EXPECTED: Final = "the columns email, role, message and locale"


class ListUnreadable(Exception):
    """Raised when a file is no list of invitees. The text names the error and the expected format."""


@dataclass(frozen=True, slots=True)
class InviteeRow:
    """A row of a list: its line in the file, and the invitee or the problem with the row."""

    line: int
    email: str
    invitee: Invitee | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """The cells of one invitee as written, and the line on which the row begins.

    `fault` is empty, or the reason for which the row cannot be used: "quotes" (its quotation marks do not fit), "cells" (it has
    more cells than columns), or "invisible" (the address has an invisible character). The text of a row with one of the first
    two faults is its `email`.
    """

    line: int
    email: str
    role: str = ""
    message: str = ""
    locale: str = ""
    fault: str = ""


@dataclass(slots=True)
class InviteeList:
    """The entries of a list, and the use of the columns of its header.

    `column` is the name of the column of addresses, or empty without a header. An export of contacts or users has many other
    columns: only the addresses are read, and `left_out` counts the rows without one.
    """

    entries: list[Entry] = field(default_factory=list)
    column: str = ""
    is_export: bool = False
    unused: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    left_out: int = 0


def read_file(path: Path) -> InviteeList:
    """Reads the entries of a file. Raises ListUnreadable for a file without rows, and for a column that a list cannot set."""
    found = list_in(_decoded(path))
    if found.unsupported:
        columns = ", ".join(map(repr, found.unsupported))
        raise ListUnreadable(f"{path} has the column {columns}, which no list can set; {_EXPECTED} were expected.")
    if not found.entries:
        raise ListUnreadable(f"{path} has no rows with addresses; lines like name@example.com were expected.")
    return found


def invitee_rows(entries: list[Entry], *, role: Role) -> list[InviteeRow]:
    """Returns the invitee of each entry, or its problem. `role` is the role of entries without one."""
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


def _invitee_row(entry: Entry, role: Role) -> InviteeRow:
    problem = _problem(entry)
    if problem:
        return InviteeRow(entry.line, entry.email, None, problem)
    named = Role(entry.role.upper() or role.value)
    return InviteeRow(entry.line, entry.email, Invitee(entry.email, named, entry.message or None, entry.locale or None))


def _problem(entry: Entry) -> str:
    if entry.fault == "quotes":
        return 'The quotation marks do not fit. Quote a whole cell ("..."), and double the quotation marks in it.'
    if entry.fault == "cells":
        return f"The row has more cells than columns; {_EXPECTED} were expected, with quotation marks around a text with commas."
    if entry.fault == "invisible":
        code = ord(next(character for character in entry.email if character in _INVISIBLE))
        return f"The address has an invisible character (U+{code:04X}); the address typed by hand was expected."
    if entry.role and not _is_role(entry.role):
        expected = ", ".join(known.lower() for known in Role)
        return f"{entry.role!r} is no role; one of {expected} was expected."
    return ""


# ---------------------------------------------------------------------------------------------------------------- list


def list_in(text: str) -> InviteeList:
    """Reads a text. A header gives no entry."""
    found = InviteeList()
    lines = _LINE_BREAK.split(text.removeprefix("\ufeff"))
    named = _NAMED_SEPARATOR.fullmatch(_trimmed(lines[0]))
    first = next((at for at, line in enumerate(lines) if _trimmed(line) and not (named and at == 0)), len(lines))
    if first == len(lines):
        return found
    separator = named[1] if named else None
    header, start = _header(lines, first, separator, found)
    if header is None:
        for row in _free_rows(lines, start, separator or _usual_separator(lines, start)):
            found.entries += _free_entries(row)
        return found
    for row in _table_rows(lines, start, header.separator):
        _add_table_entry(found, header, row)
    return found


_SEPARATORS: Final = (",", ";", "\t")
_LINE_BREAK: Final = re.compile(r"\r\n?|\n")
_NAMED_SEPARATOR: Final = re.compile(
    r'"?sep=([,;\t])"?', re.IGNORECASE | re.ASCII
)  # some spreadsheets begin a file with this line

# Blanks and invisible characters, which pasted text has around addresses. An invisible character inside an address stays, and
# makes it invalid: without it, the text would be another address.
_BLANK: Final = "\t\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_INVISIBLE: Final = (
    "\xad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2065\u2066"
    "\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)


def _trimmed(text: str) -> str:
    return text.strip(f"\n{_BLANK}{_INVISIBLE}")


def _usual_separator(lines: list[str], start: int) -> str:
    """The separator that leaves an address alone in a cell in most lines, or else is the most frequent one."""
    marked = [line for line in lines[start : start + _SAMPLE] if any(mark in line for mark in _SEPARATORS)]
    sample = [line for line in marked if not _recipients(line)]
    alone = {mark: sum(any(map(_is_address, line.split(mark))) for line in sample) for mark in _SEPARATORS}
    return max(_SEPARATORS, key=lambda mark: (alone[mark], sample[0].count(mark) if sample else 0))


# ---------------------------------------------------------------------------------------------------------------- rows

_Cells = list[str] | None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its first line. The cells are None when the quotation marks do not fit."""

    line: int
    text: str
    cells: _Cells

    @property
    def filled(self) -> list[str]:
        return [cell for cell in self.cells or [] if _trimmed(cell)]


def _free_rows(lines: list[str], start: int, usual: str) -> Iterator[_Row]:
    """Yields each row that is not blank, and a row for each recipient."""
    at, opened = start, 0
    while at < len(lines):
        recipients = _recipients(lines[at])
        if recipients:
            yield from (_Row(at + 1, address, [address]) for address in recipients)
            at += 1
            continue
        cells, following = _free_row(lines, at, usual) if opened < _MOST_OPEN else (None, at + 1)
        opened += cells is None
        yield _Row(at + 1, "\n".join(lines[at:following]), cells)
        at = following


def _free_row(lines: list[str], at: int, usual: str) -> tuple[_Cells, int]:
    """Reads a row, which may have another separator than the others."""
    for separator in (usual, *_SEPARATORS):
        cells, following = _row(lines, at, separator)
        if cells is not None and any(map(_is_address, cells)):
            return cells, following
    return _row(lines, at, usual)


def _table_rows(lines: list[str], start: int, separator: str) -> Iterator[_Row]:
    at, opened = start, 0
    while at < len(lines):
        cells, following = _row(lines, at, separator) if opened < _MOST_OPEN else (None, at + 1)
        opened += cells is None
        yield _Row(at + 1, "\n".join(lines[at:following]), cells)
        at = following


def _row(lines: list[str], at: int, separator: str) -> tuple[_Cells, int]:
    """The cells of the row that begins on a line, unquoted and trimmed, and the index of the line after it.

    The cells are None when the quotation marks do not fit. The row then has one line.
    """
    if '"' not in lines[at]:
        return [_cell(text) for text in lines[at].split(separator)], at + 1
    text, pattern = "\n".join(lines[at : at + _LONGEST_CELL]), _CELL[separator]
    cells, end = [], 0
    while cell := pattern.match(text, end):
        quoted = cell["quoted"]
        cells.append(_cell(quoted[1:-1].replace('""', '"') if quoted else cell["named"] or cell["plain"] or ""))
        end = cell.end()
        if end == len(text) or text[end] == "\n":
            return cells, at + text.count("\n", 0, end) + 1
        if text[end] != separator:
            break
        end += 1
    return None, at + 1


def _cell(text: str) -> str:
    """A cell without the blanks around it. Invisible characters belong to texts of some scripts."""
    return unguarded(text).strip(f"\n{_BLANK}")


def _cell_pattern(separator: str) -> re.Pattern[str]:
    """A cell: a quoted name before its address, a quoted cell, or text that begins with no quotation mark."""
    around = f"[{(_BLANK + _INVISIBLE).replace(separator, '')}]*"
    named, quoted = rf'"[^"\n]*"{around}<[^<>\n]*>', r'"(?:[^"]|"")*"'
    plain = rf'(?!{around}")[^{separator}\n]*'
    return re.compile(f"{around}(?:(?P<named>{named})|(?P<quoted>{quoted})){around}|(?P<plain>{plain})")


_CELL: Final = {separator: _cell_pattern(separator) for separator in _SEPARATORS}


# ------------------------------------------------------------------------------------------------------------- entries


def _free_entries(row: _Row) -> list[Entry]:
    """The entries of a row without a header: addresses, or the columns from the first address on. Names may be before it."""
    cells = row.cells
    if cells is None:
        return [_faulty_entry(row, "quotes")]
    filled = row.filled
    if len(filled) > 1 and filled == cells[: len(filled)] and all(map(_is_address, filled)):
        return [_entry(row, cell) for cell in filled]
    at = next((position for position, cell in enumerate(cells) if _is_address(cell)), 0)
    if any(map(_is_role, cells[:at])):
        at = 0
    email, role, message, locale, *rest = [*cells[at:], "", "", ""]
    return [_entry(row, email, role, message, locale, rest)] if filled else []


def _add_table_entry(found: InviteeList, header: "_Header", row: _Row) -> None:
    cells = row.cells
    if cells is None:
        found.entries.append(_faulty_entry(row, "quotes"))
    elif header.is_export:
        addresses = [address for at in header.emails if at < len(cells) for address in _values(cells[at])]
        found.entries += [_entry(row, address) for address in addresses[:1]]
        found.left_out += not addresses and bool(row.filled)
    elif row.filled:
        email, role, message, locale = (
            cells[at] if at is not None and at < len(cells) else "" for at in header.columns
        )
        found.entries.append(_entry(row, email, role, message, locale, cells[header.width :]))


def _values(cell: str) -> list[str]:
    """The values of a cell. Google separates several ones by three colons."""
    return [value for value in map(_trimmed, cell.split(":::")) if value]


def _faulty_entry(row: _Row, fault: str) -> Entry:
    return Entry(row.line, _trimmed(row.text), fault=fault)


def _entry(
    row: _Row, cell: str, role: str = "", message: str = "", locale: str = "", rest: list[str] | None = None
) -> Entry:
    """An entry. `rest` has the cells beyond the columns. A row without an address shows its first cell."""
    if any(map(_trimmed, rest or [])):
        return _faulty_entry(row, "cells")
    email = _address_in(cell) or _trimmed(row.filled[0])
    fault = "invisible" if any(character in _INVISIBLE for character in email) else ""
    return Entry(row.line, email, _trimmed(role), message, _trimmed(locale), fault)


# ----------------------------------------------------------------------------------------------------------- addresses

_PART: Final = rf'[^\n{_BLANK}<>,;:"()\\\[\]@]+'
_BARE: Final = re.compile(f"{_PART}@{_PART}")
_NAMED: Final = re.compile(r"[^<>]*<([^<>@]*@[^<>]*)>")
_SCHEME: Final = re.compile("mailto:", re.IGNORECASE | re.ASCII)
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_GAP: Final = re.compile(f"[;,{_BLANK}]+")
_EMPTY_CELL: Final = re.compile(f",[{_BLANK}]*,")


def _recipients(line: str) -> list[str]:
    """The addresses of a line that has only recipients, such as "Smith, Ann" <ann@example.com>; bob@example.com."""
    if "@" not in line:
        return []
    return _mailboxes(line) if "<" in line else _bare_addresses(line)


def _bare_addresses(text: str) -> list[str]:
    """The addresses of a text that has only addresses between blanks, commas and semicolons."""
    parts = [part for part in map(_trimmed, _GAP.split(text)) if part]
    return [_address_in(part) for part in parts] if all(map(_is_address, parts)) else []


def _mailboxes(line: str) -> list[str]:
    """The addresses in angle brackets, which mail programs write after names, and bare addresses between them."""
    *parts, tail = re.split("<([^<>]*)>", line)
    found: list[str] = []
    for text, address in zip(parts[::2], parts[1::2], strict=True):
        names = _QUOTED.sub("", text)
        *before, name = map(_trimmed, re.split("[,;]", names))
        if '"' in names or "@" not in address or _EMPTY_CELL.search(names) or any(map(_is_role, before)):
            return []  # a row of cells; the address belongs to a message
        for piece in before:
            found += _bare_addresses(piece) or ([piece] if "@" in piece else [])
        found += [*_addresses_before(name), _address_in(address)]
    rest = _bare_addresses(tail)
    return found + rest if rest or not _trimmed(_GAP.sub("", tail)) else []


def _addresses_before(name: str) -> list[str]:
    """The addresses at the beginning of a name. An address alone is the name itself."""
    words = [word for word in _GAP.split(name) if word]
    found = list(takewhile(_is_address, words))
    return found[:-1] if len(found) == len(words) else found


def _is_address(text: str) -> bool:
    """Whether a text is an address, or a name with an address in angle brackets."""
    return _BARE.fullmatch(_address_in(text)) is not None


def _address_in(text: str) -> str:
    """The address of a text as written."""
    text = _trimmed(text)
    named = _NAMED.fullmatch(text)
    address = _trimmed(named[1]) if named else text
    scheme = _SCHEME.match(address)
    return _trimmed(address[scheme.end() :]) if scheme else address


def _is_role(text: str) -> bool:
    return _trimmed(text).upper() in Role.__members__


# ------------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class _Header:
    """The positions of the columns email, role, message and locale, and those of all columns of addresses."""

    separator: str
    columns: tuple[int | None, ...]
    emails: list[int]
    width: int
    is_export: bool


# The names of the columns in the languages of the pages and of address books. "Address" alone may be that of a house.
_MAIL: Final = (
    r"(primary |primäre |member |user )?e-?mail([ -]address)?( [1-9] - value)?|e-mail [2-9] address|mail([ -]address)?"
    r"|adresse[ -](e-?)?mail|(primäre )?e-?mail-?adresse|mail-?adresse|adresse (de messagerie|électronique)|courriel"
    r"|(direcci[oó]n de )?correo( electr[oó]nico)?"
)
_COLUMNS: Final = {
    "email": (_MAIL, "address|adresse|direcci[oó]n"),
    "role": ("role|rolle|r[oô]le|rol",),
    "message": ("message|nachricht|mensaje",),
    "locale": ("locale|language|sprache|langue|idioma",),
}
_REQUIRED: Final = re.compile(r" *([\[(](required|erforderlich|obligatoire|obligatorio)[\])]|\*)$")
# Columns by which exports of Google Contacts, Google Workspace and Outlook are known.
_OF_EXPORT: Final = re.compile(r"e-?mail [1-9] - value|.*\[required\]|e-mail [2-9] address")
# Facts about an invitation that a list cannot set.
_UNSUPPORTED: Final = re.compile(r"send ?(at|on)|membership ?ends? ?(at|on)|ends ?at")


def _header(lines: list[str], first: int, separator: str | None, found: InviteeList) -> tuple[_Header | None, int]:
    """Returns the header and the index of the line after it. A header of one column tells nothing about the rows."""
    for mark in [separator] if separator else _SEPARATORS:
        cells, following = _row(lines, first, mark)
        names = [_trimmed(cell) for cell in cells or []]
        header = _columns(names, mark)
        if header is not None:
            _note_columns(found, header, names)
            return (header if header.width > 1 else None), following
    return None, first


def _columns(names: list[str], separator: str) -> _Header | None:
    """Returns the positions of the columns, or None when the row is no header."""
    if any("@" in name for name in names):
        return None
    plain = [_plain_name(name) for name in names]
    bare = [_REQUIRED.sub("", name) for name in plain]
    columns = tuple(_position(bare, patterns) for patterns in _COLUMNS.values())
    if columns[0] is None:
        return None
    emails = [at for at, name in enumerate(bare) if re.fullmatch(_MAIL, name)]
    is_export = any(map(_OF_EXPORT.fullmatch, plain))
    return _Header(separator, columns, emails or [columns[0]], len(names), is_export)


def _plain_name(name: str) -> str:
    return re.sub(f"[\n{_BLANK}_]+", " ", re.sub("[\u2010-\u2015]", "-", name)).lower()


def _position(names: list[str], patterns: tuple[str, ...]) -> int | None:
    at = (at for pattern in patterns for at, name in enumerate(names) if re.fullmatch(pattern, name))
    return next(at, None)


def _note_columns(found: InviteeList, header: _Header, names: list[str]) -> None:
    found.column, found.is_export = (
        names[header.emails[0] if header.is_export else header.columns[0] or 0],
        header.is_export,
    )
    others = [name for at, name in enumerate(names) if name and at not in header.columns and not header.is_export]
    found.unsupported = [name for name in others if _UNSUPPORTED.fullmatch(_plain_name(name))]
    found.unused = [name for name in others if name not in found.unsupported]
