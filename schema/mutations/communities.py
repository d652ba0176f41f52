"""Communities, their members and their invitation policy."""

from typing import Annotated, Any

import strawberry

from schema import problems
from schema.context import Info
from schema.types import Community, Membership
from schema.types.communities import membership_with_community
from service.communities.communities import create_community
from service.communities.invitation_policy import UNSET, PolicyChange, update_policy
from service.communities.membership_changes import change_role, remove_member
from service.models import Role


@strawberry.input
class CreateCommunityInput:
    name: str
    locale: str | None = strawberry.field(
        default=None, description="Language of mails for invitations without a locale, BCP 47; null means English."
    )


@strawberry.type
class CreateCommunitySuccess:
    community: Community


CreateCommunityResult = Annotated[
    CreateCommunitySuccess
    | problems.InvalidInput
    | problems.NotPermitted
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("CreateCommunityResult"),
]


@strawberry.input
class ChangeRoleInput:
    membership_id: strawberry.ID
    role: Role


@strawberry.type
class ChangeRoleSuccess:
    membership: Membership


ChangeRoleResult = Annotated[
    ChangeRoleSuccess | problems.LastOwner | problems.NotFound | problems.NotPermitted | problems.NotSignedIn,
    strawberry.union("ChangeRoleResult"),
]


@strawberry.input
class RemoveMemberInput:
    membership_id: strawberry.ID


@strawberry.type
class RemoveMemberSuccess:
    removed_membership_id: strawberry.ID


RemoveMemberResult = Annotated[
    RemoveMemberSuccess | problems.LastOwner | problems.NotFound | problems.NotPermitted | problems.NotSignedIn,
    strawberry.union("RemoveMemberResult"),
]


@strawberry.input(
    description="A field left out stays as it is; null removes seatLimit and locale, and is InvalidInput anywhere else."
)
class UpdateInvitationPolicyInput:
    community_id: strawberry.ID
    link_minutes: strawberry.Maybe[int | None]
    invitation_days: strawberry.Maybe[int | None]
    allowed_email_domains: strawberry.Maybe[list[str] | None]
    seat_limit: strawberry.Maybe[int | None]
    locale: strawberry.Maybe[str | None]


@strawberry.type
class UpdateInvitationPolicySuccess:
    community: Community


UpdateInvitationPolicyResult = Annotated[
    UpdateInvitationPolicySuccess
    | problems.InvalidInput
    | problems.NotFound
    | problems.NotPermitted
    | problems.NotSignedIn,
    strawberry.union("UpdateInvitationPolicyResult"),
]


@strawberry.type
class CommunityMutations:
    @strawberry.mutation(
        description="The caller becomes its owner. Open to members only where the operator allows it; operators create"
        " communities on the command line."
    )
    async def create_community(self, info: Info, input: CreateCommunityInput) -> CreateCommunityResult:
        context = info.context
        access = await create_community(
            input.name, locale=input.locale, caller=context.caller, now=context.now, settings=context.settings
        )
        return CreateCommunitySuccess(community=Community.from_view(access))

    @strawberry.mutation
    async def change_role(self, info: Info, input: ChangeRoleInput) -> ChangeRoleResult:
        context = info.context
        view = await change_role(
            str(input.membership_id), input.role, caller=context.caller, now=context.now, settings=context.settings
        )
        return ChangeRoleSuccess(membership=membership_with_community(view))

    @strawberry.mutation(description="Also how one leaves.")
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RemoveMemberResult:
        context = info.context
        removed = await remove_member(
            str(input.membership_id), caller=context.caller, now=context.now, settings=context.settings
        )
        return RemoveMemberSuccess(removed_membership_id=strawberry.ID(removed))

    @strawberry.mutation
    async def update_invitation_policy(
        self, info: Info, input: UpdateInvitationPolicyInput
    ) -> UpdateInvitationPolicyResult:
        context = info.context
        change = PolicyChange(
            _value_of(input.link_minutes),
            _value_of(input.invitation_days),
            _value_of(input.allowed_email_domains),
            _value_of(input.seat_limit),
            _value_of(input.locale),
        )
        access = await update_policy(
            str(input.community_id), change, caller=context.caller, now=context.now, settings=context.settings
        )
        return UpdateInvitationPolicySuccess(community=Community.from_view(access))


def _value_of(field: Any) -> Any:
    """Returns the value of an optional input field, which may be null, or UNSET for an omitted field."""
    return UNSET if field is None else field.value
