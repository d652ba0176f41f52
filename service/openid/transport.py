"""Requests to a provider: limited in time and size, without redirects.

Every request uses BoundedTransport, including Authlib's token request. A slow body cannot hold a callback open, a large one cannot
fill the memory, and a redirect cannot take a code or a client secret elsewhere.
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

from service.openid.errors import ProviderUnavailable

DEADLINE: Final = timedelta(seconds=5)
LARGEST_BODY: Final = 256 * 1024

_CONNECT_SECONDS: Final = 3.0
# Providers on loopback belong to tests or development. A proxy of the environment cannot reach them.
_LOOPBACK_DIRECTLY: Final[dict[str, httpx2.AsyncBaseTransport | None]] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


class BoundedTransport(httpx2.AsyncBaseTransport):
    """A transport that returns a complete, small body within its deadline, or raises ProviderUnavailable.

    Closing a client does not close its transport; close() does.
    """

    def __init__(self, deadline: timedelta = DEADLINE) -> None:
        self._deadline = deadline.total_seconds()
        self._connections: httpx2.AsyncClient | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # Requests an uncompressed body, whose size is known as it arrives.
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
        response = await self._client().send(request, stream=True)
        try:
            body = _decompress(await _whole_body(response, request), response, request)
        finally:
            await response.aclose()
        _refuse_redirect(response, request)
        return httpx2.Response(
            response.status_code, headers=_headers_without_encoding(response.headers), content=body, request=request
        )

    def _client(self) -> httpx2.AsyncClient:
        """The connections, shared by all providers. They are opened at the first request, because most processes need none."""
        if self._connections is None:
            self._connections = httpx2.AsyncClient(
                verify=_trusted_authorities(),
                timeout=httpx2.Timeout(self._deadline, connect=min(_CONNECT_SECONDS, self._deadline)),
                mounts=_LOOPBACK_DIRECTLY,
                follow_redirects=False,
                # Stores no cookies, so that the login of one person cannot affect the next.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._connections


class ProviderClient:
    """Fetches JSON from a provider through a BoundedTransport."""

    def __init__(self, deadline: timedelta = DEADLINE) -> None:
        self.transport = BoundedTransport(deadline)

    async def get_object(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at the URL. Raises ProviderUnavailable for any other response."""
        request = httpx2.Request("GET", url, headers={"accept": "application/json", **(headers or {})})
        response = await self.transport.handle_async_request(request)
        if response.status_code != httpx2.codes.OK:
            raise _unavailable("provider_answered_error", request, f"answered with status {response.status_code}")
        return json_object(response.content, request)

    async def close(self) -> None:
        await self.transport.close()


def json_object(body: bytes, request: httpx2.Request) -> dict[str, Any]:
    """Parses the body as one JSON object. orjson refuses NaN, lone surrogates and very deep nesting."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _unavailable("provider_answer_unreadable", request, "did not answer with JSON") from None
    if not isinstance(parsed, dict):
        raise _unavailable("provider_answer_unreadable", request, "did not answer with a JSON object")
    return parsed


def _unavailable(reason: str, request: httpx2.Request, what: str) -> ProviderUnavailable:
    # Omits the query and the userinfo, which can contain a secret.
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


def _decompress(body: bytes, response: httpx2.Response, request: httpx2.Request) -> bytes:
    """Decompresses the body of a provider that compresses without a request, up to the limit on its size."""
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
    """Refuses redirects, which would send a code or a secret to an address that is not configured."""
    if response.is_redirect or response.has_redirect_location:
        raise _unavailable("provider_redirected", request, "answered with a redirect, which is not followed")


def _headers_without_encoding(headers: httpx2.Headers) -> httpx2.Headers:
    """The headers of a complete, decompressed body."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    return httpx2.Headers([(name, value) for name, value in headers.multi_items() if name.lower() not in dropped])


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """The TLS context of the process. Creating one takes a tenth of a second."""
    return httpx2.create_ssl_context()
