"""The audit: every decision leaves one event, written in the transaction of what it tells of."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from service.database import Statement, execute, execute_batch, insert
from service.tokens import digest_of, new_id

_AT_ONCE: Final = 1000  # events in one statement, whose values may be 32,766
_DISTINCT: Final = 5  # anonymous events of one kind that are told apart, per generation of an invitation
_MOST: Final = 20  # anonymous events of one invitation that are told apart; a page of its timeline has 50
_KEY_DIGITS: Final = 16
OTHERS: Final = "+"  # the repeat_key of the one event per kind that counts all further ones


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `kind` is dotted and stable; `details` are short facts, never secrets, with addresses masked."""

    kind: str
    community_id: str | None = None
    actor_id: str | None = None
    invitation_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


async def record(now: datetime, *events: Event) -> None:
    """Writes the events with the caller's transaction. They are never deleted, and never changed except for being
    counted (`record_anonymous`).
    """
    for start in range(0, len(events), _AT_ONCE):
        await execute_batch(audit_statement(now, *events[start : start + _AT_ONCE]))


# An event with the same details in the same generation has the same key, and is counted. The invitation's generation is
# read in the statement, so that it is that of the transaction.
_RECORD_ANONYMOUS: Final = f"""
INSERT INTO audit_events (id, kind, at, community_id, actor_id, invitation_id, details, repeat_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, (
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = $9
            AND e.repeat_key = CAST(i.generation AS TEXT) || '/' || CAST($10 AS TEXT)
    ) OR ((
        SELECT count(*) FROM audit_events e WHERE e.invitation_id = i.id AND e.kind = $9
            AND e.repeat_key LIKE CAST(i.generation AS TEXT) || '/%'
    ) < {_DISTINCT} AND (
        SELECT count(*) FROM audit_events e WHERE e.invitation_id = i.id AND e.repeat_key IS NOT NULL
    ) < {_MOST})
    THEN CAST(i.generation AS TEXT) || '/' || CAST($10 AS TEXT) ELSE '{OTHERS}' END
    FROM invitations i WHERE i.id = $8
))
ON CONFLICT (invitation_id, kind, repeat_key) WHERE repeat_key IS NOT NULL
DO UPDATE SET times = audit_events.times + 1, last_at = excluded.at
"""  # noqa: S608 -- constants


async def record_anonymous(now: datetime, event: Event) -> None:
    """Writes or counts an event about an invitation that people without an account can repeat at will.

    A repeat (same invitation, generation, kind and details) is counted on the event that is there: `times` and `last_at`.
    Beyond five different ones of a kind in a generation, or twenty of the invitation, all further ones are counted on
    one event of their kind. The rows that strangers can cause are therefore few, and the invitation's own history stays
    on the first page of its timeline (H181). Simultaneous events may exceed these numbers by a few.
    """
    row = _row(event, now)
    details = orjson.dumps(event.details, option=orjson.OPT_SORT_KEYS)
    key = digest_of(details.decode())[:_KEY_DIGITS]
    values = {**row, "details": details.decode()}.values()
    await execute(_RECORD_ANONYMOUS, *values, event.invitation_id, event.kind, key)


def audit_statement(now: datetime, *events: Event) -> Statement:
    """The statement that writes the events, to be run with what they tell of."""
    return insert("audit_events", *(_row(event, now) for event in events))


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
