"""The authorization request: its parameters, its secrets, and the operator's providers."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from starlette.datastructures import QueryParams

from service.openid import (
    ProviderLabel,
    RelyingParty,
    SignInFailed,
)
from service.tokens import digest_of
from tests.support.openid_provider import (
    ABSENT,
    CLIENT_ID,
    PUBLIC_URL,
    HostileProvider,
)
from tests.support.relying_party import NOW, TENANT, log_in, relying_on, settings_for
from tests.support.service import query_of

pytestmark = pytest.mark.anyio


async def test_authorization_url_has_every_required_parameter(party: RelyingParty, provider: HostileProvider) -> None:
    """H061: the URL has code, S256, state, nonce, our redirect URI and query mode. It never has a login_hint."""
    started = await party.begin("idp", now=NOW)
    requested = parse_qs(urlsplit(started.authorization_url).query, strict_parsing=True)
    assert started.authorization_url.startswith(f"{provider.issuer}/authorize?")
    assert {name: value for name, value in requested.items() if name != "code_challenge"} == {
        "client_id": [CLIENT_ID],
        "response_type": ["code"],
        "redirect_uri": [f"{PUBLIC_URL}/auth/idp/callback"],
        "scope": ["openid email profile"],
        "state": [started.state],
        "nonce": [started.nonce],
        "response_mode": ["query"],
        "code_challenge_method": ["S256"],
        "prompt": ["login"],
        "max_age": ["0"],
    }
    assert started.code_verifier not in started.authorization_url
    assert 43 <= len(started.code_verifier) <= 128


async def test_every_login_has_new_secrets(party: RelyingParty) -> None:
    """State, nonce and code verifier differ from each other and between logins."""
    logins = [await party.begin("idp", now=NOW) for _ in range(20)]
    secrets = [secret for one in logins for secret in (one.state, one.nonce, one.code_verifier)]
    assert len(set(secrets)) == 60


async def test_reprs_contain_no_secrets(party: RelyingParty) -> None:
    """H158: the repr of a started login contains no secret."""
    assert repr(await party.begin("idp", now=NOW)) == "AuthorizationRequest()"


LOGIN = {"prompt": "login", "max_age": "0"}
CHOICE = {"prompt": "select_account"}


@pytest.mark.parametrize(
    ("kind", "setting", "advertised", "expected"),
    [
        ("google", "auto", ["none"], CHOICE),
        ("microsoft", "auto", ABSENT, CHOICE),
        ("oidc", "auto", ["none", "login", "select_account"], LOGIN),
        ("oidc", "auto", ["none", "consent"], LOGIN),
        ("oidc", "auto", ["select_account"], CHOICE),
        ("oidc", "auto", ABSENT, LOGIN),
        ("oidc", "auto", "login", LOGIN),
        ("google", "login", ABSENT, LOGIN),
        ("oidc", "select_account", ABSENT, CHOICE),
        ("oidc", "Select_Account", ["login"], CHOICE),
        ("oidc", "none", ["login"], {"max_age": "0"}),
        ("google", "none", ABSENT, {"max_age": "0"}),
    ],
)
async def test_every_login_requests_fresh_authentication(
    provider: HostileProvider, kind: str, setting: str, advertised: Any, expected: dict[str, str]
) -> None:
    """H036: each login asks for the login page by prompt, max_age or both, whether the provider advertises prompts or not."""
    provider.metadata_changes = {"prompt_values_supported": advertised}
    values = {"tenants": [TENANT]} if kind == "microsoft" else {}
    async with relying_on(idp=provider.registration(kind=kind, prompt=setting, **values)) as party:
        started = await party.begin("idp", now=NOW)
    sent = query_of(started.authorization_url)
    assert {name: sent[name] for name in ("prompt", "max_age") if name in sent} == expected


@pytest.mark.parametrize(
    ("auth_time", "minutes"),
    [
        (ABSENT, None),
        (0, None),
        (30, None),
        (3 * 3600, 180),
        (1e300, 5256000),
        ("old", None),
        (True, None),
        (-1e300, None),
    ],
)
async def test_a_reused_login_is_accepted_and_logged(
    provider: HostileProvider, auth_time: Any, minutes: int | None
) -> None:
    """A provider that ignores the request for a fresh login still signs people in. The log names it, for the operator."""
    is_age = isinstance(auth_time, int | float) and not isinstance(auth_time, bool)
    provider.claim_changes = {"auth_time": NOW.timestamp() - auth_time if is_age else auth_time}
    async with relying_on(idp=provider.registration()) as party:
        with structlog.testing.capture_logs() as logs:
            identity = await log_in(party, provider)
    assert identity.email == "bob@example.com"
    reused = [entry["minutes"] for entry in logs if entry["event"] == "provider.login_reused"]
    assert reused == ([] if minutes is None else [minutes])


async def test_authorization_endpoint_keeps_its_query(party: RelyingParty, provider: HostileProvider) -> None:
    """A query in the discovery document's endpoint is kept."""
    provider.metadata_changes = {"authorization_endpoint": f"{provider.issuer}/authorize?tenant=a%20b"}
    url = (await party.begin("idp", now=NOW)).authorization_url
    assert parse_qs(urlsplit(url).query)["tenant"] == ["a b"]
    assert parse_qs(urlsplit(url).query)["client_id"] == [CLIENT_ID]


def test_providers_are_sorted_by_position() -> None:
    """Providers are sorted by POSITION and then by name. Each has its label, or else the usual name of its kind."""
    common = {"client_id": "c", "client_secret": "s"}
    settings = settings_for(
        zeta=common | {"kind": "google", "position": 5},
        work=common | {"kind": "microsoft", "tenants": ["*"], "position": 1, "label": "Our company"},
        intranet=common | {"issuer": "https://login.example.com", "email_domains": ["example.com"], "position": 5},
    )
    party = RelyingParty(settings)
    assert party.providers == (
        ProviderLabel("work", "Our company"), ProviderLabel("intranet", "Intranet"), ProviderLabel("zeta", "Google"),
    )  # fmt: skip
    assert party.knows("work")
    assert not party.knows("nobody")


async def test_unknown_providers_are_rejected(party: RelyingParty, provider: HostileProvider) -> None:
    """A provider without settings starts and finishes no login, and no request is sent."""
    for login in (
        party.begin("nobody", now=NOW),
        party.finish(
            "nobody",
            response=QueryParams(code="c"),
            nonce_digest=digest_of("n"),
            code_verifier="v",
            started_at=NOW,
            now=NOW,
        ),
    ):
        with pytest.raises(SignInFailed, match="provider_unknown"):
            await login
    assert not provider.requests
