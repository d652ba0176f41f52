"""Changing who belongs to a community: roles, removing, leaving. The community is held while its owners count."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service import audit
from service.accounts.sessions import Caller
from service.addresses import masked
from service.communities.access import CommunityAccess, MembershipView, community_access, memberships_named
from service.database import execute, select, transaction
from service.errors import LastOwner, NotFound, NotPermitted, NotSignedIn
from service.languages import sentence
from service.models import Role
from service.settings import Settings
from service.tokens import is_id

_NO_MEMBERSHIP: Final = sentence("NOT_FOUND", "There is no such membership.")


@dataclass(frozen=True, slots=True)
class _Held:
    """A membership and the caller's own place beside it, read while nobody else changes either."""

    access: CommunityAccess
    view: MembershipView

    @property
    def own(self) -> bool:
        return self.view.member.id == self.access.member_id


async def change_role(
    membership_id: str, role: Role, *, caller: Caller | None, now: datetime, settings: Settings
) -> MembershipView:
    """Gives a member another role. Nobody acts on a role above their own or gives one; the last owner stays."""
    async with transaction():
        held = await _held(membership_id, caller, settings)
        if not (held.access.may_manage(held.view.role) and held.access.may_manage(role)):
            raise NotPermitted(sentence(
                "NOT_PERMITTED", "You are %(own)s here, so you cannot make this change of roles.",
                own=held.access.role.label,
            ))  # fmt: skip
        if role is held.view.role:
            return held.view
        if held.view.role is Role.OWNER:
            await _refuse_last_owner(held.access.community_id)
        await execute("UPDATE memberships SET role = $1 WHERE id = $2", role, membership_id)
        await audit.record(now, _event("membership.role_changed", held, role=role, former_role=held.view.role))
        access = await community_access(caller, held.access.community_id, settings)
        return (await memberships_named([membership_id], access))[0]


async def remove(membership_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> str:
    """Removes a member, or lets the caller leave: from now on their sessions and tokens find no such community."""
    async with transaction():
        held = await _held(membership_id, caller, settings)
        if not (held.own or held.access.may_manage(held.view.role)):
            raise NotPermitted(sentence(
                "NOT_PERMITTED", "You are %(own)s here, so you cannot remove this member.", own=held.access.role.label
            ))  # fmt: skip
        if held.view.role is Role.OWNER:
            await _refuse_last_owner(held.access.community_id)
        await execute("DELETE FROM memberships WHERE id = $1", membership_id)
        kind = "membership.left" if held.own else "membership.removed"
        await audit.record(now, _event(kind, held, role=held.view.role))
    return membership_id


async def _held(membership_id: str, caller: Caller | None, settings: Settings) -> _Held:
    """Locks the community first, like everybody who counts seats or owners, and reads both places afterwards: of two
    owners who demote each other the second finds that they are none any more.
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
    found = await memberships_named([membership_id], access)
    if not found:
        raise NotFound(_NO_MEMBERSHIP)
    return _Held(access, found[0])


async def _refuse_last_owner(community_id: str) -> None:
    """Counted while the community is held, so that the count stays true until the change is written."""
    sql = "SELECT count(*) AS owners FROM memberships WHERE community_id = $1 AND role = 'OWNER'"
    if (await select(sql, community_id))[0]["owners"] <= 1:
        raise LastOwner


def _event(kind: str, held: _Held, **details: str) -> audit.Event:
    """The member is kept by id and named when the event is read, so that erasing a person erases their name here too."""
    member = held.view.member
    facts = {"member_id": member.id, **{name: str(value) for name, value in details.items()}}
    if member.email:
        facts["email"] = masked(member.email)
    return audit.Event(kind, held.access.community_id, held.access.member_id, None, facts)
