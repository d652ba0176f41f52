"""Email addresses: one canonical form and one comparison.

Canonical is an ASCII local part and an A-label domain, both in lower case. Nothing is folded (no dots, no plus
tags: H080), nothing is mapped from Unicode (H075), and the database compares bytes. Mail goes to this form (H086).
"""

import hmac
from typing import Final, NewType

import idna
from email_validator import EmailNotValidError, validate_email

Address = NewType("Address", str)

_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})
_LONGEST: Final = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets


class AddressInvalid(Exception):
    """Raised when a text is no address that could be invited; its text is a sentence for a person."""


def canonical(text: str) -> Address:
    """The one form in which an address is stored, compared and written to; spaces around it are dropped.

    Raises AddressInvalid for anything that is not exactly one plain address: display names, comments, quoted local
    parts, lists, IP literals, characters outside ASCII before the @ (H075, H077).
    """
    local, domain = _halves(text.strip(" "))
    address = f"{local}@{_a_label(domain)}"
    if len(address) > _LONGEST:
        raise AddressInvalid(f"This address is too long; at most {_LONGEST} characters were expected.")
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=True)
    except EmailNotValidError as error:
        raise AddressInvalid(f"This is not a plain email address like name@example.com. {error}") from None
    return Address(address.lower())


def same(one: Address, other: Address) -> bool:
    """Whether two canonical addresses are the same, byte for byte."""
    return hmac.compare_digest(one.encode(), other.encode())


def domain_of(address: Address) -> str:
    return address.rpartition("@")[2]


def mailbox_of(address: str) -> str:
    """The mailbox that an address most likely reaches, for counting limits only; it never decides who is invited (H080).

    Drops the tag after a plus sign at every domain. At Gmail it also drops dots, and googlemail.com is gmail.com.
    """
    local, _, domain = address.rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _GMAIL:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def masked(address: str) -> str:
    """Enough for its owner to recognise: a•••@example.com, and •••@example.com where the local part is one letter."""
    local, _, domain = address.rpartition("@")
    return f"{local[0] if len(local) > 1 else ''}•••@{domain}"


def _halves(address: str) -> tuple[str, str]:
    local, at, domain = address.rpartition("@")
    if not (at and local and domain):
        raise AddressInvalid("This is not an email address; one like name@example.com was expected.")
    if not local.isascii():
        raise AddressInvalid(
            "The part before the @ has a character outside A-Z, digits and the usual signs; such addresses cannot be"
            " invited."
        )
    return local, domain


def _a_label(domain: str) -> str:
    """The domain in its ASCII form, strictly: look-alikes that other software would map are refused (IDNA 2008)."""
    if domain.isascii() and "xn--" not in domain.lower():
        return domain
    try:
        return idna.encode(domain.lower() if domain.isascii() else domain).decode("ascii")
    except idna.IDNAError:
        raise AddressInvalid("The part after the @ is not a domain name.") from None
