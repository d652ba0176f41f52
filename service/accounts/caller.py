"""The caller of a request: a member, with the session or the access token that authenticates them."""

from dataclasses import dataclass
from datetime import datetime

from service.models import Role


@dataclass(frozen=True, slots=True)
class Grant:
    """The bounds of an access token: its scopes, its communities, and the highest role that it may invite to.

    A token without the scope INVITE has no `highest_role`.
    """

    token_id: str
    scopes: frozenset[str]
    community_ids: frozenset[str]
    highest_role: Role | None

    def may_manage(self, role: Role) -> bool:
        """Whether the token may invite to this role, and resend and revoke invitations to it (H196)."""
        return self.highest_role is not None and role.rank <= self.highest_role.rank


@dataclass(frozen=True, slots=True)
class Caller:
    """The member behind a request. `credential_id` is the id of their session or access token.

    `last_used_at` is the last recorded use of that credential. Only access tokens have a `grant`. Only sessions have
    `signed_in_at`, the instant of the sign-in.
    """

    member_id: str
    credential_id: str
    last_used_at: datetime
    grant: Grant | None = None
    signed_in_at: datetime | None = None

    def may_enter(self, community_id: str) -> bool:
        """Whether the credential covers the community. The member may still not belong to it."""
        return self.grant is None or community_id in self.grant.community_ids
