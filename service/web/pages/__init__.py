"""The pages: the invitee's at /confirm and the console at /. They are static files that use the public API."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.web.pages.files import page, static_file


def routes() -> list[BaseRoute]:
    """GET /, GET /confirm, and the scripts and styles under /static/VERSION/."""
    return [
        Route("/", partial(_page, "console.html"), methods=["GET"]),
        Route("/confirm", partial(_page, "confirm.html"), methods=["GET"]),
        Route("/static/{version}/{path:path}", _static, methods=["GET"]),
    ]


async def _page(name: str, request: Request) -> Response:
    return page(name, 200, request)


async def _static(request: Request) -> Response:
    parameters = request.path_params
    return static_file(parameters["version"], parameters["path"], request) or not_found(request)


def wrong_browser(request: Request) -> Response:
    """The page for a callback without its flow cookie. It contains nothing of the flow (H059)."""
    return page("wrong_browser.html", 400, request)


def not_found(request: Request) -> Response:
    return page("not_found.html", 404, request)


async def not_found_handler(request: Request, _: Exception) -> Response:
    return not_found(request)
