"""Each kind of audit event in a sentence for a person, made from its facts when it is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from service.mail import reasons

_SENTENCES: Final[Mapping[str, str]] = {
    "community.created": "{actor} created the community.",
    "invitation.created": "{actor} invited them as {role}.",
    "invitation.sent": "The mail with a link was sent.",
    "invitation.suppressed": "The mail was not sent: mail to this address was stopped, or failed before.",
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
    "invitation.code_required": "Somebody with the link signed in with {provider}; a code was sent to the invited mailbox to make sure.",
    "invitation.other_address_requested": "Somebody with the link proved {email} with {provider} and asks to be invited at that address instead.",
    "invitation.accepted": "{actor} accepted, signed in with {provider}: {evidence}.",
    "invitation.declined": "Somebody with the link declined.",
    "address.blocked": "Somebody with the link blocked further invitations from this community to this address.",
    "address.block_notice_sent": "The mail about the block was sent to the invited mailbox; it can lift the block.",
    "address.block_notice_failed": "The invited mailbox could not be told of the block: {reason}",
    "address.block_lifted": "{author} lifted the block of this address.",
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

# An event that has this fact reads so instead.
_WITH_FACT: Final[Mapping[tuple[str, str], str]] = {
    (
        "invitation.other_address_requested",
        "standing",
    ): "Somebody with the link proved {email} with {provider} and asks to"
    " be invited at that address instead. The address that was asked for first stays.",
    ("invitation.created", "access_token_id"): "{actor} invited them as {role} with an access token.",
    ("invitation.resent", "access_token_id"): "{actor} sent a new link with an access token; every earlier one died.",
    (
        "invitation.reopened",
        "access_token_id",
    ): "{actor} reopened the declined invitation with an access token and sent a new link.",
    ("invitation.revoked", "access_token_id"): "{actor} took the invitation back with an access token.",
    ("invitation.revoked", "made_with"): "{actor} revoked the access token that had made this invitation, and the"
    " invitation with it.",
    ("access_token.created", "highest_role"): "{actor} made an access token that may {scopes} here, up to the role"
    " {highest_role}, until {expires}.",
    ("access_token.revoked", "invitations"): "{actor} revoked an access token and the pending invitations made with it"
    " ({invitations}).",
}

_REFUSALS: Final[Mapping[str, str]] = {
    "EMAIL_MISMATCH": "Somebody with the link signed in with {provider} as {email}, which is not the invited address.",
    "EMAIL_NOT_VERIFIED": "Somebody with the link signed in with {provider}, which does not vouch for the address: {reason}.",
    "IDENTITY_CONFLICT": "Somebody with the link signed in with {provider}, but could not be let in: {reason}.",
    "SEAT_LIMIT_REACHED": "Somebody with the link signed in, but every seat is taken.",
    "NOT_ALLOWED": "Somebody with the link signed in, but could not be let in: {reason}.",
    "LINK_INVALID": "Somebody with the link came back with something that opens nothing any more: {reason}.",
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
    "account_released": "the account of this address was released by the operator, and waits for its owner to open that link first",
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
_LIFTED_BY: Final[Mapping[str, str]] = {
    "undo_link": "Somebody with the link in the mail about the block",
    "operator": "The operator",
}


class _Facts(dict[str, str]):
    """A fact that was erased or never known reads as such."""

    def __missing__(self, key: str) -> str:
        return "somebody" if key in {"actor", "member"} else "unknown"


def summary(kind: str, details: Mapping[str, str], actor: str | None, member: str | None = None) -> str:
    """The sentence of one event. `actor` and `member` (whom it was done to) are names, None where there is none."""
    facts = _Facts({name: str(value) for name, value in details.items()})
    facts["actor"] = actor or ("The operator" if kind == "invitation.created" else "Somebody")
    facts["member"] = member or "somebody"
    facts["author"] = _LIFTED_BY.get(facts.get("lifted_by", ""), "Somebody")
    for role in {"role", "former_role", "highest_role"} & facts.keys():
        facts[role] = facts[role].lower()
    if "evidence" in facts:
        facts["evidence"] = in_words(facts["evidence"])
    if facts.get("reason") in reasons.CODES:
        facts["reason"] = str(reasons.in_full(facts["reason"], facts))
    if kind != "invitation.accept_refused":
        return _template(kind, facts).format_map(facts)
    facts["reason"] = REASONS.get(facts["reason"], facts["reason"].replace("_", " "))
    return _REFUSALS.get(facts["status"], "Somebody with the link could not accept: {reason}.").format_map(facts)


def counted(summary: str, times: int, last_at: datetime | None, *, alike: bool) -> str:
    """The sentence of an event with the number of its repeats and the last of them; unless `alike`, details differ."""
    if last_at is None:
        return summary
    differing = "" if alike else "with different details, "
    return f"{summary} ({times} times, {differing}the last at {last_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"


def _template(kind: str, facts: Mapping[str, str]) -> str:
    further = (text for (of, fact), text in _WITH_FACT.items() if of == kind and fact in facts)
    return next(further, _SENTENCES.get(kind, kind))


def in_words(rule: str) -> str:
    """A rule of the evidence as an admin reads it, with the code from the mailbox where one was asked for."""
    words = EVIDENCE.get(rule.removesuffix(_CODE), rule.removesuffix(_CODE).replace("_", " "))
    return f"{words}, and the code from the invited mailbox was entered" if rule.endswith(_CODE) else words
