"""Access tokens for scripts."""

from typing import Annotated

import strawberry

from schema import problems
from schema.context import Info
from schema.types import AccessToken
from service.accounts.access_tokens import AccessTokenRequest, Scope, create_access_token, revoke_access_token
from service.models import Role


@strawberry.input
class CreateAccessTokenInput:
    name: str = strawberry.field(description="The purpose of the token; at most 100 characters.")
    scopes: list[Scope]
    community_ids: list[strawberry.ID] = strawberry.field(
        description="The communities that the token gives access to; at least one."
    )
    expires_in_days: int = strawberry.field(default=90, description="1 to 365.")
    highest_role: Role = strawberry.field(
        default=Role.MEMBER, description="The highest role that INVITE may invite to: MEMBER or ADMIN."
    )


@strawberry.type(description="The token is returned only here. Send it as `Authorization: Bearer`.")
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


@strawberry.input
class RevokeAccessTokenInput:
    access_token_id: strawberry.ID
    revoke_invitations: bool = strawberry.field(
        default=False, description="Also revoke the pending invitations created with the token."
    )


@strawberry.type
class RevokeAccessTokenSuccess:
    revoked_access_token_id: strawberry.ID


RevokeAccessTokenResult = Annotated[
    RevokeAccessTokenSuccess | problems.NotFound | problems.NotPermitted | problems.NotSignedIn,
    strawberry.union("RevokeAccessTokenResult"),
]


@strawberry.type
class AccessTokenMutations:
    @strawberry.mutation(
        description="Create a token for a script of the caller. Its communities, its scopes and its lifetime are limited."
    )
    async def create_access_token(self, info: Info, input: CreateAccessTokenInput) -> CreateAccessTokenResult:
        context = info.context
        request = AccessTokenRequest(
            input.name,
            input.scopes,
            [str(community_id) for community_id in input.community_ids],
            input.expires_in_days,
            input.highest_role,
        )
        token, view = await create_access_token(request, caller=context.caller, now=context.now)
        return CreateAccessTokenSuccess(token=token, access_token=AccessToken.from_view(view))

    @strawberry.mutation(
        description="Revoke an access token of the caller immediately. revokeInvitations also works for a token that"
        " ended earlier."
    )
    async def revoke_access_token(self, info: Info, input: RevokeAccessTokenInput) -> RevokeAccessTokenResult:
        context = info.context
        revoked = await revoke_access_token(
            str(input.access_token_id),
            invitations=input.revoke_invitations,
            caller=context.caller,
            now=context.now,
        )
        return RevokeAccessTokenSuccess(revoked_access_token_id=strawberry.ID(revoked))
