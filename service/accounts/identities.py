"""Identities: the sign-ins of an account, each found by its issuer and subject."""

from datetime import datetime
from typing import Final

from service.addresses import Address, AddressInvalid, canonical
from service.database import Statement, execute, insert, select
from service.models import Identity as IdentityRow
from service.openid import Identity
from service.tokens import new_id

MOST_IDENTITIES: Final = 100


async def identities_of(member_id: str) -> list[IdentityRow]:
    """Returns at most MOST_IDENTITIES sign-ins of an account, in the order of linking."""
    return await IdentityRow.filter(member_id=member_id).order_by("linked_at", "id").limit(MOST_IDENTITIES)


def claimed_address(identity: Identity) -> Address | None:
    """Returns the address that a login claims in its canonical form, or None when it claims no valid address."""
    try:
        return canonical(identity.email or "")
    except AddressInvalid:
        return None


async def account_of(identity: Identity) -> str | None:
    """Returns the id of the member whose account has this identity."""
    rows = await select(
        "SELECT member_id FROM identities WHERE issuer = $1 AND subject = $2", identity.issuer, identity.subject
    )
    return rows[0]["member_id"] if rows else None


async def sign_in_account(identity: Identity, *, now: datetime) -> str | None:
    """Records a sign-in, and returns the id of its member, or None when the identity opens no account.

    One UPDATE finds the identity and locks it, so an operator cannot release it at the same time.
    """
    rows = await select(_SIGN_IN, now, identity.issuer, identity.subject)
    return rows[0]["member_id"] if rows else None


_SIGN_IN: Final = """
UPDATE identities SET last_used_at = $1 WHERE issuer = $2 AND subject = $3
    AND EXISTS (SELECT 1 FROM members m WHERE m.id = identities.member_id AND m.erased_at IS NULL)
RETURNING member_id
"""


def insert_identity(
    member_id: str, identity: Identity, *, proven: bool, last_used_at: datetime | None, now: datetime
) -> Statement:
    """Adds an identity to an account. `proven` means that the login proves its address; others are only displayed."""
    return insert("identities", {
        "id": new_id("idn"), "member_id": member_id, "provider_id": identity.provider_id, "issuer": identity.issuer,
        "subject": identity.subject, "email": claimed_address(identity), "email_proven": proven, "linked_at": now,
        "last_used_at": last_used_at,
    })  # fmt: skip


def update_identity(identity_id: str, identity: Identity, *, now: datetime) -> Statement:
    """Records a sign-in that proves its address."""
    sql = "UPDATE identities SET last_used_at = $1, email = $2, email_proven = $3 WHERE id = $4"
    return Statement(sql, (now, claimed_address(identity), True, identity_id))


async def delete_sign_ins(member_id: str, *, now: datetime) -> None:
    """Deletes the identities of an account, and ends its sessions and access tokens.

    The identities are locked first. A concurrent sign-in therefore either succeeds before, and its session ends with the
    others, or finds no identity.
    """
    await select("SELECT id FROM identities WHERE member_id = $1 ORDER BY id FOR UPDATE", member_id)
    await execute("UPDATE sessions SET ended_at = $1 WHERE member_id = $2 AND ended_at IS NULL", now, member_id)
    await execute(
        "UPDATE access_tokens SET revoked_at = $1 WHERE member_id = $2 AND revoked_at IS NULL", now, member_id
    )
    await execute("DELETE FROM identities WHERE member_id = $1", member_id)
