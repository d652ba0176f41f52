"""Erasure of a person's data on request. The facts of the audit log remain.

The account's row remains without personal data, because invitations and audit events refer to it. The log still shows that
a person invited, joined and left, but not which person. Suppressions and blocks of the address remain. The token that lifts
a block remains, too: it contains no address, and the owner of the mailbox needs it to lift a block by another person.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service import audit
from service.addresses import Address, masked
from service.changes import Changed, notify
from service.database import empty_write_ahead_log, execute, select, transaction
from service.errors import ExpectedError
from service.invitation_status import is_pending
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
class Erasure:
    """The numbers of erased rows, and the data that remains on purpose."""

    accounts: int
    memberships: int
    invitations: int
    stays_suppressed: bool
    stays_blocked: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing was known about the address."""
        return not (self.accounts or self.memberships or self.invitations)


async def erase(address: Address, *, even_last_owner: bool, now: datetime) -> Erasure:
    """Erases the accounts with this address and the invitations to it. Raises LeavesNoOwner."""
    async with transaction():
        erasure = await _erase(address, even_last_owner=even_last_owner, now=now)
    await empty_write_ahead_log()
    return erasure


async def _erase(address: Address, *, even_last_owner: bool, now: datetime) -> Erasure:
    rows = await select("SELECT id FROM members WHERE email = $1 ORDER BY id FOR UPDATE", address)
    members = [row["id"] for row in rows]
    if not even_last_owner:
        await _refuse_ownerless(members)
    memberships = sum([await _erase_member(member_id, now) for member_id in members])
    invitations = await _invitations_of(address, members)
    for row in invitations:
        await _erase_invitation(row, now)
    for each in {address, *(Address(row["email"]) for row in invitations)}:
        await _erase_traces(each)
    await audit.record(now, audit.Event("person.erased", details={"email": masked(address)}))
    return Erasure(
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


async def _refuse_ownerless(members: list[str]) -> None:
    """Locks the communities in a fixed order first, so that two last owners cannot leave concurrently."""
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
    """Removes the sign-ins, memberships and personal data of an account. Returns the number of memberships."""
    memberships = await select("SELECT community_id, role FROM memberships WHERE member_id = $1", member_id)
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
    await audit.record(now, *(_erased_event(membership, member_id) for membership in memberships))
    return len(memberships)


def _erased_event(membership: dict[str, Any], member_id: str) -> audit.Event:
    details = {"member": member_id, "role": Role(membership["role"])}
    return audit.Event("member.erased", membership["community_id"], details=details)


async def _invitations_of(address: Address, members: list[str]) -> list[dict[str, Any]]:
    """Returns the invitations to the address, and those to other addresses that one of these accounts accepted."""
    found = await select("SELECT id, community_id, email FROM invitations WHERE email = $1 ORDER BY id", address)
    for member_id in members:
        found += await select(
            "SELECT id, community_id, email FROM invitations WHERE accepted_by_id = $1 AND email <> $2"
            " AND erased_at IS NULL ORDER BY id",
            member_id, address,
        )  # fmt: skip
    return found


async def _erase_invitation(row: dict[str, Any], now: datetime) -> None:
    """Revokes a pending invitation and erases it. Deletes its mail orders first: the worker locks in this order, too."""
    await execute("DELETE FROM mail_orders WHERE invitation_id = $1", row["id"])
    await execute(
        f"UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND {is_pending('$1')}",  # noqa: S608 -- constants
        now, row["id"],
    )  # fmt: skip
    await erase_invitation(row["id"], now=now)
    await audit.record(now, audit.Event("invitation.erased", row["community_id"], None, row["id"]))
    await notify(Changed(row["community_id"], row["id"]))


async def _erase_traces(address: Address) -> None:
    """Erases the address from sign-ins that claimed it in any case, proposals, flows, tokens and counters."""
    await execute("UPDATE identities SET email = NULL WHERE lower(email) = $1", address)
    await execute("UPDATE invitations SET proposed_email = NULL WHERE proposed_email = $1", address)
    await execute("DELETE FROM flows WHERE lower(signed_in_email) = $1", address)
    await execute("DELETE FROM unsubscribe_tokens WHERE email = $1", address)
    await forget_recipient(address)
