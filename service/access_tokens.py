"""Access tokens: what a member's script carries instead of a session. Shown once, found by digest, for a while.

A token never has more than its member has at that moment, and of that only its communities and its scopes: it cannot
sign in, link a sign-in, make tokens or see sessions. It outlives sessions, and loses a community with the membership.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service import audit
from service.communities import standings
from service.database import execute, json_list, select, transaction
from service.models import AccessToken
from service.refusals import NAME, InvalidInput, NotFound, NotPermitted, NotSignedIn, worded
from service.sessions import Caller, Grant
from service.settings import Settings
from service.tokens import Digest, Token, digest_of, is_id, new_id, new_token

_PREFIX: Final = "guestlist_"  # so that scanners of published secrets know one when they see it
_LONGEST: Final = 200
MOST_COMMUNITIES: Final = 100
_LONGEST_DAYS: Final = 365
MOST_LIVE: Final = 20
_USED_EVERY: Final = timedelta(minutes=1)


class Scope(StrEnum):
    """What a token may do in its communities. INVITE includes READ: what was invited is answered."""

    READ = "READ"
    INVITE = "INVITE"


@dataclass(frozen=True, slots=True)
class AccessTokenView:
    """A token as its member sees it in the list: never the token."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    community_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


async def create(
    name: str, scopes: list[Scope], community_ids: list[str], days: int, *, caller: Caller | None, now: datetime,
    settings: Settings,
) -> tuple[Token, AccessTokenView]:  # fmt: skip
    """A new token of the caller's, shown this once. Raises InvalidInput, NotFound for a community that is not theirs,
    and NotPermitted over the number of live ones.
    """
    caller = _person(caller)
    name = worded(name, NAME)
    _refuse_out_of_bounds(scopes, community_ids, days)
    own = {place.community_id for place in await standings(caller, settings)}
    if not set(community_ids) <= own:
        raise NotFound("There is no such community among yours.")
    async with transaction():
        await select("SELECT id FROM members WHERE id = $1 FOR NO KEY UPDATE", caller.member_id)
        if len(await of_member(caller, now=now)) >= MOST_LIVE:
            raise NotPermitted(f"You have {MOST_LIVE} access tokens; revoke one that is not needed any more.")
        return await _write(name, scopes, community_ids, now + timedelta(days=days), caller, now)


def _person(caller: Caller | None) -> Caller:
    """A person who is signed in: a token never makes or revokes tokens."""
    if caller is None:
        raise NotSignedIn
    if caller.grant is not None:
        raise NotPermitted("An access token cannot be used for this; sign in.")
    return caller


def _refuse_out_of_bounds(scopes: list[Scope], community_ids: list[str], days: int) -> None:
    if not scopes:
        raise InvalidInput("scopes", "scopes is an empty list; READ, INVITE or both were expected.")
    if not 1 <= len(community_ids) <= MOST_COMMUNITIES:
        given = f"communityIds has {len(community_ids)} entries"
        raise InvalidInput("communityIds", f"{given}; between 1 and {MOST_COMMUNITIES} were expected.")
    if not 1 <= days <= _LONGEST_DAYS:
        raise InvalidInput("expiresInDays", f"expiresInDays is {days}; between 1 and {_LONGEST_DAYS} were expected.")


async def _write(
    name: str, scopes: list[Scope], community_ids: list[str], expires_at: datetime, caller: Caller, now: datetime
) -> tuple[Token, AccessTokenView]:
    token, digest = _new()
    granted = sorted({*scopes, Scope.READ})
    row = await AccessToken.create(
        id=new_id("tok"), member_id=caller.member_id, name=name, digest=digest, scopes=granted,
        community_ids=sorted(set(community_ids)), created_at=now, expires_at=expires_at,
    )  # fmt: skip
    details = {"scopes": " and ".join(granted).lower(), "expires": expires_at.date().isoformat()}
    await audit.record(now, *(
        audit.Event("access_token.created", community_id, caller.member_id, None, details)
        for community_id in row.community_ids
    ))  # fmt: skip
    return token, _view_of(row)


def _new() -> tuple[Token, Digest]:
    secret, _ = new_token()
    token = Token(f"{_PREFIX}{secret}")
    return token, digest_of(token)


async def of_member(caller: Caller, *, now: datetime) -> list[AccessTokenView]:
    """The caller's live tokens, the newest first."""
    rows = AccessToken.filter(member_id=caller.member_id, revoked_at=None, expires_at__gt=now)
    return [_view_of(row) for row in await rows.order_by("-created_at", "id")]


def _view_of(row: AccessToken) -> AccessTokenView:
    scopes = tuple(Scope(scope) for scope in row.scopes)
    return AccessTokenView(
        row.id, row.name, scopes, tuple(row.community_ids), row.created_at, row.expires_at, row.last_used_at
    )


async def revoke(token_id: str, *, caller: Caller | None, now: datetime) -> str:
    """Ends one of the caller's own tokens, at once. Raises NotFound for any other."""
    caller = _person(caller)
    row = await AccessToken.get_or_none(id=token_id, member_id=caller.member_id) if is_id(token_id) else None
    async with transaction():
        sql = "UPDATE access_tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL AND expires_at > $1"
        if row is None or not await execute(sql, now, row.id):
            raise NotFound("There is no such access token among yours.")
        await audit.record(now, *(
            audit.Event("access_token.revoked", community_id, caller.member_id) for community_id in row.community_ids
        ))  # fmt: skip
    return token_id


_CALLER = """
SELECT t.id AS token_id, t.member_id, t.scopes, t.community_ids, t.last_used_at
FROM access_tokens t JOIN members m ON m.id = t.member_id
WHERE t.digest = $1 AND t.revoked_at IS NULL AND t.expires_at > $2 AND m.erased_at IS NULL
"""


async def caller_of(text: str, *, now: datetime) -> Caller | None:
    """The member behind a bearer token, bounded by it; None for anything that is no live token."""
    if not text.startswith(_PREFIX) or len(text) > _LONGEST:
        return None
    rows = await select(_CALLER, digest_of(text), now)
    if not rows:
        return None
    row = rows[0]
    grant = Grant(frozenset(json_list(row["scopes"])), frozenset(json_list(row["community_ids"])))
    return Caller(row["member_id"], row["token_id"], row["last_used_at"] or now - _USED_EVERY, grant)


async def used(caller: Caller, *, now: datetime) -> None:
    """Notes that a token is in use, at most once a minute, apart from the request's own work."""
    if now - caller.last_seen_at >= _USED_EVERY:
        sql = "UPDATE access_tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)"
        await execute(sql, now, caller.session_id)
