"""Pruning: what is over goes. Any worker may do it; a counter in the database gives them turns.

Rows go in small bites, each a transaction of its own, so that nothing waits for long behind them.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from service.database import empty_write_ahead_log, execute, select, transaction
from service.limits import spend
from service.mail import outbox
from service.settings import RateLimit, Settings

log = structlog.get_logger()

ERASED_ADDRESS: Final = "erased@erased.invalid"  # RFC 6761 section 6.4: .invalid reaches nobody

_TURN: Final = RateLimit(count=1, period=timedelta(minutes=10))
_BITE: Final = 500
_FLOW_KEPT: Final = timedelta(hours=1)  # as long as its cookie: the browser may still ask what came of it
_LINK_KEPT: Final = timedelta(days=1)  # after its invitation closed
_NOTIFICATION_KEPT: Final = timedelta(days=2)  # longer than a notification is believed after it was signed
_REQUEST_KEPT: Final = timedelta(days=1)  # a fresh link that no worker came to send is not expected any more
_COUNTER_KEPT: Final = timedelta(days=1)  # the longest period of the limits that are not settings

_CLOSED_AT: Final = "COALESCE(i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at, i.expires_at)"

# Each names the ids of a bite of rows that are over at $1, and how they go.
_FLOWS: Final = (
    "DELETE FROM flows WHERE id IN (SELECT id FROM flows WHERE started_at < $1"
    " AND (code_expires_at IS NULL OR code_expires_at < $1) LIMIT $2)"
)
_CODES: Final = (
    "UPDATE flows SET code_digest = NULL, code_expires_at = NULL, code_tries_left = NULL WHERE id IN"
    " (SELECT id FROM flows WHERE code_expires_at < $1 LIMIT $2)"
)
_LINKS: Final = (
    "DELETE FROM links WHERE id IN (SELECT l.id FROM links l JOIN invitations i"  # noqa: S608 -- a constant
    f" ON i.id = l.invitation_id WHERE {_CLOSED_AT} < $1 LIMIT $2)"
)
_SESSIONS: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at IS NOT NULL OR expires_at <= $1"
    " OR last_seen_at <= $3 LIMIT $2)"
)
_COUNTERS: Final = "DELETE FROM counters WHERE key IN (SELECT key FROM counters WHERE started_at < $1 LIMIT $2)"
_REQUESTS: Final = (
    "DELETE FROM fresh_link_requests WHERE digest IN"
    " (SELECT digest FROM fresh_link_requests WHERE requested_at < $1 LIMIT $2)"
)
_UNSUBSCRIBE: Final = "DELETE FROM unsubscribe_tokens WHERE digest IN (SELECT digest FROM unsubscribe_tokens WHERE expires_at <= $1 LIMIT $2)"
_UNDO: Final = "DELETE FROM block_undo_tokens WHERE digest IN (SELECT digest FROM block_undo_tokens WHERE expires_at <= $1 LIMIT $2)"
# Notices about an invitation are erased with it (`erase_invitation`); those to accounts after the same time.
_NOTICES: Final = (
    "DELETE FROM mail_orders WHERE id IN (SELECT id FROM mail_orders WHERE member_id IS NOT NULL"  # noqa: S608 -- a constant
    f" AND invitation_id IS NULL AND created_at < $1 AND NOT ({outbox.WAITING}) LIMIT $2)"
)
_NOTIFICATIONS: Final = (
    "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE received_at < $1 LIMIT $2)"
)
_RETENTION: Final = (
    f"SELECT i.id FROM invitations i WHERE i.erased_at IS NULL AND {_CLOSED_AT} < $1"  # noqa: S608 -- a constant
    " ORDER BY i.id LIMIT $2 FOR UPDATE"
)


async def prune_in_turn(*, now: datetime, settings: Settings) -> None:
    """Prunes, unless some worker did a short while ago."""
    if await spend(_TURN, "turn:pruning", now=now) is None:
        counts = await prune(now=now, settings=settings)
        if any(counts.values()):
            log.info("pruned", **counts)


async def prune(*, now: datetime, settings: Settings) -> dict[str, int]:
    """Removes all that is over now; how many rows of each kind."""
    idle_since = now - timedelta(hours=settings.session_idle_hours)
    return {
        "flows": await _all(_FLOWS, now - _FLOW_KEPT),
        "codes": await _all(_CODES, now),
        "links": await _all(_LINKS, now - _LINK_KEPT),
        "sessions": await _all(_SESSIONS, now, idle_since),
        "counters": await _all(_COUNTERS, now - _longest_period(settings)),
        "fresh_link_requests": await _all(_REQUESTS, now - _REQUEST_KEPT),
        "unsubscribe_tokens": await _all(_UNSUBSCRIBE, now),
        "block_undo_tokens": await _all(_UNDO, now),
        "notices": await _all(_NOTICES, now - timedelta(days=settings.retention_days)),
        "notifications": await _all(_NOTIFICATIONS, now - _NOTIFICATION_KEPT),
        "invitations": await _retain(now - timedelta(days=settings.retention_days), now),
    }


async def _all(statement: str, until: datetime, *further: datetime) -> int:
    gone = 0
    while bite := await execute(statement, until, _BITE, *further):
        gone += bite
        if bite < _BITE:
            break
    return gone


def _longest_period(settings: Settings) -> timedelta:
    """Counters of a limit count for its period."""
    limits: dict[str, RateLimit | None] = dict(settings.rate_limits)
    return max([_COUNTER_KEPT, *(limit.period for limit in limits.values() if limit is not None)])


async def _retain(until: datetime, now: datetime) -> int:
    """Erases addresses and messages of invitations that closed before an instant."""
    erased = 0
    while True:
        async with transaction():
            rows = await select(_RETENTION, until, _BITE)
            for row in rows:
                await erase_invitation(row["id"], now=now)
        erased += len(rows)
        if len(rows) < _BITE:
            break
    if erased:
        await empty_write_ahead_log()
    return erased


async def erase_invitation(invitation_id: str, *, now: datetime) -> None:
    """Removes whom it was for and what was said; what happened to it stays. In a transaction of the caller's.

    It is superseded, so that nobody sends it again; its links go with its mail orders.
    """
    await execute("DELETE FROM mail_orders WHERE invitation_id = $1", invitation_id)
    await execute(
        "UPDATE invitations SET email = $1, message = NULL, locale = NULL, proposed_email = NULL, delivery_reason = NULL,"
        " delivery_code = NULL, delivery_facts = NULL,"
        " erased_at = $2, superseded_at = COALESCE(superseded_at, $2) WHERE id = $3",
        ERASED_ADDRESS, now, invitation_id,
    )  # fmt: skip
