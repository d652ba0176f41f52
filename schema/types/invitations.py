"""Invitations, their pages, counts and funnel."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from schema.context import Info
from schema.cursors import BadArgument, cursor_at, cut, page_size, position_of
from schema.types.audit import AuditEvent, AuditEventConnection, event_connection
from schema.types.members import Member
from schema.types.nodes import Node, PageInfo, set_of
from service.addresses import as_written
from service.audit_log.log import TimelineQuery
from service.communities.access import CommunityAccess
from service.errors import InvalidInput
from service.invitation_status import Status
from service.invitations.funnel import FunnelWeek
from service.invitations.search import InvitationFilter as Conditions
from service.invitations.views import BlockedCode, InvitationView
from service.languages import localized
from service.models import Delivery, Role

if TYPE_CHECKING:
    from schema.types.communities import Community

strawberry.enum(
    Status,
    name="InvitationStatus",
    description="Derived from what happened (accepted, declined, revoked, the invitation's own deadline), never stored.",
)
strawberry.enum(BlockedCode, description="Why a pending invitation cannot be accepted now.")
strawberry.enum(
    Delivery,
    description="What became of the newest mail of the invitation. CANCELLED: the invitation ended before the mail was sent.",
)


@strawberry.type
class Invitation(Node):
    community: Annotated["Community", strawberry.lazy("schema.types.communities")]
    email: str
    display_email: str = strawberry.field(
        description="The address as people write it: bücher.example instead of xn--bcher-kva.example. A domain that could be"
        " mistaken for another one stays in ASCII."
    )
    role: Role
    message: str | None = strawberry.field(description="The inviter's words to the invitee; plain text.")
    locale: str | None = strawberry.field(description="Language of the mail, BCP 47.")
    inviter: Member | None
    status: Status
    blocked_reason: str | None = strawberry.field(
        description="Why a pending invitation cannot be accepted now (its inviter lost the right, no seat is left), and"
        " what helps, in the language of the request; null otherwise."
    )
    blocked_code: BlockedCode | None = strawberry.field(description="The code of blockedReason.")
    delivery: Delivery
    delivery_reason: str | None = strawberry.field(
        description="A sentence on the delivery, with what the admin can do: the bounce's diagnostic, the next try. It is"
        " in the language of the request, but in English where an earlier version of the service wrote it."
    )
    delivery_code: str | None = strawberry.field(
        description="The code of deliveryReason, such as MAIL_BOUNCED_NO_MAILBOX; docs/clients.md lists the codes. Null where"
        " an earlier version of the service wrote the reason."
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
    erased_at: datetime | None = strawberry.field(
        description="When the address and the message were erased: after the retention period, or by the operator."
    )
    proposed_email: str | None = strawberry.field(
        description="Another address that the holder of a link proved and asked to be invited at; an admin decides."
    )
    display_proposed_email: str | None = strawberry.field(description="The same address as people write it.")
    can_resend: bool
    can_resend_at: datetime | None = strawberry.field(
        description="When resending is possible again, where it is only too early."
    )
    can_revoke: bool

    @classmethod
    def from_view(cls, view: InvitationView, community: "Community") -> Self:
        return cls(
            id=strawberry.ID(view.id),
            community=community,
            email=view.email,
            display_email=as_written(view.email),
            role=view.role,
            message=view.message,
            locale=view.locale,
            inviter=Member.from_optional(view.inviter),
            status=view.status,
            blocked_reason=localized(view.blocked),
            blocked_code=None if view.blocked is None else BlockedCode(view.blocked.code),
            delivery=view.delivery,
            delivery_reason=localized(view.delivery_reason),
            delivery_code=(view.delivery_reason and view.delivery_reason.code) or None,
            created_at=view.created_at,
            expires_at=view.expires_at,
            last_sent_at=view.last_sent_at,
            delivered_at=view.delivered_at,
            accepted_at=view.accepted_at,
            declined_at=view.declined_at,
            revoked_at=view.revoked_at,
            revoked_by=Member.from_optional(view.revoked_by),
            accepted_by=Member.from_optional(view.accepted_by),
            erased_at=view.erased_at,
            proposed_email=view.proposed_email,
            display_proposed_email=view.proposed_email and as_written(view.proposed_email),
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
        query = TimelineQuery(self.id, size + 1, position_of(after, scope))
        rows, more = cut(await info.context.load.timeline.load(query), size)
        return event_connection(rows, [AuditEvent.from_view(row, self) for row in rows], scope, more=more, after=after)


@strawberry.type
class InvitationEdge:
    node: Invitation
    cursor: str


def _edges(root: "InvitationConnection") -> list[InvitationEdge]:
    """A resolver, so that the cursors are computed only on request: they take a good part of a page's time."""
    return [InvitationEdge(node=node, cursor=cursor_at(root.scope, node.created_at, node.id)) for node in root.nodes]


@strawberry.type(description="totalCount counts what the filter selects, and is computed only when asked for.")
class InvitationConnection:
    edges: list[InvitationEdge] = strawberry.field(resolver=_edges)
    nodes: list[Invitation]
    page_info: PageInfo
    scope: strawberry.Private[str]
    access: strawberry.Private[CommunityAccess]
    conditions: strawberry.Private[Conditions]

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        return await info.context.load.total.load((self.access.community_id, self.conditions))


@strawberry.type
class InvitationCounts:
    pending: int
    accepted: int
    declined: int
    revoked: int
    expired: int


@strawberry.type(
    description="The invitations created in one week, and how many of them have reached each stage. Each number"
    " includes the next one."
)
class InvitationWeek:
    starts_at: datetime
    invited: int
    sent: int = strawberry.field(description="The mail service took a mail.")
    delivered: int | None = strawberry.field(
        description="The invitee's mail server took a mail. Null where the mail service reports no deliveries, as with SMTP."
    )
    opened: int = strawberry.field(description="The link led to the start of a sign-in.")
    accepted: int

    @classmethod
    def from_view(cls, week: FunnelWeek) -> Self:
        return cls(
            starts_at=week.starts_at,
            invited=week.invited,
            sent=week.sent,
            delivered=week.delivered,
            opened=week.opened,
            accepted=week.accepted,
        )


@strawberry.input(description="What an admin may ask of invitations. Conditions are joined by AND.")
class InvitationFilter:
    statuses: list[Status] | None = None
    deliveries: list[Delivery] | None = None
    roles: list[Role] | None = None
    email_contains: str | None = strawberry.field(
        default=None, description="Part of the address or of displayEmail, in any case."
    )
    created_after: datetime | None = None
    created_before: datetime | None = None

    def to_filter(self) -> Conditions:
        """Raises BadArgument for a filter that nothing can match."""
        try:
            return Conditions(
                set_of(self.statuses),
                set_of(self.deliveries),
                set_of(self.roles),
                self.email_contains,
                self.created_after,
                self.created_before,
            )
        except InvalidInput as error:
            raise BadArgument(error.sentence) from None
