"""The things that the API speaks of. Rows come with all they need; only what costs a statement is a resolver."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self, TypeVar

import strawberry

from schema.context import Info
from schema.cursors import BadArgument, cursor_at, cut, page_size, position_of
from service import models
from service.accounts import access_tokens
from service.audit_log import log as audit_log
from service.audit_log.log import AuditLogQuery, EventView, TimelineQuery
from service.communities.access import CommunityAccess, MembershipView, MembersQuery, MemberView
from service.errors import InvalidInput
from service.invitations import accept as acceptance
from service.invitations import funnel
from service.invitations import search as invitation_filter
from service.invitations.funnel import FunnelQuery
from service.invitations.status import Status
from service.invitations.views import InvitationsQuery, InvitationView
from service.models import Delivery, Role
from service.openid import ProviderLabel
from service.sign_in import flows as sign_in

strawberry.enum(Role)
strawberry.enum(
    Status,
    name="InvitationStatus",
    description="Derived from what happened (accepted, declined, revoked, the invitation's own deadline), never stored.",
)
strawberry.enum(Delivery, description="What became of the newest mail of the invitation.")
strawberry.enum(acceptance.AcceptanceStatus)
strawberry.enum(sign_in.SignInStatus)


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


def _page_info(cursors: list[str], *, more: bool, after: str | None) -> PageInfo:
    return PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )


@strawberry.type
class Provider:
    id: strawberry.ID = strawberry.field(description="The operator's short name for it: google, microsoft, ...")
    label: str

    @classmethod
    def of(cls, label: ProviderLabel) -> Self:
        return cls(id=strawberry.ID(label.id), label=label.label)

    @classmethod
    def maybe(cls, label: ProviderLabel | None) -> Self | None:
        return None if label is None else cls.of(label)


@strawberry.type(
    description="A person with an account. What opens it is an identity, (issuer, subject); the email is a contact"
    " detail and never finds, links or merges an account."
)
class Member(Node):
    name: str | None
    email: str | None = strawberry.field(
        description="For the member themself and for admins of a community they are in; null for everybody else."
    )
    created_at: datetime

    @classmethod
    def of(cls, member: MemberView) -> Self:
        return cls(id=strawberry.ID(member.id), name=member.name, email=member.email, created_at=member.created_at)

    @classmethod
    def maybe(cls, member: MemberView | None) -> Self | None:
        return None if member is None else cls.of(member)


@strawberry.type
class AuditEvent(Node):
    kind: str = strawberry.field(
        description="Dotted and stable: invitation.created, invitation.sent, invitation.accept_refused,"
        " membership.role_changed, ..."
    )
    at: datetime
    actor: Member | None
    summary: str = strawberry.field(description="A sentence for a person.")
    times: int = strawberry.field(
        description="How often it happened. Repeats of what people without an account do about an invitation are counted"
        " on one event; nothing else of an event ever changes."
    )
    last_at: datetime | None = strawberry.field(
        description="When its last repeat happened; null where it happened once."
    )
    about: strawberry.Private["Invitation | None"]
    access: strawberry.Private[CommunityAccess | None]
    invitation_id: strawberry.Private[str | None]

    @strawberry.field
    async def invitation(self, info: Info) -> Annotated["Invitation", strawberry.lazy("schema.types")] | None:
        if self.about is not None or self.access is None or self.invitation_id is None:
            return self.about
        view = await info.context.load.invitation.load((self.access, self.invitation_id))
        return None if view is None else Invitation.of(view)

    @classmethod
    def of(cls, event: EventView, about: "Invitation | None", access: CommunityAccess | None = None) -> Self:
        return cls(
            id=strawberry.ID(event.id),
            kind=event.kind,
            at=event.at,
            actor=Member.maybe(event.actor),
            summary=event.summary,
            times=event.times,
            last_at=event.last_at,
            about=about,
            access=access,
            invitation_id=event.invitation_id,
        )


@strawberry.type
class AuditEventEdge:
    node: AuditEvent
    cursor: str


@strawberry.type
class AuditEventConnection:
    edges: list[AuditEventEdge]
    nodes: list[AuditEvent]
    page_info: PageInfo


@strawberry.input
class AuditFilter:
    kinds: list[str] | None = None
    actor_id: strawberry.ID | None = None
    after: datetime | None = None
    before: datetime | None = None

    def wanted(self) -> audit_log.AuditFilter:
        """Raises BadArgument for a filter that nothing can match."""
        actor_id = None if self.actor_id is None else str(self.actor_id)
        try:
            return audit_log.AuditFilter(_set_of(self.kinds), actor_id, self.after, self.before)
        except InvalidInput as refused:
            raise BadArgument(refused.message) from None


def _events(
    rows: Sequence[EventView], nodes: list[AuditEvent], scope: str, *, more: bool, after: str | None
) -> AuditEventConnection:
    cursors = [cursor_at(scope, row.at, row.id) for row in rows]
    edges = [AuditEventEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)]
    return AuditEventConnection(edges=edges, nodes=nodes, page_info=_page_info(cursors, more=more, after=after))


@strawberry.type
class Invitation(Node):
    community: Annotated["Community", strawberry.lazy("schema.types")]
    email: str
    role: Role
    message: str | None = strawberry.field(description="The inviter's words to the invitee; plain text.")
    locale: str | None = strawberry.field(description="Language of the mail, BCP 47.")
    inviter: Member | None
    status: Status
    blocked_reason: str | None = strawberry.field(
        description="Why a pending invitation cannot be accepted now (its inviter lost the right, no seat is left), and"
        " what helps; null otherwise."
    )
    delivery: Delivery
    delivery_reason: str | None = strawberry.field(
        description="A sentence on the delivery, with what the admin can do: the bounce's diagnostic, the next try."
    )
    created_at: datetime
    expires_at: datetime = strawberry.field(
        description="The deadline of the invitation itself (days); each link in a mail has its own, of minutes."
    )
    last_sent_at: datetime | None
    delivered_at: datetime | None
    accepted_at: datetime | None
    declined_at: datetime | None
    revoked_at: datetime | None
    revoked_by: Member | None
    accepted_by: Member | None = strawberry.field(description="The member that it became.")
    proposed_email: str | None = strawberry.field(
        description="Another address that somebody with the link proved and asked to be invited at; an admin decides."
    )
    can_resend: bool
    can_resend_at: datetime | None = strawberry.field(
        description="When resending is possible again, where it is only too early."
    )
    can_revoke: bool

    @classmethod
    def of(cls, view: InvitationView, community: "Community | None" = None) -> Self:
        return cls(
            id=strawberry.ID(view.id),
            community=community or Community.of(view.access),
            email=view.email,
            role=view.role,
            message=view.message,
            locale=view.locale,
            inviter=Member.maybe(view.inviter),
            status=view.status,
            blocked_reason=view.blocked_reason,
            delivery=view.delivery,
            delivery_reason=view.delivery_reason,
            created_at=view.created_at,
            expires_at=view.expires_at,
            last_sent_at=view.last_sent_at,
            delivered_at=view.delivered_at,
            accepted_at=view.accepted_at,
            declined_at=view.declined_at,
            revoked_at=view.revoked_at,
            revoked_by=Member.maybe(view.revoked_by),
            accepted_by=Member.maybe(view.accepted_by),
            proposed_email=view.proposed_email,
            can_resend=view.can_resend,
            can_resend_at=view.can_resend_at,
            can_revoke=view.can_revoke,
        )

    @strawberry.field(
        description="What happened to it, oldest first: created, sent, delivered, sign-in refused (and why), resent,"
        " accepted, ..."
    )
    async def timeline(self, info: Info, first: int | None = 50, after: str | None = None) -> AuditEventConnection:
        size, scope = page_size(first), f"timeline/{self.id}"
        rows = await info.context.load.timeline.load(TimelineQuery(self.id, size + 1, position_of(after, scope)))
        shown, more = cut(rows, size)
        return _events(shown, [AuditEvent.of(row, self) for row in shown], scope, more=more, after=after)


@strawberry.type
class InvitationEdge:
    node: Invitation
    cursor: str


def _edges(root: "InvitationConnection") -> list[InvitationEdge]:
    """Only where edges are asked for: a cursor a row is a good part of a page."""
    return [InvitationEdge(node=node, cursor=cursor_at(root.scope, node.created_at, node.id)) for node in root.nodes]


@strawberry.type(description="totalCount counts what the filter selects, and is computed only when asked for.")
class InvitationConnection:
    edges: list[InvitationEdge] = strawberry.field(resolver=_edges)
    nodes: list[Invitation]
    page_info: PageInfo
    scope: strawberry.Private[str]
    access: strawberry.Private[CommunityAccess]
    wanted: strawberry.Private[invitation_filter.InvitationFilter]

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        return await info.context.load.total.load((self.access.community_id, self.wanted))


@strawberry.type
class InvitationCounts:
    pending: int
    accepted: int
    declined: int
    revoked: int
    expired: int


@strawberry.type(
    description="The invitations that were created in one week, and how many of them came how far until now: each number"
    " holds the next."
)
class InvitationWeek:
    starts_at: datetime
    invited: int
    delivered: int = strawberry.field(description="Taken by the invitee's mail server, as far as that is reported.")
    opened: int = strawberry.field(description="Somebody went from the link to a sign-in.")
    accepted: int

    @classmethod
    def of(cls, week: funnel.FunnelWeek) -> Self:
        return cls(
            starts_at=week.starts_at,
            invited=week.invited,
            delivered=week.delivered,
            opened=week.opened,
            accepted=week.accepted,
        )


@strawberry.input(description="What an admin may ask of invitations. Conditions are joined by AND.")
class InvitationFilter:
    statuses: list[Status] | None = None
    deliveries: list[Delivery] | None = None
    roles: list[Role] | None = None
    email_contains: str | None = strawberry.field(default=None, description="Part of the address, in any case.")
    created_after: datetime | None = None
    created_before: datetime | None = None

    def wanted(self) -> invitation_filter.InvitationFilter:
        """Raises BadArgument for a filter that nothing can match."""
        try:
            return invitation_filter.InvitationFilter(
                _set_of(self.statuses),
                _set_of(self.deliveries),
                _set_of(self.roles),
                self.email_contains,
                self.created_after,
                self.created_before,
            )
        except InvalidInput as refused:
            raise BadArgument(refused.message) from None


Value = TypeVar("Value")


def _set_of(values: list[Value] | None) -> frozenset[Value] | None:
    return None if values is None else frozenset(values)


@strawberry.type
class Membership(Node):
    member: Member
    community: Annotated["Community", strawberry.lazy("schema.types")]
    role: Role
    joined_at: datetime
    viewer_can_change: bool = strawberry.field(
        description="Whether the caller may change the role or remove the member."
    )

    @classmethod
    def of(cls, view: MembershipView, community: "Community | None" = None) -> Self:
        return cls(
            id=strawberry.ID(view.id),
            member=Member.of(view.member),
            community=community or Community.of(view.community),
            role=view.role,
            joined_at=view.joined_at,
            viewer_can_change=view.viewer_can_change,
        )


@strawberry.type
class MembershipEdge:
    node: Membership
    cursor: str


@strawberry.type
class MembershipConnection:
    edges: list[MembershipEdge]
    nodes: list[Membership]
    page_info: PageInfo
    access: strawberry.Private[CommunityAccess]

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        return await info.context.load.member_count.load(self.access.community_id)


@strawberry.type
class InvitationPolicy:
    link_minutes: int = strawberry.field(description="Minutes that a mailed link lives: 5 to 15.")
    invitation_days: int = strawberry.field(description="Days that an invitation lives: 1 to 30.")
    allowed_email_domains: list[str] = strawberry.field(
        description="Invitee domains that are allowed; empty means any."
    )
    seat_limit: int | None = strawberry.field(description="Members plus pending invitations; null means no limit.")
    locale: str | None = strawberry.field(
        description="Language of mails whose invitation names none, BCP 47; null means English."
    )


@strawberry.type(description="A team or group in which private information is shared.")
class Community(Node):
    name: str
    viewer_role: Role = strawberry.field(description="The caller's own role here.")
    policy: InvitationPolicy
    access: strawberry.Private[CommunityAccess]

    @classmethod
    def of(cls, access: CommunityAccess) -> Self:
        policy = InvitationPolicy(
            link_minutes=access.link_minutes,
            invitation_days=access.invitation_days,
            allowed_email_domains=list(access.allowed_email_domains),
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

    @strawberry.field
    async def member_count(self, info: Info) -> int:
        return await info.context.load.member_count.load(self.access.community_id)

    @strawberry.field
    async def memberships(self, info: Info, first: int | None = 50, after: str | None = None) -> MembershipConnection:
        size, scope = page_size(first), f"members/{self.id}"
        asked = MembersQuery(self.access, size + 1, position_of(after, scope))
        shown, more = cut(await info.context.load.members.load(asked), size)
        nodes = [Membership.of(row, self) for row in shown]
        cursors = [cursor_at(scope, row.joined_at, row.id) for row in shown]
        edges = [MembershipEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)]
        page_info = _page_info(cursors, more=more, after=after)
        return MembershipConnection(edges=edges, nodes=nodes, page_info=page_info, access=self.access)

    @strawberry.field(description="Admins and owners only, null for others; newest first. first is at most 100.")
    async def invitations(
        self, info: Info, filter: InvitationFilter | None = None, first: int | None = 50, after: str | None = None
    ) -> InvitationConnection | None:
        if not self.access.is_admin:
            return None
        wanted = (filter or InvitationFilter()).wanted()
        size, scope = page_size(first), f"invitations/{self.id}/{wanted.signature}"
        asked = InvitationsQuery(self.access, size + 1, position_of(after, scope), wanted)
        shown, more = cut(await info.context.load.invitations.load(asked), size)
        nodes = [Invitation.of(row, self) for row in shown]
        ends = [cursor_at(scope, node.created_at, node.id) for node in (*nodes[:1], *nodes[-1:])]
        page_info = _page_info(ends, more=more, after=after)
        return InvitationConnection(nodes=nodes, page_info=page_info, access=self.access, wanted=wanted, scope=scope)

    @strawberry.field(description="How many invitations stand in each status; admins and owners only.")
    async def invitation_counts(self, info: Info) -> InvitationCounts | None:
        if not self.access.is_admin:
            return None
        counts = await info.context.load.counts.load(self.access.community_id)
        return InvitationCounts(**{status.lower(): number for status, number in counts.items()})

    @strawberry.field(
        description="How far the invitations of the last weeks came, the oldest week first; admins and owners only. A week"
        " is seven days back from now; weeks is at most 26."
    )
    async def invitation_funnel(self, info: Info, weeks: int = 8) -> list[InvitationWeek] | None:
        if not self.access.is_admin:
            return None
        try:
            found = await info.context.load.funnel.load(FunnelQuery(self.access.community_id, weeks))
        except InvalidInput as refused:
            raise BadArgument(refused.message) from None
        return [InvitationWeek.of(week) for week in found]

    @strawberry.field(description="Who did what, newest first; admins and owners only.")
    async def audit_log(
        self, info: Info, filter: AuditFilter | None = None, first: int | None = 50, after: str | None = None
    ) -> AuditEventConnection | None:
        if not self.access.is_admin:
            return None
        wanted = (filter or AuditFilter()).wanted()
        size, scope = page_size(first), f"audit/{self.id}/{wanted.signature}"
        asked = AuditLogQuery(self.access.community_id, size + 1, position_of(after, scope), wanted)
        shown, more = cut(await info.context.load.log.load(asked), size)
        nodes = [AuditEvent.of(row, None, self.access) for row in shown]
        return _events(shown, nodes, scope, more=more, after=after)


@strawberry.type
class Session(Node):
    current: bool
    created_at: datetime
    last_seen_at: datetime
    provider: Provider | None
    user_agent: str | None

    @classmethod
    def of(cls, session: models.Session, info: Info) -> Self:
        caller = info.context.caller
        return cls(
            id=strawberry.ID(session.id),
            current=caller is not None and session.id == caller.credential_id,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            provider=Provider.maybe(info.context.provider(session.provider_id)),
            user_agent=session.user_agent,
        )


@strawberry.type
class Identity(Node):
    provider: Provider | None
    issuer: str
    email: str | None
    linked_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, identity: models.Identity, info: Info) -> Self:
        return cls(
            id=strawberry.ID(identity.id),
            provider=Provider.maybe(info.context.provider(identity.provider_id)),
            issuer=identity.issuer,
            email=identity.email,
            linked_at=identity.linked_at,
            last_used_at=identity.last_used_at,
        )


strawberry.enum(
    access_tokens.Scope,
    name="AccessTokenScope",
    description="What an access token may do in its communities. INVITE includes READ.",
)


@strawberry.type(
    description="What a script of the viewer carries instead of a session. The token itself was shown once."
)
class AccessToken(Node):
    name: str
    scopes: list[access_tokens.Scope]
    community_ids: list[strawberry.ID]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    highest_role: Role = strawberry.field(description="The highest role that INVITE may invite to: MEMBER or ADMIN.")

    @classmethod
    def of(cls, view: access_tokens.AccessTokenView) -> Self:
        return cls(
            id=strawberry.ID(view.id),
            name=view.name,
            scopes=list(view.scopes),
            community_ids=[strawberry.ID(community_id) for community_id in view.community_ids],
            created_at=view.created_at,
            expires_at=view.expires_at,
            last_used_at=view.last_used_at,
            highest_role=view.highest_role,
        )
