"""Fresh links: the holder of an expired link requests another, which is sent only to the invited mailbox.

A request stores only the digest of the token, in the same way for every token. A worker decides later whether a mail is
due. The answer and its time therefore reveal nothing about the token.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service import audit
from service.changes import Changed, notify, wake
from service.database import Params, Statement, select
from service.invitation_status import is_pending
from service.invitations.links import LinkFacts
from service.limits import spend
from service.mail import outbox
from service.settings import Settings
from service.tokens import digest_of

_LONGEST_TOKEN: Final = 200  # a longer text is cut, and then matches no digest; hashing takes the same time (H015)
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class DueLink:
    """An invitation for which a worker sends a fresh link."""

    invitation_id: str
    generation: int
    community_id: str


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """A batch of requests. `is_full` means that more may wait. `due` has the invitations whose fresh links are due."""

    is_full: bool
    due: list[DueLink]


# -------------------------------------------------------------------------------------------------------------- asking


async def request_fresh_link(token: str, *, now: datetime) -> None:
    """Stores a request with this token, and wakes a worker.

    Runs the same statement and writes the same row for a live, dead, unknown or malformed token (H184). A second request
    with the same token adds nothing while the first one waits.
    """
    await _store(digest_of(token[:_LONGEST_TOKEN]), now)


async def request_fresh_link_of(link: LinkFacts, *, now: datetime) -> None:
    """Stores a request for the link of the browser's own flow, and wakes a worker."""
    rows = await select("SELECT digest FROM links WHERE id = $1", link.id)
    for row in rows:
        await _store(row["digest"], now)


async def _store(digest: str, now: datetime) -> None:
    sql = "INSERT INTO fresh_link_requests (digest, requested_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
    await wake(Statement(sql, (digest, now)))


# ------------------------------------------------------------------------------------------------------------- deciding


async def has_requests() -> bool:
    return bool(await select("SELECT 1 AS one FROM fresh_link_requests LIMIT 1"))


_TAKE: Final = """
WITH taken AS MATERIALIZED (
    SELECT digest FROM fresh_link_requests ORDER BY requested_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM fresh_link_requests WHERE digest IN (SELECT digest FROM taken) RETURNING digest
"""


async def take_requests(*, now: datetime, settings: Settings) -> RequestBatch:
    """Takes a batch of requests and decides on them. The calling code orders the mails in the same transaction.

    Workers on PostgreSQL take disjoint batches. A fresh link is due for a pending invitation without a live link and
    without a waiting mail. The address must accept mail, and FRESH_LINKS_PER_INVITATION must allow the link. Every other
    request leaves no trace (H179, H180).
    """
    digests = [row["digest"] for row in await select(_TAKE, _BATCH)]
    due = [link for link in await _due_links(digests, now) if await _allow(link, now, settings)]
    return RequestBatch(len(digests) == _BATCH, due)


async def _due_links(digests: list[str], now: datetime) -> list[DueLink]:
    """Returns the invitations of these links for which a fresh link is due.

    Locks the invitations in a fixed order before it reads their links. When two workers have two links of one invitation,
    the second one sees the mail that the first one ordered.
    """
    params = Params(now)
    if not (marks := params.add_all(digests)):
        return []
    locked = {row["id"]: row for row in await select(_LOCK.format(marks=marks), *params.values)}
    params = Params(now)
    if not (marks := params.add_all(locked)):
        return []
    linkless = await select(_LINKLESS.format(marks=marks), *params.values)
    rows = [locked[row["id"]] for row in linkless]
    return [DueLink(row["id"], row["generation"], row["community_id"]) for row in rows]


_LOCK: Final = f"""
SELECT i.id, i.generation, i.community_id FROM invitations i
WHERE i.id IN (SELECT l.invitation_id FROM links l WHERE l.digest IN ({{marks}}))
    AND {is_pending("$1", "i")}
    AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.email = i.email)
    AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.community_id = i.community_id AND b.email = i.email)
ORDER BY i.id FOR NO KEY UPDATE OF i
"""  # noqa: S608 -- constants
_LINKLESS: Final = f"""
SELECT i.id FROM invitations i WHERE i.id IN ({{marks}})
    AND NOT EXISTS (
        SELECT 1 FROM links l WHERE l.invitation_id = i.id AND l.generation = i.generation AND l.expires_at > $1)
    AND NOT EXISTS (
        SELECT 1 FROM mail_orders o WHERE o.invitation_id = i.id AND o.generation = i.generation
        AND o.kind IN ('invitation', 'fresh_link') AND {outbox.WAITING})
ORDER BY i.id
"""  # noqa: S608 -- constants


async def _allow(due: DueLink, now: datetime, settings: Settings) -> bool:
    """Counts the fresh link, and records it where the limit allows it."""
    limit, key = settings.rate_limits.fresh_links_per_invitation, f"fresh:{due.invitation_id}"
    if await spend(limit, key, now=now) is not None:
        return False
    event = audit.Event("invitation.fresh_link_requested", due.community_id, None, due.invitation_id)
    await audit.record_anonymous(now, event)
    await notify(Changed(due.community_id, due.invitation_id))
    return True
