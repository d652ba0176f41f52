"""The context of a request: its caller, its time, and the cookies of its response. Resolvers receive it as `info.context`."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from strawberry.types.info import Info as StrawberryInfo

from schema.loaders import Loaders
from service.accounts.caller import Caller
from service.accounts.sessions import Browser, caller_of_session
from service.clock import Clock
from service.communities.communities import count_communities
from service.communities.members import MOST_MEMBERSHIPS
from service.database.shares import MOST_RUNNING_OF_NETWORK, Shares
from service.errors import NotSignedIn
from service.languages import sentence
from service.limits import client_key, refuse_over
from service.openid import ProviderLabel
from service.settings import Settings
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import Flows, StartedFlow
from service.tokens import Token

_UNKNOWN_TOKEN: Final = sentence("ACCESS_TOKEN_INVALID", "The access token is unknown, expired or revoked.")
_TOO_MANY_ATTEMPTS: Final = sentence("RATE_LIMITED", "Too many attempts from your network. Wait a moment.")


@dataclass(slots=True)
class Context:
    """Belongs to one request. `set_flow` and `set_session` are cookies of the response."""

    settings: Settings
    flows: Flows
    now: datetime
    caller: Caller | None
    client: str
    user_agent: str | None
    session_cookie: str | None = field(repr=False)
    flow_cookie: FlowCookie
    clock: Clock
    load_caller: Callable[[], Awaitable[Caller | None]]
    shares: Shares
    set_flow: FlowCookie | None = None
    set_session: Token | None = None
    end_session: bool = False
    awaitables: list[Any] | None = field(default=None, repr=False)  # of an operation that may be cancelled
    load: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.load = Loaders(lambda: self.now, self.settings, self.shares)

    def close(self, *, cancelled: bool) -> None:
        """Releases the loaded rows. Closes coroutines that a cancelled operation never started: Python warns about them."""
        self.load.close()
        for awaitable in (self.awaitables or ()) if cancelled else ():
            if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
                awaitable.close()
        self.awaitables = None

    async def refresh(self) -> Caller | None:
        """Updates the time and the caller, for a subscription or a WebSocket that outlives its first request."""
        self.now, self.caller = self.clock(), await self.load_caller()
        return self.caller

    async def count_memberships(self) -> int:
        """The number of communities of the caller. Without a caller, the maximum that a list returns."""
        return MOST_MEMBERSHIPS if self.caller is None else await count_communities(self.caller)

    def provider(self, provider_id: str | None) -> ProviderLabel | None:
        """The label of a provider; None when it is no longer configured."""
        return next((label for label in self.flows.relying_party.providers if label.id == provider_id), None)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """A turn in the line of the caller's account, or of their network before sign-in. Raises TooManyAtOnce."""
        if self.caller is None:
            return self.shares.turn(client_key(self.client), operations=MOST_RUNNING_OF_NETWORK)
        return self.shares.turn(f"member:{self.caller.member_id}")

    def event_turn(self) -> AbstractAsyncContextManager[None]:
        """A turn in the line of events of all the caller's subscriptions."""
        return self.shares.event(f"events:{self.caller.member_id if self.caller else client_key(self.client)}")

    @property
    def browser(self) -> Browser:
        return Browser(self.session_cookie, self.user_agent)

    def bind_browser(self, flow: StartedFlow) -> None:
        """Binds a new flow to the browser by a cookie of the response."""
        self.flow_cookie = self.set_flow = flow.cookie

    async def sign_in_as(self, session: Token | None) -> None:
        """Makes the member of the new session the caller, and sets its cookie on the response. None changes nothing."""
        if session is not None:
            self.set_session = session
            self.caller = await caller_of_session(session, now=self.now, settings=self.settings)

    async def refuse_unknown_bearer(self, bearer: str | None) -> None:
        """Rejects an invalid access token, and counts it as an attempt of this client (H136, H199).

        Raises RateLimited over the limit, and otherwise NotSignedIn. Unknown, expired and revoked tokens give the same
        error. A valid token, or None, passes.
        """
        if bearer is None or self.caller is not None:
            return
        await self.count_attempt()
        raise NotSignedIn(_UNKNOWN_TOKEN)

    async def count_attempt(self) -> None:
        """Counts one attempt of this client, which limits every kind of guessing (H136). Raises RateLimited."""
        await refuse_over(
            self.settings.rate_limits.attempts_per_client, client_key(self.client),
            _TOO_MANY_ATTEMPTS, now=self.now,
        )  # fmt: skip


Info = StrawberryInfo[Context, None]
