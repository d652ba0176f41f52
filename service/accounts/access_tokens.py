"""Access tokens: credentials for a member's scripts. A token is shown once, stored as a digest, and expires.

A token grants a part of its member's current rights: its communities, its scopes, and invitations up to its highest role.
It cannot sign in, link a sign-in, create tokens or list sessions. It survives the end of sessions. When its member leaves
a community, it loses access to that community.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from service import audit
from service.accounts.caller import Caller, Grant
from service.accounts.sessions import refuse_stale_sign_in, sign_out
from service.changes import notify_many
from service.database import execute, json_list, select, transaction
from service.errors import InvalidInput, NotFound, NotPermitted, NotSignedIn
from service.invitation_status import is_pending
from service.languages import sentence
from service.models import AccessToken, Role
from service.text import NAME, validated_text
from service.tokens import Digest, Token, digest_of, is_id, new_id, new_token

_PREFIX: Final = "guestlist_"  # lets secret scanners recognize a token
_LONGEST_TOKEN: Final = 200
MOST_COMMUNITIES: Final = 100
_LONGEST_DAYS: Final = 365
MOST_LIVE: Final = 20
_TOUCH_INTERVAL: Final = timedelta(minutes=1)


class Scope(StrEnum):
    """A permission of a token in its communities. INVITE includes READ, because inviting returns invitations."""

    READ = "READ"
    INVITE = "INVITE"


@dataclass(frozen=True, slots=True)
class AccessTokenView:
    """The metadata of a token for its member's list, without the secret."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    community_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    highest_role: Role


@dataclass(frozen=True, slots=True)
class AccessTokenRequest:
    """The parameters of a new token. `days` is its lifetime, from 1 to 365."""

    name: str
    scopes: list[Scope]
    community_ids: list[str]
    days: int
    highest_role: Role = Role.MEMBER


async def create_access_token(
    request: AccessTokenRequest, *, caller: Caller | None, now: datetime
) -> tuple[Token, AccessTokenView]:
    """Creates a token for the caller. Only this call returns the secret.

    Raises FreshSignInRequired (H172), InvalidInput, NotFound for another person's community, and NotPermitted when the
    caller has MOST_LIVE live tokens.
    """
    caller = _require_session(caller)
    refuse_stale_sign_in(caller, now=now)
    request = replace(request, name=validated_text(request.name, NAME))
    _refuse_out_of_bounds(request)
    if not set(request.community_ids) <= await _communities_of(caller):
        raise NotFound(sentence("NOT_FOUND", "There is no such community among yours."))
    async with transaction():
        await select("SELECT id FROM members WHERE id = $1 FOR NO KEY UPDATE", caller.member_id)
        if len(await access_tokens_of(caller, now=now)) >= MOST_LIVE:
            raise NotPermitted(sentence(
                "TOO_MANY_ACCESS_TOKENS", "You have %(most)s access tokens; revoke one that is not needed any more.",
                most=MOST_LIVE,
            ))  # fmt: skip
        return await _write(request, caller, now)


async def _communities_of(caller: Caller) -> set[str]:
    rows = await select("SELECT community_id FROM memberships WHERE member_id = $1", caller.member_id)
    return {row["community_id"] for row in rows}


def _require_session(caller: Caller | None) -> Caller:
    """Raises NotSignedIn or NotPermitted unless the caller has a session. A token cannot create or revoke tokens."""
    if caller is None:
        raise NotSignedIn
    if caller.grant is not None:
        raise NotPermitted(sentence("ACCESS_TOKEN_NOT_PERMITTED", "An access token cannot be used for this; sign in."))
    return caller


def _refuse_out_of_bounds(request: AccessTokenRequest) -> None:
    days, entries = request.days, len(request.community_ids)
    if not request.scopes:
        raise InvalidInput("scopes", sentence(
            "LIST_LENGTH_INVALID", "scopes is an empty list; READ, INVITE or both were expected."
        ))  # fmt: skip
    if not 1 <= entries <= MOST_COMMUNITIES:
        raise InvalidInput.wrong_length("communityIds", entries, MOST_COMMUNITIES)
    if not 1 <= days <= _LONGEST_DAYS:
        raise InvalidInput.out_of_range("expiresInDays", days, 1, _LONGEST_DAYS)
    if request.highest_role is Role.OWNER:
        raise InvalidInput("highestRole", sentence(
            "ROLE_NOT_ALLOWED", "highestRole is OWNER; MEMBER or ADMIN was expected."
        ))  # fmt: skip


async def _write(request: AccessTokenRequest, caller: Caller, now: datetime) -> tuple[Token, AccessTokenView]:
    token, digest = _new_access_token()
    granted = sorted({*request.scopes, Scope.READ})
    row = await AccessToken.create(
        id=new_id("tok"), member_id=caller.member_id, name=request.name, digest=digest, scopes=granted,
        community_ids=sorted(set(request.community_ids)), created_at=now, expires_at=now + timedelta(days=request.days),
        highest_role=request.highest_role,
    )  # fmt: skip
    details = {"scopes": " ".join(granted), "expires": row.expires_at.date().isoformat()}
    if Scope.INVITE in granted:
        details["highest_role"] = request.highest_role
    await _record("access_token.created", row.community_ids, caller, now, details)
    return token, _view_of(row)


async def _record(
    kind: str, community_ids: Iterable[str], caller: Caller, now: datetime, details: dict[str, str] | None = None
) -> None:
    """Records the event in the audit log of each community of the token."""
    await audit.record(now, *(
        audit.Event(kind, community_id, caller.member_id, None, details or {}) for community_id in community_ids
    ))  # fmt: skip


def _new_access_token() -> tuple[Token, Digest]:
    secret, _ = new_token()
    token = Token(f"{_PREFIX}{secret}")
    return token, digest_of(token)


async def access_tokens_of(caller: Caller, *, now: datetime) -> list[AccessTokenView]:
    """Returns the caller's live tokens, newest first."""
    rows = AccessToken.filter(member_id=caller.member_id, revoked_at=None, expires_at__gt=now)
    return [_view_of(row) for row in await rows.order_by("-created_at", "id")]


def _view_of(row: AccessToken) -> AccessTokenView:
    scopes = tuple(Scope(scope) for scope in row.scopes)
    return AccessTokenView(
        row.id, row.name, scopes, tuple(row.community_ids), row.created_at, row.expires_at, row.last_used_at,
        Role(row.highest_role),
    )  # fmt: skip


_LIVE: Final = "revoked_at IS NULL AND expires_at > $1"


async def revoke_access_token(token_id: str, *, invitations: bool = False, caller: Caller | None, now: datetime) -> str:
    """Revokes a token of the caller. Raises NotFound for any other token.

    With `invitations` it also revokes the pending invitations that the token created or last sent, in every community
    (H197). This also works for a token that has ended, because people notice a leak late. It works for a caller of any
    role, because only the caller's own token has sent these invitations since.
    """
    caller = _require_session(caller)
    row = await AccessToken.get_or_none(id=token_id, member_id=caller.member_id) if is_id(token_id) else None
    async with transaction():
        ended = row is not None and await execute(
            f"UPDATE access_tokens SET revoked_at = $1 WHERE id = $2 AND {_LIVE}",  # noqa: S608 -- a constant
            now, row.id,
        )  # fmt: skip
        if row is None or not (ended or invitations):
            raise NotFound(sentence("NOT_FOUND", "There is no such access token among yours."))
        revoked = await _revoke_invitations(row.id, caller, now) if invitations else {}
        for community_id in row.community_ids if ended else ():
            number = len(revoked.get(community_id, ()))
            details = {"invitations": str(number)} if number else {}
            await _record("access_token.revoked", [community_id], caller, now, details)
    return token_id


_REVOKE_INVITATIONS: Final = f"""
UPDATE invitations SET revoked_at = $1, revoked_by_id = $2 WHERE id IN (
    SELECT id FROM invitations WHERE access_token_id = $3 AND {is_pending("$1")} ORDER BY id FOR UPDATE)
RETURNING id, community_id
"""  # noqa: S608 -- constants


async def _revoke_invitations(token_id: str, caller: Caller, now: datetime) -> dict[str, list[str]]:
    """Revokes the token's pending invitations and returns their ids by community.

    One statement revokes them all. One more writes each thousand audit events. The token's row is locked first, so that
    no concurrent request adds an invitation (`lock_access_token`).
    """
    await select("SELECT id FROM access_tokens WHERE id = $1 FOR NO KEY UPDATE", token_id)
    revoked: dict[str, list[str]] = defaultdict(list)
    for row in await select(_REVOKE_INVITATIONS, now, caller.member_id, token_id):
        revoked[row["community_id"]].append(row["id"])
    details = {"reason": "access_token_revoked", "made_with": token_id}
    await audit.record(now, *(
        audit.Event("invitation.revoked", community_id, caller.member_id, invitation_id, details)
        for community_id, invitation_ids in revoked.items() for invitation_id in invitation_ids
    ))  # fmt: skip
    for community_id, invitation_ids in revoked.items():
        await notify_many(community_id, invitation_ids)
    return revoked


async def sign_out_everywhere(caller: Caller | None, *, now: datetime) -> int:
    """Ends all sessions and access tokens of the caller, and returns the number of sessions (H198)."""
    if caller is None:
        return 0
    sql = f"UPDATE access_tokens SET revoked_at = $1 WHERE member_id = $2 AND {_LIVE} RETURNING id, community_ids"  # noqa: S608 -- a constant
    async with transaction():
        ended = await sign_out(caller, everywhere=True, session_id=None, now=now)
        for row in await select(sql, now, caller.member_id):
            await _record("access_token.revoked", json_list(row["community_ids"]), caller, now)
    return ended


async def lock_access_token(grant: Grant | None, *, now: datetime) -> None:
    """Locks the caller's access token until the transaction ends. Raises NotSignedIn when the token has ended.

    Revoking a token with its invitations waits for this lock, and then finds every invitation of the token (H197). Does
    nothing in a session. To prevent deadlocks, call it after locking the community and inserting invitations, and before
    changing an existing invitation.
    """
    if grant is None:
        return
    sql = f"SELECT id FROM access_tokens WHERE id = $2 AND {_LIVE} FOR NO KEY UPDATE"  # noqa: S608 -- a constant
    if not await select(sql, now, grant.token_id):
        raise NotSignedIn(sentence("ACCESS_TOKEN_INVALID", "The access token has expired or was revoked."))


def access_token_details(grant: Grant | None) -> dict[str, str]:
    """Returns the audit detail that names the access token of an action. It is empty in a session."""
    return {} if grant is None else {"access_token_id": grant.token_id}


_CALLER: Final = """
SELECT t.id AS token_id, t.member_id, t.scopes, t.community_ids, t.highest_role, t.last_used_at
FROM access_tokens t JOIN members m ON m.id = t.member_id
WHERE t.digest = $1 AND t.revoked_at IS NULL AND t.expires_at > $2 AND m.erased_at IS NULL
"""


async def caller_of_access_token(text: str, *, now: datetime) -> Caller | None:
    """Returns the caller of a bearer token with its grant, or None when the text is no live token."""
    if not text.startswith(_PREFIX) or len(text) > _LONGEST_TOKEN:
        return None
    rows = await select(_CALLER, digest_of(text), now)
    if not rows:
        return None
    row = rows[0]
    return Caller(row["member_id"], row["token_id"], row["last_used_at"] or now - _TOUCH_INTERVAL, _grant_of(row))


def _grant_of(row: dict[str, Any]) -> Grant:
    scopes = frozenset(json_list(row["scopes"]))
    highest_role = Role(row["highest_role"]) if Scope.INVITE in scopes else None
    return Grant(row["token_id"], scopes, frozenset(json_list(row["community_ids"])), highest_role)


async def touch_access_token(caller: Caller, *, now: datetime) -> None:
    """Records the use of a token, at most once a minute, outside of the request's transactions."""
    if now - caller.last_used_at >= _TOUCH_INTERVAL:
        sql = "UPDATE access_tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)"
        await execute(sql, now, caller.credential_id)
