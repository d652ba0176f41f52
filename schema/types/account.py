"""Credentials of an account: sessions, identities and access tokens."""

from datetime import datetime
from typing import Self

import strawberry

from schema.context import Info
from schema.types.nodes import Node
from schema.types.providers import Provider
from service import models
from service.accounts.access_tokens import AccessTokenView, Scope
from service.addresses import as_written
from service.models import Role


@strawberry.type
class Session(Node):
    current: bool
    created_at: datetime
    last_seen_at: datetime
    provider: Provider | None
    user_agent: str | None

    @classmethod
    def from_view(cls, session: models.Session, info: Info) -> Self:
        caller = info.context.caller
        return cls(
            id=strawberry.ID(session.id),
            current=caller is not None and session.id == caller.credential_id,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            provider=Provider.from_optional(info.context.provider(session.provider_id)),
            user_agent=session.user_agent,
        )


@strawberry.type
class Identity(Node):
    provider: Provider | None
    issuer: str
    email: str | None
    display_email: str | None = strawberry.field(description="The same address as people write it.")
    linked_at: datetime
    last_used_at: datetime | None

    @classmethod
    def from_view(cls, identity: models.Identity, info: Info) -> Self:
        return cls(
            id=strawberry.ID(identity.id),
            provider=Provider.from_optional(info.context.provider(identity.provider_id)),
            issuer=identity.issuer,
            email=identity.email,
            display_email=identity.email and as_written(identity.email),
            linked_at=identity.linked_at,
            last_used_at=identity.last_used_at,
        )


strawberry.enum(
    Scope,
    name="AccessTokenScope",
    description="The rights of an access token in its communities. INVITE includes READ.",
)


@strawberry.type(
    description="A credential for a script of the viewer, instead of a session. createAccessToken returned the token"
    " itself, once."
)
class AccessToken(Node):
    name: str
    scopes: list[Scope]
    community_ids: list[strawberry.ID]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    highest_role: Role = strawberry.field(description="The highest role that INVITE may invite to: MEMBER or ADMIN.")

    @classmethod
    def from_view(cls, view: AccessTokenView) -> Self:
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
