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
    """The one provider of this module, honest again."""
    clock.time = NOW
    shared_provider.behave()
    shared_provider.rotate("first")
    shared_provider.requests.clear()
    return shared_provider


@pytest.fixture
async def party(provider: HostileProvider) -> AsyncIterator[RelyingParty]:
    """A relying party that has the provider as `idp`, and has fetched nothing yet."""
    async with relying_on(idp=provider.registration()) as relying_party:
        yield relying_party
