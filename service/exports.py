"""Invitations and the audit log as CSV: read in pages however long, and safe to open in a spreadsheet."""

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
    """What can be exported of a community."""

    INVITATIONS = "invitations"
    AUDIT = "audit"


def export(what: Export, check: AccessCheck, *, now: datetime, settings: Settings) -> AsyncGenerator[str, None]:
    """The lines of a CSV file, header first. `place` is asked before every page, so that who loses the right while it
    is read gets no more; it raises NotFound or NotPermitted then.
    """
    return _invitations(check, now, settings) if what is Export.INVITATIONS else _audit(check)


_INVITATIONS: Final = (
    "id", "email", "role", "status", "delivery", "delivery reason", "inviter", "created at", "expires at",
    "last sent at", "delivered at", "accepted at", "accepted by", "declined at", "revoked at", "revoked by",
    "proposed email", "message",
)  # fmt: skip
_AUDIT: Final = ("id", "at", "kind", "actor", "invitation", "summary")


async def _invitations(check: AccessCheck, now: datetime, settings: Settings) -> AsyncGenerator[str, None]:
    yield line(_INVITATIONS)
    after = None
    while True:
        asked = InvitationsQuery(await check(), _PAGE, after)
        (views,) = await invitation_views.pages([asked], now=now, settings=settings)
        yield "".join(line(_invitation_cells(view)) for view in views)
        if len(views) < _PAGE:
            return
        after = views[-1].created_at, views[-1].id


def _invitation_cells(view: InvitationView) -> Iterable[Any]:
    return (
        view.id, view.email, view.role, view.status, view.delivery, localized(view.delivery_reason), _person(view.inviter),
        view.created_at, view.expires_at, view.last_sent_at, view.delivered_at, view.accepted_at,
        _person(view.accepted_by), view.declined_at, view.revoked_at, _person(view.revoked_by), view.proposed_email,
        view.message,
    )  # fmt: skip


async def _audit(check: AccessCheck) -> AsyncGenerator[str, None]:
    yield line(_AUDIT)
    after = None
    while True:
        community_id = (await check()).community_id
        (events,) = await audit_log.of_communities([AuditLogQuery(community_id, _PAGE, after)])
        yield "".join(line(_event_cells(event)) for event in events)
        if len(events) < _PAGE:
            return
        after = events[-1].at, events[-1].id


def _event_cells(event: EventView) -> Iterable[Any]:
    return event.id, event.at, event.kind, _person(event.actor), event.invitation_id, event.summary


def _person(member: MemberView | None) -> str | None:
    return None if member is None else member.email or member.name or member.id


def line(cells: Iterable[Any]) -> str:
    """One line of CSV (RFC 4180), each field in quotation marks."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: Any) -> str:
    """A cell that no spreadsheet runs as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return guarded(str(value))
