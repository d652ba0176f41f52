"""Links: secrets in mails that are valid for minutes. The step that sends the mail creates the link; only its digest is
stored.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from service.addresses import Address
from service.database import json_list, select
from service.invitation_status import Status, status_of
from service.models import Link, Role
from service.tokens import Token, digest_of, new_id, new_token

_LONGEST_TOKEN: Final = 200  # four times the real length; longer texts are not hashed (H015)


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """A link with its invitation and community, at the instant of reading."""

    id: str
    generation: int
    expires_at: datetime
    invitation_id: str
    invitation_generation: int
    invitation_expires_at: datetime
    status: Status
    accepted_by_id: str | None
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
        """Whether a flow that began with the link may finish: the invitation is pending and was not resent."""
        return self.status is Status.PENDING and self.generation == self.invitation_generation

    def is_accepted_by(self, member_id: str) -> bool:
        """Whether this member accepted the invitation."""
        return self.status is Status.ACCEPTED and self.accepted_by_id == member_id

    def is_live(self, now: datetime) -> bool:
        """Whether a new flow may begin with the link."""
        return self.may_return and now < self.expires_at


_FACTS: Final = """
SELECT l.id, l.generation, l.expires_at AS link_expires_at, i.id AS invitation_id,
    i.generation AS invitation_generation, i.expires_at, i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at,
    i.accepted_by_id, i.email, i.role, i.message, i.proposed_email, i.inviter_id, i.for_member_id, v.name AS inviter_name, c.id AS community_id, c.name AS community_name,
    c.seat_limit, c.allowed_email_domains
FROM links l JOIN invitations i ON i.id = l.invitation_id JOIN communities c ON c.id = i.community_id
LEFT JOIN members v ON v.id = i.inviter_id
"""


async def link_by_token(token: str, *, now: datetime) -> LinkFacts | None:
    """Returns the live or ended link of a token, or None when the token is unknown."""
    if len(token) > _LONGEST_TOKEN:
        return None
    return await _find_link("l.digest", digest_of(token), now)


async def link_by_id(link_id: str, *, now: datetime) -> LinkFacts | None:
    return await _find_link("l.id", link_id, now)


async def _find_link(column: str, value: str, now: datetime) -> LinkFacts | None:
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
        accepted_by_id=row["accepted_by_id"],
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


async def issue_link(
    invitation_id: str, mail_order_id: str, generation: int, *, minutes: int, ends: datetime, now: datetime
) -> Token:
    """Stores the digest of a new link and returns its token. The link expires with its invitation at the latest."""
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
