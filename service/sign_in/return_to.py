"""Return addresses: allowed targets of the redirect after a login, parsed as browsers parse them."""

import posixpath
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from ada_url import URL

from service.errors import InvalidInput
from service.languages import sentence
from service.settings import Settings

_LONGEST: Final = 2000
_LONGEST_INPUT: Final = 3 * _LONGEST  # before tabs and line breaks are dropped and dot segments resolved
_MOST_DECODINGS: Final = 5
# Two leading slashes precede a host, and a control character can end the header.
_UNSAFE_PATH: Final = re.compile(r"[/\\]{2}|[\x00-\x1f\x7f]")
_SLASHES: Final = re.compile(r"[/\\]+")
# Paths of our own that begin or end a login, or that belong to development.
_LOGIN: Final = frozenset({"auth", "dev"})


def allowed_return(return_to: str, settings: Settings) -> str:
    """The address in normal form: a path of the public URL, or a URL of an allowed origin.

    Parses it as browsers parse the Location of the redirect (WHATWG URL), then checks and returns the result. Raises
    InvalidInput for everything else (H072, H190).
    """
    url = _parsed(return_to, settings)
    normalized = None if url is None else _normalized(url, settings)
    if normalized is None or len(normalized) > _LONGEST:
        raise InvalidInput(
            "returnTo",
            sentence(
                "RETURN_ADDRESS_NOT_ALLOWED",
                "returnTo is neither a path of this service, like /welcome, nor a URL of an allowed origin.",
            ),
        )
    return normalized


def without_token(return_to: str | None, token: str | None, settings: Settings) -> str | None:
    """The return address. Raises InvalidInput when it contains the link's token, which would reach logs (H094).

    Searches the parsed URL and each of its percent-decodings.
    """
    if return_to is None or token is None:
        return return_to
    url = _parsed(return_to, settings)
    if any(token in reading for text in (return_to, url.href if url else "") for reading in _decodings(text)):
        raise InvalidInput("returnTo", sentence(
            "RETURN_ADDRESS_HAS_TOKEN", "returnTo carries the link's token; a page that does without it was expected."
        ))  # fmt: skip
    return return_to


def _parsed(return_to: str, settings: Settings) -> URL | None:
    """The URL, relative to the callback, as the browser resolves it; None for a text that is not a URL."""
    if len(return_to) > _LONGEST_INPUT:
        return None
    try:
        return URL(return_to, f"{settings.public_url}/auth/provider/callback")
    except ValueError:  # includes UnicodeEncodeError, for half a surrogate pair
        return None


def _normalized(url: URL, settings: Settings) -> str | None:
    """The path of a URL of the public URL, or the whole URL of an allowed origin; None for any other."""
    if url.protocol not in {"http:", "https:"} or url.username or url.password:
        return None
    if url.origin == settings.public_url:
        return None if _leads_astray(url.pathname) else url.href.removeprefix(url.origin)
    return url.href if url.origin in settings.allowed_origins else None


def _leads_astray(path: str) -> bool:
    """Whether a path leads to another host or into a login, even after servers on the way decode it again."""
    return any(
        _UNSAFE_PATH.search(reading) is not None or _first_segment(reading) in _LOGIN for reading in _decodings(path)
    )


def _first_segment(path: str) -> str:
    resolved = posixpath.normpath(_SLASHES.sub("/", path))
    return resolved.split("/")[1].partition(";")[0].lower()


def _decodings(text: str) -> Iterator[str]:
    """The text and its repeated percent-decodings, for a chain of decoding servers."""
    for _ in range(_MOST_DECODINGS):
        yield text
        text = unquote(text, "latin-1")
    yield text
