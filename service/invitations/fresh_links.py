"""Fresh links: the holder of an expired link asks for another, which goes to the invited mailbox only.

A request is a row that says no more than a token's digest, and is the same for every token. A worker decides later
whether a mail is due. The person who asks therefore learns nothing from the answer or from the time that it takes.
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
class Due:
    """An invitation whose fresh link is to be sent."""

    invitation_id: str
    generation: int
    community_id: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch of requests: whether more may wait, and the invitations whose fresh links are due."""

    is_full: bool
    due: list[Due]


# -------------------------------------------------------------------------------------------------------------- asking


async def request(token: str, *, now: datetime) -> None:
    """Stores that somebody asks with this token, and wakes a worker.

    Runs the same statement and writes the same row for a live, dead, unknown or malformed token (H184). A second request
    with the same token adds nothing while the first one waits.
    """
    await _store(digest_of(token[:_LONGEST_TOKEN]), now)


async def request_for(link: LinkFacts, *, now: datetime) -> None:
    """The same for the link of the browser's own flow."""
    rows = await select("SELECT digest FROM links WHERE id = $1", link.id)
    for row in rows:
        await _store(row["digest"], now)


async def _store(digest: str, now: datetime) -> None:
    sql = "INSERT INTO fresh_link_requests (digest, requested_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
    await wake(Statement(sql, (digest, now)))


# ------------------------------------------------------------------------------------------------------------- deciding


async def are_waiting() -> bool:
    return bool(await select("SELECT 1 AS one FROM fresh_link_requests LIMIT 1"))


_TAKE: Final = """
WITH taken AS MATERIALIZED (
    SELECT digest FROM fresh_link_requests ORDER BY requested_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM fresh_link_requests WHERE digest IN (SELECT digest FROM taken) RETURNING digest
"""


async def take(*, now: datetime, settings: Settings) -> Taken:
    """Takes a batch of requests and decides on them, in a transaction of the caller's, who orders the mails.

    Workers on PostgreSQL take disjoint batches. A fresh link is due while the invitation is open, no link of it is live,
    no mail with one waits, the address takes mail, and FRESH_LINKS_PER_INVITATION is not used up. Any other request
    leaves no trace (H179, H180).
    """
    digests = [row["digest"] for row in await select(_TAKE, _BATCH)]
    due = [found for found in await _wanting(digests, now) if await _allow(found, now, settings)]
    return Taken(len(digests) == _BATCH, due)


async def _wanting(digests: list[str], now: datetime) -> list[Due]:
    """The invitations of these links that want a fresh one. Each is locked before its links are looked at, in one order,
    so that of two workers with two links of one invitation the second sees what the first ordered.
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
    return [Due(row["id"], row["generation"], row["community_id"]) for row in rows]


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


async def _allow(found: Due, now: datetime, settings: Settings) -> bool:
    """Counts the fresh link, and records it where the limit allows it."""
    limit, key = settings.rate_limits.fresh_links_per_invitation, f"fresh:{found.invitation_id}"
    if await spend(limit, key, now=now) is not None:
        return False
    event = audit.Event("invitation.fresh_link_requested", found.community_id, None, found.invitation_id)
    await audit.record_anonymous(now, event)
    await notify(Changed(found.community_id, found.invitation_id))
    return True
