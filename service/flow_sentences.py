"""Sentences about a flow for the person in it: stored as a code with facts, and read in the person's language.

Each names the event and the next step for the person. The only claim of a provider in a sentence is the address of the
sign-in.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from service.addresses import as_written
from service.languages import Sentence, gettext_noop

_MESSAGES: Final[Mapping[str, str]] = {
    "STARTED": gettext_noop("You were sent to sign in. Come back here when you have done so."),
    # Acceptances.
    "ACCEPTED": gettext_noop("Welcome to %(community)s."),
    "ALREADY_MEMBER": gettext_noop("You are a member of %(community)s already; your role stays as it is."),
    "CODE_REQUIRED": gettext_noop(
        "One more step: a six-digit code is on its way to %(address)s. Enter it here within ten minutes."
    ),
    "LINK_INVALID": gettext_noop(
        "This link was used, replaced or withdrawn in the meantime. Ask for a fresh one: it goes to the invited mailbox."
    ),
    "EMAIL_MISMATCH": gettext_noop(
        "You signed in as %(signed_in)s, but this invitation is for %(invited)s. Sign in with the account of that address:"
        " your link still works."
    ),
    "EMAIL_MISMATCH_NO_ADDRESS": gettext_noop(
        "You signed in with an account without an address, but this invitation is for %(invited)s. Sign in with the account"
        " of that address: your link still works."
    ),
    "RULES_CHANGED": gettext_noop("The community's rules changed at this moment. Try again: your link still works."),
    "SEAT_LIMIT_REACHED": gettext_noop(
        "Every seat of this community is taken just now. Tell the person who invited you; the link stays yours."
    ),
    "INVITER_NOT_ENTITLED": gettext_noop(
        "The person who invited you may no longer invite people. Ask another admin of the community to send your invitation"
        " again."
    ),
    "DOMAIN_NOT_ALLOWED": gettext_noop(
        "The community no longer admits addresses of this domain. Ask the person who invited you what to do."
    ),
    "IDENTITY_IN_USE_ELSEWHERE": gettext_noop(
        "This sign-in opens another account already. Choose the sign-in that is to open this one."
    ),
    "ACCOUNT_RELEASED": gettext_noop(
        "Your account with this address waits for a new sign-in. Open the link in the mail about that first, and then this"
        " one again; if that mail is gone, ask the operator of this service for another."
    ),
    "IDENTITY_CONFLICT": gettext_noop(
        "An account with this address has another sign-in. Sign in with that one, add this one to it, and then open the"
        " link again."
    ),
    "CODE_NOT_DELIVERED": gettext_noop(
        "The code could not be sent to the invited mailbox. Sign in with the provider that runs that mailbox, or tell the"
        " person who invited you."
    ),
    "CODE_TRIES_SPENT": gettext_noop("The code was entered wrongly five times. Sign in again, and a new one is sent."),
    # Sign-ins.
    "SIGNED_IN": gettext_noop("You are signed in."),
    "NOT_INVITED": gettext_noop(
        "There is no member with this sign-in here. Accounts begin with an invitation: open the link in yours, or sign in"
        " the way you did when you accepted it."
    ),
    "IDENTITY_LINKED": gettext_noop("From now on this sign-in opens your account too."),
    "IDENTITY_IN_USE": gettext_noop("This sign-in opens another account already."),
    "FLOW_EXPIRED": gettext_noop("The sign-in took too long. Begin it again."),
    "SESSION_ENDED": gettext_noop("You were signed out in the meantime. Sign in and try again."),
    # Providers.
    "PROVIDER_MIXED_UP": gettext_noop("The answer came from another provider than you chose. Try again."),
    "PROVIDER_UNKNOWN": gettext_noop("There is no such sign-in here. Choose one of the offered ones."),
    "PROVIDER_UNAVAILABLE": gettext_noop(
        "The sign-in provider cannot be used right now; nothing was changed. Try again in a few minutes; if it happens"
        " again, tell the operator of this service: %(reason)s."
    ),
    "SIGN_IN_NOT_VERIFIED": gettext_noop(
        "The sign-in provider's answer did not pass our checks, so it was not accepted and nothing was changed. Try again;"
        " if it happens again, tell the operator of this service: %(reason)s."
    ),
    "SIGN_IN_CODE_REFUSED": gettext_noop(
        "The sign-in provider did not accept its own answer: it was too old or used twice. Try again."
    ),
    "SIGN_IN_CANCELLED": gettext_noop(
        "The sign-in at %(provider)s was cancelled or not allowed. Nothing was changed; try again."
    ),
    "SIGN_IN_UNFINISHED": gettext_noop("The sign-in at %(provider)s was not finished. Nothing was changed; try again."),
    "SIGN_IN_REFUSED": gettext_noop(
        "%(provider)s refused the sign-in. Nothing was changed; try again, and if it happens again, tell the operator of this"
        " service: %(reason)s."
    ),
    # Evidence for an address, by the rule that refused it.
    "EMAIL_ABSENT": gettext_noop(
        "Your sign-in did not tell us your email address. Sign in again and allow the address to be shared; if there is"
        " nothing to allow, your account there has none."
    ),
    "ADDRESS_INVALID": gettext_noop(
        "Your sign-in told us an email address that cannot be invited, so it is not the one in your invitation. Sign in"
        " with the account of the invited address."
    ),
    "EMAIL_UNVERIFIED": gettext_noop(
        "Your sign-in provider says that your email address there was never verified. Verify it in your account there, then"
        " sign in again."
    ),
    "EMAIL_VERIFIED_ABSENT": gettext_noop(
        "Your sign-in provider does not say whether your email address was verified, so it cannot be accepted. Ask the"
        " operator of this service, or sign in another way."
    ),
    "EMAIL_VERIFIED_UNREADABLE": gettext_noop(
        "Your sign-in provider does not say in a form that counts here that your email address was verified. Ask the"
        " operator of this service, or sign in another way."
    ),
    "DOMAIN_NOT_LISTED": gettext_noop(
        "This sign-in is not accepted for email addresses of your domain. Sign in another way, or ask the operator of this"
        " service to allow your domain for it."
    ),
    "DOMAINS_NOT_CONFIGURED": gettext_noop(
        "This sign-in is not set up to vouch for any email address. Sign in another way, or ask the operator of this"
        " service."
    ),
    "THIRD_PARTY_REFUSED": gettext_noop(
        "Your account there uses an email address that another provider runs, which is not accepted here. Sign in with the"
        " provider that runs your mailbox."
    ),
    "TENANT_NOT_ALLOWED": gettext_noop(
        "Your Microsoft account belongs to an organisation that is not accepted here. Sign in with another account, or ask"
        " the operator of this service to allow your organisation."
    ),
    "EDOV_ABSENT": gettext_noop(
        "Microsoft sent no proof for this address. The operator of this service can mend that: the app registration lacks"
        " the optional claim xms_edov. Tell them, or sign in another way."
    ),
    "EDOV_FALSE": gettext_noop(
        "Your organisation does not vouch for this address: its domain is not verified in your organisation's Microsoft"
        " Entra. Ask your organisation's administrators, or sign in another way."
    ),
    "EDOV_UNREADABLE": gettext_noop(
        "Microsoft's proof for this address is in a form that is not known here. Tell the operator of this service, or sign"
        " in another way."
    ),
}

CODES: Final = frozenset(_MESSAGES)
_ADDRESSES: Final = frozenset({"address", "signed_in", "invited"})


def flow_sentence(code: str, /, **facts: str) -> Sentence:
    """The sentence of one of CODES."""
    return Sentence(_MESSAGES[code], code, facts)


def to_columns(sentence: Sentence) -> tuple[str, str]:
    """Returns the values of the columns message_code and message_facts."""
    return sentence.code, orjson.dumps(dict(sentence.facts)).decode()


def from_columns(message: str | None, code: str | None, facts: Mapping[str, str] | None) -> Sentence:
    """Returns the sentence of a flow's row.

    An earlier version writes it in English to the column message, and leaves the code of an earlier sentence in the row.
    """
    if message:
        return Sentence(message)
    if code not in CODES:
        return flow_sentence("STARTED")
    stored = facts if isinstance(facts, dict) else {}
    return flow_sentence(
        str(code), **{name: as_written(fact) if name in _ADDRESSES else fact for name, fact in stored.items()}
    )
