"""Reasons of a delivery: stored as a code with facts, and read as a sentence in the reader's language.

The reasons are for admins. Each names the remedy where there is one. None quotes a mail service, except for the diagnostic
of a bounce, which `service.delivery.ses_events` has cleaned of links, tokens and addresses.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

import orjson

from service.database import json_object
from service.languages import Sentence, gettext_noop

# The fact about the next step, and the fact with the answer of the invitee's mail server.
_NEXT: Final = "next"
_DIAGNOSTIC: Final = "diagnostic"

_MESSAGES: Final[Mapping[str, str]] = {
    "MAIL_SUPPRESSED": gettext_noop(
        "Not sent: mail to this address was stopped, or failed before. Ask the person for another address, or the operator"
        " to look at it."
    ),
    "MAIL_MARKED_AS_SPAM": gettext_noop(
        "The recipient marked the mail as spam, so nothing more is sent to this address. Ask the person in another way."
    ),
    "MAIL_CONTENT_REFUSED": gettext_noop(
        "The mail service refused this mail for its content. A shorter or plainer message to the invitee may help."
    ),
    "MAIL_NOT_RENDERED": gettext_noop(
        "The mail service could not put this mail together. Tell the operator; send it again when that is mended."
    ),
    "MAIL_NOT_COMPOSED": gettext_noop(
        "This mail was not sent: the service could not compose it. The operator finds the fault in the worker's log."
    ),
    "MAIL_RECIPIENT_INVALID": gettext_noop("This mail was not sent: its recipient is not one plain email address."),
    "MAIL_HEADER_INVALID": gettext_noop(
        "This mail was not sent: one of its headers contains a line break or a control character."
    ),
    "MAIL_FAULT": gettext_noop(
        "This service has a fault of its own with this mail: the operator finds it in the worker's log."
    ),
    "MAIL_SERVICE_SILENT": gettext_noop("The mail service did not answer in time."),
    # Bounces and delays, as events of Amazon SES report them.
    "MAIL_BOUNCED": gettext_noop(
        "The mail came back: the invitee's mail server refused it for good; ask the person for another address"
        " (%(bounce)s)."
    ),
    "MAIL_BOUNCED_FOR_NOW": gettext_noop(
        "The mail came back: the invitee's mail server did not take it; send it again later (%(bounce)s)."
    ),
    "MAIL_BOUNCED_NO_MAILBOX": gettext_noop(
        "The mail came back: there is no such mailbox; check the spelling of the address (%(bounce)s)."
    ),
    "MAIL_BOUNCED_MAILBOX_FULL": gettext_noop(
        "The mail came back: the mailbox is full; ask the person to make room, and send it again (%(bounce)s)."
    ),
    "MAIL_BOUNCED_TOO_LARGE": gettext_noop(
        "The mail came back: the mail is too large for the mailbox; a shorter message may help (%(bounce)s)."
    ),
    "MAIL_BOUNCED_CONTENT": gettext_noop(
        "The mail came back: the invitee's mail server does not like its content; a plainer message may help"
        " (%(bounce)s)."
    ),
    "MAIL_DELAYED": gettext_noop(
        "The mail is late: the invitee's mail server does not take it yet (%(delay)s). The mail service tries again."
    ),
    "MAIL_DELAYED_MAILBOX_FULL": gettext_noop(
        "The mail is late: the mailbox is full; ask the person to make room (%(delay)s). The mail service tries again."
    ),
    "MAIL_DELAYED_SERVER_FAULT": gettext_noop(
        "The mail is late: the invitee's mail server has a fault (%(delay)s). The mail service tries again."
    ),
    "MAIL_DELAYED_HELD_BACK": gettext_noop(
        "The mail is late: the invitee's mail server holds back mail from the mail service (%(delay)s). The mail service"
        " tries again."
    ),
    "MAIL_DELAYED_SUSPICIOUS": gettext_noop(
        "The mail is late: the invitee's mail server finds the mail suspicious (%(delay)s). The mail service tries again."
    ),
    "MAIL_DELAYED_UNREACHABLE": gettext_noop(
        "The mail is late: the invitee's mail server could not be reached (%(delay)s). The mail service tries again."
    ),
    "MAIL_DELAYED_LOOKUP_FAILED": gettext_noop(
        "The mail is late: the name of the mail service could not be looked up; tell the operator (%(delay)s). The mail"
        " service tries again."
    ),
    "MAIL_DELAYED_TOO_FAST": gettext_noop(
        "The mail is late: the invitee's mail server, or the mail service, requests a lower rate (%(delay)s). The mail"
        " service tries again."
    ),
    "MAIL_DELAYED_SERVICE_FAULT": gettext_noop(
        "The mail is late: the mail service has a fault of its own (%(delay)s). The mail service tries again."
    ),
    # Amazon SES.
    "SES_CREDENTIALS": gettext_noop(
        "Amazon SES does not accept the AWS credentials of this service: check AWS_PROFILE, AWS_ACCESS_KEY_ID or the role."
    ),
    "SES_ACCOUNT_SUSPENDED": gettext_noop(
        "The mail service refused this mail: Amazon SES has suspended the account for good. The operator has to settle"
        " that with AWS Support."
    ),
    "SES_MAIL_FROM_NOT_VERIFIED": gettext_noop(
        "The mail service refused this mail: the custom MAIL FROM domain is not verified. The operator has to publish its"
        " MX record, or remove it from the identity in Amazon SES."
    ),
    "SES_MAIL_MALFORMED": gettext_noop(
        "The mail service refused this mail as malformed. The operator should check GUESTLIST_MAIL_FROM and run"
        " `guestlist doctor`."
    ),
    "SES_SENDER_NOT_VERIFIED": gettext_noop(
        "The mail service refused this mail: the sender's address is not verified, or, while the account is in the SES"
        " sandbox, the recipient's. The operator has to verify the sender's domain in Amazon SES, or to ask for production"
        " access."
    ),
    "SES_ADDRESS_SUPPRESSED": gettext_noop(
        "The mail service refused this mail: the address is on its suppression list, because mail to it failed before. The"
        " operator can take it off with `guestlist suppression remove`."
    ),
    "SES_UNREACHABLE": gettext_noop(
        "Amazon SES in %(region)s cannot be reached: check the network, and AWS_ENDPOINT_URL if it is set."
    ),
    "SES_NO_CONFIGURATION_SET": gettext_noop(
        "Amazon SES knows no configuration set %(name)s: make it there, or correct GUESTLIST_MAIL_URL."
    ),
    "SES_PAUSED": gettext_noop(
        "Amazon SES has paused sending for this account or configuration set: the operator has to resume it there."
    ),
    "SES_QUOTA_REACHED": gettext_noop(
        "Amazon SES has taken as many mails as the account may send in 24 hours: the operator can ask AWS for more."
    ),
    "SES_TOO_FAST": gettext_noop("Amazon SES asks for fewer mails a second."),
    "SES_CLOCK_WRONG": gettext_noop("Amazon SES finds the clock of this machine wrong: set it by NTP."),
    "SES_NOT_ALLOWED": gettext_noop(
        "AWS does not allow this service ses:%(operation)s: add it to the policy of its credentials."
    ),
    "SES_FAULT": gettext_noop("Amazon SES has a fault of its own now (%(status)s)."),
    "SES_REFUSED": gettext_noop("The mail service refused this mail (%(status)s)."),
    # An SMTP server; `server` is its host and port, `status` its reply.
    "SMTP_LOGIN_REFUSED": gettext_noop(
        "The mail server %(server)s refused the login (%(status)s): check user and password in GUESTLIST_MAIL_URL."
    ),
    "SMTP_SENDER_REFUSED": gettext_noop(
        "The mail server %(server)s refused the sender (%(status)s): it must let this login send as GUESTLIST_MAIL_FROM."
    ),
    "SMTP_UNAVAILABLE": gettext_noop("The mail server %(server)s is not taking mail now (%(status)s)."),
    "SMTP_SILENT": gettext_noop(
        "The mail server %(server)s did not answer in time: check host and port in GUESTLIST_MAIL_URL, and the firewall."
    ),
    "SMTP_CONNECTION_CLOSED": gettext_noop("The mail server %(server)s closed the connection in the middle."),
    "SMTP_UNREACHABLE": gettext_noop(
        "The mail server %(server)s cannot be reached: check host and port in GUESTLIST_MAIL_URL."
    ),
    "SMTP_CERTIFICATE": gettext_noop(
        "The mail server %(server)s has no certificate that this machine trusts: check the host name, or set SSL_CERT_FILE."
    ),
    "SMTP_NO_STARTTLS": gettext_noop(
        "The mail server %(server)s offers no STARTTLS, and mail does not travel unencrypted: use smtps://, or for a mail"
        " catcher without a password smtp://host:port?starttls=never."
    ),
    "SMTP_NO_LOGIN": gettext_noop(
        "The mail server %(server)s offers no login that works here: leave user and password out of GUESTLIST_MAIL_URL, or"
        " use smtps://."
    ),
    "SMTP_NOT_SMTP": gettext_noop(
        "The mail server %(server)s answered in a way that is not SMTP: check host and port in GUESTLIST_MAIL_URL."
    ),
    "SMTP_NOT_YET": gettext_noop("The mail server does not take this mail yet (%(status)s)."),
    "SMTP_REFUSED": gettext_noop(
        "The mail server refused this mail for good (%(status)s): check the address, or ask the operator."
    ),
    "SMTP_REFUSED_NO_MAILBOX": gettext_noop(
        "The mail server refused this mail for good (%(status)s): there is no such mailbox; check the spelling of the"
        " address."
    ),
    "SMTP_REFUSED_NO_DOMAIN": gettext_noop(
        "The mail server refused this mail for good (%(status)s): there is no such domain; check the spelling of the"
        " address."
    ),
    "SMTP_REFUSED_MALFORMED": gettext_noop(
        "The mail server refused this mail for good (%(status)s): the address is malformed; check its spelling."
    ),
    "SMTP_REFUSED_MOVED": gettext_noop(
        "The mail server refused this mail for good (%(status)s): the mailbox has moved; ask the person for the new"
        " address."
    ),
    "SMTP_REFUSED_NO_MAIL_DOMAIN": gettext_noop(
        "The mail server refused this mail for good (%(status)s): the domain takes no mail; check the spelling of the"
        " address."
    ),
    "SMTP_REFUSED_SWITCHED_OFF": gettext_noop(
        "The mail server refused this mail for good (%(status)s): the mailbox is switched off; ask the person for another"
        " address."
    ),
    "SMTP_REFUSED_MAILBOX_FULL": gettext_noop(
        "The mail server refused this mail for good (%(status)s): the mailbox is full; ask the person to make room, or for"
        " another address."
    ),
    "SMTP_REFUSED_POLICY": gettext_noop(
        "The mail server refused this mail for good (%(status)s): its rules do not allow it; the operator can ask the mail"
        " server's operator why."
    ),
}

_WITH_NEXT_STEP: Final[Mapping[str, str]] = {
    "retry": gettext_noop("%(reason)s The service tries again."),
    "gave_up": gettext_noop("%(reason)s Every try failed; send it again when that is mended."),
}
_WITH_DIAGNOSTIC: Final = gettext_noop("%(reason)s The mail server said: %(diagnostic)s")

CODES: Final = frozenset(_MESSAGES)


def delivery_reason(code: str, /, **facts: str | int) -> Sentence:
    """Returns the reason of one of CODES."""
    return Sentence(_MESSAGES[code], code, {name: str(fact) for name, fact in facts.items()})


def with_next_step(reason: Sentence, step: Literal["retry", "gave_up"]) -> Sentence:
    """Returns the reason with the fact that the service retries, or has given up."""
    return replace(reason, facts={**reason.facts, _NEXT: step})


def to_columns(reason: Sentence | None) -> tuple[str | None, str | None]:
    """Returns the values of the columns delivery_code and delivery_facts."""
    return (None, None) if reason is None else (reason.code, orjson.dumps(dict(reason.facts)).decode())


def event_details(reason: Sentence) -> dict[str, str]:
    """Returns the details of an audit event: the code of the reason and its facts."""
    return {"reason": reason.code, **{name: str(fact) for name, fact in reason.facts.items()}}


def from_columns(code: str | None, facts: str | dict[str, str] | None) -> Sentence | None:
    """Returns the sentence for the columns delivery_code and delivery_facts."""
    if code is None or code not in CODES:
        return None
    return full_sentence(code, json_object(facts))


def full_sentence(code: str, facts: Mapping[str, str]) -> Sentence:
    """Returns the sentence of a stored reason with the mail server's answer and the next step."""
    full = Sentence(_MESSAGES[code], code, facts)
    if diagnostic := facts.get(_DIAGNOSTIC):
        full = Sentence(_WITH_DIAGNOSTIC, code, {"reason": full, "diagnostic": diagnostic})
    if words := _WITH_NEXT_STEP.get(facts.get(_NEXT, "")):
        full = Sentence(words, code, {"reason": full})
    return full
