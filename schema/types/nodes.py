"""Nodes and pages, which all lists of the API share."""

from typing import TypeVar

import strawberry


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


def page_info_of(cursors: list[str], *, more: bool, after: str | None) -> PageInfo:
    return PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )


Value = TypeVar("Value")


def set_of(values: list[Value] | None) -> frozenset[Value] | None:
    """The values of a list argument; None where it was left out."""
    return None if values is None else frozenset(values)
