"""Mailbox codes: six digits that prove the invited mailbox within one flow. The step that sends a code creates it.

Five tries and ten minutes limit guessing at the service. A slow salted hash (scrypt, RFC 7914) limits guessing by a reader of
the database: hashing all codes takes hours, and a code is valid for minutes.
"""

import asyncio
import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service import audit
from service.changes import Changed, notify
from service.database import execute, select
from service.flow_sentences import flow_sentence, to_columns
from service.models import DIGEST

TRIES: Final = 5
LIFETIME: Final = timedelta(minutes=10)
_DIGITS: Final = 6
_SEPARATORS: Final = frozenset({"Zs", "Zl", "Zp", "Pd", "Cf"})  # blanks, hyphens, zero-width and directional characters
_LONGEST_INPUT: Final = 200
_MINUS_SIGN: Final = "\u2212"
_SALT_BYTES: Final = 8
_NOT_SENT: Final = "code_not_sent"
_COST: Final = {"n": 2**14, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class Try:
    """A spent try: the digest that the code must match, and the number of tries left."""

    digest: str
    left: int


async def issue(flow_id: str, *, now: datetime) -> str | None:
    """Creates a code for a flow that waits for one, and ends its earlier code. Returns None for other flows."""
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
    stored = await execute(
        "UPDATE flows SET code_digest = $1, code_expires_at = $2, code_tries_left = $3"
        " WHERE id = $4 AND status = 'CODE_REQUIRED'",
        await _digest(code, secrets.token_bytes(_SALT_BYTES)), now + LIFETIME, TRIES, flow_id,
    )  # fmt: skip
    return code if stored else None


async def give_up(flow_id: str, community_id: str, invitation_id: str, *, now: datetime) -> None:
    """Ends a flow whose code cannot be sent, so that the person and the admins see it. Runs in the caller's transaction."""
    ended = await select(
        "UPDATE flows SET status = 'SIGN_IN_FAILED', reason = $1, message = NULL, message_code = $2, message_facts = $3"
        " WHERE id = $4 AND status = 'CODE_REQUIRED' RETURNING provider_id",
        _NOT_SENT, *to_columns(flow_sentence("CODE_NOT_DELIVERED")), flow_id,
    )  # fmt: skip
    for row in ended:
        details = {"status": "SIGN_IN_FAILED", "reason": _NOT_SENT, "provider": row["provider_id"]}
        refused = audit.Event("invitation.accept_refused", community_id, None, invitation_id, details)
        await audit.record_anonymous(now, refused)
        await notify(Changed(community_id, invitation_id))


async def spend_try(flow_id: str, *, now: datetime) -> Try | None:
    """Spends one try before the code is compared, so that simultaneous guesses count separately.

    Returns None when no try is left, or the code is expired.
    """
    rows = await select(
        "UPDATE flows SET code_tries_left = code_tries_left - 1 WHERE id = $1 AND status = 'CODE_REQUIRED'"
        " AND code_tries_left > 0 AND code_expires_at > $2 RETURNING code_digest, code_tries_left",
        flow_id, now,
    )  # fmt: skip
    return Try(rows[0]["code_digest"], rows[0]["code_tries_left"]) if rows else None


async def matches(code: str, digest: str) -> bool:
    """Whether a person's input is the code."""
    typed = _typed_code(code)
    return hmac.compare_digest(await _digest(typed, bytes.fromhex(digest[: 2 * _SALT_BYTES])), digest)


def _typed_code(text: str) -> str:
    """The input as ASCII digits. Keyboards of many scripts type their own digits, and programs add invisible characters.

    Ignores separators. Cuts a longer input, which then matches no code.
    """
    characters = (character for character in text[:_LONGEST_INPUT] if not _is_separator(character))
    return "".join(str(unicodedata.decimal(character, character)) for character in characters)[: _DIGITS + 1]


def _is_separator(character: str) -> bool:
    return character.isspace() or character == _MINUS_SIGN or unicodedata.category(character) in _SEPARATORS


async def _digest(code: str, salt: bytes) -> str:
    """Salt and hash as hexadecimal digits, with the length of the columns for digests."""
    length = DIGEST // 2 - _SALT_BYTES
    hashed = await asyncio.to_thread(lambda: hashlib.scrypt(code.encode(), salt=salt, dklen=length, **_COST))
    return (salt + hashed).hex()
