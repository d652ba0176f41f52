r"""Names, messages and addresses from people, made safe for mails (H087, H088).

- Control, format and bidirectional characters are removed. Line breaks in names become spaces. Lengths are limited.
- Right-to-left names are isolated, so that they do not reorder the sentence around them.
- Mail programs turn text that looks like a link into one, in both parts and even when it is escaped: `evil.com`,
  `https://…`, `a@b.com`, `\\host\share`. A hair space (U+200A) after each dot, @, colon or double slash breaks every such
  link, because links contain no space. "J.R.R. Tolkien" stays readable. Zero-width characters would not work, because
  browsers drop them from host names (UTS #46).
- The same applies to an unusual invited address: the inviter chooses the text after its plus sign.
- `{{` is broken up, because SES replaces `{{ses:openTracker}}`. `=?` is broken up, because an encoded word in a subject
  could hide a link.
"""

import re
import unicodedata
from typing import Final

from service.addresses import Address, as_written

_LONGEST_NAME: Final = 100
_LONGEST_MESSAGE: Final = 1_000

_HAIR_SPACE: Final = "\u200a"
_JOINERS: Final = "\u200c\u200d"  # ZWNJ and ZWJ are part of Persian spelling and of emoji
# The ASCII characters, and those that IDNA or a tolerant mail program treats as equal.
_DOT: Final = r".\u3002\uff0e\uff61\u2024\ufe52"
_AT: Final = r"@\uff20\ufe6b"
_COLON: Final = r":\uff1a\ufe55\ua789"
_SLASH: Final = r"/\\\uff0f\uff3c\u2044\u2215\u29f8"
_PART_OF_A_LINK: Final = re.compile(
    rf"[{_DOT}{_AT}](?=\S)"  # host names and addresses
    rf"|(?<=[^\W\d_])[{_COLON}](?=\S)"  # schemes; 10:30 stays
    rf"|[{_SLASH}](?=[{_SLASH}])"  # //host and \\host
    r"|\{(?=\{)"  # placeholders of SES
    r"|=(?=\?)"  # encoded words of RFC 2047, which mail programs decode in a subject
)
# No dot after a plus sign, where the inviter may write anything. No character that ends the host of a URL.
_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9._-]+(\+[A-Za-z0-9_-]*)?@[a-z0-9.-]+")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})


def plain_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """Returns a name on one line, without links or directional effects. The result may be empty."""
    line = " ".join(_visible(name).split())
    if not line.strip(_JOINERS + " "):
        return ""
    return _isolated(_unlinked(_shortened(line, longest)))


def plain_message(message: str) -> str:
    """Returns a message without links, limited to 1,000 characters. Lines remain; repeated blank lines are merged."""
    lines = "\n".join(" ".join(line.split()) for line in _visible(message).split("\n"))
    return _unlinked(re.sub(r"\n{3,}", "\n\n", lines).strip()[:_LONGEST_MESSAGE])


def plain_address(address: Address) -> str:
    """Returns a usual address unchanged, and another with narrow no-break spaces that break links.

    A domain is in Unicode, as people write it. Mail programs that know ASCII only could link a part of it.
    """
    written = as_written(address)
    if written == address and _PLAIN_ADDRESS.fullmatch(address):
        return address
    return _isolated(_unlinked(written).replace(_HAIR_SPACE, "\u202f"))


def _visible(text: str) -> str:
    lines = re.sub(r"\r\n?|[\v\f\x85\u2028\u2029]", "\n", text)
    return "".join(character for character in unicodedata.normalize("NFC", lines) if _is_visible(character))


def _is_visible(character: str) -> bool:
    return character in "\n\t" or character in _JOINERS or unicodedata.category(character)[0] != "C"


def _unlinked(text: str) -> str:
    return _PART_OF_A_LINK.sub(lambda found: found.group() + _HAIR_SPACE, text)


def _isolated(text: str) -> str:
    """Encloses a text with right-to-left letters in FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"\u2068{text}\u2069"
    return text


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
