"""Sessions: rows found by the digest of their cookie. Rotated at every sign-in, ended by sign-out, never extended
past their absolute lifetime (ASVS 7.3).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service import audit
from service.database import Statement, execute, execute_batch, insert, select, transaction
from service.errors import FreshSignInRequired, NotFound
from service.languages import sentence
from service.models import Role, Session
from service.settings import Settings
from service.tokens import Token, digest_of, is_id, new_id, new_token

MOST_LISTED: Final = 100
FRESH_FOR: Final = timedelta(minutes=15)
_NO_SESSION: Final = sentence("NOT_FOUND", "There is no such session among yours.")
_SEEN_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Grant:
    """The bounds of an access token: its scopes, its communities, and the highest role that it may invite to.

    `highest_role` is None for a token without the scope INVITE.
    """

    token_id: str
    scopes: frozenset[str]
    community_ids: frozenset[str]
    highest_role: Role | None

    def may_manage(self, role: Role) -> bool:
        """Whether the token may invite to this role, resend and revoke invitations to it (H196)."""
        return self.highest_role is not None and role.rank <= self.highest_role.rank


@dataclass(frozen=True, slots=True)
class Caller:
    """The member who is asking, with the session in which they are signed in, or the access token that acts for them.

    `grant` bounds an access token. `signed_in_at` is the sign-in that began the session; tokens have none.
    """

    member_id: str
    credential_id: str
    last_seen_at: datetime
    grant: Grant | None = None
    signed_in_at: datetime | None = None

    def may_enter(self, community_id: str) -> bool:
        """Whether this session or token is for the community; whether the member belongs to it is another question."""
        return self.grant is None or community_id in self.grant.community_ids


_CALLER = """
SELECT s.id AS credential_id, s.member_id, s.last_seen_at, s.created_at AS signed_in_at
FROM sessions s JOIN members m ON m.id = s.member_id
WHERE s.digest = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3 AND m.erased_at IS NULL
"""


async def caller_of(cookie: str | None, *, now: datetime, settings: Settings) -> Caller | None:
    """The caller behind a session cookie: one statement that writes nothing; None for any cookie that opens nothing."""
    if not cookie:
        return None
    idle = timedelta(hours=settings.session_idle_hours)
    rows = await select(_CALLER, digest_of(cookie), now, now - idle)
    return Caller(**rows[0]) if rows else None


async def seen(caller: Caller, *, now: datetime) -> None:
    """Refreshes the idle clock, at most once a minute, apart from the request's own work."""
    if now - caller.last_seen_at >= _SEEN_EVERY:
        await execute(
            "UPDATE sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1", now, caller.credential_id
        )


def refuse_stale_sign_in(caller: Caller, *, now: datetime) -> None:
    """Raises FreshSignInRequired unless the caller signed in within the last 15 minutes.

    It guards every action that changes access to the account: an unattended or stolen session is not enough (H172).
    """
    if caller.signed_in_at is None or now - caller.signed_in_at >= FRESH_FOR:
        raise FreshSignInRequired


async def begin(
    member_id: str, *, provider_id: str, user_agent: str | None, replaces: str | None, now: datetime, settings: Settings
) -> Token:
    """Signs a member in; returns the cookie's token."""
    token, writes = session_statements(
        member_id, provider_id=provider_id, user_agent=user_agent, replaces=replaces, now=now, settings=settings
    )
    await execute_batch(*writes)
    return token


def session_statements(
    member_id: str, *, provider_id: str, user_agent: str | None, replaces: str | None, now: datetime, settings: Settings
) -> tuple[Token, list[Statement]]:
    """The token of a new session, and the statements that begin it. The session that the browser had ends: rotation
    (H103).
    """
    token, digest = new_token()
    session_statements = insert("sessions", {
        "id": new_id("ses"), "member_id": member_id, "digest": digest, "provider_id": provider_id,
        "user_agent": _printable(user_agent), "created_at": now, "last_seen_at": now,
        "expires_at": now + timedelta(days=settings.session_days),
    })  # fmt: skip
    if not replaces:
        return token, [session_statements]
    sql = "UPDATE sessions SET ended_at = $1 WHERE digest = $2 AND ended_at IS NULL"
    return token, [Statement(sql, (now, digest_of(replaces))), session_statements]


async def sign_out(caller: Caller | None, *, everywhere: bool, session_id: str | None, now: datetime) -> int:
    """Ends the current session, the one named, or all of the caller's own; returns how many.

    Raises NotFound when the session named is not an open one of theirs.
    """
    if caller is None:
        if session_id is None:
            return 0
        raise NotFound(_NO_SESSION)
    open_sessions = Session.filter(member_id=caller.member_id, ended_at=None)
    if not everywhere:
        wanted = session_id or caller.credential_id
        open_sessions = open_sessions.filter(id=wanted if is_id(wanted) else "")
    async with transaction():
        ended = await open_sessions.update(ended_at=now)
        if not ended and session_id is not None and not everywhere:
            raise NotFound(_NO_SESSION)
        await audit.record(
            now, audit.Event("member.signed_out", None, caller.member_id, None, {"sessions": str(ended)})
        )
    return ended


async def of_member(caller: Caller, *, now: datetime, settings: Settings) -> list[Session]:
    """Where the caller is signed in; the current session first, then the last seen, at most MOST_LISTED of all."""
    idle = timedelta(hours=settings.session_idle_hours)
    alive = Session.filter(member_id=caller.member_id, ended_at=None, expires_at__gt=now, last_seen_at__gt=now - idle)
    current = await alive.filter(id=caller.credential_id)
    others = alive.exclude(id=caller.credential_id).order_by("-last_seen_at", "id")
    return [*current, *await others.limit(MOST_LISTED - len(current))]


def _printable(text: str | None) -> str | None:
    """A User-Agent as one harmless line (H157)."""
    return "".join(character for character in text if character.isprintable())[:300] if text else None
