"""Texts from people, validated: language tags."""

from typing import Final

from babel import Locale, UnknownLocaleError

from service.errors import InvalidInput

_LONGEST: Final = 35  # RFC 5646 section 4.4.1


def language_tag(locale: str | None) -> str | None:
    """The tag (BCP 47), if Babel knows its language; None for none. Raises InvalidInput.

    A language without a catalogue is fine: the mail falls back (`service.languages.best_language`).
    """
    if not locale:
        return None
    try:
        if len(locale) <= _LONGEST:
            Locale.parse(locale, sep="-")
            return locale
    except (ValueError, UnknownLocaleError):
        pass
    raise InvalidInput("locale", "The locale is no language tag; one like de or pt-BR was expected (BCP 47).")
