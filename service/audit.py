"""The audit: every decision leaves one event, written in the transaction of what it tells of."""

from dataclasses import dataclass, field
from datetime import datetime

from service.models import AuditEvent
from service.tokens import new_id


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `kind` is dotted and stable; `details` are short facts, never secrets, with addresses masked."""

    kind: str
    community_id: str | None = None
    actor_id: str | None = None
    invitation_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


async def record(now: datetime, *events: Event) -> None:
    """Writes the events, in one statement, with the caller's transaction; nothing changes or deletes them later."""
    await AuditEvent.bulk_create([_row(event, now) for event in events])


def _row(event: Event, now: datetime) -> AuditEvent:
    return AuditEvent(
        id=new_id("evt"),
        kind=event.kind,
        at=now,
        community_id=event.community_id,
        actor_id=event.actor_id,
        invitation_id=event.invitation_id,
        details=event.details,
    )
