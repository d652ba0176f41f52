"""What a resolver is given: who asks, when, and how to answer the browser."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from strawberry.dataloader import DataLoader
from strawberry.types.info import Info as StrawberryInfo

from service import communities, invitation_views
from service.acceptance import Browser
from service.clock import Clock
from service.communities import Standing
from service.invitation_views import InvitationView
from service.limits import client_key, refuse_over
from service.openid import ProviderLabel, RelyingParty
from service.sessions import Caller, caller_of
from service.settings import Settings
from service.sign_in import FlowBrowser, flow_browser
from service.tokens import Token


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
    flow_cookie: str | None = field(repr=False)
    clock: Clock
    caller_now: Callable[[], Awaitable[Caller | None]]
    set_flow: Token | None = None
    set_session: Token | None = None
    end_session: bool = False
    _member_counts: DataLoader[str, int] = field(default_factory=lambda: DataLoader(load_fn=_load_member_counts))
    _places: dict[str, Standing] = field(default_factory=dict)
    _invitations: DataLoader[tuple[str, str], InvitationView | None] = field(init=False)

    def __post_init__(self) -> None:
        self._invitations = DataLoader(load_fn=self._load_invitations)

    async def refresh(self) -> Caller | None:
        """For what lasts longer than a request: the time and the caller of this moment, and nothing remembered."""
        self.now, self.caller = self.clock(), await self.caller_now()
        self._invitations = DataLoader(load_fn=self._load_invitations)
        self._member_counts = DataLoader(load_fn=_load_member_counts)
        return self.caller

    async def invitation(self, place: Standing, invitation_id: str) -> InvitationView | None:
        """An invitation of a community that the caller administers; many are read in one statement."""
        self._places[place.community_id] = place
        return await self._invitations.load((place.community_id, invitation_id))

    async def _load_invitations(self, keys: list[tuple[str, str]]) -> list[InvitationView | None]:
        found: dict[str, InvitationView] = {}
        for community_id in {community_id for community_id, _ in keys}:
            ids = {invitation_id for of, invitation_id in keys if of == community_id}
            place = self._places[community_id]
            found |= await invitation_views.named(place, ids, now=self.now, settings=self.settings)
        return [found.get(invitation_id) for _, invitation_id in keys]

    async def member_count(self, community_id: str) -> int:
        """Members of a community; those of several communities are counted in one statement."""
        return await self._member_counts.load(community_id)

    def provider(self, provider_id: str | None) -> ProviderLabel | None:
        """What the operator calls a provider; None once it is no longer configured."""
        return next((label for label in self.relying_party.providers if label.id == provider_id), None)

    @property
    def browser(self) -> Browser:
        return Browser(self.session_cookie, self.user_agent)

    def bind_browser(self) -> FlowBrowser:
        """The browser that a flow is bound to; its cookie is set, or its hour begun anew."""
        browser = flow_browser(self.set_flow or self.flow_cookie)
        self.set_flow = browser.token
        return browser

    async def sign_in_as(self, session: Token | None) -> None:
        """From here on the request is the new session's, and its answer carries the cookie."""
        if session is not None:
            self.set_session = session
            self.caller = await caller_of(session, now=self.now, settings=self.settings)

    async def count_attempt(self) -> None:
        """One attempt of this client, whatever it tries: guessing anything is bounded (H136)."""
        await refuse_over(
            self.settings.rate_limits.attempts_per_client, client_key(self.client),
            "Too many attempts from your network. Wait a moment.", now=self.now,
        )  # fmt: skip


async def _load_member_counts(community_ids: list[str]) -> list[int]:
    counts = await communities.member_counts(community_ids)
    return [counts.get(community_id, 0) for community_id in community_ids]


Info = StrawberryInfo[Context, None]
