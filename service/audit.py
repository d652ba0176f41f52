"""The audit: every decision leaves one event, written in the transaction of what it tells of."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from service.database import Statement, inserting, together
from service.tokens import new_id

_AT_ONCE: Final = 1000  # events in one statement, whose values may be 32,766


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `kind` is dotted and stable; `details` are short facts, never secrets, with addresses masked."""

    kind: str
    community_id: str | None = None
    actor_id: str | None = None
    invitation_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


async def record(now: datetime, *events: Event) -> None:
    """Writes the events with the caller's transaction; nothing changes or deletes them later."""
    for start in range(0, len(events), _AT_ONCE):
        await together(recording(now, *events[start : start + _AT_ONCE]))


def recording(now: datetime, *events: Event) -> Statement:
    """The statement that writes the events, to be run with what they tell of."""
    return inserting("audit_events", *(_row(event, now) for event in events))


def _row(event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("evt"),
        "kind": event.kind,
        "at": now,
        "community_id": event.community_id,
        "actor_id": event.actor_id,
        "invitation_id": event.invitation_id,
        "details": event.details,
    }
