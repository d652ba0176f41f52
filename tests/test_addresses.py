"""The canonical form of addresses and the one comparison, on whatever hypothesis thinks of."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.addresses import AddressInvalid, canonical, domain_of, masked, same

_LOCAL = st.text(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=30)
_LABEL = st.text(string.ascii_letters + string.digits, min_size=1, max_size=20)
_DOMAIN = st.tuples(_LABEL, st.sampled_from(["com", "org", "Example", "co.uk"])).map(".".join)


@given(_LOCAL, _DOMAIN)
def test_canonical_is_lower_case_ascii_and_stays_itself(local: str, domain: str) -> None:
    """H079: any plain address has one canonical form: lower case, ASCII, and its own canonical form."""
    form = canonical(f"{local}@{domain}")
    assert form == f"{local}@{domain}".lower()
    assert form.isascii()
    assert canonical(form) == form


@given(_LOCAL, _LOCAL, _DOMAIN)
def test_addresses_are_the_same_exactly_when_case_is_all_that_differs(one: str, other: str, domain: str) -> None:
    """H080: nothing is folded but ASCII case: no dots, no plus tags."""
    equal = same(canonical(f"{one}@{domain}"), canonical(f"{other}@{domain.upper()}"))
    assert equal == (one.lower() == other.lower())


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_address_or_refused_in_words(text: str) -> None:
    """Any text is canonical ASCII with one @, or AddressInvalid with a sentence; nothing else happens."""
    form, words = _canonical_or_words(text)
    assert (form is None) == (len(words) > 20)
    if form is None:
        return
    assert form.isascii()
    assert form == form.lower()
    assert form.count("@") == 1
    assert not set(form) & set(' \t\r\n,;<>()[]"\\\x00')


def _canonical_or_words(text: str) -> tuple[str | None, str]:
    try:
        return canonical(text), ""
    except AddressInvalid as refused:
        return None, str(refused)


@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.isascii()), _DOMAIN)
def test_local_parts_outside_ascii_are_refused(local: str, domain: str) -> None:
    """H075: no character outside ASCII before the @ is ever mapped to one inside."""
    with pytest.raises(AddressInvalid):
        canonical(f"{local}@{domain}")


@pytest.mark.parametrize(
    "text",
    [
        "mıke@github.com", "mi\u212ae@github.com", "ｍike@github.com", "victim＠example.com", "a@example.com,b@example.com",
        '"e@attacker.com"@victim.com', "user@example.com(x)evil.com", "Name <a@b.com>", "<a@b.com>", "a@[127.0.0.1]",
        "a@localhost", "a@b@c.com", "a b@c.com", "a@b.com\r\nBcc: x@y.com", "a@b.com\u2028", "a@ｅxample.com", "a@b..com",
        "a@-b.com", "a@b.com.", "@b.com", "a@", "", "a" * 65 + "@b.com", "a@" + "b" * 250 + ".com", "a@xn--a.com",
        ".a@b.com", "a.@b.com", "a..b@c.com", "a@b_c.com", "mailto:a@b.com",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    """H075, H077: look-alikes, lists, comments, quotes, display names, literals and injections are no addresses."""
    with pytest.raises(AddressInvalid):
        canonical(text)


def test_international_domains_are_compared_as_a_labels() -> None:
    """H082: bücher.example is its A-label, in whichever form it is written; a homograph is another domain."""
    assert canonical("x@bücher.example") == canonical("X@XN--BCHER-KVA.example") == "x@xn--bcher-kva.example"
    assert canonical("x@xn--80ak6aa92e.com") != canonical("x@apple.com")
    assert domain_of(canonical("x@bücher.example")) == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("address", "shown"),
    [("anna@example.com", "a•••@example.com"), ("a@example.com", "•••@example.com"), ("ab@x.co", "a•••@x.co")],
)
def test_masked_addresses_tell_little(address: str, shown: str) -> None:
    """The first letter and the domain, and no letter where there is only one."""
    assert masked(address) == shown
