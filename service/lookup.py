"""Looking single things up by their id, for a caller who may see them and for nobody else."""

from typing import Final

from service.accounts.sessions import Caller
from service.audit_log import log as audit_log
from service.audit_log.log import EventView
from service.communities import access as communities
from service.communities.access import MembershipView, MemberView
from service.database import Params, select
from service.models import Identity
from service.settings import Settings
from service.tokens import is_id

MOST_IDENTITIES: Final = 100


async def member(member_id: str) -> MemberView:
    """A member as they see themself."""
    rows = await select("SELECT id, name, email, created_at FROM members WHERE id = $1", member_id)
    return MemberView(**rows[0])


_VISIBLE = """
SELECT p.id, p.name, p.created_at,
    CASE WHEN p.id = $2 OR administered THEN p.email END AS email
FROM members p JOIN (
    SELECT o.member_id, MAX(CASE WHEN m.role IN ('OWNER', 'ADMIN') THEN 1 ELSE 0 END) = 1 AS administered
    FROM memberships m JOIN memberships o ON o.community_id = m.community_id
    WHERE m.member_id = $2 AND o.member_id = $1{within} GROUP BY o.member_id
) shared ON shared.member_id = p.id
"""


async def visible_member(member_id: str, caller: Caller) -> MemberView | None:
    """A person of one of the caller's communities; their address only where the caller is an admin beside them."""
    if member_id == caller.member_id:
        return await member(member_id)
    params, within = Params(member_id, caller.member_id), ""
    if caller.grant is not None:
        within = f" AND m.community_id IN ({params.add_all(caller.grant.community_ids)})"
    rows = await select(_VISIBLE.format(within=within), *params.values) if is_id(member_id) else []
    return MemberView(rows[0]["id"], rows[0]["name"], rows[0]["email"], rows[0]["created_at"]) if rows else None


async def membership(membership_id: str, caller: Caller, settings: Settings) -> MembershipView | None:
    """A membership in one of the caller's communities."""
    rows = []
    if is_id(membership_id):
        rows = await select("SELECT community_id FROM memberships WHERE id = $1", membership_id)
    places = await communities.standings(caller, settings, community_id=rows[0]["community_id"]) if rows else []
    found = await communities.memberships_named([membership_id], places[0]) if places else []
    return found[0] if found else None


async def identities(member_id: str) -> list[Identity]:
    """The sign-ins of an account, the first linked first; at most MOST_IDENTITIES."""
    return await Identity.filter(member_id=member_id).order_by("linked_at", "id").limit(MOST_IDENTITIES)


async def audit_event(
    event_id: str, caller: Caller, settings: Settings
) -> tuple[EventView, communities.CommunityAccess] | None:
    """An event of a community that the caller administers, with the access to the community."""
    if not is_id(event_id):
        return None
    places = {access.community_id: access for access in await communities.standings(caller, settings)}
    event = await audit_log.one(event_id, [community_id for community_id, access in places.items() if access.is_admin])
    return None if event is None else (event, places[event.community_id or ""])
