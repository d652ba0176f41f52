"""Signing in and out, and adding sign-ins."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from schema import problems
from schema.context import Info
from service.accounts.access_tokens import sign_out_everywhere
from service.accounts.sessions import refuse_other_member, refuse_stale_sign_in, sign_out
from service.errors import InvalidInput, NotSignedIn
from service.languages import sentence
from service.sign_in.flows import StartedFlow


@strawberry.input
class SignInInput:
    provider_id: strawberry.ID
    return_to: str | None = None


@strawberry.type
class SignInStarted:
    sign_in_id: strawberry.ID = strawberry.field(description="For signInOutcome, on the browser's return.")
    authorization_url: str
    expires_at: datetime

    @classmethod
    def from_flow(cls, flow: StartedFlow) -> Self:
        return cls(
            sign_in_id=strawberry.ID(flow.flow_id),
            authorization_url=flow.authorization_url,
            expires_at=flow.expires_at,
        )


SignInResult = Annotated[
    SignInStarted
    | problems.UnknownProvider
    | problems.ProviderUnavailable
    | problems.InvalidInput
    | problems.RateLimited,
    strawberry.union("SignInResult"),
]


@strawberry.input
class LinkIdentityInput:
    provider_id: strawberry.ID
    return_to: str | None = None
    member_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The member whom the page shows; another session than theirs is refused with SessionChanged.",
    )


LinkIdentityResult = Annotated[
    SignInStarted
    | problems.UnknownProvider
    | problems.ProviderUnavailable
    | problems.FreshSignInRequired
    | problems.SessionChanged
    | problems.InvalidInput
    | problems.NotSignedIn
    | problems.RateLimited,
    strawberry.union("LinkIdentityResult"),
]


@strawberry.input
class SignOutInput:
    everywhere: bool = False
    session_id: strawberry.ID | None = None
    access_tokens: bool = strawberry.field(
        default=False, description="Also revoke the access tokens. Needs everywhere."
    )


@strawberry.type
class SignOutSuccess:
    signed_out: int = strawberry.field(description="The number of ended sessions, without access tokens.")


SignOutResult = Annotated[SignOutSuccess | problems.InvalidInput | problems.NotFound, strawberry.union("SignOutResult")]


@strawberry.type
class SignInMutations:
    @strawberry.mutation(
        description="Begin a sign-in for a person who already has an account. Nobody gets an account without an"
        " invitation. Outcome: signInOutcome."
    )
    async def sign_in(self, info: Info, input: SignInInput) -> SignInResult:
        context = info.context
        await context.count_attempt()
        started = await context.flows.start_sign_in(
            str(input.provider_id),
            input.return_to,
            cookie=context.flow_cookie,
            now=context.now,
        )
        context.bind_browser(started)
        return SignInStarted.from_flow(started)

    @strawberry.mutation(
        description="Signed in: add another sign-in to one's own account, by a fresh login with it. Outcome:"
        " signInOutcome."
    )
    async def link_identity(self, info: Info, input: LinkIdentityInput) -> LinkIdentityResult:
        context = info.context
        if context.caller is None:
            raise NotSignedIn
        refuse_other_member(context.caller, input.member_id)
        refuse_stale_sign_in(context.caller, now=context.now)
        await context.count_attempt()
        started = await context.flows.start_linking(
            context.caller,
            str(input.provider_id),
            input.return_to,
            cookie=context.flow_cookie,
            now=context.now,
        )
        context.bind_browser(started)
        return SignInStarted.from_flow(started)

    @strawberry.mutation(description="Ends the current session, the one named, or all of one's own.")
    async def sign_out(self, info: Info, input: SignOutInput | None = None) -> SignOutResult:
        context, request = info.context, input or SignOutInput()
        session_id = None if request.session_id is None else str(request.session_id)
        if request.access_tokens and not request.everywhere:
            raise InvalidInput("accessTokens", sentence(
                "VALUE_NOT_EXPECTED", "accessTokens is true without everywhere; it was expected with it only."
            ))  # fmt: skip
        if request.access_tokens:
            ended = await sign_out_everywhere(context.caller, now=context.now)
        else:
            ended = await sign_out(
                context.caller, everywhere=request.everywhere, session_id=session_id, now=context.now
            )
        own = context.caller is not None and session_id in {None, context.caller.credential_id}
        context.end_session = own or request.everywhere
        return SignOutSuccess(signed_out=ended)
