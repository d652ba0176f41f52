"""One OpenID Provider: its metadata and its keys, fetched on demand and cached for an hour.

While the provider's documents fail, the last good ones stay in use for a day.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import structlog

from service.openid.errors import ProviderUnavailable, SignInFailed
from service.openid.id_token import UnverifiedToken
from service.openid.issuer import Issuer
from service.openid.keys import SigningKey, read_keys
from service.openid.metadata import Metadata, read_metadata
from service.openid.transport import ProviderClient
from service.settings import ProviderSettings

CACHED_FOR: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(days=1)  # a document that cannot be refreshed
RETRY_AFTER: Final = timedelta(minutes=1)
REFETCHES: Final = 10
REFETCH_PERIOD: Final = timedelta(minutes=1)

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Cached(Generic[T]):
    value: T
    fetched_at: datetime
    expires_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now < self.expires_at

    def is_usable(self, now: datetime) -> bool:
        return now < self.fetched_at + KEPT_FOR


class SharedFetch(Generic[T]):
    """Caches the last fetched value and coalesces refreshes.

    Concurrent callers await the same fetch, so a hundred logins cost one request and at most one timeout.
    """

    def __init__(self, name: str, fetch: Callable[[datetime], Awaitable[T]]) -> None:
        self._name = name
        self._fetch = fetch
        self._fetching: asyncio.Task[T] | None = None
        self.cached: _Cached[T] | None = None

    async def get(self, now: datetime) -> T:
        """The cached value, refreshed after an hour.

        When the refresh fails, the last good value stays in use for a day after its fetch, with one try a minute.
        """
        cached = self.cached
        if cached is not None and cached.is_fresh(now):
            return cached.value
        try:
            return await self.refresh(now)
        except ProviderUnavailable as error:
            if cached is None or not cached.is_usable(now):
                raise
            kept = {"document": self._name, "fetched_at": cached.fetched_at.isoformat()}
            log.warning("provider.document_kept", reason=error.reason, detail=error.detail, **kept)
            self.cached = replace(cached, expires_at=now + RETRY_AFTER)
            return cached.value

    def expire(self, now: datetime) -> None:
        """Makes the next `get` fetch again. Keeps a value of the last minute, so that failures do not flood the provider."""
        if self.cached is not None and now >= self.cached.fetched_at + REFETCH_PERIOD:
            self.cached = replace(self.cached, expires_at=min(self.cached.expires_at, now))

    async def refresh(self, now: datetime) -> T:
        """Fetches the value, or joins the fetch of another caller."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_and_cache(now))
            self._fetching.add_done_callback(self._on_done)
        # A browser that disconnects does not cancel the fetch of the others.
        return await asyncio.shield(self._fetching)

    @property
    def is_fetching(self) -> bool:
        return self._fetching is not None

    async def _fetch_and_cache(self, now: datetime) -> T:
        value = await self._fetch(now)
        # Caches before the task ends, so that every caller finds the value or the task.
        self.cached = _Cached(value, now, now + CACHED_FOR)
        return value

    def _on_done(self, task: asyncio.Task[T]) -> None:
        self._fetching = None
        if not task.cancelled():
            # Retrieves the exception, so that asyncio does not report it when all callers are gone.
            task.exception()


class Provider:
    """A configured provider. It fetches at the first login and caches no failures."""

    def __init__(self, settings: ProviderSettings, client: ProviderClient) -> None:
        self.settings = settings
        self.issuer = Issuer.from_settings(settings)
        self._client = client
        self._metadata = SharedFetch(f"metadata of {self.issuer.configured}", self._download_metadata)
        self._keys = SharedFetch(f"keys of {self.issuer.configured}", self._download_keys)
        self._refetched: deque[datetime] = deque(maxlen=REFETCHES)

    async def metadata(self, now: datetime) -> Metadata:
        """The metadata. Raises ProviderUnavailable while the provider cannot be reached or its document is invalid."""
        return await self._metadata.get(now)

    def expire_metadata(self, now: datetime) -> None:
        """Makes the next login fetch the document again, because endpoints can move."""
        self._metadata.expire(now)

    async def verify_signature(self, token: UnverifiedToken, now: datetime) -> None:
        """Raises SignInFailed unless one of the provider's keys signed the token.

        Fetches the keys again when none fits, because the provider may have changed them, under a new or the same `kid`
        (H047).
        """
        keys = await self._keys.get(now)
        if token.signed_by(keys):
            return
        if not token.signed_by(await self._newer_keys(keys, now)):
            self.expire_metadata(now)
            raise SignInFailed("id_token_signature_invalid")
        # The keys changed. Only fetches without a new key are limited.
        self._refetched.clear()

    async def userinfo(self, access_token: str, now: datetime) -> dict[str, Any] | None:
        """The unverified claims of the userinfo endpoint; None for a provider without one."""
        endpoint = (await self.metadata(now)).userinfo_endpoint
        if endpoint is None:
            return None
        return await self._client.get_object(endpoint, {"authorization": f"Bearer {access_token}"})

    async def check(self, now: datetime) -> None:
        """Fetches metadata and keys. Raises ProviderUnavailable with a detail for the operator."""
        metadata = await self._metadata.refresh(now)
        if not await self._keys.refresh(now):
            raise ProviderUnavailable("no_usable_key", detail=f"{metadata.jwks_uri} has no usable key.")

    async def _newer_keys(self, tried: tuple[SigningKey, ...], now: datetime) -> tuple[SigningKey, ...]:
        """Newer keys than those that were tried.

        Returns none after ten fetches without a new key in a minute, so that bad tokens do not flood the provider.
        """
        if self._keys.cached is not None and self._keys.cached.value is not tried:
            return self._keys.cached.value
        if not self._keys.is_fetching and not self._may_refetch(now):
            return ()
        return await self._keys.refresh(now)

    def _may_refetch(self, now: datetime) -> bool:
        if len(self._refetched) == REFETCHES and now < self._refetched[0] + REFETCH_PERIOD:
            return False
        self._refetched.append(now)
        return True

    async def _download_metadata(self, _now: datetime) -> Metadata:
        document = await self._client.get_object(self.issuer.discovery_url)
        return read_metadata(document, self.issuer, self.settings.endpoint_hosts)

    async def _download_keys(self, now: datetime) -> tuple[SigningKey, ...]:
        metadata = await self.metadata(now)
        return read_keys(await self._client.get_object(metadata.jwks_uri))
