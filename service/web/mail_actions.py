"""The pages behind the actions in mails: /unsubscribe/TOKEN and /blocks/TOKEN.

GET shows a page with one button and changes nothing, because mail scanners open links. POST acts, but only with the field
of the page's form, because some scanners send POST requests, too. All tokens get the same response, so the response does
not reveal which tokens are valid.
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
from service.languages import current_language, localized, sentence, translations
from service.mail import blocks, suppression
from service.templates import templates
from service.web import pages
from service.web.pages.files import static_version

_MOST_FIELDS: Final = 5
_PAGES: Final = Path(pages.__file__).parent


class Action(Protocol):
    """The effect of a token. An unknown or expired token has no effect and raises nothing."""

    def __call__(self, token: str, *, now: datetime) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class MailAction:
    """A kind of link: the field of its form, the texts of its page before and after the action, and the action."""

    field: str
    value: str
    texts: Callable[[str, bool], Mapping[str, str]]
    action: Action
    clock: Clock

    async def show(self, _: Request) -> Response:
        """Answers GET with the question, in the reader's language."""
        return self._page(done=False)

    async def submit(self, request: Request) -> Response:
        """Answers POST: performs the action, with the same response for each token. Responds 400 without the field."""
        if not await self._is_confirmed(request):
            expected = sentence(
                "FIELD_MISSING", "The field %(field)s was expected.", field=f"{self.field}={self.value}"
            )
            return PlainTextResponse(localized(expected), 400)
        await self.action(request.path_params["token"], now=self.clock())
        return self._page(done=True)

    async def _is_confirmed(self, request: Request) -> bool:
        try:
            async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
                return form.get(self.field) == self.value
        except (HTTPException, ClientDisconnect):
            return False

    def _page(self, *, done: bool) -> Response:
        language = current_language()
        template = templates(_PAGES).get_template("mail_action.html")
        facts = {"language": language, "version": static_version(), "field": self.field, "value": self.value}
        return HTMLResponse(template.render(self.texts(language, done), **facts))


def unsubscribe(clock: Clock) -> MailAction:
    """/unsubscribe/TOKEN: stops invitations to an address. The POST is the one click of RFC 8058."""
    return MailAction(
        "List-Unsubscribe", "One-Click", lambda language, done: _unsubscribe_texts(language, stopped=done),
        suppression.unsubscribe, clock,
    )  # fmt: skip


def lift_block(clock: Clock) -> MailAction:
    """/blocks/TOKEN: lifts a block of the invited address."""
    return MailAction("lift", "yes", lambda language, done: _block_texts(language, lifted=done), blocks.undo, clock)


def _block_texts(language: str, *, lifted: bool) -> dict[str, str]:
    """Returns the texts of the page that lifts a block, before and after the action."""
    _ = translations(language).gettext
    if lifted:
        return {
            "title": _("The block is lifted"),
            "text": _("If the link still worked, the community can invite your address again."),
            "button": "",
            "next": _(
                "The invitation stays declined until an admin sends it again. Links in these mails work for 30 days;"
                " after that, the operator of this service can lift the block."
            ),
        }
    return {
        "title": _("Lift the block?"),
        "text": _("The community that the mail names could then invite your address again."),
        "button": _("Lift the block"),
        "next": _("Nothing has been changed yet."),
    }


def _unsubscribe_texts(language: str, *, stopped: bool) -> dict[str, str]:
    """Returns the texts of the page that unsubscribes, before and after the action."""
    _ = translations(language).gettext
    if stopped:
        return {
            "title": _("No more invitations"),
            "text": _("No more invitations will be sent to this address."),
            "button": "",
            "next": _("You may close this page. If you change your mind, tell the person who wants to invite you."),
        }
    return {
        "title": _("Stop invitations to this address?"),
        "text": _("No more invitations would be sent to the address at which you found this link."),
        "button": _("Stop them"),
        "next": _("Nothing has been changed yet."),
    }
