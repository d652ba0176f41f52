"""The pages: the invitee's at /confirm and the console at /. They are static files that use the public API."""

import re
from functools import partial
from typing import Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service.web.pages.files import page, static_file

_BEFORE: Final = "(?i:confirm)(?:/|#|%(?:25)*23)+"
_FRAGMENT: Final = "[A-Za-z0-9_-]{43}"


class AlteredLink(Convertor[str]):
    """The path of a link whose number sign was encoded, or replaced by a slash, on its way through a mail program.

    Examples: confirm/TOKEN, confirm%23TOKEN, confirm/%23TOKEN. The path can be in capitals, and text can follow the token.
    Its value is the token.
    """

    regex = rf"{_BEFORE}{_FRAGMENT}(?:[^A-Za-z0-9_-][\s\S]*)?"

    def convert(self, value: str) -> str:
        return re.sub(rf"{_BEFORE}({_FRAGMENT})[\s\S]*", r"\1", value)

    def to_string(self, value: str) -> str:
        return f"confirm/{value}"


register_url_convertor("altered_link", AlteredLink())


def routes() -> list[BaseRoute]:
    """GET /, GET /confirm and its altered links, and the scripts and styles under /static/VERSION/."""
    return [
        Route("/", partial(_page, "console.html"), methods=["GET"]),
        Route("/confirm", partial(_page, "confirm.html"), methods=["GET"]),
        Route("/{token:altered_link}", _altered_link, methods=["GET"]),
        Route("/static/{version}/{path:path}", _static, methods=["GET"]),
    ]


async def _altered_link(request: Request) -> Response:
    """Moves the token of an altered link back into the fragment. Reads no row and consumes nothing."""
    return RedirectResponse(f"/confirm#{request.path_params['token']}", 303)


async def _page(name: str, request: Request) -> Response:
    return page(name, 200, request)


async def _static(request: Request) -> Response:
    parameters = request.path_params
    return static_file(parameters["version"], parameters["path"], request) or not_found(request)


def wrong_browser(request: Request) -> Response:
    """The page for a callback without its flow cookie. It contains nothing of the flow (H059)."""
    return page("wrong_browser.html", 400, request)


def not_begun(request: Request) -> Response:
    """The page for a callback without a state: a bookmark, or a tile at the provider, led here. No sign-in has begun."""
    return page("not_begun.html", 400, request)


def not_found(request: Request) -> Response:
    return page("not_found.html", 404, request)


async def not_found_handler(request: Request, _: Exception) -> Response:
    return not_found(request)
