"""Which of the pages' languages a reader wants."""

import re
from typing import Final

from starlette.requests import Request

from service.mail.texts import LOCALES

_LONGEST_HEADER: Final = 200


def language_of(request: Request) -> str:
    """The first of the reader's languages that there are words for; the order they stand in is their order."""
    header = request.headers.get("accept-language", "")[:_LONGEST_HEADER]
    tags = re.findall(r"[A-Za-z]{2,3}(?=[-;, ]|$)", header)
    return next((tag.lower() for tag in tags if tag.lower() in LOCALES), "en")
