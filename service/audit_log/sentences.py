"""The sentence of each kind of audit event. It is made from the event's facts when it is read, in the reader's language."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from service.addresses import as_written
from service.invitations.errors import LIMITS
from service.languages import Sentence, gettext_noop
from service.mail import reasons
from service.models import Role

_SENTENCES: Final[Mapping[str, str]] = {
    "community.created": gettext_noop("%(actor)s created the community."),
    "invitation.created": gettext_noop("%(actor)s invited them as %(role)s."),
    "invitation.sent": gettext_noop("The mail with a link was sent."),
    "invitation.suppressed": gettext_noop("The mail was not sent: mail to this address was stopped, or failed before."),
    "invitation.delivered": gettext_noop("The invitee's mail server took the mail."),
    "invitation.delayed": "%(reason)s",
    "invitation.bounced": "%(reason)s",
    "invitation.complained": gettext_noop(
        "The recipient marked the mail as spam; nothing more is sent to this address."
    ),
    "invitation.erased": gettext_noop("The operator erased the person whom this was for."),
    "member.erased": gettext_noop("The operator erased a person who was here as %(role)s."),
    "invitation.delivery_failed": gettext_noop("The mail could not be sent: %(reason)s"),
    "invitation.resent": gettext_noop("%(actor)s sent a new link; every earlier one died."),
    "invitation.reopened": gettext_noop("%(actor)s reopened the declined invitation and sent a new link."),
    "invitation.fresh_link_requested": gettext_noop(
        "Somebody with a dead link asked for a fresh one; it goes to the invited mailbox."
    ),
    "invitation.sign_in_started": gettext_noop("Somebody opened the link and went to sign in with %(provider)s."),
    "invitation.code_required": gettext_noop(
        "Somebody with the link signed in with %(provider)s; a code was sent to the invited mailbox to make sure."
    ),
    "invitation.other_address_requested": gettext_noop(
        "Somebody with the link proved %(email)s with %(provider)s and asks to be invited at that address instead."
    ),
    "invitation.accepted": gettext_noop("%(actor)s accepted, signed in with %(provider)s: %(evidence)s."),
    "invitation.declined": gettext_noop("Somebody with the link declined."),
    "address.blocked": gettext_noop(
        "Somebody with the link blocked further invitations from this community to this address."
    ),
    "address.block_notice_sent": gettext_noop(
        "The mail about the block was sent to the invited mailbox; it can lift the block."
    ),
    "address.block_notice_failed": gettext_noop("The invited mailbox could not be told of the block: %(reason)s"),
    "address.block_lifted": gettext_noop("%(author)s lifted the block of this address."),
    "invitation.rate_limited": gettext_noop(
        "%(actor)s wanted to send more than a limit allows (%(rows)s refused): %(reason)s"
    ),
    "invitation.revoked": gettext_noop("%(actor)s took the invitation back."),
    "membership.joined": gettext_noop("%(actor)s joined as %(role)s."),
    "membership.role_changed": gettext_noop(
        "%(actor)s made %(member)s %(role)s; before that they were %(former_role)s."
    ),
    "membership.removed": gettext_noop("%(actor)s removed %(member)s, who was %(role)s."),
    "membership.left": gettext_noop("%(actor)s left; they were %(role)s."),
    "policy.changed": gettext_noop("%(actor)s changed the rules for invitations: %(changes)s."),
    "access_token.created": gettext_noop("%(actor)s made an access token that may %(scopes)s here until %(expires)s."),
    "access_token.revoked": gettext_noop("%(actor)s revoked an access token."),
    "member.signed_in": gettext_noop("%(actor)s signed in with %(provider)s."),
    "member.sign_in_refused": gettext_noop("%(actor)s signed in with %(provider)s, and was not let in: %(reason)s."),
    "member.signed_out": gettext_noop("%(actor)s signed out (%(sessions)s ended)."),
    "member.identity_released": gettext_noop(
        "The operator ended the sign-ins of %(actor)s, who was sent a link to sign in anew."
    ),
    "member.identity_linked": gettext_noop("%(actor)s added a sign-in with %(provider)s."),
}

# An event with this fact has another sentence.
_WITH_FACT: Final[Mapping[tuple[str, str], str]] = {
    ("invitation.other_address_requested", "standing"): gettext_noop(
        "Somebody with the link proved %(email)s with %(provider)s and asks to be invited at that address instead. The address that was asked for first stays."
    ),
    ("invitation.created", "access_token_id"): gettext_noop("%(actor)s invited them as %(role)s with an access token."),
    ("invitation.resent", "access_token_id"): gettext_noop(
        "%(actor)s sent a new link with an access token; every earlier one died."
    ),
    ("invitation.reopened", "access_token_id"): gettext_noop(
        "%(actor)s reopened the declined invitation with an access token and sent a new link."
    ),
    ("invitation.revoked", "access_token_id"): gettext_noop("%(actor)s took the invitation back with an access token."),
    ("invitation.revoked", "made_with"): gettext_noop(
        "%(actor)s revoked the access token that had made this invitation, and the invitation with it."
    ),
    ("access_token.created", "highest_role"): gettext_noop(
        "%(actor)s made an access token that may %(scopes)s here, up to the role %(highest_role)s, until %(expires)s."
    ),
    ("access_token.revoked", "invitations"): gettext_noop(
        "%(actor)s revoked an access token and the pending invitations made with it (%(invitations)s)."
    ),
}

_REFUSALS: Final[Mapping[str, str]] = {
    "EMAIL_MISMATCH": gettext_noop(
        "Somebody with the link signed in with %(provider)s as %(email)s, which is not the invited address."
    ),
    "EMAIL_NOT_VERIFIED": gettext_noop(
        "Somebody with the link signed in with %(provider)s, which does not vouch for the address: %(reason)s."
    ),
    "IDENTITY_CONFLICT": gettext_noop(
        "Somebody with the link signed in with %(provider)s, but could not be let in: %(reason)s."
    ),
    "SEAT_LIMIT_REACHED": gettext_noop("Somebody with the link signed in, but every seat is taken."),
    "NOT_ALLOWED": gettext_noop("Somebody with the link signed in, but could not be let in: %(reason)s."),
    "LINK_INVALID": gettext_noop(
        "Somebody with the link came back with something that opens nothing any more: %(reason)s."
    ),
    "SIGN_IN_FAILED": gettext_noop("The sign-in with %(provider)s did not succeed: %(reason)s."),
}

# The reasons of refusals. Any other reason is shown as its code.
REASONS: Final[Mapping[str, str]] = {
    "email_absent": gettext_noop("it told no address"),
    "address_invalid": gettext_noop("it told an address that cannot be invited"),
    "email_unverified": gettext_noop("it says that the address was never verified"),
    "email_verified_absent": gettext_noop("it does not say whether the address was verified"),
    "email_verified_unreadable": gettext_noop("it does not say in a known form whether the address was verified"),
    "domain_not_listed": gettext_noop("the operator does not let it speak for this domain"),
    "domains_not_configured": gettext_noop("the operator has not said which domains it may speak for"),
    "third_party_refused": gettext_noop("the mailbox is run by somebody else, which the operator does not accept"),
    "tenant_not_allowed": gettext_noop("the Microsoft organisation is not among those that the operator allows"),
    "edov_absent": gettext_noop(
        "Microsoft sent no proof for the address (the operator's registration lacks the claim xms_edov)"
    ),
    "edov_false": gettext_noop("the Microsoft organisation does not vouch for the address"),
    "edov_unreadable": gettext_noop("Microsoft's proof for the address is in an unknown form"),
    "inviter_not_entitled": gettext_noop("the inviter lost the right to invite; send it again to become its inviter"),
    "domain_not_allowed": gettext_noop("the community no longer admits addresses of this domain"),
    "rules_changed": gettext_noop("the community's rules changed at that moment"),
    "link_invalid": gettext_noop("the link was used, replaced or withdrawn"),
    "flow_expired": gettext_noop("the sign-in took too long"),
    "code_not_sent": gettext_noop("the code could not be sent to the invited mailbox"),
    "code_tries_used_up": gettext_noop("the code was entered wrongly five times"),
    "identity_conflict": gettext_noop("an account with this address has another sign-in"),
    "identity_in_use": gettext_noop("this sign-in opens another account"),
    "account_released": gettext_noop(
        "the account of this address was released by the operator, and waits for its owner to open that link first"
    ),
}

# The evidence for an address, by the rule that accepted it.
EVIDENCE: Final[Mapping[str, str]] = {
    "google_gmail": gettext_noop("Google runs this mailbox"),
    "google_hosted_domain": gettext_noop("Google runs the mail of this organisation"),
    "google_third_party": gettext_noop("Google checked the address once"),
    "google_third_party_trusted_by_operator": gettext_noop(
        "Google checked the address once, and the operator trusts that"
    ),
    "microsoft_mailbox": gettext_noop("Microsoft runs this mailbox"),
    "microsoft_edov": gettext_noop("the organisation proved to Microsoft that the domain is its own"),
    "microsoft_verified_email": gettext_noop("the organisation vouches for the address as verified"),
    "microsoft_tenant_trusted_by_operator": gettext_noop("the operator trusts this organisation's addresses"),
    "microsoft_personal_third_party": gettext_noop("Microsoft checked the address once"),
    "microsoft_personal_third_party_trusted_by_operator": gettext_noop(
        "Microsoft checked the address once, and the operator trusts that"
    ),
    "oidc_verified": gettext_noop("the provider may speak for the domain and says that the address is verified"),
    "oidc_addresses_trusted_by_operator": gettext_noop("the operator trusts the provider's addresses at this domain"),
}

_CHANGES: Final[Mapping[str, str]] = {
    "linkMinutes": gettext_noop("links live %(value)s minutes"),
    "invitationDays": gettext_noop("invitations live %(value)s days"),
    "allowedEmailDomains": gettext_noop("allowed domains: %(value)s"),
    "seatLimit": gettext_noop("%(value)s seats"),
    "locale": gettext_noop("language of the mails: %(value)s"),
}
# The changes that remove a rule: the fact is an empty text.
_REMOVALS: Final[Mapping[str, str]] = {
    "allowedEmailDomains": gettext_noop("allowed domains: any"),
    "seatLimit": gettext_noop("no seat limit"),
    "locale": gettext_noop("language of the mails: none of its own"),
}
_SCOPES: Final[Mapping[str, Sentence]] = {
    "READ": Sentence(gettext_noop("read")),
    "INVITE": Sentence(gettext_noop("invite")),
}

_CODE: Final = "_and_code"
_ROLES: Final = ("role", "former_role", "highest_role")
_SOMEBODY: Final = Sentence(gettext_noop("Somebody"))
_OPERATOR: Final = Sentence(gettext_noop("The operator"))
_ABSENT: Final = {"member": Sentence(gettext_noop("somebody"))}
_UNKNOWN: Final = Sentence(gettext_noop("unknown"))
_LIFTED_BY: Final[Mapping[str, Sentence]] = {
    "undo_link": Sentence(gettext_noop("Somebody with the link in the mail about the block")),
    "operator": _OPERATOR,
}
_NOT_ACCEPTED: Final = gettext_noop("Somebody with the link could not accept: %(reason)s.")
_WITH_CODE: Final = gettext_noop("%(evidence)s, and the code from the invited mailbox was entered")
_REPEATED: Final = gettext_noop("%(summary)s (%(times)s times, the last at %(at)s)")
_REPEATED_DIFFERENTLY: Final = gettext_noop("%(summary)s (%(times)s times, with different details, the last at %(at)s)")
_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)")


def summary(
    kind: str,
    details: Mapping[str, str],
    actor: str | None,
    member: str | None = None,
    *,
    provider_labels: Mapping[str, str],
) -> Sentence:
    """The sentence of an event. `actor` and `member` (the person whom the event concerns) are names, or None.

    `provider_labels` has the label of each provider by its id. A provider that was removed keeps its id.
    """
    message = _message(kind, details)
    facts = _facts(kind, details)
    if "provider" in details:
        facts["provider"] = provider_labels.get(details["provider"], details["provider"])
    facts["actor"] = actor or (_OPERATOR if kind == "invitation.created" else _SOMEBODY)
    if member:
        facts["member"] = member
    absent = {name: _ABSENT.get(name, _UNKNOWN) for name in _PLACEHOLDER.findall(message) if name not in facts}
    return Sentence(message, kind, facts | absent)


def _message(kind: str, details: Mapping[str, str]) -> str:
    if kind == "invitation.accept_refused":
        return _REFUSALS.get(details.get("status", ""), _NOT_ACCEPTED)
    with_fact = (message for (of, fact), message in _WITH_FACT.items() if of == kind and fact in details)
    return next(with_fact, _SENTENCES.get(kind, kind))


def _facts(kind: str, details: Mapping[str, str]) -> dict[str, object]:
    """The details as facts of a sentence: codes become words."""
    facts: dict[str, object] = {name: str(value) for name, value in details.items()}
    facts |= {name: _role(details[name]) for name in _ROLES if name in details}
    facts["author"] = _LIFTED_BY.get(details.get("lifted_by", ""), _SOMEBODY)
    if "evidence" in details:
        facts["evidence"] = in_words(details["evidence"])
    if "email" in details:
        facts["email"] = as_written(details["email"])
    if "reason" in details:
        facts["reason"] = _reason(details)
    if kind == "policy.changed":
        facts["changes"] = _changes(details)
    if kind == "access_token.created":
        facts |= {"scopes": _scopes(details), "expires": _day(details.get("expires", ""))}
    return facts


def _role(value: str) -> Sentence | str:
    return Role(value).label if value in Role.__members__ else value


def _reason(details: Mapping[str, str]) -> Sentence | str:
    """The reason in words. Earlier versions stored the English sentence of a delivery or a limit."""
    code = details["reason"]
    if code in reasons.CODES:
        return reasons.full_sentence(code, details)
    if code in LIMITS:
        return LIMITS[code]
    return Sentence(REASONS[code]) if code in REASONS else code.replace("_", " ")


def _changes(details: Mapping[str, str]) -> tuple[Sentence, ...] | str:
    """The changes of the rules. Earlier versions stored them in English words."""
    if "changes" in details:
        return details["changes"]
    values = dict(details)
    if domains := details.get("allowedEmailDomains"):
        values["allowedEmailDomains"] = ", ".join(map(as_written, domains.split(", ")))
    changed = ((name, values[name]) for name in _CHANGES if name in values)
    return tuple(
        Sentence(_CHANGES[name], facts={"value": value}) if value else Sentence(_REMOVALS[name])
        for name, value in changed
    )


def _scopes(details: Mapping[str, str]) -> tuple[Sentence, ...]:
    """The scopes of a token: READ, INVITE. Earlier versions stored "invite and read"."""
    names = re.findall(r"[A-Z]+", details.get("scopes", "").upper())
    return tuple(_SCOPES[name] for name in names if name in _SCOPES)


def _day(text: str) -> date | Sentence:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return _UNKNOWN


def counted(summary: Sentence, times: int, last_at: datetime | None, *, same_details: bool) -> Sentence:
    """The sentence of an event with the number of its repeats and the last of them; `same_details` is false for repeats of different events."""
    if last_at is None:
        return summary
    message = _REPEATED if same_details else _REPEATED_DIFFERENTLY
    return Sentence(message, summary.code, {"summary": summary, "times": times, "at": last_at})


def in_words(rule: str) -> Sentence:
    """A rule of the evidence for an admin, with the code from the mailbox where one was required."""
    name = rule.removesuffix(_CODE)
    evidence = Sentence(EVIDENCE.get(name, name.replace("_", " ")))
    return Sentence(_WITH_CODE, facts={"evidence": evidence}) if rule.endswith(_CODE) else evidence
