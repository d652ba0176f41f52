"""Members and memberships."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from schema.context import Info
from schema.types.nodes import Node, PageInfo
from service.addresses import as_written
from service.communities.access import CommunityAccess
from service.communities.members import MembershipView, MemberView
from service.models import Role

if TYPE_CHECKING:
    from schema.types.communities import Community

strawberry.enum(Role)


@strawberry.type(
    description="A person with an account. What opens it is an identity, (issuer, subject); the email is a contact"
    " detail and never finds, links or merges an account."
)
class Member(Node):
    name: str | None
    email: str | None = strawberry.field(
        description="For the member themself and for admins of a community they are in; null for everybody else."
    )
    display_email: str | None = strawberry.field(description="The same address as people write it.")
    created_at: datetime

    @classmethod
    def from_view(cls, member: MemberView) -> Self:
        return cls(
            id=strawberry.ID(member.id),
            name=member.name,
            email=member.email,
            display_email=member.email and as_written(member.email),
            created_at=member.created_at,
        )

    @classmethod
    def from_optional(cls, member: MemberView | None) -> Self | None:
        return None if member is None else cls.from_view(member)


@strawberry.type
class Membership(Node):
    member: Member
    community: Annotated["Community", strawberry.lazy("schema.types.communities")]
    role: Role
    joined_at: datetime
    viewer_can_change: bool = strawberry.field(
        description="Whether the caller may change the role or remove the member."
    )

    @classmethod
    def from_view(cls, view: MembershipView, community: "Community") -> Self:
        return cls(
            id=strawberry.ID(view.id),
            member=Member.from_view(view.member),
            community=community,
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
