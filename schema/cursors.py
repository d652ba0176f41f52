"""Keyset cursors: where a page ended, as an opaque text that only fits the list it came from."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from graphql import GraphQLError

from service.tokens import is_id

MOST = 100
_USUAL = 50

Row = TypeVar("Row")


class BadArgument(GraphQLError):
    """Raised for an argument of a query that is out of its bounds; its message reaches the client as it is."""

    def __init__(self, message: str, code: str = "BAD_ARGUMENT") -> None:
        super().__init__(message, extensions={"code": code})


def page_size(first: int | None) -> int:
    """How many items were asked for. Raises BadArgument below 1 and over 100."""
    if first is None:
        return _USUAL
    if not 1 <= first <= MOST:
        raise BadArgument(f"first is {first}; between 1 and {MOST} were expected.")
    return first


def cursor_at(scope: str, at: datetime, last_id: str) -> str:
    """The position behind an item of the list that `scope` names, filter and all."""
    position = f"{at.astimezone(UTC).isoformat()} {last_id}"
    return base64.urlsafe_b64encode(f"{position} {_check(scope, position)}".encode()).decode().rstrip("=")


def position_of(cursor: str | None, scope: str) -> tuple[datetime, str] | None:
    """The position that a cursor of this very list names. Raises BadArgument for a damaged or foreign one."""
    if cursor is None:
        return None
    try:
        at, last_id, check = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        position = datetime.fromisoformat(at), last_id
    except (ValueError, binascii.Error):
        raise _no_cursor() from None
    if check != _check(scope, f"{at} {last_id}") or position[0].tzinfo is None or not is_id(last_id):
        raise _no_cursor()
    return position


def _check(scope: str, position: str) -> str:
    """Tells a damaged cursor, and one of another list or filter. It is no secret: a position opens nothing."""
    return sha256(f"{scope} {position}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _no_cursor() -> BadArgument:
    return BadArgument(
        "after is no cursor of this list with this filter; one of its endCursor values was expected, as it was given."
    )


def cut(rows: Sequence[Row], size: int) -> tuple[Sequence[Row], bool]:
    """The page, and whether there is more: a page asks for one row more than it shows."""
    return rows[:size], len(rows) > size
