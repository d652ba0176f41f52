"""Audit events as people read them: each kind has a sentence, made from its facts when it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from service.communities import MemberView
from service.database import select


@dataclass(frozen=True, slots=True)
class EventView:
    """One event; `seq` is its place in the order in which things were decided."""

    seq: int
    id: str
    kind: str
    at: datetime
    actor: MemberView | None
    invitation_id: str | None
    summary: str


_EVENTS = """
SELECT e.seq, e.id, e.kind, e.at AS happened_at, e.invitation_id, e.details, p.id AS actor_id, p.name AS actor_name,
    p.created_at AS actor_created_at, CASE WHEN m.id IS NULL THEN NULL ELSE p.email END AS actor_email
FROM audit_events e
LEFT JOIN members p ON p.id = e.actor_id
LEFT JOIN memberships m ON m.member_id = e.actor_id AND m.community_id = e.community_id
"""


async def of_invitation(invitation_id: str, *, after: tuple[datetime, str] | None, limit: int) -> list[EventView]:
    """What happened to an invitation, oldest first, after an event of it; for admins of its community only."""
    sql = f"""{_EVENTS} WHERE e.invitation_id = $1
        AND e.seq > COALESCE((SELECT a.seq FROM audit_events a WHERE a.id = $2 AND a.invitation_id = $1), 0)
        ORDER BY e.seq LIMIT $3"""  # noqa: S608 -- a constant
    return [_view(row) for row in await select(sql, invitation_id, after[1] if after else "", limit)]


async def one(event_id: str, community_ids: list[str]) -> EventView | None:
    """The event of that id, if it belongs to one of these communities."""
    if not community_ids:
        return None
    marks = ", ".join(f"${number + 2}" for number in range(len(community_ids)))
    rows = await select(f"{_EVENTS} WHERE e.id = $1 AND e.community_id IN ({marks})", event_id, *community_ids)
    return _view(rows[0]) if rows else None


def _view(row: dict[str, Any]) -> EventView:
    actor = None
    if row["actor_id"] is not None:
        actor = MemberView(row["actor_id"], row["actor_name"], row["actor_email"], row["actor_created_at"])
    details = row["details"]
    facts = orjson.loads(details) if isinstance(details, str) else details
    summary = summary_of(row["kind"], facts, row["actor_name"])
    return EventView(row["seq"], row["id"], row["kind"], row["happened_at"], actor, row["invitation_id"], summary)


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
    "invitation.accepted": "{actor} accepted, signed in with {provider} (evidence: {evidence}).",
    "invitation.declined": "The invitee declined.",
    "invitation.revoked": "{actor} took the invitation back.",
    "membership.joined": "{actor} joined as {role}.",
    "member.signed_in": "{actor} signed in with {provider}.",
    "member.identity_released": "The operator ended the sign-ins of {actor}, who was sent a link to sign in anew.",
    "member.identity_linked": "{actor} added a sign-in with {provider}.",
}

_REFUSALS: Final[Mapping[str, str]] = {
    "EMAIL_MISMATCH": "They signed in with {provider} as {email}, which is not the invited address.",
    "EMAIL_NOT_VERIFIED": "They signed in with {provider}, which does not vouch for the address ({reason}).",
    "IDENTITY_CONFLICT": "They signed in with {provider}, but an account with this address has another sign-in.",
    "SEAT_LIMIT_REACHED": "They signed in, but every seat is taken.",
    "NOT_ALLOWED": "They signed in, but the inviter lost the right or the rules changed ({reason}).",
    "LINK_INVALID": "They came back too late, or with a link that was used, replaced or withdrawn ({reason}).",
    "SIGN_IN_FAILED": "The sign-in with {provider} did not succeed ({reason}).",
}


class _Facts(dict[str, str]):
    """A fact that was erased or never known reads as such."""

    def __missing__(self, key: str) -> str:
        return "somebody" if key == "actor" else "unknown"


def summary_of(kind: str, details: Mapping[str, str], actor_name: str | None) -> str:
    """A sentence for a person about one event."""
    facts = _Facts({name: str(value) for name, value in details.items()})
    if "role" in facts:
        facts["role"] = facts["role"].lower()
    facts["actor"] = actor_name or ("The operator" if kind == "invitation.created" else "Somebody")
    if kind == "invitation.accept_refused":
        return _REFUSALS.get(facts["status"], "They could not accept ({reason}).").format_map(facts)
    return _SENTENCES.get(kind, kind).format_map(facts)
