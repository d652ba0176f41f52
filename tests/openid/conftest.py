"""A hostile provider on loopback, and a relying party that trusts it."""

from collections.abc import AsyncIterator

import pytest

from service.openid import (
    RelyingParty,
)
from tests.support.openid_provider import (
    HostileProvider,
    running_provider,
)
from tests.support.relying_party import NOW, clock, relying_on


@pytest.fixture(scope="module")
async def shared_provider() -> AsyncIterator[HostileProvider]:
    async with running_provider("/realm", clock=clock) as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: HostileProvider) -> HostileProvider:
    """Returns the module's provider, with all changes reset."""
    clock.time = NOW
    shared_provider.behave()
    shared_provider.rotate("first")
    shared_provider.requests.clear()
    return shared_provider


@pytest.fixture
async def party(provider: HostileProvider) -> AsyncIterator[RelyingParty]:
    """Yields a relying party with the provider as `idp`, and with empty caches."""
    async with relying_on(idp=provider.registration()) as relying_party:
        yield relying_party
