"""The mailbox page of development: shows the sent mails as a mail program would, with working links.

Each mail's HTML is a separate document in a sandbox with its own Content-Security-Policy. It allows the mail's inline styles
and links that open a new tab, but no scripts and no remote content. The page around it has a strict policy.
"""

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from service.mail.mailbox import Mailbox, MailboxEntry
from service.templates import templates

_HERE: Final = Path(__file__).parent
_PRIVATE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
_ADDRESS_IN_TEXT: Final = re.compile(r"https?://\S+")


def routes(mailbox: Mailbox) -> list[BaseRoute]:
    """Returns /dev/mailbox, its stylesheet, module and JSON, and the HTML of each mail under /dev/mailbox/ID.html."""
    return [
        Route("/dev/mailbox", partial(_page, mailbox), methods=["GET"]),
        Route("/dev/mailbox.json", partial(_json, mailbox), methods=["GET"]),
        Route("/dev/mailbox.css", partial(_file, "mailbox.css", "text/css"), methods=["GET"]),
        Route("/dev/mailbox.js", partial(_file, "mailbox.js", "text/javascript"), methods=["GET"]),
        Route("/dev/mailbox/{mail_id}.html", partial(_mail, mailbox), methods=["GET"]),
    ]


async def _page(mailbox: Mailbox, request: Request) -> Response:
    """Shows the mail `?mail=ID`, or the newest."""
    mail_id = request.query_params.get("mail")
    entries = mailbox.entries
    chosen = mailbox.entry(mail_id) if mail_id else next(iter(entries), None)
    template = templates(_HERE).get_template("mailbox.html")
    page = template.render(entries=entries, open=chosen, rfc3339=_rfc3339, with_links=_with_links)
    return HTMLResponse(page, headers={**_PRIVATE, "Content-Security-Policy": _PAGE_POLICY})


async def _json(mailbox: Mailbox, _request: Request) -> Response:
    return JSONResponse([_as_json(entry) for entry in mailbox.entries], headers=_PRIVATE)


def _as_json(entry: MailboxEntry) -> dict[str, str]:
    return {
        "id": entry.id,
        "to": entry.to,
        "subject": entry.subject,
        "text": entry.text,
        "html": entry.html,
        "sent_at": _rfc3339(entry.sent_at),
    }


async def _mail(mailbox: Mailbox, request: Request) -> Response:
    """Returns the mail's HTML with a base that opens its links in a new tab."""
    entry = mailbox.entry(request.path_params["mail_id"])
    if entry is None:
        return Response("This mail is no longer here.", status_code=404, headers=_PRIVATE, media_type="text/plain")
    html = entry.html.replace("<head>", '<head><base target="_blank">', 1)
    return HTMLResponse(html, headers={**_PRIVATE, "Content-Security-Policy": _MAIL_POLICY})


async def _file(name: str, media_type: str, _request: Request) -> Response:
    return Response((_HERE / name).read_bytes(), media_type=media_type, headers=_PRIVATE)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _with_links(text: str) -> Markup:
    """Escapes a text and converts its web addresses to links that open a new tab."""
    parts, end = [], 0
    for found in _ADDRESS_IN_TEXT.finditer(text):
        link = Markup('<a href="{url}" target="_blank" rel="noopener noreferrer">{url}</a>').format(url=found.group())
        parts += [escape(text[end : found.start()]), link]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
