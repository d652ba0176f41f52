"""Return addresses: where a browser may be sent after a login, read as the browser itself reads them."""

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
_LONGEST_WRITTEN: Final = 3 * _LONGEST  # before tabs and line breaks are dropped and dot segments resolved
_MOST_DECODINGS: Final = 5
# A second slash can come to stand in front, where a host follows it; a control character can end the header.
_UNSAFE_PATH: Final = re.compile(r"[/\\]{2}|[\x00-\x1f\x7f]")
_SLASHES: Final = re.compile(r"[/\\]+")
# Paths of our own that begin or end a login, or that belong to development.
_LOGIN: Final = frozenset({"auth", "dev"})


def allowed_return(return_to: str, settings: Settings) -> str:
    """The address in normal form: a path of the public URL, or a URL of an allowed origin.

    It is parsed as browsers parse the Location of the redirect (WHATWG URL), and what they would make of it is checked
    and returned. Raises InvalidInput for everything else (H072, H190).
    """
    url = _parsed(return_to, settings)
    written = None if url is None else _written(url, settings)
    if written is None or len(written) > _LONGEST:
        raise InvalidInput(
            "returnTo",
            sentence(
                "RETURN_ADDRESS_NOT_ALLOWED",
                "returnTo is neither a path of this service, like /welcome, nor a URL of an allowed origin.",
            ),
        )
    return written


def without_token(return_to: str | None, token: str | None, settings: Settings) -> str | None:
    """The return address, unless it would carry the link's token through a redirect and into logs (H094).

    The token is looked for in what the browser would be sent to, in each of its decodings.
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
    """Relative to where the login returns, as the browser resolves it there; None for what is no URL."""
    if len(return_to) > _LONGEST_WRITTEN:
        return None
    try:
        return URL(return_to, f"{settings.public_url}/auth/provider/callback")
    except ValueError:  # among them UnicodeEncodeError, for half a surrogate pair
        return None


def _written(url: URL, settings: Settings) -> str | None:
    """The path, where it is our own, or the whole URL of an allowed origin; None for any other."""
    if url.protocol not in {"http:", "https:"} or url.username or url.password:
        return None
    if url.origin == settings.public_url:
        return None if _leads_astray(url.pathname) else url.href.removeprefix(url.origin)
    return url.href if url.origin in settings.allowed_origins else None


def _leads_astray(path: str) -> bool:
    """Whether a path of our own leads to another host or into a login, though servers on the way decode it again."""
    return any(
        _UNSAFE_PATH.search(reading) is not None or _first_segment(reading) in _LOGIN for reading in _decodings(path)
    )


def _first_segment(path: str) -> str:
    resolved = posixpath.normpath(_SLASHES.sub("/", path))
    return resolved.split("/")[1].partition(";")[0].lower()


def _decodings(text: str) -> Iterator[str]:
    """The text, and what decoding its percent signs makes of it, as often as a chain of servers might."""
    for _ in range(_MOST_DECODINGS):
        yield text
        text = unquote(text, "latin-1")
    yield text
