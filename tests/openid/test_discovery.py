"""The discovery document: endpoints, faults, and the cache (OpenID Connect Discovery 1.0)."""

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import structlog
from starlette.types import Receive, Scope, Send

from service.openid import (
    ProviderUnavailable,
    RelyingParty,
    SignInFailed,
)
from service.openid.issuer import Issuer
from service.openid.metadata import read_metadata
from tests.support.openid_provider import (
    ABSENT,
    Fault,
    HostileProvider,
    answering,
    compressed_zeros,
    dripping,
    endless,
    redirecting,
    running_provider,
    stalling,
)
from tests.support.relying_party import (
    NOW,
    TENANT,
    clock,
    log_in,
    relying_on,
)

pytestmark = pytest.mark.anyio


SOON = timedelta(milliseconds=300)


@pytest.mark.parametrize(
    "named",
    ["https://evil.example", "{issuer}/", "{issuer}/x", "", None, 5, ABSENT, "{tenantid}"],
)
async def test_discovery_document_of_another_issuer_disables_the_provider(
    party: RelyingParty, provider: HostileProvider, named: Any
) -> None:
    """H052: the operator's error names the expected and the actual issuer. No browser is redirected."""
    provider.metadata_changes = {
        "issuer": named.replace("{issuer}", provider.issuer) if isinstance(named, str) else named
    }
    with structlog.testing.capture_logs() as events, pytest.raises(ProviderUnavailable) as failure:
        await party.begin("idp", now=NOW)
    assert failure.value.reason == "discovery_issuer_mismatch"
    assert provider.issuer in failure.value.detail
    assert events == [
        {"event": "provider.unavailable", "log_level": "warning", "provider": "idp", "reason": failure.value.reason,
         "detail": failure.value.detail},
    ]  # fmt: skip
    provider.behave()
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_issuer_must_have_the_same_trailing_slash() -> None:
    """H052: an issuer that differs by a trailing slash is another issuer."""
    async with running_provider("/realm/", issuer_path="/realm/", clock=clock) as provider:
        registration = provider.registration(issuer=provider.issuer.rstrip("/"))
        async with relying_on(idp=registration) as party:
            with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
                await party.begin("idp", now=NOW)


ENDPOINTS = ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x", "http://evil.example/x", "http://127.0.0.1:1/x", "http://localhost:{port}/x",
        "https://127.0.0.1:{port}/x", "http://127.0.0.1:{port}@evil.example/x", "http://user@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}/x#fragment", "//127.0.0.1:{port}/x", "/x", "file:///etc/passwd", "javascript:alert(1)",
        "http://127.0.0.1:{port}\\@evil.example/x", "http://127.0.0.1:{port} /x", "http://169.254.169.254/latest",
        "http://127.0.0.1:99999/x", "", 5, ["{issuer}/x"],
    ],
)  # fmt: skip
async def test_endpoints_at_other_origins_are_rejected(
    party: RelyingParty, provider: HostileProvider, endpoint: str, url: Any
) -> None:
    """H052: a discovery document cannot direct the browser, the code, the secret or the keys to another origin."""
    port = str(urlsplit(provider.issuer).port)
    provider.metadata_changes = {endpoint: url.replace("{port}", port) if isinstance(url, str) else url}
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused") as failure:
        await party.begin("idp", now=NOW)
    assert endpoint in failure.value.detail
    assert provider.requests.keys() == {"/.well-known/openid-configuration"}


def test_plain_http_is_for_loopback_only() -> None:
    """H070: no endpoint of an http issuer on another machine is used, even with unvalidated settings."""
    issuer = Issuer("oidc", "http://login.example.com", None)
    document = {"issuer": issuer.configured} | dict.fromkeys(ENDPOINTS, "http://login.example.com/x")
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
        read_metadata(document, issuer, ("login.example.com",))


@pytest.mark.parametrize("endpoint", ENDPOINTS[:3])
async def test_missing_endpoints_are_rejected(party: RelyingParty, provider: HostileProvider, endpoint: str) -> None:
    """A discovery document without a required endpoint is rejected, and the error names the endpoint."""
    provider.metadata_changes = {endpoint: ABSENT}
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused") as failure:
        await party.begin("idp", now=NOW)
    assert f"{endpoint} is missing" in failure.value.detail


async def test_operator_may_allow_other_hosts(provider: HostileProvider) -> None:
    """ENDPOINT_HOSTS allows an https endpoint on another host. Without the setting, the same document is rejected."""
    provider.metadata_changes = {"authorization_endpoint": "https://login.example.net/authorize"}
    async with relying_on(
        idp=provider.registration(endpoint_hosts=["LOGIN.example.net"]), other=provider.registration()
    ) as party:
        started = await party.begin("idp", now=NOW)
        with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
            await party.begin("other", now=NOW)
    assert started.authorization_url.startswith("https://login.example.net/authorize?")


@pytest.mark.parametrize(
    ("kind", "host", "allowed"),
    [
        ("google", "oauth2.googleapis.com", True),
        ("google", "www.googleapis.com", True),
        ("google", "openidconnect.googleapis.com", True),
        ("google", "evil.googleapis.com", False),
        ("google", "oauth2.googleapis.com:8443", False),
        ("google", "oauth2.googleapis.com.evil.example", False),
        ("microsoft", "graph.microsoft.com", True),
        ("microsoft", "graph.microsoft.com.evil.example", False),
        ("oidc", "oauth2.googleapis.com", False),
    ],
)
async def test_google_and_microsoft_have_known_hosts(
    provider: HostileProvider, kind: str, host: str, allowed: bool
) -> None:
    """The further hosts of Google and Microsoft are allowed exactly, and only for these providers."""
    provider.metadata_changes = {"userinfo_endpoint": f"https://{host}/userinfo"}
    values = {"tenants": [TENANT]} if kind == "microsoft" else {}
    async with relying_on(idp=provider.registration(kind=kind, **values)) as party:
        if allowed:
            assert (await party.begin("idp", now=NOW)).state
            return
        with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
            await party.begin("idp", now=NOW)


BROKEN_ANSWERS: dict[str, tuple[Callable[[HostileProvider], Fault], str]] = {
    "status-500": (lambda _: answering("oops", 500), "provider_answered_error"),
    "status-404": (lambda _: answering("{}", 404), "provider_answered_error"),
    "status-204": (lambda _: answering("", 204), "provider_answered_error"),
    "html": (lambda _: answering("<html>maintenance</html>"), "provider_answer_unreadable"),
    "empty": (lambda _: answering(""), "provider_answer_unreadable"),
    "list": (lambda _: answering("[]"), "provider_answer_unreadable"),
    "text": (lambda _: answering('"{}"'), "provider_answer_unreadable"),
    "bottomless": (lambda _: answering("[" * 200_000), "provider_answer_unreadable"),
    "not-a-number": (lambda _: answering('{"a":NaN}'), "provider_answer_unreadable"),
    "lone-surrogate": (lambda _: answering('{"a":"\\ud800"}'), "provider_answer_unreadable"),
    "latin-1": (lambda _: answering(b'{"a":"\xe9"}'), "provider_answer_unreadable"),
    "redirect": (lambda provider: redirecting(f"{provider.issuer}/elsewhere"), "provider_redirected"),
    "redirect-307": (lambda _: redirecting("https://evil.example", 307), "provider_redirected"),
    "endless": (lambda _: endless(), "provider_answer_too_large"),
    "large": (lambda _: answering(b" " * 262_145), "provider_answer_too_large"),
    "bomb": (lambda _: compressed_zeros(16_000_000), "provider_answer_too_large"),
    "unknown-encoding": (lambda _: answering("{}", content_encoding="br"), "provider_answer_unreadable"),
    "broken-encoding": (lambda _: answering("{}", content_encoding="gzip"), "provider_answer_unreadable"),
    "dripping": (dripping, "provider_timed_out"),
    "stalling": (stalling, "provider_timed_out"),
}


@pytest.mark.parametrize("answer", BROKEN_ANSWERS)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"])
async def test_broken_answers_are_one_error_and_recover(provider: HostileProvider, path: str, answer: str) -> None:
    """H068: slow, large and malformed answers of an endpoint become one error within the deadline. The next login
    succeeds.
    """
    fault, reason = BROKEN_ANSWERS[answer]
    deadline = SOON if answer in {"dripping", "stalling"} else None
    async with relying_on(deadline, idp=provider.registration()) as party:
        provider.claim_changes = {"email": ABSENT}
        provider.faults = {path: fault(provider)}
        with pytest.raises(ProviderUnavailable) as failure:
            async with asyncio.timeout(20):
                await log_in(party, provider)
        statuses = {"provider_answered_error", "token_endpoint_failed", "token_endpoint_refused"}
        expected = statuses | {"provider_answer_unreadable"} if path == "/token" and "status" in answer else {reason}
        assert failure.value.reason in expected
        assert provider.requests["/elsewhere"] == 0
        provider.behave()
        if deadline is None:
            assert (await log_in(party, provider)).email == "bob@example.com"


async def test_decompression_bomb_uses_little_memory(party: RelyingParty, provider: HostileProvider) -> None:
    """H068: rejecting 250 kilobytes that expand to 200 megabytes uses only a few megabytes."""
    provider.faults = {"/.well-known/openid-configuration": compressed_zeros(200_000_000)}
    tracemalloc.start()
    try:
        with pytest.raises(ProviderUnavailable, match="provider_answer_too_large"):
            await party.begin("idp", now=NOW)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


async def test_compressed_answers_are_read(party: RelyingParty, provider: HostileProvider) -> None:
    """A compressed answer is decoded, although the request does not offer compression."""
    body = gzip.compress(orjson.dumps(provider.metadata()))
    provider.faults = {"/.well-known/openid-configuration": answering(body, content_encoding="gzip")}
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.received["/.well-known/openid-configuration"]["accept-encoding"] == "identity"


async def test_provider_recovers_after_an_outage() -> None:
    """H165: a login at an unreachable provider fails with a sentence. The next login retries, and succeeds."""
    async with running_provider(clock=clock) as gone:
        registration = gone.registration()
    async with relying_on(idp=registration) as party:
        with pytest.raises(ProviderUnavailable, match="provider_unreachable") as failure:
            await party.begin("idp", now=NOW)
        assert "Try again" in str(failure.value.sentence)
        assert registration["issuer"] in failure.value.detail


async def test_failures_are_not_cached(party: RelyingParty, provider: HostileProvider) -> None:
    """H165: a login in the same second as a failed one succeeds once the provider answers."""
    provider.faults = {"/.well-known/openid-configuration": answering("", 503)}
    with pytest.raises(ProviderUnavailable):
        await party.begin("idp", now=NOW)
    provider.behave()
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_metadata_and_keys_are_cached_for_an_hour(party: RelyingParty, provider: HostileProvider) -> None:
    """Both documents are fetched once an hour."""
    await log_in(party, provider)
    clock.advance(minutes=59)
    await log_in(party, provider)
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (1, 1)
    clock.advance(minutes=2)
    await log_in(party, provider)
    await log_in(party, provider)
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (2, 2)


_DOCUMENTS = ("/.well-known/openid-configuration", "/jwks")


async def test_the_last_good_documents_stay_in_use_for_a_day(party: RelyingParty, provider: HostileProvider) -> None:
    """While the documents fail, people sign in with the last good ones for a day. Each is tried again once a minute."""
    await log_in(party, provider)
    provider.faults = {document: answering("out of order", 503) for document in _DOCUMENTS}
    clock.advance(minutes=61)
    with structlog.testing.capture_logs() as events:
        for _ in range(3):
            assert (await log_in(party, provider)).email == "bob@example.com"
    kept = [event["document"] for event in events if event["event"] == "provider.document_kept"]
    assert sorted(kept) == [f"keys of {provider.issuer}", f"metadata of {provider.issuer}"]
    assert [provider.requests[document] for document in _DOCUMENTS] == [2, 2]
    clock.advance(seconds=61)
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert [provider.requests[document] for document in _DOCUMENTS] == [3, 3]
    clock.advance(hours=22, minutes=57)
    assert (await log_in(party, provider)).email == "bob@example.com"
    clock.advance(minutes=2)
    with pytest.raises(ProviderUnavailable):
        await log_in(party, provider)
    provider.behave()
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_a_wrong_signature_is_refused_while_the_documents_fail(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H047: with the last good keys, the token of another key is refused."""
    await log_in(party, provider)
    provider.faults = {"/jwks": answering("out of order", 503)}
    clock.advance(minutes=61)
    provider.signing = "another_key"
    with pytest.raises(SignInFailed):
        await log_in(party, provider)
    provider.signing = "honest"
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_a_document_of_another_issuer_keeps_the_last_good_one(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H052: a document that names another issuer is never used. The last good one stays in use, at its endpoints."""
    await log_in(party, provider)
    provider.metadata_changes = {"issuer": "https://evil.example", "token_endpoint": "https://evil.example/token"}
    clock.advance(minutes=61)
    assert (await log_in(party, provider)).issuer == provider.issuer


async def test_concurrent_logins_share_one_fetch(party: RelyingParty, provider: HostileProvider) -> None:
    """Thirty concurrent logins with empty caches fetch each document once."""
    identities = await asyncio.gather(
        *(log_in(party, provider, email=f"person-{number}@example.com") for number in range(30))
    )
    assert len({identity.email for identity in identities}) == 30
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (1, 1)


async def test_logins_during_a_fetch_share_it(party: RelyingParty, provider: HostileProvider) -> None:
    """Logins that start at every turn of the event loop, until the first one finishes, cost one request."""
    flow_started = [asyncio.create_task(party.begin("idp", now=NOW))]

    async def keep_coming() -> None:
        while not flow_started[0].done():
            flow_started.append(asyncio.create_task(party.begin("idp", now=NOW)))
            # A timer runs after the events of sockets in a turn of the loop. sleep(0) would run before them.
            await asyncio.sleep(1e-9)

    await asyncio.create_task(keep_coming())
    await asyncio.gather(*flow_started)
    assert provider.requests["/.well-known/openid-configuration"] == 1


async def test_concurrent_logins_share_one_fetch_after_a_rotation(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """Twelve concurrent logins after a key rotation cost one more fetch, and all succeed."""
    await log_in(party, provider)
    provider.rotate("second")
    keys = orjson.dumps(provider.jwks())

    async def when_all_have_exchanged(scope: Scope, receive: Receive, send: Send) -> None:
        while provider.requests["/token"] < 13:  # noqa: ASYNC110 -- it waits for a count
            await asyncio.sleep(0)
        await answering(keys)(scope, receive, send)

    provider.faults = {"/jwks": when_all_have_exchanged}
    await asyncio.gather(*(log_in(party, provider, email=f"person-{number}@example.com") for number in range(12)))
    assert provider.requests["/jwks"] == 2


async def test_silent_provider_costs_one_deadline(provider: HostileProvider) -> None:
    """Ten concurrent logins at a provider without answers fail within one deadline, after one request."""
    provider.faults = {"/.well-known/openid-configuration": stalling(provider)}
    async with relying_on(SOON, idp=provider.registration()) as party:
        async with asyncio.timeout(20):
            failures = await asyncio.gather(*(party.begin("idp", now=NOW) for _ in range(10)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {ProviderUnavailable}
    assert provider.requests["/.well-known/openid-configuration"] == 1


async def test_cancelled_login_does_not_cancel_the_shared_fetch(party: RelyingParty, provider: HostileProvider) -> None:
    """Cancelling the login that fetches does not affect another login that waits for the same fetch."""
    first = asyncio.create_task(party.begin("idp", now=NOW))
    second = asyncio.create_task(party.begin("idp", now=NOW))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).state
    assert first.cancelled()
    assert provider.requests["/.well-known/openid-configuration"] == 1


async def test_the_discovery_document_may_have_another_address(provider: HostileProvider) -> None:
    """DISCOVERY_URL is requested with its query. The document must still name the configured issuer."""
    provider.moved = {"/.well-known/openid-configuration": "/policy/discovery"}
    address = f"{provider.issuer}/policy/discovery?appid=7"
    async with relying_on(idp=provider.registration(discovery_url=address)) as party:
        assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.requests["/policy/discovery"] == 1
    provider.metadata_changes = {"issuer": f"{provider.issuer}/other"}
    async with relying_on(idp=provider.registration(discovery_url=address)) as party:
        with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch") as failure:
            await party.begin("idp", now=NOW)
    assert address in failure.value.detail


async def test_the_address_of_a_discovery_document_stands_for_its_issuer(provider: HostileProvider) -> None:
    """ISSUER may be the pasted address of the discovery document."""
    pasted = f"{provider.issuer}/.well-known/openid-configuration"
    async with relying_on(idp=provider.registration(issuer=pasted)) as party:
        assert (await log_in(party, provider)).issuer == provider.issuer
