"""/unsubscribe/TOKEN: stops the mail that a person did not ask for.

GET shows a page and changes nothing, because mail scanners open links; POST is the one click of RFC 8058, sent by mail
programs and by the page's own button. Both answer every token alike, so nobody learns which ones are real.
"""

from functools import cache
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from service import pages, suppression
from service.clock import Clock
from service.mail.texts import unsubscribe_words
from service.pages.files import static_version
from service.pages.languages import language_of

_ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
_MOST_FIELDS: Final = 5


class Unsubscribe:
    """The endpoint."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def ask(self, request: Request) -> Response:
        """GET: the question, in the reader's language."""
        return _page(request, stopped=False)

    async def stop(self, request: Request) -> Response:
        """POST: done, whatever the token was."""
        try:
            async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
                asked = form.get(_ONE_CLICK[0]) == _ONE_CLICK[1]
        except (HTTPException, ClientDisconnect):
            asked = False
        if not asked:
            return PlainTextResponse("The field List-Unsubscribe=One-Click was expected (RFC 8058).", 400)
        await suppression.unsubscribe(request.path_params["token"], now=self._clock())
        return _page(request, stopped=True)


def _page(request: Request, *, stopped: bool) -> Response:
    language = language_of(request)
    words = unsubscribe_words(language, stopped=stopped)
    template = _templates().get_template("unsubscribe.html")
    return HTMLResponse(template.render(words, language=language, version=static_version()))


@cache
def _templates() -> Environment:
    folder = FileSystemLoader(pages.__path__)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
