"""Each kind of audit event in a sentence for a person, made from its facts when it is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_SENTENCES: Final[Mapping[str, str]] = {
    "community.created": "{actor} created the community.",
    "invitation.created": "{actor} invited them as {role}.",
    "invitation.sent": "The mail with a link was sent.",
    "invitation.suppressed": "The mail was not sent: the address does not want mail, or mail to it failed before.",
    "invitation.delivered": "The invitee's mail server took the mail.",
    "invitation.delayed": "{reason}",
    "invitation.bounced": "{reason}",
    "invitation.complained": "The recipient marked the mail as spam; nothing more is sent to this address.",
    "invitation.erased": "The operator erased the person whom this was for.",
    "member.erased": "The operator erased a person who was here as {role}.",
    "invitation.delivery_failed": "The mail could not be sent: {reason}",
    "invitation.resent": "{actor} sent a new link; every earlier one died.",
    "invitation.reopened": "{actor} reopened the declined invitation and sent a new link.",
    "invitation.fresh_link_requested": "Somebody with a dead link asked for a fresh one; it goes to the invited mailbox.",
    "invitation.sign_in_started": "Somebody opened the link and went to sign in with {provider}.",
    "invitation.code_required": "They signed in with {provider}; a code was sent to the invited mailbox to make sure.",
    "invitation.other_address_requested": "They proved {email} with {provider} and ask to be invited at that address instead.",
    "invitation.accepted": "{actor} accepted, signed in with {provider}: {evidence}.",
    "invitation.declined": "The invitee declined.",
    "invitation.rate_limited": "{actor} wanted to send more than a limit allows ({rows} refused): {reason}",
    "invitation.revoked": "{actor} took the invitation back.",
    "membership.joined": "{actor} joined as {role}.",
    "membership.role_changed": "{actor} made {member} {role}; before that they were {former_role}.",
    "membership.removed": "{actor} removed {member}, who was {role}.",
    "membership.left": "{actor} left; they were {role}.",
    "policy.changed": "{actor} changed the rules for invitations: {changes}.",
    "access_token.created": "{actor} made an access token that may {scopes} here until {expires}.",
    "access_token.revoked": "{actor} revoked an access token.",
    "member.signed_in": "{actor} signed in with {provider}.",
    "member.sign_in_refused": "{actor} signed in with {provider}, and was not let in: {reason}.",
    "member.signed_out": "{actor} signed out ({sessions} ended).",
    "member.identity_released": "The operator ended the sign-ins of {actor}, who was sent a link to sign in anew.",
    "member.identity_linked": "{actor} added a sign-in with {provider}.",
}

_SECOND_ADDRESS: Final = (
    "They proved {email} with {provider} and ask to be invited at that address instead. The address that was asked for"
    " first stays."
)

_REFUSALS: Final[Mapping[str, str]] = {
    "EMAIL_MISMATCH": "They signed in with {provider} as {email}, which is not the invited address.",
    "EMAIL_NOT_VERIFIED": "They signed in with {provider}, which does not vouch for the address: {reason}.",
    "IDENTITY_CONFLICT": "They signed in with {provider}, but could not be let in: {reason}.",
    "SEAT_LIMIT_REACHED": "They signed in, but every seat is taken.",
    "NOT_ALLOWED": "They signed in, but could not be let in: {reason}.",
    "LINK_INVALID": "They came back with something that opens nothing any more: {reason}.",
    "SIGN_IN_FAILED": "The sign-in with {provider} did not succeed: {reason}.",
}

# Why a refusal was one; a reason that is not here is its own words.
REASONS: Final[Mapping[str, str]] = {
    "email_absent": "it told no address",
    "address_invalid": "it told an address that cannot be invited",
    "email_unverified": "it says that the address was never verified",
    "email_verified_absent": "it does not say whether the address was verified",
    "email_verified_unreadable": "it does not say in a known form whether the address was verified",
    "domain_not_listed": "the operator does not let it speak for this domain",
    "domains_not_configured": "the operator has not said which domains it may speak for",
    "third_party_refused": "the mailbox is run by somebody else, which the operator does not accept",
    "tenant_not_allowed": "the Microsoft organisation is not among those that the operator allows",
    "edov_absent": "Microsoft sent no proof for the address (the operator's registration lacks the claim xms_edov)",
    "edov_false": "the Microsoft organisation does not vouch for the address",
    "edov_unreadable": "Microsoft's proof for the address is in an unknown form",
    "inviter_not_entitled": "the inviter lost the right to invite; send it again to become its inviter",
    "domain_not_allowed": "the community no longer admits addresses of this domain",
    "rules_changed": "the community's rules changed at that moment",
    "link_invalid": "the link was used, replaced or withdrawn",
    "flow_expired": "the sign-in took too long",
    "code_not_sent": "the code could not be sent to the invited mailbox",
    "code_tries_used_up": "the code was entered wrongly five times",
    "identity_conflict": "an account with this address has another sign-in",
    "identity_in_use": "this sign-in opens another account",
    "account_released": "their account was released by the operator, and waits for them to open that link first",
}

# What was believed when somebody was let in, by the rule that decided it.
EVIDENCE: Final[Mapping[str, str]] = {
    "google_gmail": "Google runs this mailbox",
    "google_hosted_domain": "Google runs the mail of this organisation",
    "google_third_party": "Google checked the address once",
    "google_third_party_trusted_by_operator": "Google checked the address once, and the operator trusts that",
    "microsoft_mailbox": "Microsoft runs this mailbox",
    "microsoft_edov": "the organisation proved to Microsoft that the domain is its own",
    "microsoft_verified_email": "the organisation vouches for the address as verified",
    "microsoft_tenant_trusted_by_operator": "the operator trusts this organisation's addresses",
    "microsoft_personal_third_party": "Microsoft checked the address once",
    "microsoft_personal_third_party_trusted_by_operator": "Microsoft checked the address once, and the operator trusts that",
    "oidc_verified": "the provider may speak for the domain and says that the address is verified",
    "oidc_addresses_trusted_by_operator": "the operator trusts the provider's addresses at this domain",
}
_CODE: Final = "_and_code"


class _Facts(dict[str, str]):
    """A fact that was erased or never known reads as such."""

    def __missing__(self, key: str) -> str:
        return "somebody" if key in {"actor", "member"} else "unknown"


def sentence(kind: str, details: Mapping[str, str], actor: str | None, member: str | None = None) -> str:
    """The sentence of one event. `actor` and `member` (whom it was done to) are names, None where there is none."""
    facts = _Facts({name: str(value) for name, value in details.items()})
    facts["actor"] = actor or ("The operator" if kind == "invitation.created" else "Somebody")
    facts["member"] = member or "somebody"
    for role in {"role", "former_role"} & facts.keys():
        facts[role] = facts[role].lower()
    if "evidence" in facts:
        facts["evidence"] = in_words(facts["evidence"])
    if "standing" in facts:
        return _SECOND_ADDRESS.format_map(facts)
    if kind != "invitation.accept_refused":
        return _SENTENCES.get(kind, kind).format_map(facts)
    facts["reason"] = REASONS.get(facts["reason"], facts["reason"].replace("_", " "))
    return _REFUSALS.get(facts["status"], "They could not accept: {reason}.").format_map(facts)


def counted(summary: str, times: int, last_at: datetime | None, *, alike: bool) -> str:
    """The sentence of an event with the number of its repeats and the last of them; unless `alike`, details differ."""
    if last_at is None:
        return summary
    differing = "" if alike else "with different details, "
    return f"{summary} ({times} times, {differing}the last at {last_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"


def in_words(rule: str) -> str:
    """A rule of the evidence as an admin reads it, with the code from the mailbox where one was asked for."""
    words = EVIDENCE.get(rule.removesuffix(_CODE), rule.removesuffix(_CODE).replace("_", " "))
    return f"{words}, and the code from the invited mailbox was entered" if rule.endswith(_CODE) else words
