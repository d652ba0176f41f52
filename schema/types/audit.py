"""Audit events: the timeline of an invitation and the log of a community."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Self

import strawberry
from strawberry.utils.str_converters import to_camel_case

from schema.context import Info
from schema.cursors import BadArgument, cursor_at
from schema.types.members import Member, Membership
from schema.types.nodes import Node, PageInfo, page_info_of, set_of
from service.audit_log import log
from service.audit_log.log import EventView
from service.errors import InvalidInput
from service.languages import localized

if TYPE_CHECKING:
    from schema.types.communities import Community
    from schema.types.invitations import Invitation


# The names of facts, where they differ from the stored ones by more than their spelling.
_KEYS: Final = {"former_role": "fromRole", "email": "maskedEmail"}


def _key(name: str) -> str:
    return _KEYS.get(name, to_camel_case(name))


@strawberry.type
class EventDetail:
    key: str
    value: str


@strawberry.type
class AuditEvent(Node):
    kind: str = strawberry.field(
        description="Dotted and stable: invitation.created, invitation.sent, invitation.accept_refused,"
        " membership.role_changed, ..."
    )
    at: datetime
    actor: Member | None
    summary: str = strawberry.field(description="A sentence for a person, in the language of the request.")
    details: list[EventDetail] = strawberry.field(
        description="Facts of the event: role, fromRole, provider, reason, maskedEmail, ... Their keys and codes are stable."
    )
    times: int = strawberry.field(
        description="How often it happened. Repeated actions of people without an account on an invitation increase"
        " the number of one event. Events are otherwise immutable."
    )
    last_at: datetime | None = strawberry.field(description="The time of the last repeat; null without a repeat.")
    about: strawberry.Private["Invitation | None"]
    community: strawberry.Private["Community | None"]
    invitation_id: strawberry.Private[str | None]
    member_id: strawberry.Private[str | None]

    @strawberry.field
    async def invitation(
        self, info: Info
    ) -> Annotated["Invitation", strawberry.lazy("schema.types.invitations")] | None:
        if self.about is not None or self.community is None or self.invitation_id is None:
            return self.about
        view = await info.context.load.invitation.load((self.community.access, self.invitation_id))
        return None if view is None else self.community.invitation_from_view(view)

    @strawberry.field(
        description="The membership that the event concerns, while it exists: the one that began, or whose role changed."
    )
    async def membership(self, info: Info) -> Membership | None:
        community = self.community if self.about is None else self.about.community
        if community is None or self.member_id is None:
            return None
        view = await info.context.load.membership.load((community.access, self.member_id))
        return None if view is None else community.membership_from_view(view)

    @classmethod
    def from_view(cls, event: EventView, about: "Invitation | None", community: "Community | None" = None) -> Self:
        return cls(
            id=strawberry.ID(event.id),
            kind=event.kind,
            at=event.at,
            actor=Member.from_optional(event.actor),
            summary=localized(event.summary),
            details=[EventDetail(key=_key(name), value=value) for name, value in event.details.items()],
            times=event.times,
            last_at=event.last_at,
            about=about,
            community=community,
            invitation_id=event.invitation_id,
            member_id=event.member_id,
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

    def to_filter(self) -> log.AuditFilter:
        """Raises BadArgument for a filter that nothing can match."""
        actor_id = None if self.actor_id is None else str(self.actor_id)
        try:
            return log.AuditFilter(set_of(self.kinds), actor_id, self.after, self.before)
        except InvalidInput as error:
            raise BadArgument(error.sentence) from None


def event_connection(
    rows: Sequence[EventView], nodes: list[AuditEvent], scope: str, *, more: bool, after: str | None
) -> AuditEventConnection:
    cursors = [cursor_at(scope, row.at, row.id) for row in rows]
    edges = [AuditEventEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)]
    return AuditEventConnection(edges=edges, nodes=nodes, page_info=page_info_of(cursors, more=more, after=after))
