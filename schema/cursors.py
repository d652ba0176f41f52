"""Keyset cursors: the end of a page as an opaque text, valid only for the list and the filter that it came from."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, TypeVar

from graphql import GraphQLError

from service.errors import InvalidInput
from service.languages import Sentence, gettext_noop, localized
from service.tokens import is_id

MOST_PER_PAGE: Final = 100
_DEFAULT_PAGE: Final = 50

_NO_CURSOR: Final = Sentence(
    gettext_noop(
        "after is no cursor of this list with this filter; one of its endCursor values was expected, as it was given."
    )
)

Row = TypeVar("Row")


class BadArgument(GraphQLError):
    """Raised for an argument of a query that is out of bounds. The client receives its sentence."""

    def __init__(self, reason: Sentence, code: str = "BAD_ARGUMENT") -> None:
        super().__init__(localized(reason), extensions={"code": code})


def page_size(first: int | None) -> int:
    """The number of items in a page. Raises BadArgument below 1 and over 100."""
    if first is None:
        return _DEFAULT_PAGE
    if not 1 <= first <= MOST_PER_PAGE:
        raise BadArgument(InvalidInput.out_of_range("first", first, 1, MOST_PER_PAGE).sentence)
    return first


def cursor_at(scope: str, at: datetime, last_id: str) -> str:
    """The cursor behind an item of a list. `scope` names the list and its filter."""
    position = f"{at.astimezone(UTC).isoformat()} {last_id}"
    return base64.urlsafe_b64encode(f"{position} {_check(scope, position)}".encode()).decode().rstrip("=")


def position_of(cursor: str | None, scope: str) -> tuple[datetime, str] | None:
    """The position of a cursor. Raises BadArgument for a damaged cursor, or one of another list or filter."""
    if cursor is None:
        return None
    try:
        at, last_id, check = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        position = datetime.fromisoformat(at), last_id
    except (ValueError, binascii.Error):
        raise _invalid_cursor() from None
    if check != _check(scope, f"{at} {last_id}") or position[0].tzinfo is None or not is_id(last_id):
        raise _invalid_cursor()
    return position


def _check(scope: str, position: str) -> str:
    """A checksum over list, filter and position. It is public: a position grants no access."""
    return sha256(f"{scope} {position}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _invalid_cursor() -> BadArgument:
    return BadArgument(_NO_CURSOR)


def cut(rows: Sequence[Row], size: int) -> tuple[Sequence[Row], bool]:
    """The rows of a page, and whether more follow. The query selects one row more than the page has."""
    return rows[:size], len(rows) > size
