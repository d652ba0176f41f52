"""Access to a community: the caller's role and rights in it, and the rules of the community."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.accounts.caller import Caller, Grant
from service.addresses import Address, domain_of
from service.database import json_list, select
from service.database.shares import concerns
from service.errors import NotFound, NotSignedIn
from service.languages import Sentence, sentence
from service.models import Role
from service.settings import Settings
from service.tokens import is_id

NO_COMMUNITY: Final = sentence("NOT_FOUND", "There is no such community among yours.")


@dataclass(frozen=True, slots=True)
class CommunityAccess:
    """A community with its rules, and the role of the caller in it. One statement reads all of it.

    `seats_taken` counts the members, and is 0 in a community without a seat limit. `grant` bounds the rights of a caller
    with an access token.
    """

    community_id: str
    name: str
    created_at: datetime
    role: Role
    membership_id: str
    member_id: str
    link_minutes: int
    invitation_days: int
    allowed_email_domains: tuple[str, ...]
    seat_limit: int | None
    seats_taken: int
    locale: str | None
    grant: Grant | None = None

    @property
    def access_token_id(self) -> str | None:
        """The caller's access token, or None in a session."""
        return None if self.grant is None else self.grant.token_id

    @property
    def is_admin(self) -> bool:
        return self.role.rank >= Role.ADMIN.rank

    @property
    def seats_left(self) -> int | None:
        return None if self.seat_limit is None else max(0, self.seat_limit - self.seats_taken)

    def admits(self, email: str) -> bool:
        """Whether the rules of the community allow the domain of the address."""
        return not self.allowed_email_domains or domain_of(Address(email)) in self.allowed_email_domains

    def may_manage(self, role: Role) -> bool:
        """Whether the caller may invite to this role or remove it from a member.

        The limits are the caller's own role (H128), and the highest role of their access token (H196).
        """
        own = self.is_admin and role.rank <= self.role.rank
        return own and (self.grant is None or self.grant.may_manage(role))


ACCESS_COLUMNS: Final = """
    c.id AS community_id, c.name, c.created_at, c.locale, c.link_minutes, c.invitation_days, c.allowed_email_domains,
    c.seat_limit, m.role, m.id AS membership_id, m.member_id,
    CASE WHEN c.seat_limit IS NULL THEN 0
         ELSE (SELECT count(*) FROM memberships o WHERE o.community_id = c.id) END AS seats_taken
"""


def access_from_row(row: dict[str, Any], settings: Settings, grant: Grant | None = None) -> CommunityAccess:
    """Reads a row with ACCESS_COLUMNS. The operator's settings replace rules that the community does not set."""
    return CommunityAccess(
        community_id=row["community_id"],
        name=row["name"],
        created_at=row["created_at"],
        role=Role(row["role"]),
        membership_id=row["membership_id"],
        member_id=row["member_id"],
        link_minutes=row["link_minutes"] or settings.link_minutes,
        invitation_days=row["invitation_days"] or settings.invitation_days,
        allowed_email_domains=json_list(row["allowed_email_domains"]),
        seat_limit=row["seat_limit"],
        seats_taken=row["seats_taken"],
        locale=row["locale"],
        grant=grant,
    )


async def operator_access(community_id: str, settings: Settings) -> CommunityAccess:
    """Returns the access of the operator: an owner's rights, without a member. Raises NotFound."""
    sql = f"SELECT {ACCESS_COLUMNS} FROM communities c LEFT JOIN memberships m ON 1 = 0 WHERE c.id = $1"  # noqa: S608 -- constants
    rows = await select(sql, community_id)
    if not rows:
        raise NotFound(Sentence("There is no such community."))
    return access_from_row(rows[0] | {"role": Role.OWNER, "membership_id": "", "member_id": ""}, settings)


async def community_access(caller: Caller | None, community_id: str, settings: Settings) -> CommunityAccess:
    """Returns the caller's access to a community.

    Raises NotSignedIn. Raises the same NotFound for an unknown community and for one without the caller.
    """
    if caller is None:
        raise NotSignedIn
    accesses = await accessible_communities(caller, settings, community_id=community_id) if is_id(community_id) else []
    if not accesses:
        raise NotFound(NO_COMMUNITY)
    concerns(community_id)
    return accesses[0]


async def accessible_communities(
    caller: Caller, settings: Settings, *, community_id: str | None = None, most: int | None = None
) -> list[CommunityAccess]:
    """Returns the caller's communities in the order of their names: all, the first `most`, or the one with this id.

    An access token finds only the communities of its grant.
    """
    sql = (
        f"SELECT {ACCESS_COLUMNS} FROM memberships m JOIN communities c ON c.id = m.community_id WHERE m.member_id = $1"  # noqa: S608 -- a constant
    )
    if community_id is None:
        # The limit applies to the communities of the grant, which are filtered from all communities of the member.
        limit = "" if most is None or caller.grant is not None else f" LIMIT {int(most)}"
        rows = await select(f"{sql} ORDER BY lower(c.name), c.id{limit}", caller.member_id)
    else:
        rows = await select(f"{sql} AND c.id = $2", caller.member_id, community_id)
    return [access_from_row(row, settings, caller.grant) for row in rows if caller.may_enter(row["community_id"])][
        :most
    ]
