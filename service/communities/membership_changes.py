"""Changes of memberships: a new role, removal and leaving. Each locks the community before it counts owners."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service import audit
from service.accounts.caller import Caller
from service.addresses import masked
from service.communities.access import CommunityAccess, community_access
from service.communities.members import MembershipView, memberships_by_id
from service.database import execute, select, transaction
from service.errors import LastOwner, NotFound, NotPermitted, NotSignedIn
from service.languages import sentence
from service.models import Role
from service.settings import Settings
from service.tokens import is_id

_NO_MEMBERSHIP: Final = sentence("NOT_FOUND", "There is no such membership.")


@dataclass(frozen=True, slots=True)
class _Target:
    """The membership to change, and the caller's access. Both were read under the community's lock."""

    access: CommunityAccess
    view: MembershipView

    @property
    def own(self) -> bool:
        return self.view.member.id == self.access.member_id


async def change_role(
    membership_id: str, role: Role, *, caller: Caller | None, now: datetime, settings: Settings
) -> MembershipView:
    """Changes the role of a member. Neither role may be above the caller's own, and one owner must remain."""
    async with transaction():
        target = await _lock_target(membership_id, caller, settings)
        if not (target.access.may_manage(target.view.role) and target.access.may_manage(role)):
            raise NotPermitted(sentence(
                "NOT_PERMITTED", "You are %(own)s here, so you cannot make this change of roles.",
                own=target.access.role.label,
            ))  # fmt: skip
        if role is target.view.role:
            return target.view
        if target.view.role is Role.OWNER:
            await _refuse_last_owner(target.access.community_id)
        await execute("UPDATE memberships SET role = $1 WHERE id = $2", role, membership_id)
        await audit.record(now, _event("membership.role_changed", target, role=role, former_role=target.view.role))
        access = await community_access(caller, target.access.community_id, settings)
        return (await memberships_by_id([membership_id], access))[0]


async def remove_member(membership_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> str:
    """Removes a member, or the caller from the community. Their sessions and tokens lose access immediately."""
    async with transaction():
        target = await _lock_target(membership_id, caller, settings)
        if not (target.own or target.access.may_manage(target.view.role)):
            raise NotPermitted(sentence(
                "NOT_PERMITTED", "You are %(own)s here, so you cannot remove this member.", own=target.access.role.label
            ))  # fmt: skip
        if target.view.role is Role.OWNER:
            await _refuse_last_owner(target.access.community_id)
        await execute("DELETE FROM memberships WHERE id = $1", membership_id)
        kind = "membership.left" if target.own else "membership.removed"
        await audit.record(now, _event(kind, target, role=target.view.role))
    return membership_id


async def _lock_target(membership_id: str, caller: Caller | None, settings: Settings) -> _Target:
    """Locks the community, and reads both memberships afterwards.

    When two owners demote each other at the same time, the second one finds that they are an owner no longer.
    """
    if caller is None:
        raise NotSignedIn
    rows = []
    if is_id(membership_id):
        rows = await select("SELECT community_id FROM memberships WHERE id = $1", membership_id)
    if not rows:
        raise NotFound(_NO_MEMBERSHIP)
    await select("SELECT id FROM communities WHERE id = $1 FOR NO KEY UPDATE", rows[0]["community_id"])
    try:
        access = await community_access(caller, rows[0]["community_id"], settings)
    except NotFound:
        raise NotFound(_NO_MEMBERSHIP) from None
    views = await memberships_by_id([membership_id], access)
    if not views:
        raise NotFound(_NO_MEMBERSHIP)
    return _Target(access, views[0])


async def _refuse_last_owner(community_id: str) -> None:
    """Counts the owners. The community's lock keeps the count valid until the change is written."""
    sql = "SELECT count(*) AS owners FROM memberships WHERE community_id = $1 AND role = 'OWNER'"
    if (await select(sql, community_id))[0]["owners"] <= 1:
        raise LastOwner


def _event(kind: str, target: _Target, **details: str) -> audit.Event:
    """Returns the audit event. It names the member by id, so that erasing a person removes their name from the log."""
    member = target.view.member
    facts = {"member_id": member.id, **{name: str(value) for name, value in details.items()}}
    if member.email:
        facts["email"] = masked(member.email)
    return audit.Event(kind, target.access.community_id, target.access.member_id, None, facts)
