"""One OpenID Provider: its metadata and its keys, fetched when they are needed and kept for an hour."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from service.openid.failures import ProviderUnavailable, SignInFailed
from service.openid.id_token import Unverified
from service.openid.issuer import Issuer
from service.openid.keys import SigningKey, read_keys
from service.openid.metadata import Metadata, read_metadata
from service.openid.transport import Outside
from service.settings import ProviderSettings

KEPT_FOR: Final = timedelta(hours=1)
REFETCHES: Final = 10
REFETCH_PERIOD: Final = timedelta(minutes=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    fetched_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now < self.fetched_at + KEPT_FOR


class SharedFetch(Generic[T]):
    """What was fetched last, and a fetch that simultaneous callers wait for together: a hundred logins after a quiet
    hour ask the provider once, and a provider that is down holds each of them up for one deadline, not for one after
    the other.
    """

    def __init__(self, fetch: Callable[[datetime], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._flight: asyncio.Task[T] | None = None
        self.kept: _Kept[T] | None = None

    async def fresh(self, now: datetime) -> T:
        """What is kept, fetched anew after an hour."""
        return self.kept.value if self.kept is not None and self.kept.is_fresh(now) else await self.anew(now)

    async def anew(self, now: datetime) -> T:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(now))
            self._flight.add_done_callback(self._landed)
        # Shielded: one browser that goes away does not end the fetch of the others.
        return await asyncio.shield(self._flight)

    @property
    def is_under_way(self) -> bool:
        return self._flight is not None

    async def _fly(self, now: datetime) -> T:
        value = await self._fetch(now)
        # Kept before the flight is over, so that who asks as it lands finds the one or the other.
        self.kept = _Kept(value, now)
        return value

    def _landed(self, flight: asyncio.Task[T]) -> None:
        self._flight = None
        if not flight.cancelled():
            # Looked at, so that asyncio does not report a failure whose callers have all gone.
            flight.exception()


class Provider:
    """A configured provider. Nothing is fetched before the first login, and nothing that failed is remembered: a
    provider that was down at the start works as soon as it is up.
    """

    def __init__(self, settings: ProviderSettings, outside: Outside) -> None:
        self.settings = settings
        self.issuer = Issuer.of(settings)
        self._outside = outside
        self._metadata = SharedFetch(self._download_metadata)
        self._keys = SharedFetch(self._download_keys)
        self._refetched: deque[datetime] = deque(maxlen=REFETCHES)

    async def metadata(self, now: datetime) -> Metadata:
        """Raises ProviderUnavailable while the provider cannot be asked or its document is not to be believed."""
        return await self._metadata.fresh(now)

    def doubt_metadata(self, now: datetime) -> None:
        """Reads the document anew at the next login, because it may have led astray: endpoints move. One of this very
        minute is believed all the same, so that failures do not make us flood the provider.
        """
        kept = self._metadata.kept
        if kept is not None and now >= kept.fetched_at + REFETCH_PERIOD:
            self._metadata.kept = _Kept(kept.value, now - KEPT_FOR)

    async def verify_signature(self, token: Unverified, now: datetime) -> None:
        """Raises SignInFailed unless one of the provider's keys signed the token. A provider that changed its keys since
        they were fetched, under a new `kid` or under the same, is asked once more (H047).
        """
        keys = await self._keys.fresh(now)
        if token.signed_by(keys):
            return
        if not token.signed_by(await self._newer_keys(keys, now)):
            self.doubt_metadata(now)
            raise SignInFailed("id_token_signature_invalid")
        # The keys did change: what is limited is asking in vain.
        self._refetched.clear()

    async def userinfo(self, access_token: str, now: datetime) -> dict[str, Any] | None:
        """The claims of the userinfo endpoint, unverified; None where the provider has none."""
        endpoint = (await self.metadata(now)).userinfo_endpoint
        if endpoint is None:
            return None
        return await self._outside.get_object(endpoint, {"authorization": f"Bearer {access_token}"})

    async def check(self, now: datetime) -> None:
        """Fetches metadata and keys anew. Raises ProviderUnavailable with a detail for the operator."""
        metadata = await self._metadata.anew(now)
        if not await self._keys.anew(now):
            raise ProviderUnavailable("no_usable_key", detail=f"{metadata.jwks_uri} has no usable key.")

    async def _newer_keys(self, tried: tuple[SigningKey, ...], now: datetime) -> tuple[SigningKey, ...]:
        """Other keys than those that were tried; none when the provider was asked in vain often enough for this minute,
        so that bad tokens do not make us flood it.
        """
        if self._keys.kept is not None and self._keys.kept.value is not tried:
            return self._keys.kept.value
        if not self._keys.is_under_way and not self._may_refetch(now):
            return ()
        return await self._keys.anew(now)

    def _may_refetch(self, now: datetime) -> bool:
        if len(self._refetched) == REFETCHES and now < self._refetched[0] + REFETCH_PERIOD:
            return False
        self._refetched.append(now)
        return True

    async def _download_metadata(self, _now: datetime) -> Metadata:
        document = await self._outside.get_object(self.issuer.discovery_url)
        return read_metadata(document, self.issuer, self.settings.endpoint_hosts)

    async def _download_keys(self, now: datetime) -> tuple[SigningKey, ...]:
        metadata = await self.metadata(now)
        return read_keys(await self._outside.get_object(metadata.jwks_uri))
