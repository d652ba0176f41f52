"""Email addresses: one canonical form and one comparison.

Canonical is an ASCII local part and an A-label domain, both in lower case. Nothing is folded (no dots, no plus
tags: H080), nothing is mapped from Unicode (H075), and the database compares bytes. Mail goes to this form (H086),
and every mail parser reads it as this one address (H185). Only limits count by mailbox (`mailbox_of`).

People read and write domains in Unicode: `as_written` gives that form of a canonical address, for pages, mails and files.
"""

import hmac
import re
import unicodedata
from functools import lru_cache
from typing import Final, NewType

import idna
import regex
from email_validator import EmailNotValidError, validate_email

from service.languages import Sentence, sentence

Address = NewType("Address", str)

_LONGEST: Final = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets

# Characters with a special meaning in some mail software. Ordinary addresses do not contain them.
# "?" begins an encoded word (=?utf-8?q?...?=, RFC 2047) and the header fields of a mailto: URL (RFC 6068);
# "%" and "!" are routes (user%host, host!user; RFC 5321 appendix C), which Postfix and Sendmail still follow;
# "|" is a pipe to a program, "/" in front a file or an X.400 address, "-" in front an option of a command.
_UNSAFE_LOCAL_PART: Final = re.compile(r"[/-]|.*[?%!|]", re.DOTALL)
# A numeric or hexadecimal last label is an IPv4 address to some parsers (WHATWG URL section 3.5); no such TLD exists.
_TOP_LEVEL_DOMAIN: Final = re.compile(r"[a-z]+|xn--[a-z0-9-]+")
_STORED: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+")
_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})


class AddressInvalid(Exception):
    """Raised when a text is no address that could be invited; `reason` is a sentence for a person."""

    def __init__(self, reason: Sentence) -> None:
        super().__init__(str(reason))
        self.reason = reason


def canonical(text: str) -> Address:
    """The one form in which an address is stored, compared and written to; spaces around it are dropped.

    Raises AddressInvalid for anything that is not exactly one plain address: display names, comments, quoted local
    parts, lists, routes, encoded words, IP literals, characters outside ASCII before the @ (H075, H077, H185).
    """
    local, domain = _halves(text.strip(" "))
    address = f"{local}@{_a_label(domain)}"
    if len(address) > _LONGEST:
        raise AddressInvalid(sentence(
            "EMAIL_INVALID", "This address is too long; at most %(longest)s characters were expected.", longest=_LONGEST
        ))  # fmt: skip
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=True)
    except EmailNotValidError:
        raise AddressInvalid(_fault(local, domain)) from None
    if not _TOP_LEVEL_DOMAIN.fullmatch(address.rpartition(".")[2].lower()):
        raise AddressInvalid(sentence(
            "EMAIL_INVALID", "The part after the @ does not end in a top-level domain, such as .com."
        ))  # fmt: skip
    return Address(address.lower())


def as_stored(text: str) -> Address:
    """The form under which an address may be stored, to find and remove its rows. Raises AddressInvalid.

    Earlier versions took spellings that `canonical` refuses now; never write to these.
    """
    try:
        return canonical(text)
    except AddressInvalid:
        stored = text.strip(" ").lower()
        if not _STORED.fullmatch(stored):
            raise
        return Address(stored)


def same(one: Address, other: Address) -> bool:
    """Whether two canonical addresses are the same, byte for byte."""
    return hmac.compare_digest(one.encode(), other.encode())


def domain_of(address: Address) -> str:
    return address.rpartition("@")[2]


def mailbox_of(address: Address) -> str:
    """The key under which limits count the mails to one mailbox. Never use it to compare identities (H080).

    Plus tags are ignored at every domain. Gmail's dots are ignored too, and googlemail.com is gmail.com.
    """
    local, _, domain = address.rpartition("@")
    mailbox = local.partition("+")[0] or local
    if domain in _GMAIL:
        return f"{mailbox.replace('.', '')}@gmail.com"
    return f"{mailbox}@{domain}"


def masked(address: str) -> str:
    """Enough for its owner to recognise: a•••@example.com, and •••@example.com where the local part is one letter."""
    local, _, domain = address.rpartition("@")
    return f"{local[0] if len(local) > 1 else ''}•••@{domain}"


# ------------------------------------------------------------------------------------------------- as people write it

# Letters of Latin alphabets without a decomposition into a letter of ASCII and marks. Other such letters are phonetic, or
# look like one of ASCII (the dotless i, the script g).
_LATIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzæœßøđħłðþŋ0123456789-")
# UTS 39 section 5.2, single script: one script in a label, with digits and hyphens of ASCII. Japanese, Korean and Bopomofo
# are written together with Han.
_SCRIPTS: Final = tuple(
    regex.compile("[" + "".join(r"\p{scx=" + name + "}" for name in names.split()) + "0-9-]+")
    for names in (
        "Arab", "Beng", "Cyrl", "Deva", "Geor", "Grek", "Gujr", "Guru", "Hang Hani", "Hani Hira Kana", "Bopo Hani", "Hebr",
        "Khmr", "Knda", "Laoo", "Mlym", "Mymr", "Orya", "Sinh", "Taml", "Telu", "Thaa", "Thai", "Tibt",
    )
)  # fmt: skip
# Cyrillic and Greek letters that pass for letters of ASCII. A label of these alone could imitate a Latin one.
_CYRILLIC_IMITATIONS: Final = (
    r"\u0430\u0432\u0433\u0435\u043a\u043c\u043d\u043e\u043f\u0440\u0441\u0442\u0443"
    r"\u0445\u044a\u044c\u0455\u0456\u0458\u0461\u0475\u04af\u04bb\u04bd\u04cf\u0501"
    r"\u051b\u051d"
)
_GREEK_IMITATIONS: Final = (
    r"\u03b1\u03b2\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c0\u03c1\u03c3\u03c4\u03c5\u03c7\u03c9\u03f2"
)
_IMITATIONS: Final = regex.compile(f"[{_CYRILLIC_IMITATIONS}{_GREEK_IMITATIONS}0-9-]+")


def as_written(address: str) -> str:
    """The address, or the domain, as people write it: bücher.example instead of xn--bcher-kva.example.

    A label stays an A-label unless its letters are of one script, and cannot pass for letters of ASCII (UTS 39).
    """
    if "xn--" not in address:
        return address
    local, at, domain = address.rpartition("@")
    return local + at + _domain_as_written(domain)


@lru_cache(maxsize=4096)
def _domain_as_written(domain: str) -> str:
    return ".".join(map(_label_as_written, domain.split(".")))


def _label_as_written(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        written = idna.decode(label, strict=True)
    except idna.IDNAError:  # stored by an earlier version
        return label
    return written if _is_unmistakable(written) else label


def _is_unmistakable(label: str) -> bool:
    bases = "".join(unicodedata.normalize("NFD", letter)[0] for letter in label)
    if _LATIN.issuperset(bases):
        return True
    return any(script.fullmatch(label) for script in _SCRIPTS) and not _IMITATIONS.fullmatch(bases)


def _halves(address: str) -> tuple[str, str]:
    local, at, domain = address.rpartition("@")
    if not (at and local and domain):
        raise AddressInvalid(sentence(
            "EMAIL_INVALID", "This is not an email address; one like name@example.com was expected."
        ))  # fmt: skip
    if not local.isascii():
        raise AddressInvalid(sentence(
            "EMAIL_INVALID",
            "The part before the @ has a character outside A-Z, digits and the usual signs; such addresses cannot be"
            " invited.",
        ))  # fmt: skip
    if _UNSAFE_LOCAL_PART.match(local):
        raise AddressInvalid(sentence(
            "EMAIL_INVALID",
            "The part before the @ begins with / or -, or has one of the signs ! % ? |; mail servers can read such"
            " addresses as another one, so they cannot be invited.",
        ))  # fmt: skip
    return local, domain


def _fault(local: str, domain: str) -> Sentence:
    """The fault of an address that the parser rejects."""
    if local.startswith('"'):
        return sentence("EMAIL_INVALID", "The part before the @ is in quotation marks, which is not allowed here.")
    if characters := sorted(set(re.sub(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]", "", local))):
        shown = tuple(
            character if character.isprintable() and character != " " else f"U+{ord(character):04X}"
            for character in characters
        )
        return sentence(
            "EMAIL_INVALID",
            "The part before the @ has characters that are not allowed: %(characters)s; an email address like name@example.com was expected.",
            characters=shown,
        )
    if local != local.strip(".") or ".." in local:
        return sentence("EMAIL_INVALID", "The part before the @ begins or ends with a period, or has two in a row.")
    if "." not in domain:
        return sentence(
            "EMAIL_INVALID", "The part after the @ has no period; a domain such as example.com was expected."
        )
    return sentence("EMAIL_INVALID", "This is not a plain email address like name@example.com.")


def _a_label(domain: str) -> str:
    """The domain in its ASCII form, strictly: look-alikes that other software would map are refused (IDNA 2008)."""
    form = domain.lower() if domain.isascii() else domain
    try:
        if not domain.isascii() or "xn--" in form:
            form = idna.encode(form, strict=True).decode("ascii")
            _refuse_other_spelling(form)
    except idna.IDNAError:
        raise AddressInvalid(sentence("EMAIL_INVALID", "The part after the @ is not a domain name.")) from None
    return form


def _refuse_other_spelling(form: str) -> None:
    """Refuses A-labels that decode to a name with another A-label: two domains would be one to those who decode."""
    if idna.encode(idna.decode(form, strict=True), strict=True).decode("ascii") != form.lower():
        raise idna.IDNAError("The A-label does not round-trip.")
