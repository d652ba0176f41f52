"""The flow cookie binds flows to the browser that started them.

It holds one token for each flow of the browser, newest first. A browser sees a flow only if its cookie has the flow's token.
Each new flow rotates the cookie, so a value that an attacker planted earlier never shows a later flow. Rotation drops tokens
without a flow.
"""

import re
from dataclasses import dataclass
from typing import Final

from service.database import Params, select
from service.tokens import Digest, Token, digest_of, new_token

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST: Final = 32  # flows of one browser within the cookie's hour; 1.4 kB


@dataclass(frozen=True, slots=True, repr=False)
class FlowCookie:
    """The tokens of a browser's flows, the newest first."""

    tokens: tuple[Token, ...] = ()

    @classmethod
    def from_value(cls, value: str | None) -> "FlowCookie":
        """Reads the cookie's value. Ignores parts that are not tokens."""
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
    """The cookie for a browser that starts another flow, and the digest of that flow's token."""
    token, digest = new_token()
    return FlowCookie((token, *await _tokens_with_flow(cookie))[:_MOST]), digest


async def _tokens_with_flow(cookie: FlowCookie) -> list[Token]:
    """The tokens that have a flow."""
    if not cookie.tokens:
        return []
    params = Params()
    marks = params.add_all(cookie.digests)
    sql = f"SELECT browser_digest FROM flows WHERE browser_digest IN ({marks})"  # noqa: S608 -- placeholders
    known = {row["browser_digest"] for row in await select(sql, *params.values)}
    return [token for token in cookie.tokens if digest_of(token) in known]
