"""Deletes expired rows. Any worker may run it. A database counter limits it to once every ten minutes.

Each transaction deletes one small batch of rows, so that other statements wait only briefly.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from service.database import empty_write_ahead_log, execute, select, transaction
from service.limits import spend
from service.mail import outbox
from service.settings import RateLimit, Settings

log = structlog.get_logger()

ERASED_ADDRESS: Final = "erased@erased.invalid"  # RFC 6761 section 6.4: mail to .invalid is never delivered

_LIMIT: Final = RateLimit(count=1, period=timedelta(minutes=10))
_BATCH: Final = 500
_FLOW_RETENTION: Final = timedelta(hours=1)  # the lifetime of its cookie, with which the browser reads the outcome
_LINK_RETENTION: Final = timedelta(days=1)  # after the end of its invitation
_NOTIFICATION_RETENTION: Final = timedelta(days=2)  # longer than the maximum age of a notification
_REQUEST_RETENTION: Final = timedelta(days=1)  # after this time without a worker, the person has given up
_COUNTER_RETENTION: Final = timedelta(days=1)  # the longest period of the limits that are not settings

_ENDED_AT: Final = "COALESCE(i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at, i.expires_at)"

# Each statement deletes or clears one batch of $2 rows that expired before $1.
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
    f" ON i.id = l.invitation_id WHERE {_ENDED_AT} < $1 LIMIT $2)"
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
# `erase_invitation` deletes the notices about an invitation. This deletes notices about accounts at the same age.
_NOTICES: Final = (
    "DELETE FROM mail_orders WHERE id IN (SELECT id FROM mail_orders WHERE member_id IS NOT NULL"  # noqa: S608 -- a constant
    f" AND invitation_id IS NULL AND created_at < $1 AND NOT ({outbox.WAITING}) LIMIT $2)"
)
_NOTIFICATIONS: Final = (
    "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE received_at < $1 LIMIT $2)"
)
_ENDED: Final = (
    f"SELECT i.id FROM invitations i WHERE i.erased_at IS NULL AND {_ENDED_AT} < $1"  # noqa: S608 -- a constant
    " ORDER BY i.id LIMIT $2 FOR UPDATE"
)


async def prune_in_turn(*, now: datetime, settings: Settings) -> None:
    """Prunes, unless a worker pruned during the last ten minutes."""
    if await spend(_LIMIT, "turn:pruning", now=now) is None:
        counts = await prune(now=now, settings=settings)
        if any(counts.values()):
            log.info("pruned", **counts)


async def prune(*, now: datetime, settings: Settings) -> dict[str, int]:
    """Deletes all expired rows. Returns the number of rows of each kind."""
    idle_since = now - timedelta(hours=settings.session_idle_hours)
    return {
        "flows": await _delete_all(_FLOWS, now - _FLOW_RETENTION),
        "codes": await _delete_all(_CODES, now),
        "links": await _delete_all(_LINKS, now - _LINK_RETENTION),
        "sessions": await _delete_all(_SESSIONS, now, idle_since),
        "counters": await _delete_all(_COUNTERS, now - _longest_period(settings)),
        "fresh_link_requests": await _delete_all(_REQUESTS, now - _REQUEST_RETENTION),
        "unsubscribe_tokens": await _delete_all(_UNSUBSCRIBE, now),
        "block_undo_tokens": await _delete_all(_UNDO, now),
        "notices": await _delete_all(_NOTICES, now - timedelta(days=settings.retention_days)),
        "notifications": await _delete_all(_NOTIFICATIONS, now - _NOTIFICATION_RETENTION),
        "invitations": await _erase_invitations(now - timedelta(days=settings.retention_days), now),
    }


async def _delete_all(statement: str, until: datetime, *further: datetime) -> int:
    deleted = 0
    while batch := await execute(statement, until, _BATCH, *further):
        deleted += batch
        if batch < _BATCH:
            break
    return deleted


def _longest_period(settings: Settings) -> timedelta:
    """Returns the retention of counters: the longest period of a limit."""
    limits: dict[str, RateLimit | None] = dict(settings.rate_limits)
    return max([_COUNTER_RETENTION, *(limit.period for limit in limits.values() if limit is not None)])


async def _erase_invitations(until: datetime, now: datetime) -> int:
    """Erases the personal data of invitations that ended before an instant."""
    erased = 0
    while True:
        async with transaction():
            rows = await select(_ENDED, until, _BATCH)
            for row in rows:
                await erase_invitation(row["id"], now=now)
        erased += len(rows)
        if len(rows) < _BATCH:
            break
    if erased:
        await empty_write_ahead_log()
    return erased


async def erase_invitation(invitation_id: str, *, now: datetime) -> None:
    """Erases the address and the texts of an invitation, in the caller's transaction. Its history remains.

    The invitation becomes superseded, so that it cannot be resent. Its mail orders are deleted, and its links with them.
    """
    await execute("DELETE FROM mail_orders WHERE invitation_id = $1", invitation_id)
    await execute(
        "UPDATE invitations SET email = $1, message = NULL, locale = NULL, proposed_email = NULL, delivery_reason = NULL,"
        " delivery_code = NULL, delivery_facts = NULL,"
        " erased_at = $2, superseded_at = COALESCE(superseded_at, $2) WHERE id = $3",
        ERASED_ADDRESS, now, invitation_id,
    )  # fmt: skip
