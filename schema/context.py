"""What a resolver is given: who asks, when, and how to answer the browser."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from strawberry.types.info import Info as StrawberryInfo

from schema.loaders import Loaders
from service.accounts.sessions import Caller, caller_of
from service.clock import Clock
from service.communities import access as communities
from service.database.shares import MOST_RUNNING_OF_NETWORK, Shares
from service.errors import NotSignedIn
from service.invitations.accept import Browser
from service.languages import sentence
from service.limits import client_key, refuse_over
from service.openid import ProviderLabel, RelyingParty
from service.settings import Settings
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import Begun
from service.tokens import Token

_UNKNOWN_TOKEN: Final = sentence("ACCESS_TOKEN_INVALID", "The access token is unknown, expired or revoked.")
_TOO_MANY_ATTEMPTS: Final = sentence("RATE_LIMITED", "Too many attempts from your network. Wait a moment.")


@dataclass(slots=True)
class Context:
    """One request: read once, never shared. `set_flow` and `set_session` are cookies that the answer carries."""

    settings: Settings
    relying_party: RelyingParty
    now: datetime
    caller: Caller | None
    client: str
    user_agent: str | None
    session_cookie: str | None = field(repr=False)
    flow_cookie: FlowCookie
    clock: Clock
    caller_now: Callable[[], Awaitable[Caller | None]]
    shares: Shares
    set_flow: FlowCookie | None = None
    set_session: Token | None = None
    end_session: bool = False
    begun: list[Any] | None = field(default=None, repr=False)  # what is awaited in an operation that may be cancelled
    load: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.load = Loaders(lambda: self.now, self.settings, self.shares)

    def close(self, *, cancelled: bool) -> None:
        """Lets go of what the operation loaded. A coroutine that a cancelled operation left unstarted is closed, because
        Python would complain about it.
        """
        self.load.close()
        for coroutine in (self.begun or ()) if cancelled else ():
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        self.begun = None

    async def refresh(self) -> Caller | None:
        """For what lasts longer than a request: the time and the caller of this moment."""
        self.now, self.caller = self.clock(), await self.caller_now()
        return self.caller

    async def count_memberships(self) -> int:
        """How many communities the caller belongs to; as many as a list holds where there is no caller."""
        return communities.MOST_OF_MEMBER if self.caller is None else await communities.count_of(self.caller)

    def provider(self, provider_id: str | None) -> ProviderLabel | None:
        """What the operator calls a provider; None once it is no longer configured."""
        return next((label for label in self.relying_party.providers if label.id == provider_id), None)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """The caller's turn: that of their account, or of their network before it is known. Raises TooManyAtOnce."""
        if self.caller is None:
            return self.shares.turn(client_key(self.client), operations=MOST_RUNNING_OF_NETWORK)
        return self.shares.turn(f"member:{self.caller.member_id}")

    def event_turn(self) -> AbstractAsyncContextManager[None]:
        """The turn of one event of a subscription among all subscriptions of the caller."""
        return self.shares.event(f"events:{self.caller.member_id if self.caller else client_key(self.client)}")

    @property
    def browser(self) -> Browser:
        return Browser(self.session_cookie, self.user_agent)

    def bind_browser(self, begun: Begun) -> None:
        """Gives the browser the cookie of the flow that it began."""
        self.flow_cookie = self.set_flow = begun.cookie

    async def sign_in_as(self, session: Token | None) -> None:
        """From here on the request is the new session's, and its answer carries the cookie."""
        if session is not None:
            self.set_session = session
            self.caller = await caller_of(session, now=self.now, settings=self.settings)

    async def refuse_unknown_bearer(self, bearer: str | None) -> None:
        """Counts a wrong access token as an attempt of this client, wherever it came in (H136, H199).

        Raises RateLimited over the limit, and otherwise NotSignedIn. The answer does not tell why a token is wrong: it may
        be unknown, expired or revoked. Without a token (None), or with a live one, it does nothing.
        """
        if bearer is None or self.caller is not None:
            return
        await self.count_attempt()
        raise NotSignedIn(_UNKNOWN_TOKEN)

    async def count_attempt(self) -> None:
        """One attempt of this client, whatever it tries: guessing anything is bounded (H136)."""
        await refuse_over(
            self.settings.rate_limits.attempts_per_client, client_key(self.client),
            _TOO_MANY_ATTEMPTS, now=self.now,
        )  # fmt: skip


Info = StrawberryInfo[Context, None]
