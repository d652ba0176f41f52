"""Export of invitations and the audit log as CSV, page by page. Spreadsheets execute no cell as a formula."""

import csv
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from service.addresses import as_written
from service.audit_log.log import AuditFilter, AuditLogQuery, EventView, audit_log_pages
from service.communities.access import CommunityAccess
from service.communities.members import MemberView
from service.csv_cells import guarded
from service.invitations.search import InvitationFilter
from service.invitations.views import InvitationsQuery, InvitationView, invitation_pages
from service.languages import localized
from service.settings import Settings

_PAGE: Final = 500

Row = TypeVar("Row")
AccessCheck = Callable[[], Awaitable[CommunityAccess]]


class Export(StrEnum):
    """The subjects of an export."""

    INVITATIONS = "invitations"
    AUDIT = "audit"


def export(
    conditions: InvitationFilter | AuditFilter, check: AccessCheck, *, now: datetime, settings: Settings
) -> AsyncGenerator[str, None]:
    """Yields the lines of a CSV file, header first: the invitations or the events that the filter selects.

    `check` runs before each page and raises NotFound or NotPermitted. A person who loses the right receives no further page.
    """
    if isinstance(conditions, AuditFilter):
        return _audit(conditions, check, settings)
    return _invitations(conditions, check, now, settings)


_INVITATION_COLUMNS: Final = (
    "id", "email", "role", "status", "delivery", "delivery reason", "inviter", "created at", "expires at",
    "last sent at", "delivered at", "accepted at", "accepted by", "declined at", "revoked at", "revoked by",
    "proposed email", "message",
)  # fmt: skip
_EVENT_COLUMNS: Final = ("id", "at", "kind", "actor", "invitation", "summary")


async def _pages(
    header: Iterable[str], read: Callable[[Row | None], Awaitable[list[Row]]], cells: Callable[[Row], Iterable[Any]]
) -> AsyncGenerator[str, None]:
    """Yields the header, and the lines of one page at a time. `read` returns the page after a row."""
    yield csv_line(header)
    last: Row | None = None
    while True:
        rows = await read(last)
        yield "".join(csv_line(cells(row)) for row in rows)
        if len(rows) < _PAGE:
            return
        last = rows[-1]


def _invitations(
    conditions: InvitationFilter, check: AccessCheck, now: datetime, settings: Settings
) -> AsyncGenerator[str, None]:
    async def read(last: InvitationView | None) -> list[InvitationView]:
        after = None if last is None else (last.created_at, last.id)
        query = InvitationsQuery(await check(), _PAGE, after, conditions)
        return (await invitation_pages([query], now=now, settings=settings))[0]

    return _pages(_INVITATION_COLUMNS, read, _invitation_cells)


def _invitation_cells(view: InvitationView) -> Iterable[Any]:
    return (
        view.id, as_written(view.email), view.role, view.status, view.delivery, localized(view.delivery_reason), _member_cell(view.inviter),
        view.created_at, view.expires_at, view.last_sent_at, view.delivered_at, view.accepted_at,
        _member_cell(view.accepted_by), view.declined_at, view.revoked_at, _member_cell(view.revoked_by), view.proposed_email and as_written(view.proposed_email),
        view.message,
    )  # fmt: skip


def _audit(conditions: AuditFilter, check: AccessCheck, settings: Settings) -> AsyncGenerator[str, None]:
    async def read(last: EventView | None) -> list[EventView]:
        after = None if last is None else (last.at, last.id)
        query = AuditLogQuery((await check()).community_id, _PAGE, after, conditions)
        return (await audit_log_pages([query], settings=settings))[0]

    return _pages(_EVENT_COLUMNS, read, _event_cells)


def _event_cells(event: EventView) -> Iterable[Any]:
    return event.id, event.at, event.kind, _member_cell(event.actor), event.invitation_id, localized(event.summary)


def _member_cell(member: MemberView | None) -> str | None:
    return None if member is None else as_written(member.email or "") or member.name or member.id


def csv_line(cells: Iterable[Any]) -> str:
    """Returns a line of CSV (RFC 4180) with quoted fields."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: Any) -> str:
    """Returns the text of a cell, guarded against execution as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return guarded(str(value))
