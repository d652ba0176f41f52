"""What can be done: each mutation is one call into the service and one mapping out."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from schema import problems
from schema.context import Info
from schema.problems import answered
from schema.queries import Acceptance
from schema.types import AccessToken, Community, Invitation, Membership
from service.accounts import access_tokens, sessions
from service.communities import access as communities
from service.communities import invitation_policy, membership_changes
from service.errors import InvalidInput, InviteLinkInvalid, NotSignedIn
from service.invitations import fresh_links, manage, respond
from service.invitations import invite as inviting
from service.invitations import invite_many as invite_many_module
from service.invitations.links import LinkFacts, by_token
from service.languages import sentence
from service.models import Role
from service.sign_in import confirm, proposed_address
from service.sign_in import flows as sign_in
from service.sign_in.return_to import without_token

# -------------------------------------------------------------------------------------------------------------- inviting


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


async def _invite(info: Info, input: InviteMemberInput) -> InviteMemberSuccess:
    context = info.context
    view = await inviting.invite(
        str(input.community_id),
        inviting.Invitee(input.email, input.role, input.message, input.locale),
        caller=context.caller,
        now=context.now,
        settings=context.settings,
    )
    return InviteMemberSuccess(invitation=Invitation.of(view))


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


async def _invite_many(info: Info, input: InviteMembersInput) -> InviteMembersSuccess:
    context = info.context
    outcomes = await invite_many_module.invite_many(
        str(input.community_id),
        [invite_many_module.Invitee(row.email, row.role, row.message, row.locale) for row in input.invitees],
        caller=context.caller,
        now=context.now,
        settings=context.settings,
    )
    answers = [InviteeOutcome(email=outcome.email, result=_result_of(outcome)) for outcome in outcomes]
    return InviteMembersSuccess(outcomes=answers, invited_count=sum(outcome.refused is None for outcome in outcomes))


def _result_of(outcome: invite_many_module.Outcome) -> Any:
    if outcome.refused is not None:
        return problems.problem_of(outcome.refused)
    return InviteMemberSuccess(invitation=Invitation.of(outcome.invited()))


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


async def _resend(info: Info, input: ResendInviteInput) -> ResendInviteSuccess:
    context = info.context
    view = await manage.resend(
        str(input.invitation_id), caller=context.caller, now=context.now, settings=context.settings
    )
    return ResendInviteSuccess(invitation=Invitation.of(view))


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


async def _revoke(info: Info, input: RevokeInviteInput) -> RevokeInviteSuccess:
    context = info.context
    view = await manage.revoke(
        str(input.invitation_id), caller=context.caller, now=context.now, settings=context.settings
    )
    return RevokeInviteSuccess(invitation=Invitation.of(view))


# ------------------------------------------------------------------------------------------------------------- accepting


@strawberry.input
class AcceptInviteInput:
    token: str | None = strawberry.field(
        default=None,
        description="From the link. Left out: the link of the acceptance named, or of this browser's newest.",
    )
    acceptance_id: strawberry.ID | None = None
    provider_id: strawberry.ID
    return_to: str | None = strawberry.field(
        default=None,
        description="Where to come back to: a path of the public URL or a URL of an allowed origin. Anything else is"
        " refused.",
    )


@strawberry.type(
    description="Send the browser to authorizationUrl; on its return the query acceptance tells the outcome."
)
class AcceptInviteStarted:
    acceptance_id: strawberry.ID
    authorization_url: str
    expires_at: datetime


AcceptInviteResult = Annotated[
    AcceptInviteStarted
    | problems.InviteLinkInvalid
    | problems.UnknownProvider
    | problems.ProviderUnavailable
    | problems.InvalidInput
    | problems.RateLimited,
    strawberry.union("AcceptInviteResult"),
]


async def _accept(info: Info, input: AcceptInviteInput) -> AcceptInviteStarted:
    context = info.context
    await context.count_attempt()
    link, first_started_at = await _link_to_accept(info, input)
    begun = await sign_in.begin_acceptance(
        link,
        str(input.provider_id),
        without_token(input.return_to, input.token, context.settings),
        cookie=context.flow_cookie,
        relying_party=context.relying_party,
        now=context.now,
        settings=context.settings,
        first_started_at=first_started_at,
    )
    context.bind_browser(begun)
    return AcceptInviteStarted(
        acceptance_id=strawberry.ID(begun.flow_id),
        authorization_url=begun.authorization_url,
        expires_at=begun.expires_at,
    )


async def _link_to_accept(info: Info, input: AcceptInviteInput) -> tuple[LinkFacts, datetime | None]:
    """The link of the token, or for another try the one that this browser bound, with its first start."""
    context = info.context
    if input.token is not None:
        return respond.open_link(await by_token(input.token, now=context.now), context.now), None
    flow_id = None if input.acceptance_id is None else str(input.acceptance_id)
    link, flow = await sign_in.link_of_flow(context.flow_cookie, flow_id=flow_id, now=context.now)
    return link, flow.first_started_at


@strawberry.input
class ConfirmAcceptanceInput:
    acceptance_id: strawberry.ID
    code: str


@strawberry.type
class ConfirmAcceptanceSuccess:
    acceptance: Acceptance


ConfirmAcceptanceResult = Annotated[
    ConfirmAcceptanceSuccess | problems.InvalidCode | problems.InviteLinkInvalid | problems.RateLimited,
    strawberry.union("ConfirmAcceptanceResult"),
]


async def _confirm(info: Info, input: ConfirmAcceptanceInput) -> ConfirmAcceptanceSuccess | problems.InvalidCode:
    context = info.context
    await context.count_attempt()
    confirmed = await confirm.confirm(
        str(input.acceptance_id),
        input.code,
        cookie=context.flow_cookie,
        browser=context.browser,
        now=context.now,
        settings=context.settings,
    )
    if confirmed.tries_left is not None:
        return problems.InvalidCode(message=confirmed.message, tries_left=confirmed.tries_left)
    await context.sign_in_as(confirmed.session)
    acceptance = await Acceptance.of(confirmed.flow, info)
    if acceptance is None:
        raise InviteLinkInvalid
    return ConfirmAcceptanceSuccess(acceptance=acceptance)


@strawberry.input
class RequestOtherAddressInput:
    acceptance_id: strawberry.ID


@strawberry.type
class RequestOtherAddressSuccess:
    acceptance: Acceptance


RequestOtherAddressResult = Annotated[
    RequestOtherAddressSuccess | problems.InviteLinkInvalid | problems.RateLimited,
    strawberry.union("RequestOtherAddressResult"),
]


async def _request_other_address(info: Info, input: RequestOtherAddressInput) -> RequestOtherAddressSuccess:
    context = info.context
    await context.count_attempt()
    flow = await proposed_address.request(str(input.acceptance_id), cookie=context.flow_cookie, now=context.now)
    acceptance = await Acceptance.of(flow, info)
    if acceptance is None:
        raise InviteLinkInvalid
    return RequestOtherAddressSuccess(acceptance=acceptance)


@strawberry.input
class DeclineInviteInput:
    token: str | None = None
    block: bool = strawberry.field(
        default=False,
        description="No more invitations from this community to this address. Needs the token. The invited mailbox gets a"
        " mail about it, which can lift the block.",
    )


@strawberry.type
class DeclineInviteSuccess:
    community_name: str


DeclineInviteResult = Annotated[
    DeclineInviteSuccess | problems.InviteLinkInvalid | problems.RateLimited,
    strawberry.union("DeclineInviteResult"),
]


async def _decline(info: Info, input: DeclineInviteInput) -> DeclineInviteSuccess:
    context = info.context
    await context.count_attempt()
    if input.token is not None:
        link = respond.open_link(await by_token(input.token, now=context.now), context.now)
    elif input.block:
        raise InviteLinkInvalid  # a flow that somebody left in a shared browser must not block
    else:
        link, _ = await sign_in.link_of_flow(context.flow_cookie, now=context.now)
    return DeclineInviteSuccess(community_name=await respond.decline(link, block=input.block, now=context.now))


@strawberry.input(description="Without a token: the link of this browser's newest flow.")
class RequestFreshLinkInput:
    token: str | None = None


@strawberry.type
class RequestFreshLinkAnswer:
    message: str


RequestFreshLinkResult = Annotated[
    RequestFreshLinkAnswer | problems.RateLimited, strawberry.union("RequestFreshLinkResult")
]

_BLIND = (
    "If the invitation is still open, a link that works is on its way to the invited mailbox, or there already. Nothing"
    " there after a few minutes? Look in the spam folder, or ask the person who invited you."
)


async def _request_fresh_link(info: Info, input: RequestFreshLinkInput) -> RequestFreshLinkAnswer:
    context = info.context
    await context.count_attempt()
    if input.token is not None:
        await fresh_links.request(input.token, now=context.now)
    elif (link := await sign_in.any_link_of_flow(context.flow_cookie, now=context.now)) is not None:
        await fresh_links.request_for(link, now=context.now)
    return RequestFreshLinkAnswer(message=_BLIND)


# ------------------------------------------------------------------------------------------------------------- signing in


@strawberry.input
class SignInInput:
    provider_id: strawberry.ID
    return_to: str | None = None


@strawberry.type
class SignInStarted:
    authorization_url: str
    expires_at: datetime


SignInResult = Annotated[
    SignInStarted
    | problems.UnknownProvider
    | problems.ProviderUnavailable
    | problems.InvalidInput
    | problems.RateLimited,
    strawberry.union("SignInResult"),
]


async def _sign_in(info: Info, input: SignInInput) -> SignInStarted:
    context = info.context
    await context.count_attempt()
    begun = await sign_in.begin_sign_in(
        str(input.provider_id),
        input.return_to,
        cookie=context.flow_cookie,
        relying_party=context.relying_party,
        now=context.now,
        settings=context.settings,
    )
    context.bind_browser(begun)
    return SignInStarted(authorization_url=begun.authorization_url, expires_at=begun.expires_at)


@strawberry.input
class LinkIdentityInput:
    provider_id: strawberry.ID
    return_to: str | None = None


LinkIdentityResult = Annotated[
    SignInStarted
    | problems.UnknownProvider
    | problems.ProviderUnavailable
    | problems.FreshSignInRequired
    | problems.InvalidInput
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("LinkIdentityResult"),
]


async def _link_identity(info: Info, input: LinkIdentityInput) -> SignInStarted:
    context = info.context
    if context.caller is None:
        raise NotSignedIn
    sessions.refuse_stale_sign_in(context.caller, now=context.now)
    await context.count_attempt()
    begun = await sign_in.begin_linking(
        context.caller,
        str(input.provider_id),
        input.return_to,
        cookie=context.flow_cookie,
        relying_party=context.relying_party,
        now=context.now,
        settings=context.settings,
    )
    context.bind_browser(begun)
    return SignInStarted(authorization_url=begun.authorization_url, expires_at=begun.expires_at)


@strawberry.input
class SignOutInput:
    everywhere: bool = False
    session_id: strawberry.ID | None = None
    access_tokens: bool = strawberry.field(default=False, description="With everywhere: end the access tokens too.")


@strawberry.type
class SignOutSuccess:
    signed_out: int = strawberry.field(description="The number of sessions that ended; access tokens do not count.")


SignOutResult = Annotated[SignOutSuccess | problems.InvalidInput | problems.NotFound, strawberry.union("SignOutResult")]


async def _sign_out(info: Info, input: SignOutInput | None) -> SignOutSuccess:
    context, wanted = info.context, input or SignOutInput()
    session_id = None if wanted.session_id is None else str(wanted.session_id)
    if wanted.access_tokens and not wanted.everywhere:
        raise InvalidInput("accessTokens", sentence(
            "VALUE_NOT_EXPECTED", "accessTokens is true without everywhere; it was expected with it only."
        ))  # fmt: skip
    if wanted.access_tokens:
        ended = await access_tokens.sign_out_everywhere(context.caller, now=context.now)
    else:
        ended = await sessions.sign_out(
            context.caller, everywhere=wanted.everywhere, session_id=session_id, now=context.now
        )
    own = context.caller is not None and session_id in {None, context.caller.credential_id}
    context.end_session = own or wanted.everywhere
    return SignOutSuccess(signed_out=ended)


# ------------------------------------------------------------------------------------------------------------ communities


@strawberry.input
class CreateCommunityInput:
    name: str
    locale: str | None = strawberry.field(
        default=None, description="Language of mails whose invitation names none, BCP 47; null means English."
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


async def _create_community(info: Info, input: CreateCommunityInput) -> CreateCommunitySuccess:
    context = info.context
    access = await communities.create(
        input.name, locale=input.locale, caller=context.caller, now=context.now, settings=context.settings
    )
    return CreateCommunitySuccess(community=Community.of(access))


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


async def _change_role(info: Info, input: ChangeRoleInput) -> ChangeRoleSuccess:
    context = info.context
    view = await membership_changes.change_role(
        str(input.membership_id), input.role, caller=context.caller, now=context.now, settings=context.settings
    )
    return ChangeRoleSuccess(membership=Membership.of(view))


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


async def _remove_member(info: Info, input: RemoveMemberInput) -> RemoveMemberSuccess:
    context = info.context
    removed = await membership_changes.remove(
        str(input.membership_id), caller=context.caller, now=context.now, settings=context.settings
    )
    return RemoveMemberSuccess(removed_membership_id=strawberry.ID(removed))


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


async def _update_policy(info: Info, input: UpdateInvitationPolicyInput) -> UpdateInvitationPolicySuccess:
    context = info.context
    change = invitation_policy.PolicyChange(
        _given(input.link_minutes),
        _given(input.invitation_days),
        _given(input.allowed_email_domains),
        _given(input.seat_limit),
        _given(input.locale),
    )
    access = await invitation_policy.update(
        str(input.community_id), change, caller=context.caller, now=context.now, settings=context.settings
    )
    return UpdateInvitationPolicySuccess(community=Community.of(access))


def _given(maybe: Any) -> Any:
    """What the client gave, null included, or that it left the field out."""
    return invitation_policy.UNCHANGED if maybe is None else maybe.value


# ---------------------------------------------------------------------------------------------------- access for scripts


@strawberry.input
class CreateAccessTokenInput:
    name: str = strawberry.field(description="What it is for; at most 100 characters.")
    scopes: list[access_tokens.Scope]
    community_ids: list[strawberry.ID] = strawberry.field(description="The communities that it is for; at least one.")
    expires_in_days: int = strawberry.field(default=90, description="1 to 365.")
    highest_role: Role = strawberry.field(
        default=Role.MEMBER, description="The highest role that INVITE may invite to: MEMBER or ADMIN."
    )


@strawberry.type(description="The token is shown this once: send it as `Authorization: Bearer`.")
class CreateAccessTokenSuccess:
    token: str
    access_token: AccessToken


CreateAccessTokenResult = Annotated[
    CreateAccessTokenSuccess
    | problems.FreshSignInRequired
    | problems.InvalidInput
    | problems.NotFound
    | problems.NotPermitted
    | problems.NotSignedIn,
    strawberry.union("CreateAccessTokenResult"),
]


async def _create_access_token(info: Info, input: CreateAccessTokenInput) -> CreateAccessTokenSuccess:
    context = info.context
    wanted = access_tokens.Wanted(
        input.name,
        input.scopes,
        [str(community_id) for community_id in input.community_ids],
        input.expires_in_days,
        input.highest_role,
    )
    token, view = await access_tokens.create(wanted, caller=context.caller, now=context.now)
    return CreateAccessTokenSuccess(token=token, access_token=AccessToken.of(view))


@strawberry.input
class RevokeAccessTokenInput:
    access_token_id: strawberry.ID
    revoke_invitations: bool = strawberry.field(
        default=False, description="Also revoke the pending invitations made with it."
    )


@strawberry.type
class RevokeAccessTokenSuccess:
    revoked_access_token_id: strawberry.ID


RevokeAccessTokenResult = Annotated[
    RevokeAccessTokenSuccess | problems.NotFound | problems.NotPermitted | problems.NotSignedIn,
    strawberry.union("RevokeAccessTokenResult"),
]


async def _revoke_access_token(info: Info, input: RevokeAccessTokenInput) -> RevokeAccessTokenSuccess:
    context = info.context
    revoked = await access_tokens.revoke(
        str(input.access_token_id),
        invitations=input.revoke_invitations,
        caller=context.caller,
        now=context.now,
    )
    return RevokeAccessTokenSuccess(revoked_access_token_id=strawberry.ID(revoked))


@strawberry.type
class Mutation:
    @strawberry.mutation(
        description="Invite one person by email. Asking again for someone whose invitation is pending changes nothing"
        " and sends nothing; after it expired, it is a new invitation."
    )
    async def invite_member(self, info: Info, input: InviteMemberInput) -> InviteMemberResult:
        return await answered(info, _invite(info, input))

    @strawberry.mutation(
        description="Invite many at once (at most 1,000): one outcome a row, in order; a bad row stops no other."
    )
    async def invite_members(self, info: Info, input: InviteMembersInput) -> InviteMembersResult:
        return await answered(info, _invite_many(info, input))

    @strawberry.mutation(
        description="Send a new link; every earlier link of the invitation, and every flow begun with one, dies at once."
        " Reopens a declined invitation unless the address is blocked. The caller becomes its inviter."
    )
    async def resend_invite(self, info: Info, input: ResendInviteInput) -> ResendInviteResult:
        return await answered(info, _resend(info, input))

    @strawberry.mutation(description="Take the invitation back; its links and flows die at once. History stays.")
    async def revoke_invite(self, info: Info, input: RevokeInviteInput) -> RevokeInviteResult:
        return await answered(info, _revoke(info, input))

    @strawberry.mutation(
        description="Bind the link to a fresh OpenID Connect sign-in that begins now in this browser. Consumes nothing:"
        " the sign-in's return does."
    )
    async def accept_invite(self, info: Info, input: AcceptInviteInput) -> AcceptInviteResult:
        return await answered(info, _accept(info, input))

    @strawberry.mutation(
        description="Finish an acceptance that asked for the code from the invited mailbox, in the browser that began"
        " it: five tries, ten minutes."
    )
    async def confirm_acceptance(self, info: Info, input: ConfirmAcceptanceInput) -> ConfirmAcceptanceResult:
        return await answered(info, _confirm(info, input))

    @strawberry.mutation(
        description="After EMAIL_MISMATCH: ask the admins to invite the address that this browser just proved instead."
    )
    async def request_other_address(self, info: Info, input: RequestOtherAddressInput) -> RequestOtherAddressResult:
        return await answered(info, _request_other_address(info, input))

    @strawberry.mutation(
        description="Somebody with a live link says no; no sign-in. An admin can reopen it by resending."
    )
    async def decline_invite(self, info: Info, input: DeclineInviteInput) -> DeclineInviteResult:
        return await answered(info, _decline(info, input))

    @strawberry.mutation(
        description="For a dead link: if its invitation is still open, a new link goes to the invited mailbox and"
        " nowhere else. The answer is the same whatever happened."
    )
    async def request_fresh_link(self, info: Info, input: RequestFreshLinkInput) -> RequestFreshLinkResult:
        return await answered(info, _request_fresh_link(info, input))

    @strawberry.mutation(
        description="Begin a sign-in for a person who already has an account. Nobody gets an account without an"
        " invitation. Outcome: signInOutcome."
    )
    async def sign_in(self, info: Info, input: SignInInput) -> SignInResult:
        return await answered(info, _sign_in(info, input))

    @strawberry.mutation(
        description="Signed in: add another sign-in to one's own account, by a fresh login with it. Outcome:"
        " signInOutcome."
    )
    async def link_identity(self, info: Info, input: LinkIdentityInput) -> LinkIdentityResult:
        return await answered(info, _link_identity(info, input))

    @strawberry.mutation(description="Ends the current session, the one named, or all of one's own.")
    async def sign_out(self, info: Info, input: SignOutInput | None = None) -> SignOutResult:
        return await answered(info, _sign_out(info, input))

    @strawberry.mutation(
        description="The caller becomes its owner. Open to members only where the operator allows it; operators create"
        " communities on the command line."
    )
    async def create_community(self, info: Info, input: CreateCommunityInput) -> CreateCommunityResult:
        return await answered(info, _create_community(info, input))

    @strawberry.mutation
    async def change_role(self, info: Info, input: ChangeRoleInput) -> ChangeRoleResult:
        return await answered(info, _change_role(info, input))

    @strawberry.mutation(description="Also how one leaves.")
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RemoveMemberResult:
        return await answered(info, _remove_member(info, input))

    @strawberry.mutation
    async def update_invitation_policy(
        self, info: Info, input: UpdateInvitationPolicyInput
    ) -> UpdateInvitationPolicyResult:
        return await answered(info, _update_policy(info, input))

    @strawberry.mutation(
        description="A token for a script of one's own: for some of one's communities, to read or to invite, for a while."
    )
    async def create_access_token(self, info: Info, input: CreateAccessTokenInput) -> CreateAccessTokenResult:
        return await answered(info, _create_access_token(info, input))

    @strawberry.mutation(
        description="Ends one of one's own access tokens at once. With revokeInvitations also for a token that ended"
        " earlier."
    )
    async def revoke_access_token(self, info: Info, input: RevokeAccessTokenInput) -> RevokeAccessTokenResult:
        return await answered(info, _revoke_access_token(info, input))
