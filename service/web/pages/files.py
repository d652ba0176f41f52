"""Serves the files of the pages. Each is read and compressed once.

The address of a script or style is /static/VERSION/PATH; VERSION is a digest of all of them. Scripts import each other by
relative paths, so a browser runs files of one version together, and caches them without limit. The pages name the files
and are not cached, so a release changes every address.

Scripts are sent without comments. Every line stays at its number, so the line of an error is the line of the source.
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
from service.web.pages.words import TRANSLATED, catalogue_files, translated_module

_HERE: Final = Path(__file__).parent
_STATIC: Final = _HERE / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_REVALIDATE: Final = "no-cache"
_COMMENT: Final = re.compile(r"^ */\*\*(?:(?!\*/)[\s\S])*\*/$|^ *//.*$", re.MULTILINE)
_TRANSLATED_WORDS: Final = re.compile(rf"(words/(?:console/)?)({'|'.join(TRANSLATED)})\.js")


@dataclass(frozen=True, slots=True)
class _File:
    """A file's bytes, plain and compressed, with its entity tag."""

    body: bytes
    gzipped: bytes
    media_type: str
    etag: str


def page(name: str, status: int, request: Request) -> Response:
    """An HTML page. It preloads the words of the reader's language."""
    return _response(_page_file(name, current_language()), request, status, {"vary": "accept-language"})


def static_file(version: str, path: str, request: Request) -> Response | None:
    """A script, style or picture; None when no file has this path.

    During a release, a page of one process may request files of another. A request with another version gets the present
    file, which the browser must revalidate.
    """
    file = _static_files().get(path) or _words_file(path)
    if file is None:
        return None
    headers = {"cache-control": _IMMUTABLE if version == static_version() else _REVALIDATE, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return _response(file, request, 200, headers)


def _response(file: _File, request: Request, status: int, headers: dict[str, str]) -> Response:
    headers["vary"], body = ", ".join(filter(None, (headers.get("vary"), "accept-encoding"))), file.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"], body = "gzip", file.gzipped
    return Response(body, status, headers, file.media_type)


@cache
def static_version() -> str:
    """A digest of the name and content of every static file, and of the catalogues of the translated words."""
    digest = hashlib.sha256()
    for path, file in _static_files().items():
        digest.update(f"{path}\0{file.etag}\0".encode())
    for catalogue in catalogue_files():
        digest.update(catalogue.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _static_files() -> dict[str, _File]:
    """The files below static/ by their paths. Requests only get files of this table."""
    found = sorted(path for path in _STATIC.rglob("*") if path.is_file() and path.suffix in _MEDIA_TYPES)
    return {path.relative_to(_STATIC).as_posix(): _static_file(path) for path in found}


def _static_file(path: Path) -> _File:
    return _script(path.read_text("utf-8")) if path.suffix == ".js" else _file(path.read_bytes(), path.suffix)


def _words_file(path: str) -> _File | None:
    """The words of another language, built from its catalogue at the first request."""
    found = _TRANSLATED_WORDS.fullmatch(path)
    return _translated_words(found[1], found[2]) if found else None


@cache
def _translated_words(folder: str, language: str) -> _File:
    return _script(translated_module(_STATIC / folder / "en.js", language))


def _script(source: str) -> _File:
    return _file(without_comments(source).encode(), ".js")


def without_comments(script: str) -> str:
    """The script without the comments that fill whole lines. The other lines keep their text and number."""
    return _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), script)


@cache
def _page_file(name: str, language: str) -> _File:
    html = (_HERE / name).read_text("utf-8").replace('"/static/', f'"/static/{static_version()}/')
    return _file(html.replace("/en.js", f"/{language}.js").encode(), ".html")


def _file(body: bytes, suffix: str) -> _File:
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return _File(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES[suffix], etag)
