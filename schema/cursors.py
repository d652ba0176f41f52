"""Keyset cursors: where a page ended, as an opaque text that only fits the list it came from."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
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
    """The position behind an item of the list that `scope` names."""
    return base64.urlsafe_b64encode(f"{scope} {at.astimezone(UTC).isoformat()} {last_id}".encode()).decode().rstrip("=")


def position_of(cursor: str | None, scope: str) -> tuple[datetime, str] | None:
    """The position that a cursor of this very list names. Raises BadArgument for a damaged or foreign one."""
    if cursor is None:
        return None
    try:
        found, at, last_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        position = datetime.fromisoformat(at), last_id
    except (ValueError, binascii.Error):
        raise BadArgument("after is no cursor of this list; one of its endCursor values was expected.") from None
    if found != scope or position[0].tzinfo is None or not is_id(last_id):
        raise BadArgument("after is a cursor of another list; one of this list's endCursor values was expected.")
    return position


def cut(rows: Sequence[Row], size: int) -> tuple[Sequence[Row], bool]:
    """The page, and whether there is more: a page asks for one row more than it shows."""
    return rows[:size], len(rows) > size
