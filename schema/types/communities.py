"""Communities, with their policy and their lists."""

from datetime import datetime
from typing import Self

import strawberry

from schema.context import Info
from schema.cursors import BadArgument, cursor_at, cut, page_size, position_of
from schema.types.audit import AuditEvent, AuditEventConnection, AuditFilter, event_connection
from schema.types.invitations import (
    Invitation,
    InvitationConnection,
    InvitationCounts,
    InvitationFilter,
    InvitationWeek,
)
from schema.types.members import Membership, MembershipConnection, MembershipEdge
from schema.types.nodes import Node, page_info_of
from service.addresses import as_written
from service.audit_log.log import AuditLogQuery
from service.communities.access import CommunityAccess
from service.communities.members import MembershipView, MembersQuery
from service.errors import InvalidInput
from service.invitations.funnel import FunnelQuery
from service.invitations.views import InvitationsQuery, InvitationView
from service.models import Role


@strawberry.type
class InvitationPolicy:
    link_minutes: int = strawberry.field(description="Minutes that a mailed link lives: 5 to 15.")
    invitation_days: int = strawberry.field(description="Days that an invitation lives: 1 to 30.")
    allowed_email_domains: list[str] = strawberry.field(
        description="Invitee domains that are allowed; empty means any."
    )
    display_email_domains: list[str] = strawberry.field(description="The same domains as people write them.")
    seat_limit: int | None = strawberry.field(description="Members plus pending invitations; null means no limit.")
    locale: str | None = strawberry.field(
        description="Language of mails for invitations without a locale, BCP 47; null means English."
    )


@strawberry.type(description="What the caller may still invite now; admins and owners only.")
class InvitationQuota:
    by_you: int | None = strawberry.field(description="Null without a limit.")
    by_community: int | None = strawberry.field(description="By all admins together; null without a limit.")
    resets_at: datetime | None = strawberry.field(
        description="When the lower of the two numbers rises: the end of its period, which begins with the first invitation (now, if"
        " none was sent yet); null without a limit."
    )


@strawberry.type(description="A team or group in which private information is shared.")
class Community(Node):
    name: str
    viewer_role: Role = strawberry.field(description="The caller's own role here.")
    policy: InvitationPolicy
    access: strawberry.Private[CommunityAccess]

    @classmethod
    def from_view(cls, access: CommunityAccess) -> Self:
        policy = InvitationPolicy(
            link_minutes=access.link_minutes,
            invitation_days=access.invitation_days,
            allowed_email_domains=list(access.allowed_email_domains),
            display_email_domains=[as_written(domain) for domain in access.allowed_email_domains],
            seat_limit=access.seat_limit,
            locale=access.locale,
        )
        return cls(
            id=strawberry.ID(access.community_id),
            name=access.name,
            viewer_role=access.role,
            policy=policy,
            access=access,
        )

    def invitation_from_view(self, view: InvitationView) -> Invitation:
        """An invitation of this community."""
        return Invitation.from_view(view, self)

    def membership_from_view(self, view: MembershipView) -> Membership:
        """A membership of this community."""
        return Membership.from_view(view, self)

    @strawberry.field
    async def member_count(self, info: Info) -> int:
        return await info.context.load.member_count.load(self.access.community_id)

    @strawberry.field(description="Null for others than admins and owners.")
    async def quota(self, info: Info) -> InvitationQuota | None:
        if not self.access.is_admin:
            return None
        quota = await info.context.load.quota.load(self.access)
        return InvitationQuota(by_you=quota.by_you, by_community=quota.by_community, resets_at=quota.resets_at)

    @strawberry.field
    async def memberships(self, info: Info, first: int | None = 50, after: str | None = None) -> MembershipConnection:
        size, scope = page_size(first), f"members/{self.id}"
        query = MembersQuery(self.access, size + 1, position_of(after, scope))
        rows, more = cut(await info.context.load.members.load(query), size)
        nodes = [Membership.from_view(row, self) for row in rows]
        cursors = [cursor_at(scope, row.joined_at, row.id) for row in rows]
        edges = [MembershipEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)]
        page_info = page_info_of(cursors, more=more, after=after)
        return MembershipConnection(edges=edges, nodes=nodes, page_info=page_info, access=self.access)

    @strawberry.field(description="Admins and owners only, null for others; newest first. first is at most 100.")
    async def invitations(
        self, info: Info, filter: InvitationFilter | None = None, first: int | None = 50, after: str | None = None
    ) -> InvitationConnection | None:
        if not self.access.is_admin:
            return None
        conditions = (filter or InvitationFilter()).to_filter()
        size, scope = page_size(first), f"invitations/{self.id}/{conditions.signature}"
        query = InvitationsQuery(self.access, size + 1, position_of(after, scope), conditions)
        rows, more = cut(await info.context.load.invitations.load(query), size)
        nodes = [Invitation.from_view(row, self) for row in rows]
        ends = [cursor_at(scope, node.created_at, node.id) for node in (*nodes[:1], *nodes[-1:])]
        page_info = page_info_of(ends, more=more, after=after)
        return InvitationConnection(
            nodes=nodes, page_info=page_info, access=self.access, conditions=conditions, scope=scope
        )

    @strawberry.field(description="How many invitations stand in each status; admins and owners only.")
    async def invitation_counts(self, info: Info) -> InvitationCounts | None:
        if not self.access.is_admin:
            return None
        counts = await info.context.load.counts.load(self.access.community_id)
        return InvitationCounts(**{status.lower(): number for status, number in counts.items()})

    @strawberry.field(
        description="The funnel of the last weeks, oldest week first; admins and owners only. A week is seven days,"
        " counted back from now; weeks is at most 26."
    )
    async def invitation_funnel(self, info: Info, weeks: int = 8) -> list[InvitationWeek] | None:
        if not self.access.is_admin:
            return None
        try:
            funnel = await info.context.load.funnel.load(FunnelQuery(self.access.community_id, weeks))
        except InvalidInput as error:
            raise BadArgument(error.sentence) from None
        return [InvitationWeek.from_view(week) for week in funnel]

    @strawberry.field(description="Who did what, newest first; admins and owners only.")
    async def audit_log(
        self, info: Info, filter: AuditFilter | None = None, first: int | None = 50, after: str | None = None
    ) -> AuditEventConnection | None:
        if not self.access.is_admin:
            return None
        conditions = (filter or AuditFilter()).to_filter()
        size, scope = page_size(first), f"audit/{self.id}/{conditions.signature}"
        query = AuditLogQuery(self.access.community_id, size + 1, position_of(after, scope), conditions)
        rows, more = cut(await info.context.load.log.load(query), size)
        nodes = [AuditEvent.from_view(row, None, self) for row in rows]
        return event_connection(rows, nodes, scope, more=more, after=after)


def invitation_with_community(view: InvitationView) -> Invitation:
    """An invitation with its own community, for results outside of a community."""
    return Invitation.from_view(view, Community.from_view(view.access))


def membership_with_community(view: MembershipView) -> Membership:
    """A membership with its own community, for results outside of a community."""
    return Membership.from_view(view, Community.from_view(view.community))
