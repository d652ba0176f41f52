"""Blocks: addresses to which one community can send no further invitations, and the token that lifts a block.

A block requires only a link, so its author is unknown. For this reason the service sends a notice to the invited mailbox.
The notice contains a token that lifts the block, and the audit event names "a person with the link" as the author.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from service import audit
from service.addresses import Address, masked
from service.changes import Changed, notify
from service.database import execute, select, transaction
from service.tokens import Token, digest_of, new_id, new_token

UNDO_LIFETIME: Final = timedelta(days=30)
_LONGEST_TOKEN: Final = 200


class LiftedBy(StrEnum):
    """The author of the removal of a block."""

    UNDO_LINK = "undo_link"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block, for the operator."""

    community_id: str
    community_name: str
    email: Address
    since: datetime
    made_by: str


_CREATE: Final = """
INSERT INTO blocks (id, community_id, email, created_at, made_by, invitation_id) VALUES ($1, $2, $3, $4, 'link', $5)
ON CONFLICT (community_id, email) DO NOTHING
"""


async def create(community_id: str, email: Address, *, invitation_id: str, now: datetime) -> None:
    """Blocks an address for a community, in the caller's transaction. An existing block stays unchanged."""
    await execute(_CREATE, new_id("blk"), community_id, email, now, invitation_id)
    details = {"email": masked(email), "made_by": "link"}
    await audit.record(now, audit.Event("address.blocked", community_id, None, invitation_id, details))


async def issue_undo(block_id: str, *, now: datetime) -> Token:
    """Creates a token that lifts a block, and stores its digest for 30 days. Returns the token for the mail."""
    token, digest = new_token()
    await execute(
        "INSERT INTO block_undo_tokens (digest, block_id, expires_at) VALUES ($1, $2, $3)",
        digest, block_id, now + UNDO_LIFETIME,
    )  # fmt: skip
    return token


_LIFT: Final = "DELETE FROM blocks WHERE {condition} RETURNING community_id, email, invitation_id"


async def undo(token: str, *, now: datetime) -> None:
    """Lifts the block of the notice that contained this token. An unknown or expired token changes nothing."""
    if len(token) > _LONGEST_TOKEN:
        return
    matching = "id IN (SELECT block_id FROM block_undo_tokens WHERE digest = $1 AND expires_at > $2)"
    async with transaction():
        rows = await select(_LIFT.format(condition=matching), digest_of(token), now)
        await _record_lifted(rows, LiftedBy.UNDO_LINK, now)


async def lift_all(address: Address, *, now: datetime) -> list[str]:
    """Lifts all blocks of an address, in the caller's transaction. Returns the names of the communities."""
    rows = await select(_LIFT.format(condition="email = $1"), address)
    await _record_lifted(rows, LiftedBy.OPERATOR, now)
    return sorted([await _community_name(row["community_id"]) for row in rows])


async def _record_lifted(rows: list[dict[str, Any]], by: LiftedBy, now: datetime) -> None:
    for row in rows:
        details = {"email": masked(Address(row["email"])), "lifted_by": by}
        event = audit.Event("address.block_lifted", row["community_id"], None, row["invitation_id"], details)
        await audit.record(now, event)
        if row["invitation_id"] is not None:
            await notify(Changed(row["community_id"], row["invitation_id"]))


async def _community_name(community_id: str) -> str:
    rows = await select("SELECT name FROM communities WHERE id = $1", community_id)
    return str(rows[0]["name"])


async def list_all() -> list[BlockView]:
    """Returns all blocks for the operator, ordered by address and community."""
    rows = await select(
        "SELECT b.community_id, c.name, b.email, b.created_at, b.made_by FROM blocks b"
        " JOIN communities c ON c.id = b.community_id ORDER BY b.email, lower(c.name), c.id"
    )
    return [
        BlockView(row["community_id"], row["name"], Address(row["email"]), row["created_at"], row["made_by"])
        for row in rows
    ]
