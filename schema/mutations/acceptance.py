"""Mutations of the invitee: accepting, declining, fresh links and other addresses."""

from datetime import datetime
from typing import Annotated, Final

import strawberry

from schema import problems
from schema.context import Info
from schema.types.acceptance import Acceptance
from service.errors import InviteLinkInvalid
from service.invitations.fresh_links import request_fresh_link, request_fresh_link_of
from service.invitations.links import LinkFacts, link_by_token
from service.invitations.respond import decline, open_link
from service.languages import localized, sentence
from service.models import Flow
from service.sign_in import proposed_address
from service.sign_in.confirm import confirm
from service.sign_in.flows import bound_link, link_for_retry
from service.sign_in.return_to import without_token

_LINK: Final = "From the link. Left out: the link of the acceptance named, or of this browser's newest."


@strawberry.input
class AcceptInviteInput:
    token: str | None = strawberry.field(
        default=None,
        description=_LINK,
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


@strawberry.input
class DeclineInviteInput:
    token: str | None = strawberry.field(default=None, description=_LINK)
    acceptance_id: strawberry.ID | None = None
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


@strawberry.input(description="Without a token: the link of the acceptance named, or of this browser's newest flow.")
class RequestFreshLinkInput:
    token: str | None = None
    acceptance_id: strawberry.ID | None = None


@strawberry.type
class RequestFreshLinkAnswer:
    message: str


RequestFreshLinkResult = Annotated[
    RequestFreshLinkAnswer | problems.RateLimited, strawberry.union("RequestFreshLinkResult")
]

# The same for every token, so that a stranger cannot tell which invitations are open.
_FRESH_LINK_REQUESTED: Final = sentence(
    "FRESH_LINK_REQUESTED",
    "If the invitation is still open, a link that works is on its way to the invited mailbox, or there already. Nothing"
    " there after a few minutes? Look in the spam folder, or ask the person who invited you.",
)


@strawberry.type
class AcceptanceMutations:
    @strawberry.mutation(
        description="Bind the link to a fresh OpenID Connect sign-in that begins now in this browser. Consumes nothing:"
        " the sign-in's return does."
    )
    async def accept_invite(self, info: Info, input: AcceptInviteInput) -> AcceptInviteResult:
        context = info.context
        await context.count_attempt()
        link, first_started_at = await _link_to_accept(info, input)
        started = await context.flows.start_acceptance(
            link,
            str(input.provider_id),
            without_token(input.return_to, input.token, context.settings),
            cookie=context.flow_cookie,
            now=context.now,
            first_started_at=first_started_at,
        )
        context.bind_browser(started)
        return AcceptInviteStarted(
            acceptance_id=strawberry.ID(started.flow_id),
            authorization_url=started.authorization_url,
            expires_at=started.expires_at,
        )

    @strawberry.mutation(
        description="Finish an acceptance that asked for the code from the invited mailbox, in the browser that began"
        " it: five tries, ten minutes."
    )
    async def confirm_acceptance(self, info: Info, input: ConfirmAcceptanceInput) -> ConfirmAcceptanceResult:
        context = info.context
        await context.count_attempt()
        confirmed = await confirm(
            str(input.acceptance_id),
            input.code,
            cookie=context.flow_cookie,
            browser=context.browser,
            now=context.now,
            settings=context.settings,
        )
        await context.sign_in_as(confirmed.session)
        return ConfirmAcceptanceSuccess(acceptance=await _acceptance_of(confirmed.flow, info))

    @strawberry.mutation(
        description="After EMAIL_MISMATCH: ask the admins to invite the address that this browser just proved instead."
    )
    async def request_other_address(self, info: Info, input: RequestOtherAddressInput) -> RequestOtherAddressResult:
        context = info.context
        await context.count_attempt()
        flow = await proposed_address.request(str(input.acceptance_id), cookie=context.flow_cookie, now=context.now)
        return RequestOtherAddressSuccess(acceptance=await _acceptance_of(flow, info))

    @strawberry.mutation(
        description="The holder of a live link declines, without a sign-in. An admin can reopen it by resending."
    )
    async def decline_invite(self, info: Info, input: DeclineInviteInput) -> DeclineInviteResult:
        context = info.context
        await context.count_attempt()
        link = await _link_to_decline(info, input)
        return DeclineInviteSuccess(community_name=await decline(link, block=input.block, now=context.now))

    @strawberry.mutation(
        description="For a dead link: if its invitation is still open, a new link goes to the invited mailbox and"
        " nowhere else. The answer is the same whatever happened."
    )
    async def request_fresh_link(self, info: Info, input: RequestFreshLinkInput) -> RequestFreshLinkResult:
        context = info.context
        await context.count_attempt()
        if input.token is not None:
            await request_fresh_link(input.token, now=context.now)
        else:
            link = await bound_link(context.flow_cookie, flow_id=input.acceptance_id, now=context.now)
            if link is not None:
                await request_fresh_link_of(link, now=context.now)
        return RequestFreshLinkAnswer(message=localized(_FRESH_LINK_REQUESTED))


async def _link_to_accept(info: Info, input: AcceptInviteInput) -> tuple[LinkFacts, datetime | None]:
    """The link of the token, or the link of an earlier flow of this browser and the first start of that flow."""
    context = info.context
    if input.token is not None:
        return open_link(await link_by_token(input.token, now=context.now), context.now), None
    flow_id = input.acceptance_id
    link, flow = await link_for_retry(context.flow_cookie, flow_id=flow_id, now=context.now)
    return link, flow.first_started_at


async def _acceptance_of(flow: Flow, info: Info) -> Acceptance:
    """Raises InviteLinkInvalid when the invitation of the flow has been erased."""
    acceptance = await Acceptance.from_flow(flow, info)
    if acceptance is None:
        raise InviteLinkInvalid
    return acceptance


async def _link_to_decline(info: Info, input: DeclineInviteInput) -> LinkFacts:
    """Blocking needs the token. A flow that an earlier person left in a shared browser must not block."""
    context = info.context
    if input.token is not None:
        return open_link(await link_by_token(input.token, now=context.now), context.now)
    if input.block:
        raise InviteLinkInvalid
    link, _ = await link_for_retry(context.flow_cookie, flow_id=input.acceptance_id, now=context.now)
    return link
