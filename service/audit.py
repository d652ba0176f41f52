"""The audit: each decision writes one event in the transaction that makes it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from service.database import Statement, execute, execute_batch, insert
from service.tokens import digest_of, new_id

_BATCH: Final = 1000  # events in one statement; its parameters are limited to 32,766
_MOST_OF_A_KIND: Final = 5  # distinct anonymous events of one kind, per generation of an invitation
_MOST_OF_AN_INVITATION: Final = 20  # distinct anonymous events; a page of the timeline has 50
_KEY_DIGITS: Final = 16
OTHERS: Final = "+"  # the repeat_key of the event that counts all further ones of its kind


@dataclass(frozen=True, slots=True)
class Event:
    """An event. `kind` is dotted and stable. `details` are short facts without secrets, with masked addresses."""

    kind: str
    community_id: str | None = None
    actor_id: str | None = None
    invitation_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


async def record(now: datetime, *events: Event) -> None:
    """Writes the events in the caller's transaction. Events are never deleted. Only their counts change."""
    for start in range(0, len(events), _BATCH):
        await execute_batch(audit_statement(now, *events[start : start + _BATCH]))


# Events with the same details in the same generation have the same key and are counted. The statement reads the
# invitation's generation, so that it is the transaction's.
_RECORD_ANONYMOUS: Final = f"""
INSERT INTO audit_events (id, kind, at, community_id, actor_id, invitation_id, details, repeat_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, (
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = $9
            AND e.repeat_key = CAST(i.generation AS TEXT) || '/' || CAST($10 AS TEXT)
    ) OR ((
        SELECT count(*) FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = $9
            AND e.repeat_key LIKE CAST(i.generation AS TEXT) || '/%'
    ) < {_MOST_OF_A_KIND} AND (
        SELECT count(*) FROM audit_events e WHERE e.invitation_id = i.id AND e.repeat_key IS NOT NULL
    ) < {_MOST_OF_AN_INVITATION})
    THEN CAST(i.generation AS TEXT) || '/' || CAST($10 AS TEXT) ELSE '{OTHERS}' END
    FROM invitations i WHERE i.id = $8
))
ON CONFLICT (invitation_id, kind, repeat_key) WHERE repeat_key IS NOT NULL
DO UPDATE SET times = audit_events.times + 1, last_at = excluded.at
"""  # noqa: S608 -- constants


async def record_anonymous(now: datetime, event: Event) -> None:
    """Writes or counts an event about an invitation that people without an account can repeat.

    A repetition (same invitation, generation, kind and details) increments `times` of the existing event and sets
    `last_at`. After five distinct events of a kind in a generation, or twenty of the invitation, one event of each kind
    counts the rest. Strangers therefore cause few rows, and the invitation's own history remains on the first page of its
    timeline (H181). Concurrent events may exceed these limits slightly.
    """
    row = _columns(event, now)
    details = orjson.dumps(event.details, option=orjson.OPT_SORT_KEYS)
    key = digest_of(details.decode())[:_KEY_DIGITS]
    values = {**row, "details": details.decode()}.values()
    await execute(_RECORD_ANONYMOUS, *values, event.invitation_id, event.kind, key)


def audit_statement(now: datetime, *events: Event) -> Statement:
    """Returns the statement that writes the events, to be run with the changes that they report."""
    return insert("audit_events", *(_columns(event, now) for event in events))


def _columns(event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("evt"),
        "kind": event.kind,
        "at": now,
        "community_id": event.community_id,
        "actor_id": event.actor_id,
        "invitation_id": event.invitation_id,
        "details": event.details,
    }
