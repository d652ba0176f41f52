"""Members and memberships, as other members of the community see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.accounts.caller import Caller
from service.communities.access import CommunityAccess, accessible_communities
from service.database import Params, select, select_pages
from service.errors import ExpectedError
from service.languages import sentence
from service.models import Role
from service.settings import Settings
from service.tokens import is_id

MOST_MEMBERSHIPS: Final = 200  # in the list of a member's communities


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as the caller sees them. Only the member and admins of a shared community see `email`."""

    id: str
    name: str | None
    email: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MembershipView:
    """A membership as another member of the community sees it."""

    id: str
    member: MemberView
    community: CommunityAccess
    role: Role
    joined_at: datetime
    viewer_can_change: bool


class AlreadyMember(ExpectedError):
    """Raised when a member of this community has the address, or joined by an invitation to it."""

    def __init__(self, membership: MembershipView) -> None:
        super().__init__(sentence("ALREADY_MEMBER", "A member of this community has this address already."))
        self.membership = membership


async def find_member(member_id: str) -> MemberView:
    """Returns a member as they see themselves."""
    rows = await select("SELECT id, name, email, created_at FROM members WHERE id = $1", member_id)
    return MemberView(**rows[0])


_VISIBLE: Final = """
SELECT p.id, p.name, p.created_at,
    CASE WHEN p.id = $2 OR administered THEN p.email END AS email
FROM members p JOIN (
    SELECT o.member_id, MAX(CASE WHEN m.role IN ('OWNER', 'ADMIN') THEN 1 ELSE 0 END) = 1 AS administered
    FROM memberships m JOIN memberships o ON o.community_id = m.community_id
    WHERE m.member_id = $2 AND o.member_id = $1{within} GROUP BY o.member_id
) shared ON shared.member_id = p.id
"""


async def find_visible_member(member_id: str, caller: Caller) -> MemberView | None:
    """Returns a member of one of the caller's communities, with their address where the caller is an admin of one."""
    if member_id == caller.member_id:
        return await find_member(member_id)
    params, within = Params(member_id, caller.member_id), ""
    if caller.grant is not None:
        within = f" AND m.community_id IN ({params.add_all(caller.grant.community_ids)})"
    rows = await select(_VISIBLE.format(within=within), *params.values) if is_id(member_id) else []
    return MemberView(rows[0]["id"], rows[0]["name"], rows[0]["email"], rows[0]["created_at"]) if rows else None


async def find_membership(membership_id: str, caller: Caller, settings: Settings) -> MembershipView | None:
    """Returns a membership in one of the caller's communities."""
    rows = []
    if is_id(membership_id):
        rows = await select("SELECT community_id FROM memberships WHERE id = $1", membership_id)
    accesses = await accessible_communities(caller, settings, community_id=rows[0]["community_id"]) if rows else []
    views = await memberships_by_id([membership_id], accesses[0]) if accesses else []
    return views[0] if views else None


_MEMBERSHIP_COLUMNS: Final = """
    m.id, m.role, m.joined_at, p.id AS member_id, p.name AS member_name, p.email AS member_email, p.created_at AS member_at
"""


@dataclass(frozen=True, slots=True)
class MembersQuery:
    """A page of the members of a community, in the order of joining, after a keyset position."""

    access: CommunityAccess
    limit: int
    after: tuple[datetime, str] | None = None


async def membership_pages(queries: Sequence[MembersQuery]) -> list[list[MembershipView]]:
    """Returns the pages, in one statement."""
    params = Params()
    pages = await select_pages([_keys(query, params) for query in queries], _PAGES, params)
    return [[_membership_view(row, query.access) for row in rows] for query, rows in zip(queries, pages, strict=True)]


_PAGES: Final = f"""
SELECT k.page, {_MEMBERSHIP_COLUMNS} FROM {{keys}} k JOIN memberships m ON m.id = k.id JOIN members p ON p.id = m.member_id
ORDER BY k.page, m.joined_at, m.id
"""  # noqa: S608 -- constants


def _keys(query: MembersQuery, params: Params) -> str:
    where = f"m.community_id = {params.add(query.access.community_id)}"
    if query.after is not None:
        where += f" AND (m.joined_at, m.id) > ({params.add_all(query.after)})"
    return f"SELECT m.id FROM memberships m WHERE {where} ORDER BY m.joined_at, m.id LIMIT {int(query.limit)}"  # noqa: S608 -- placeholders


async def memberships_by_id(ids: Iterable[str], access: CommunityAccess) -> list[MembershipView]:
    """Returns the memberships with these ids in the caller's community."""
    return await _memberships("m.id", ids, access)


async def memberships_by_member(keys: Sequence[tuple[CommunityAccess, str]]) -> list[MembershipView | None]:
    """Returns memberships by community and member, or None for a person who is no member.

    Runs one statement for each community.
    """
    found: dict[tuple[str, str], MembershipView] = {}
    for access in dict.fromkeys(access for access, _ in keys):
        views = await _memberships("m.member_id", {member_id for of, member_id in keys if of == access}, access)
        found |= {(access.community_id, view.member.id): view for view in views}
    return [found.get((access.community_id, member_id)) for access, member_id in keys]


async def _memberships(column: str, ids: Iterable[str], access: CommunityAccess) -> list[MembershipView]:
    params = Params(access.community_id)
    if not (marks := params.add_all(ids)):
        return []
    sql = (
        f"SELECT {_MEMBERSHIP_COLUMNS} FROM memberships m JOIN members p ON p.id = m.member_id"  # noqa: S608 -- constants
        f" WHERE m.community_id = $1 AND {column} IN ({marks})"
    )
    return [_membership_view(row, access) for row in await select(sql, *params.values)]


def _membership_view(row: dict[str, Any], access: CommunityAccess) -> MembershipView:
    role, own = Role(row["role"]), row["member_id"] == access.member_id
    visible = access.is_admin or own
    member = MemberView(
        row["member_id"], row["member_name"], row["member_email"] if visible else None, row["member_at"]
    )
    can_change = access.grant is None and (own or access.may_manage(role))  # no access token changes members
    return MembershipView(row["id"], member, access, role, row["joined_at"], viewer_can_change=can_change)


async def memberships_of(
    caller: Caller, settings: Settings, *, community_id: str | None = None
) -> list[MembershipView]:
    """Returns at most MOST_MEMBERSHIPS memberships of the caller in the order of the communities' names, or the one
    membership in the community with this id.
    """
    accesses = await accessible_communities(caller, settings, community_id=community_id, most=MOST_MEMBERSHIPS)
    params = Params()
    if not (marks := params.add_all(access.membership_id for access in accesses)):
        return []
    sql = (
        f"SELECT {_MEMBERSHIP_COLUMNS} FROM memberships m JOIN members p ON p.id = m.member_id WHERE m.id IN ({marks})"  # noqa: S608 -- constants
    )
    rows = {row["id"]: row for row in await select(sql, *params.values)}
    return [_membership_view(rows[access.membership_id], access) for access in accesses if access.membership_id in rows]
