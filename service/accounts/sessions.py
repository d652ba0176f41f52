"""Sessions, found by the digest of their cookie.

Each sign-in begins a new session and ends the browser's previous one. Use never extends a session beyond its absolute
lifetime (ASVS 7.3).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service import audit
from service.accounts.caller import Caller
from service.database import Statement, execute, execute_batch, insert, select, transaction
from service.errors import FreshSignInRequired, NotFound, SessionChanged
from service.languages import sentence
from service.models import Session
from service.settings import Settings
from service.tokens import Token, digest_of, is_id, new_id, new_token

MOST_LISTED: Final = 100
FRESH_FOR: Final = timedelta(minutes=15)
_NO_SESSION: Final = sentence("NOT_FOUND", "There is no such session among yours.")
_TOUCH_INTERVAL: Final = timedelta(minutes=1)


_CALLER: Final = """
SELECT s.id AS credential_id, s.member_id, s.last_seen_at AS last_used_at, s.created_at AS signed_in_at
FROM sessions s JOIN members m ON m.id = s.member_id
WHERE s.digest = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3 AND m.erased_at IS NULL
"""


async def caller_of_session(cookie: str | None, *, now: datetime, settings: Settings) -> Caller | None:
    """Returns the caller of a session cookie, or None when it belongs to no live session. Writes nothing."""
    if not cookie:
        return None
    idle = timedelta(hours=settings.session_idle_hours)
    rows = await select(_CALLER, digest_of(cookie), now, now - idle)
    return Caller(**rows[0]) if rows else None


async def touch_session(caller: Caller, *, now: datetime) -> None:
    """Records the use of a session, at most once a minute, outside of the request's transactions."""
    if now - caller.last_used_at >= _TOUCH_INTERVAL:
        await execute(
            "UPDATE sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1", now, caller.credential_id
        )


def refuse_stale_sign_in(caller: Caller, *, now: datetime) -> None:
    """Raises FreshSignInRequired unless the caller signed in within the last 15 minutes.

    Guards every action that changes access to the account, against unattended and stolen sessions (H172).
    """
    if caller.signed_in_at is None or now - caller.signed_in_at >= FRESH_FOR:
        raise FreshSignInRequired


def refuse_other_member(caller: Caller | None, member_id: str | None) -> None:
    """Raises SessionChanged when the caller is not the member whom a page shows. None names no member.

    Guards against a tab that still shows one member while another one signed in on the same browser (H211).
    """
    if caller is not None and member_id is not None and caller.member_id != member_id:
        raise SessionChanged


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser of a sign-in: its current session cookie, and its User-Agent for the list of sessions."""

    session_cookie: str | None
    user_agent: str | None


async def begin_session(
    member_id: str, browser: Browser, *, provider_id: str, now: datetime, settings: Settings
) -> Token:
    """Signs a member in, and returns the token for the cookie."""
    token, statements = session_statements(member_id, browser, provider_id=provider_id, now=now, settings=settings)
    await execute_batch(*statements)
    return token


def session_statements(
    member_id: str, browser: Browser, *, provider_id: str, now: datetime, settings: Settings
) -> tuple[Token, list[Statement]]:
    """Returns the token of a new session, and the statements that begin it and end the browser's session (H103)."""
    token, digest = new_token()
    begin = insert("sessions", {
        "id": new_id("ses"), "member_id": member_id, "digest": digest, "provider_id": provider_id,
        "user_agent": _printable(browser.user_agent), "created_at": now, "last_seen_at": now,
        "expires_at": now + timedelta(days=settings.session_days),
    })  # fmt: skip
    if not browser.session_cookie:
        return token, [begin]
    sql = "UPDATE sessions SET ended_at = $1 WHERE digest = $2 AND ended_at IS NULL"
    return token, [Statement(sql, (now, digest_of(browser.session_cookie))), begin]


async def sign_out(caller: Caller | None, *, everywhere: bool, session_id: str | None, now: datetime) -> int:
    """Ends the current session, the session with this id, or all sessions of the caller. Returns their number.

    Raises NotFound when `session_id` is not an open session of the caller.
    """
    if caller is None:
        if session_id is None:
            return 0
        raise NotFound(_NO_SESSION)
    open_sessions = Session.filter(member_id=caller.member_id, ended_at=None)
    if not everywhere:
        ending = caller.credential_id if session_id is None else session_id
        open_sessions = open_sessions.filter(id=ending if is_id(ending) else "")
    async with transaction():
        ended = await open_sessions.update(ended_at=now)
        if not ended and session_id is not None and not everywhere:
            raise NotFound(_NO_SESSION)
        await audit.record(
            now, audit.Event("member.signed_out", None, caller.member_id, None, {"sessions": str(ended)})
        )
    return ended


async def sessions_of(caller: Caller, *, now: datetime, settings: Settings) -> list[Session]:
    """Returns at most MOST_LISTED live sessions of the caller: the current one, then the most recently used."""
    idle = timedelta(hours=settings.session_idle_hours)
    alive = Session.filter(member_id=caller.member_id, ended_at=None, expires_at__gt=now, last_seen_at__gt=now - idle)
    current = await alive.filter(id=caller.credential_id)
    others = alive.exclude(id=caller.credential_id).order_by("-last_seen_at", "id")
    return [*current, *await others.limit(MOST_LISTED - len(current))]


def _printable(text: str | None) -> str | None:
    """Reduces a User-Agent to one line of printable characters (H157)."""
    return "".join(character for character in text if character.isprintable())[:300] if text else None
