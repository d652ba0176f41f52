"""Mutations of admins: invite, resend and revoke."""

from typing import Annotated, Any, Self

import strawberry

from schema import problems
from schema.context import Info
from schema.problems import problem_of
from schema.types import Invitation
from schema.types.communities import invitation_with_community
from service.invitations.invite import Invitee, invite
from service.invitations.invite_many import Outcome, invite_many
from service.invitations.manage import resend, revoke
from service.models import Role


@strawberry.input
class InviteMemberInput:
    community_id: strawberry.ID
    email: str
    role: Role = Role.MEMBER
    message: str | None = None
    locale: str | None = None


@strawberry.type
class InviteMemberSuccess:
    invitation: Invitation


InviteMemberResult = Annotated[
    InviteMemberSuccess
    | problems.AlreadyInvited
    | problems.AlreadyMember
    | problems.InvalidEmail
    | problems.InvalidInput
    | problems.EmailDomainNotAllowed
    | problems.SeatLimitReached
    | problems.NotFound
    | problems.NotPermitted
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("InviteMemberResult"),
]


@strawberry.input
class InviteeInput:
    email: str
    role: Role = Role.MEMBER
    message: str | None = None
    locale: str | None = None


@strawberry.input
class InviteMembersInput:
    community_id: strawberry.ID
    invitees: list[InviteeInput]


@strawberry.type
class InviteeOutcome:
    email: str
    result: InviteMemberResult

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> Self:
        return cls(email=outcome.email, result=_result_of(outcome))


def _result_of(outcome: Outcome) -> Any:
    if outcome.error is not None:
        return problem_of(outcome.error)
    return InviteMemberSuccess(invitation=invitation_with_community(outcome.unwrap()))


@strawberry.type
class InviteMembersSuccess:
    outcomes: list[InviteeOutcome]
    invited_count: int


InviteMembersResult = Annotated[
    InviteMembersSuccess
    | problems.InvalidInput
    | problems.NotFound
    | problems.NotPermitted
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("InviteMembersResult"),
]


@strawberry.input
class ResendInviteInput:
    invitation_id: strawberry.ID


@strawberry.type
class ResendInviteSuccess:
    invitation: Invitation


ResendInviteResult = Annotated[
    ResendInviteSuccess
    | problems.InvitationClosed
    | problems.SeatLimitReached
    | problems.NotFound
    | problems.NotPermitted
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("ResendInviteResult"),
]


@strawberry.input
class RevokeInviteInput:
    invitation_id: strawberry.ID


@strawberry.type
class RevokeInviteSuccess:
    invitation: Invitation


RevokeInviteResult = Annotated[
    RevokeInviteSuccess | problems.InvitationClosed | problems.NotFound | problems.NotPermitted | problems.NotSignedIn,
    strawberry.union("RevokeInviteResult"),
]


@strawberry.type
class InvitationMutations:
    @strawberry.mutation(
        description="Invite one person by email. Asking again for someone whose invitation is pending changes nothing"
        " and sends nothing; after it expired, it is a new invitation."
    )
    async def invite_member(self, info: Info, input: InviteMemberInput) -> InviteMemberResult:
        context = info.context
        view = await invite(
            str(input.community_id),
            Invitee(input.email, input.role, input.message, input.locale),
            caller=context.caller,
            now=context.now,
            settings=context.settings,
        )
        return InviteMemberSuccess(invitation=invitation_with_community(view))

    @strawberry.mutation(
        description="Invite many at once (at most 1,000): one outcome a row, in order; a bad row stops no other."
    )
    async def invite_members(self, info: Info, input: InviteMembersInput) -> InviteMembersResult:
        context = info.context
        outcomes = await invite_many(
            str(input.community_id),
            [Invitee(row.email, row.role, row.message, row.locale) for row in input.invitees],
            caller=context.caller,
            now=context.now,
            settings=context.settings,
        )
        return InviteMembersSuccess(
            outcomes=[InviteeOutcome.from_outcome(outcome) for outcome in outcomes],
            invited_count=sum(outcome.error is None for outcome in outcomes),
        )

    @strawberry.mutation(
        description="Send a new link; every earlier link of the invitation, and every flow begun with one, dies at once."
        " Reopens a declined invitation unless the address is blocked. The caller becomes its inviter."
    )
    async def resend_invite(self, info: Info, input: ResendInviteInput) -> ResendInviteResult:
        context = info.context
        view = await resend(str(input.invitation_id), caller=context.caller, now=context.now, settings=context.settings)
        return ResendInviteSuccess(invitation=invitation_with_community(view))

    @strawberry.mutation(description="Take the invitation back; its links and flows die at once. History stays.")
    async def revoke_invite(self, info: Info, input: RevokeInviteInput) -> RevokeInviteResult:
        context = info.context
        view = await revoke(str(input.invitation_id), caller=context.caller, now=context.now, settings=context.settings)
        return RevokeInviteSuccess(invitation=invitation_with_community(view))
