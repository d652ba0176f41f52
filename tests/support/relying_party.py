"""The relying party against the hostile provider: settings, logins and expected refusals."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from service.openid import (
    AuthorizationRequest,
    Identity,
    RelyingParty,
    SignInFailed,
)
from service.openid.id_token import UnverifiedToken
from service.settings import Settings, load_settings
from service.tokens import digest_of
from tests.support.openid_provider import (
    CLIENT_SECRET,
    PUBLIC_URL,
    HostileProvider,
    running_provider,
)
from tests.support.service import TestClock

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


TENANT = "5f6b2c1e-0d4a-4b7e-9c53-7f1f3a1f0c11"


clock = TestClock(NOW)


def settings_for(**providers: dict[str, Any]) -> Settings:
    return load_settings(environ={}, public_url=PUBLIC_URL, providers=providers)


@asynccontextmanager
async def relying_on(deadline: timedelta | None = None, **providers: dict[str, Any]) -> AsyncIterator[RelyingParty]:
    settings = settings_for(**providers)
    party = RelyingParty(settings) if deadline is None else RelyingParty(settings, deadline=deadline)
    try:
        yield party
    finally:
        await party.close()


async def finish(
    party: RelyingParty,
    started: AuthorizationRequest,
    response: dict[str, str] | list[tuple[str, str]],
    name: str = "idp",
    **changes: Any,
) -> Identity:
    given: dict[str, Any] = {
        "response": QueryParams(response),
        "nonce_digest": digest_of(started.nonce),
        "code_verifier": started.code_verifier,
        "started_at": clock(),
        "now": clock(),
    }
    return await party.finish(name, **(given | changes))


async def log_in(party: RelyingParty, provider: HostileProvider, name: str = "idp", **person: Any) -> Identity:
    """Runs a whole login: start, the provider's page, callback."""
    started = await party.begin(name, now=clock())
    return await finish(party, started, await provider.sign_in(started.authorization_url, **person), name)


async def is_refused(party: RelyingParty, provider: HostileProvider, name: str = "idp", **person: Any) -> SignInFailed:
    """Returns the error of a rejected login. Asserts that it has a sentence, and that the next correct login succeeds."""
    started = await party.begin(name, now=clock())
    response = await provider.sign_in(started.authorization_url, **person)
    with pytest.raises(SignInFailed) as refusal:
        await finish(party, started, response, name)
    assert str(refusal.value.sentence).endswith(".")
    for secret in (*response.values(), started.nonce, started.code_verifier, CLIENT_SECRET):
        if secret != provider.issuer:
            assert secret not in f"{refusal.value} {refusal.value!r} {refusal.value.sentence!s}"
    provider.behave()
    assert (await log_in(party, provider, name, email="next@example.com")).email == "next@example.com"
    return refusal.value


HTML = "<script>alert(1)</script>\r\nSet-Cookie: a=b" + "x" * 50_000


def unverified(claims: dict[str, Any]) -> UnverifiedToken:
    return UnverifiedToken("RS256", None, json.dumps(claims).encode(), b"", b"")


def base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@asynccontextmanager
async def microsoft(
    path: str, named: str, configured: str, tenants: list[str]
) -> AsyncIterator[tuple[HostileProvider, RelyingParty, str]]:
    """Runs a fake Entra. Its tokens name their tenant's issuer."""
    async with running_provider(path, issuer_path=named, clock=clock) as provider:
        origin = provider.location.removesuffix(path)
        registration = provider.registration(kind="microsoft", issuer=origin + configured, tenants=tenants)
        async with relying_on(microsoft=registration) as party:
            yield provider, party, origin
