"""How the pages' files are served: read once, compressed once, and named by what is in them.

Every script and style lives under /static/VERSION/, where VERSION is a digest of them all. Scripts import each other by
relative path, so a browser only ever runs files of one version together, and may keep them for good; a new release has
new addresses, and the pages themselves, which name them, are never kept.

What is sent of a script is what runs: its comments stay in the source, each line where it was, so that an error's line
is the source's.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.languages import current_language

_HERE: Final = Path(__file__).parent
_STATIC: Final = _HERE / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
_COMMENT: Final = re.compile(r"^ */\*\*(?:(?!\*/)[\s\S])*\*/$|^ *//.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _File:
    """A file's bytes, as they are and compressed, with its entity tag."""

    body: bytes
    gzipped: bytes
    media_type: str
    etag: str


def page(name: str, status: int, request: Request) -> Response:
    """One of the HTML pages, which names the words of the reader's language among the files to load at once."""
    return _answer(
        _page_file(name, current_language()),
        request,
        status,
        {"vary": "accept-language"},
    )


def static_file(version: str, path: str, request: Request) -> Response | None:
    """A script, style or picture; None when there is none of that name.

    During a release a page of one process may ask another for its files: a foreign version gets what is here, but is
    told not to keep it under that name.
    """
    file = _static_files().get(path)
    if file is None:
        return None
    headers = {"cache-control": _FOR_GOOD if version == static_version() else _ASK_FIRST, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return _answer(file, request, 200, headers)


def _answer(file: _File, request: Request, status: int, headers: dict[str, str]) -> Response:
    headers["vary"], body = ", ".join(filter(None, (headers.get("vary"), "accept-encoding"))), file.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"], body = "gzip", file.gzipped
    return Response(body, status, headers, file.media_type)


@cache
def static_version() -> str:
    """A digest of every static file's name and content."""
    digest = hashlib.sha256()
    for path, file in _static_files().items():
        digest.update(f"{path}\0{file.etag}\0".encode())
    return digest.hexdigest()[:12]


@cache
def _static_files() -> dict[str, _File]:
    """Every file below static/ by its path there: what is not in this table cannot be asked for."""
    found = sorted(path for path in _STATIC.rglob("*") if path.is_file() and path.suffix in _MEDIA_TYPES)
    return {path.relative_to(_STATIC).as_posix(): _static_file(path) for path in found}


def _static_file(path: Path) -> _File:
    if path.suffix != ".js":
        return _file(path.read_bytes(), path.suffix)
    return _file(without_comments(path.read_text("utf-8")).encode(), path.suffix)


def without_comments(script: str) -> str:
    """The script without the comments that have lines to themselves; every other line stays as it is, where it is."""
    return _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), script)


@cache
def _page_file(name: str, language: str) -> _File:
    html = (_HERE / name).read_text("utf-8").replace('"/static/', f'"/static/{static_version()}/')
    return _file(html.replace("/en.js", f"/{language}.js").encode(), ".html")


def _file(body: bytes, suffix: str) -> _File:
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return _File(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES[suffix], etag)
