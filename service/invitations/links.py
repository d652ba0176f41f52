"""Links: what a mail carries for minutes. Made in the step that sends the mail, found by digest, never shown again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from service.addresses import Address
from service.database import json_list, select
from service.invitation_status import Status, status_of
from service.models import Link, Role
from service.tokens import Token, digest_of, new_id, new_token

_LONGEST_TOKEN: Final = 200  # four times a real one; longer texts are not even hashed (H015)


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """A link with what it stands for, as it was when it was read."""

    id: str
    generation: int
    expires_at: datetime
    invitation_id: str
    invitation_generation: int
    invitation_expires_at: datetime
    status: Status
    community_id: str
    community_name: str
    seat_limit: int | None
    allowed_email_domains: tuple[str, ...]
    inviter_id: str | None
    inviter_name: str | None
    for_member_id: str | None
    email: Address
    role: Role
    message: str | None
    proposed_email: str | None

    @property
    def may_return(self) -> bool:
        """Whether a flow begun with it may still finish: nobody resent, revoked, used or let it run out meanwhile."""
        return self.status is Status.PENDING and self.generation == self.invitation_generation

    def lives(self, now: datetime) -> bool:
        """Whether a new flow may begin with it."""
        return self.may_return and now < self.expires_at


_FACTS = """
SELECT l.id, l.generation, l.expires_at AS link_expires_at, i.id AS invitation_id,
    i.generation AS invitation_generation, i.expires_at, i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at,
    i.email, i.role, i.message, i.proposed_email, i.inviter_id, i.for_member_id, v.name AS inviter_name, c.id AS community_id, c.name AS community_name,
    c.seat_limit, c.allowed_email_domains
FROM links l JOIN invitations i ON i.id = l.invitation_id JOIN communities c ON c.id = i.community_id
LEFT JOIN members v ON v.id = i.inviter_id
"""


async def by_token(token: str, *, now: datetime) -> LinkFacts | None:
    """The link, dead or alive, that a token is of; None for anything that never was one."""
    if len(token) > _LONGEST_TOKEN:
        return None
    return await _one("l.digest", digest_of(token), now)


async def by_id(link_id: str, *, now: datetime) -> LinkFacts | None:
    return await _one("l.id", link_id, now)


async def _one(column: str, value: str, now: datetime) -> LinkFacts | None:
    rows = await select(f"{_FACTS} WHERE {column} = $1", value)
    return _facts_of(rows[0], now) if rows else None


def _facts_of(row: dict[str, Any], now: datetime) -> LinkFacts:
    return LinkFacts(
        id=row["id"],
        generation=row["generation"],
        expires_at=row["link_expires_at"],
        invitation_id=row["invitation_id"],
        invitation_generation=row["invitation_generation"],
        invitation_expires_at=row["expires_at"],
        status=status_of(row, now),
        community_id=row["community_id"],
        community_name=row["community_name"],
        seat_limit=row["seat_limit"],
        allowed_email_domains=json_list(row["allowed_email_domains"]),
        inviter_id=row["inviter_id"],
        inviter_name=row["inviter_name"],
        for_member_id=row["for_member_id"],
        email=Address(row["email"]),
        role=Role(row["role"]),
        message=row["message"],
        proposed_email=row["proposed_email"],
    )


async def issue(
    invitation_id: str, mail_order_id: str, generation: int, *, minutes: int, ends: datetime, now: datetime
) -> Token:
    """A new link of an invitation: stores its digest and its deadline, never past the invitation's; returns the token."""
    token, digest = new_token()
    await Link.create(
        id=new_id("lnk"),
        invitation_id=invitation_id,
        mail_order_id=mail_order_id,
        generation=generation,
        digest=digest,
        created_at=now,
        expires_at=min(now + timedelta(minutes=minutes), ends),
    )
    return token
