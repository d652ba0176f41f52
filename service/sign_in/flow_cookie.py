"""The flow cookie: what binds flows to the browser that began them.

The cookie holds one token for each flow that this browser began, the newest first. Every flow has a token of its own, so a
browser sees a flow only if the cookie that it sends began that flow. Each new flow rotates the cookie: a value that somebody
planted beforehand never shows a flow that begins later. Tokens that no flow of this service has are dropped.
"""

import re
from dataclasses import dataclass
from typing import Final

from service.database import select
from service.tokens import Digest, Token, digest_of, new_token

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST: Final = 32  # flows of one browser within the cookie's hour; 1.4 kB


@dataclass(frozen=True, slots=True, repr=False)
class FlowCookie:
    """The tokens of a browser's flows, the newest first."""

    tokens: tuple[Token, ...] = ()

    @classmethod
    def from_value(cls, value: str | None) -> "FlowCookie":
        """Reads the cookie's value; parts that cannot be tokens are left out."""
        parts = (value or "").split(".", _MOST)[:_MOST]
        return cls(tuple(Token(part) for part in parts if _TOKEN.fullmatch(part)))

    @property
    def value(self) -> str:
        return ".".join(self.tokens)

    @property
    def digests(self) -> list[Digest]:
        """The digests under which the flows are stored, in the order of the tokens."""
        return [digest_of(token) for token in self.tokens]


async def rotate(cookie: FlowCookie) -> tuple[FlowCookie, Digest]:
    """The cookie for the browser that begins another flow, and the digest of that flow's token."""
    token, digest = new_token()
    return FlowCookie((token, *await _issued(cookie))[:_MOST]), digest


async def _issued(cookie: FlowCookie) -> list[Token]:
    """The tokens under which this service has a flow."""
    if not cookie.tokens:
        return []
    marks = ", ".join(f"${number}" for number in range(1, len(cookie.tokens) + 1))
    sql = f"SELECT browser_digest FROM flows WHERE browser_digest IN ({marks})"  # noqa: S608 -- placeholders
    issued = {row["browser_digest"] for row in await select(sql, *cookie.digests)}
    return [token for token in cookie.tokens if digest_of(token) in issued]
