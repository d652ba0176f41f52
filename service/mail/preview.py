"""Writes every mail in every language to files, for authors, translators and designers."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from service.addresses import Address
from service.languages import LANGUAGES
from service.mail.message import Mail
from service.mail.texts import (
    BlockFacts,
    CodeFacts,
    InvitationFacts,
    LinkedIdentityFacts,
    address_blocked_mail,
    code_mail,
    identity_linked_mail,
    invitation_mail,
)

_INVITEE: Final = Address("invitee@example.com")
_COMMUNITY: Final = "Riverside Rowing Club"
_MESSAGE: Final = "We row on Sundays at eight, and the coffee is good.\n\nSee you there?"
_LINK: Final = "https://id.example.com/confirm#AN-EXAMPLE-THAT-OPENS-NOTHING"
_UNSUBSCRIBE: Final = "https://id.example.com/unsubscribe/AN-EXAMPLE"
_UNDO: Final = "https://id.example.com/blocks/AN-EXAMPLE"
_SERVICE: Final = "https://id.example.com"


def write_all(folder: Path, *, now: datetime) -> list[Path]:
    """Writes NAME.LANGUAGE.txt and NAME.LANGUAGE.html for each mail. Creates the folder, and returns the files in order."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for language in LANGUAGES:
        for name, mail in _mails(language, now).items():
            files += _write_parts(folder / f"{name}.{language}", mail)
    return files


def _write_parts(stem: Path, mail: Mail) -> list[Path]:
    text, html = stem.with_name(f"{stem.name}.txt"), stem.with_name(f"{stem.name}.html")
    text.write_text(f"Subject: {mail.subject}\n\n{mail.text}", "utf-8")
    html.write_text(mail.html, "utf-8")
    return [text, html]


def _mails(language: str, now: datetime) -> dict[str, Mail]:
    return {
        "invitation": invitation_mail(_invitation_facts(now, fresh=False), locale=language),
        "fresh-link": invitation_mail(_invitation_facts(now, fresh=True), locale=language),
        "code": code_mail(CodeFacts(_INVITEE, "246813", _COMMUNITY, 10), locale=language),
        "address-blocked": address_blocked_mail(
            BlockFacts(_INVITEE, _COMMUNITY, _UNDO, now + timedelta(days=30)), locale=language
        ),
        "identity-linked": identity_linked_mail(
            LinkedIdentityFacts(_INVITEE, "Google", now, _SERVICE), locale=language
        ),
    }


def _invitation_facts(now: datetime, *, fresh: bool) -> InvitationFacts:
    return InvitationFacts(
        to=_INVITEE, community_name=_COMMUNITY, inviter_name="Ada Lovelace", role="MEMBER", message=_MESSAGE, link=_LINK,
        link_minutes=10, invitation_expires_at=now + timedelta(days=7), unsubscribe_url=_UNSUBSCRIBE, fresh=fresh,
    )  # fmt: skip
