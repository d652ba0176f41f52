"""The pages behind links in mails that act: /unsubscribe/TOKEN and /blocks/TOKEN.

GET shows a page with one button and changes nothing, because mail scanners open links. POST acts, and only with the
field that the page's form sends, because some scanners post too. Every token gets the same answer, so nobody learns
which ones are real.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from service.clock import Clock
from service.languages import negotiated
from service.mail import blocks, suppression
from service.mail.texts import block_words, unsubscribe_words
from service.templates import templates
from service.web import pages
from service.web.pages.files import static_version

_MOST_FIELDS: Final = 5
_PAGES: Final = Path(pages.__file__).parent


class Act(Protocol):
    """What a token does; an unknown or expired one does nothing, silently."""

    def __call__(self, token: str, *, now: datetime) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class MailAction:
    """One kind of link: the field that its form sends, the words before and after, and the act."""

    field: str
    value: str
    words: Callable[[str, bool], Mapping[str, str]]
    act: Act
    clock: Clock

    async def ask(self, request: Request) -> Response:
        """GET: the question, in the reader's language."""
        return self._page(request, done=False)

    async def do(self, request: Request) -> Response:
        """POST: acts, and answers every token alike; 400 without the form's field."""
        if not await self._was_asked(request):
            return PlainTextResponse(f"The field {self.field}={self.value} was expected.", 400)
        await self.act(request.path_params["token"], now=self.clock())
        return self._page(request, done=True)

    async def _was_asked(self, request: Request) -> bool:
        try:
            async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
                return form.get(self.field) == self.value
        except (HTTPException, ClientDisconnect):
            return False

    def _page(self, request: Request, *, done: bool) -> Response:
        language = negotiated(*request.headers.getlist("accept-language"))
        template = templates(_PAGES).get_template("mail_action.html")
        facts = {"language": language, "version": static_version(), "field": self.field, "value": self.value}
        return HTMLResponse(template.render(self.words(language, done), **facts))


def unsubscribe(clock: Clock) -> MailAction:
    """/unsubscribe/TOKEN: stops the mail that an address did not ask for. The POST is the one click of RFC 8058."""
    return MailAction(
        "List-Unsubscribe", "One-Click", lambda language, done: unsubscribe_words(language, stopped=done),
        suppression.unsubscribe, clock,
    )  # fmt: skip


def lift_block(clock: Clock) -> MailAction:
    """/blocks/TOKEN: lifts the block that somebody made with the link of an invitation."""
    return MailAction("lift", "yes", lambda language, done: block_words(language, lifted=done), blocks.undo, clock)
