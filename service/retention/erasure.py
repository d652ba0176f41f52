"""Erasure: removes a person's data on their wish, and keeps the facts of the audit.

The account's row stays, empty, because invitations and audit events point to it: that somebody invited, joined and left
stays known, and who does not. Suppressions and blocks of the address stay, and so does the token that lifts a block: it
holds no address, and without it the mailbox's owner could not lift a block that somebody else made.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service import audit
from service.addresses import Address, masked
from service.changes import Changed, notify
from service.database import empty_write_ahead_log, execute, select, transaction
from service.errors import ExpectedError
from service.languages import Sentence
from service.limits import forget_recipient
from service.models import Role
from service.retention.pruning import erase_invitation


class LeavesNoOwner(ExpectedError):
    """Raised when communities with other members would be left without an owner; nothing was erased."""

    def __init__(self, communities: list[str]) -> None:
        super().__init__(
            Sentence(
                f"This person is the only owner of {', '.join(communities)}. Make another member an owner first, or erase"
                " with --even-last-owner: then nobody there can invite or appoint an owner until you invite one."
            )
        )


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased, and what stays on purpose."""

    accounts: int
    memberships: int
    invitations: int
    stays_suppressed: bool
    stays_blocked: int


async def erase(address: Address, *, even_last_owner: bool, now: datetime) -> Erased:
    """Removes whoever has this address, or was invited at it. Raises LeavesNoOwner."""
    async with transaction():
        erased = await _erase(address, even_last_owner=even_last_owner, now=now)
    await empty_write_ahead_log()
    return erased


async def _erase(address: Address, *, even_last_owner: bool, now: datetime) -> Erased:
    rows = await select("SELECT id FROM members WHERE email = $1 ORDER BY id FOR UPDATE", address)
    members = [row["id"] for row in rows]
    if not even_last_owner:
        await _refuse_last_owner(members)
    memberships = sum([await _erase_member(member_id, now) for member_id in members])
    invitations = await _invitations_of(address, members)
    for row in invitations:
        await _erase_invitation(row, now)
    for known in {address, *(Address(row["email"]) for row in invitations)}:
        await _erase_traces(known)
    await audit.record(now, audit.Event("person.erased", details={"email": masked(address)}))
    return Erased(
        len(members), memberships, len(invitations),
        bool(await select("SELECT 1 AS one FROM suppressions WHERE email = $1", address)),
        len(await select("SELECT 1 AS one FROM blocks WHERE email = $1", address)),
    )  # fmt: skip


_ONLY_OWNER = """
SELECT c.name FROM memberships m JOIN communities c ON c.id = m.community_id
WHERE m.member_id = $1 AND m.role = 'OWNER'
    AND NOT EXISTS (SELECT 1 FROM memberships o WHERE o.community_id = m.community_id AND o.role = 'OWNER'
        AND o.member_id <> $1)
    AND EXISTS (SELECT 1 FROM memberships p WHERE p.community_id = m.community_id AND p.member_id <> $1)
ORDER BY c.name
"""


async def _refuse_last_owner(members: list[str]) -> None:
    """Communities are locked first, in one order, so that two last owners do not leave at once."""
    for member_id in members:
        await select(
            "SELECT c.id FROM communities c JOIN memberships m ON m.community_id = c.id WHERE m.member_id = $1"
            " AND m.role = 'OWNER' ORDER BY c.id FOR UPDATE OF c",
            member_id,
        )
        names = [row["name"] for row in await select(_ONLY_OWNER, member_id)]
        if names:
            raise LeavesNoOwner(names)


async def _erase_member(member_id: str, now: datetime) -> int:
    """Empties an account: nobody can sign in to it, belongs anywhere by it, or is named by it. How many memberships."""
    places = await select("SELECT community_id, role FROM memberships WHERE member_id = $1", member_id)
    await execute(
        "DELETE FROM flows WHERE session_id IN (SELECT id FROM sessions WHERE member_id = $1) OR EXISTS (SELECT 1 FROM"
        " identities d WHERE d.member_id = $1 AND d.issuer = flows.issuer AND d.subject = flows.subject)",
        member_id,
    )
    await execute("DELETE FROM sessions WHERE member_id = $1", member_id)
    await execute("DELETE FROM access_tokens WHERE member_id = $1", member_id)
    await execute("DELETE FROM identities WHERE member_id = $1", member_id)
    await execute("DELETE FROM memberships WHERE member_id = $1", member_id)
    await execute("DELETE FROM mail_orders WHERE member_id = $1", member_id)
    await execute("UPDATE members SET name = NULL, email = NULL, erased_at = $1 WHERE id = $2", now, member_id)
    await audit.record(now, *(_left(access, member_id) for access in places))
    return len(places)


def _left(access: dict[str, Any], member_id: str) -> audit.Event:
    details = {"member": member_id, "role": Role(access["role"])}
    return audit.Event("member.erased", access["community_id"], details=details)


async def _invitations_of(address: Address, members: list[str]) -> list[dict[str, Any]]:
    """Those to the address, and those to any other address that one of these accounts accepted."""
    found = await select("SELECT id, community_id, email FROM invitations WHERE email = $1 ORDER BY id", address)
    for member_id in members:
        found += await select(
            "SELECT id, community_id, email FROM invitations WHERE accepted_by_id = $1 AND email <> $2"
            " AND erased_at IS NULL ORDER BY id",
            member_id, address,
        )  # fmt: skip
    return found


async def _erase_invitation(row: dict[str, Any], now: datetime) -> None:
    """An open one is taken back first. Its mail orders go before it is locked, as the worker locks them."""
    await execute("DELETE FROM mail_orders WHERE invitation_id = $1", row["id"])
    await execute(
        "UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND accepted_at IS NULL AND declined_at IS NULL"
        " AND revoked_at IS NULL AND superseded_at IS NULL AND expires_at > $1",
        now, row["id"],
    )  # fmt: skip
    await erase_invitation(row["id"], now=now)
    await audit.record(now, audit.Event("invitation.erased", row["community_id"], None, row["id"]))
    await notify(Changed(row["community_id"], row["id"]))


async def _erase_traces(address: Address) -> None:
    """Where else the address stands: other sign-ins that claimed it in any case, proposals, tokens, counters."""
    await execute("UPDATE identities SET email = NULL WHERE lower(email) = $1", address)
    await execute("UPDATE invitations SET proposed_email = NULL WHERE proposed_email = $1", address)
    await execute("DELETE FROM flows WHERE lower(signed_in_email) = $1", address)
    await execute("DELETE FROM unsubscribe_tokens WHERE email = $1", address)
    await forget_recipient(address)
