"""Calls to a provider: bounded in time and size, without redirects, without leaks.

Everything that goes to a provider goes through BoundedTransport, Authlib's token request too, so no call can hold a
callback open by dripping its body, fill the memory, or be sent elsewhere with a code and a client secret in it.
"""

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2
import orjson

from service.openid.failures import ProviderUnavailable

DEADLINE: Final = timedelta(seconds=5)
LARGEST_BODY: Final = 256 * 1024

_CONNECT_SECONDS: Final = 3.0
# A provider on loopback is a test's or the development one; a proxy of the environment could not reach it.
_LOOPBACK_DIRECTLY: Final[dict[str, httpx2.AsyncBaseTransport | None]] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


class BoundedTransport(httpx2.AsyncBaseTransport):
    """A transport that answers with a whole, small body within its deadline, or raises ProviderUnavailable.

    Closing a client that uses it does not close it; close() does.
    """

    def __init__(self, deadline: timedelta = DEADLINE) -> None:
        self._deadline = deadline.total_seconds()
        self._connections: httpx2.AsyncClient | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # An uncompressed answer is asked for, so that its size is what arrives.
        request.headers["accept-encoding"] = "identity"
        try:
            async with asyncio.timeout(self._deadline):
                return await self._answer(request)
        except TimeoutError:
            raise _unavailable("provider_timed_out", request, "did not answer in time") from None
        except (httpx2.TransportError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise _unavailable(
                "provider_unreachable", request, f"could not be reached ({type(error).__name__})"
            ) from None

    async def close(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.aclose()

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._opened().send(request, stream=True)
        try:
            body = _decoded(await _whole_body(response, request), response, request)
        finally:
            await response.aclose()
        _refuse_redirect(response, request)
        return httpx2.Response(response.status_code, headers=_plain(response.headers), content=body, request=request)

    def _opened(self) -> httpx2.AsyncClient:
        """The connections, shared by all providers and opened at the first call: most processes start without one."""
        if self._connections is None:
            self._connections = httpx2.AsyncClient(
                verify=_trusted_authorities(),
                timeout=httpx2.Timeout(self._deadline, connect=min(_CONNECT_SECONDS, self._deadline)),
                mounts=_LOOPBACK_DIRECTLY,
                follow_redirects=False,
                # A cookie of one person's login is not kept, let alone sent with the next one's.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._connections


class Outside:
    """JSON from a provider, through a BoundedTransport."""

    def __init__(self, deadline: timedelta = DEADLINE) -> None:
        self.transport = BoundedTransport(deadline)

    async def get_object(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at the URL. Raises ProviderUnavailable for whatever else is found there."""
        request = httpx2.Request("GET", url, headers={"accept": "application/json", **(headers or {})})
        response = await self.transport.handle_async_request(request)
        if response.status_code != httpx2.codes.OK:
            raise _unavailable("provider_answered_error", request, f"answered with status {response.status_code}")
        return json_object(response.content, request)

    async def close(self) -> None:
        await self.transport.close()


def json_object(body: bytes, request: httpx2.Request) -> dict[str, Any]:
    """The body as one JSON object: orjson refuses NaN, lone surrogates and bottomless nesting."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _unavailable("provider_answer_unreadable", request, "did not answer with JSON") from None
    if not isinstance(parsed, dict):
        raise _unavailable("provider_answer_unreadable", request, "did not answer with a JSON object")
    return parsed


def _unavailable(reason: str, request: httpx2.Request, what: str) -> ProviderUnavailable:
    # The path is named, the query and the userinfo are not: they could hold a secret.
    url = request.url
    return ProviderUnavailable(reason, detail=f"{url.scheme}://{url.netloc.decode('ascii')}{url.path} {what}.")


async def _whole_body(response: httpx2.Response, request: httpx2.Request) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        _refuse_large(len(body), request)
    return bytes(body)


def _refuse_large(size: int, request: httpx2.Request) -> None:
    if size > LARGEST_BODY:
        raise _unavailable("provider_answer_too_large", request, f"answered with more than {LARGEST_BODY} bytes")


def _decoded(body: bytes, response: httpx2.Response, request: httpx2.Request) -> bytes:
    """The body of a provider that compresses though it was asked not to; a few bytes may not become gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise _unavailable("provider_answer_unreadable", request, "answered in an encoding that was not asked for")
    try:
        decoded = zlib.decompressobj(wbits=47).decompress(body, LARGEST_BODY + 1)
    except zlib.error:
        raise _unavailable("provider_answer_unreadable", request, "answered with broken compression") from None
    _refuse_large(len(decoded), request)
    return decoded


def _refuse_redirect(response: httpx2.Response, request: httpx2.Request) -> None:
    """A redirect would take a code, a secret or our trust to an address that nobody configured."""
    if response.is_redirect or response.has_redirect_location:
        raise _unavailable("provider_redirected", request, "answered with a redirect, which is not followed")


def _plain(headers: httpx2.Headers) -> httpx2.Headers:
    """The headers of a body that is whole and decoded."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    return httpx2.Headers([(name, value) for name, value in headers.multi_items() if name.lower() not in dropped])


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """One for the process: making it takes a tenth of a second."""
    return httpx2.create_ssl_context()
