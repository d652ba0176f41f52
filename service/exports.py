"""Export of invitations and the audit log as CSV, page by page. Spreadsheets execute no cell as a formula."""

import csv
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from service.audit_log import log as audit_log
from service.audit_log.log import AuditLogQuery, EventView
from service.communities.access import CommunityAccess, MemberView
from service.csv_cells import guarded
from service.invitations import views as invitation_views
from service.invitations.views import InvitationsQuery, InvitationView
from service.languages import localized
from service.settings import Settings

_PAGE: Final = 500

AccessCheck = Callable[[], Awaitable[CommunityAccess]]


class Export(StrEnum):
    """The subjects of an export."""

    INVITATIONS = "invitations"
    AUDIT = "audit"


def export(subject: Export, check: AccessCheck, *, now: datetime, settings: Settings) -> AsyncGenerator[str, None]:
    """Yields the lines of a CSV file, header first.

    `check` runs before each page and raises NotFound or NotPermitted. A person who loses the right receives no further page.
    """
    return _invitations(check, now, settings) if subject is Export.INVITATIONS else _audit(check)


_INVITATIONS: Final = (
    "id", "email", "role", "status", "delivery", "delivery reason", "inviter", "created at", "expires at",
    "last sent at", "delivered at", "accepted at", "accepted by", "declined at", "revoked at", "revoked by",
    "proposed email", "message",
)  # fmt: skip
_AUDIT: Final = ("id", "at", "kind", "actor", "invitation", "summary")


async def _invitations(check: AccessCheck, now: datetime, settings: Settings) -> AsyncGenerator[str, None]:
    yield csv_line(_INVITATIONS)
    after = None
    while True:
        query = InvitationsQuery(await check(), _PAGE, after)
        (views,) = await invitation_views.pages([query], now=now, settings=settings)
        yield "".join(csv_line(_invitation_cells(view)) for view in views)
        if len(views) < _PAGE:
            return
        after = views[-1].created_at, views[-1].id


def _invitation_cells(view: InvitationView) -> Iterable[Any]:
    return (
        view.id, view.email, view.role, view.status, view.delivery, localized(view.delivery_reason), _member_cell(view.inviter),
        view.created_at, view.expires_at, view.last_sent_at, view.delivered_at, view.accepted_at,
        _member_cell(view.accepted_by), view.declined_at, view.revoked_at, _member_cell(view.revoked_by), view.proposed_email,
        view.message,
    )  # fmt: skip


async def _audit(check: AccessCheck) -> AsyncGenerator[str, None]:
    yield csv_line(_AUDIT)
    after = None
    while True:
        community_id = (await check()).community_id
        (events,) = await audit_log.of_communities([AuditLogQuery(community_id, _PAGE, after)])
        yield "".join(csv_line(_event_cells(event)) for event in events)
        if len(events) < _PAGE:
            return
        after = events[-1].at, events[-1].id


def _event_cells(event: EventView) -> Iterable[Any]:
    return event.id, event.at, event.kind, _member_cell(event.actor), event.invitation_id, localized(event.summary)


def _member_cell(member: MemberView | None) -> str | None:
    return None if member is None else member.email or member.name or member.id


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
