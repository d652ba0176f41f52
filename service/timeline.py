"""Audit events as people read them: the timeline of an invitation, and the log of a community."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from service.audit_sentences import sentence
from service.communities import MemberView
from service.database import select
from service.invitation_filter import Params, refuse_empty_period
from service.refusals import InvalidInput
from service.tokens import is_id

_MOST_KINDS: Final = 50
_KIND: Final = re.compile(r"[a-z_.]{1,50}")


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


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions, joined by AND; None asks nothing. `after` and `before` are exclusive."""

    kinds: frozenset[str] | None = None
    actor_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        """Raises InvalidInput where nothing could ever match, because that is never what was meant."""
        if self.kinds is not None and not 1 <= len(self.kinds) <= _MOST_KINDS:
            raise InvalidInput(
                "kinds", f"kinds has {len(self.kinds)} entries; between 1 and {_MOST_KINDS} were expected."
            )
        if not all(_KIND.fullmatch(kind) for kind in self.kinds or ()):
            raise InvalidInput(
                "kinds", "kinds has an entry that is no kind of event; one like invitation.created was expected."
            )
        refuse_empty_period(self.after, self.before, "after", "before")


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
    return await _views(await select(sql, invitation_id, after[1] if after else "", limit))


async def of_community(
    community_id: str, wanted: AuditFilter, *, after: tuple[datetime, str] | None, limit: int
) -> list[EventView]:
    """What happened in a community, newest first, after an event of it; for its admins only.

    Each kind asked for is one walk along an index, newest first, so that a page costs the same however long the log is.
    Raises InvalidInput when the event to go on from is none of this community.
    """
    params = Params(community_id)
    conditions = ["e.community_id = $1", *_bounds(wanted, await _position(community_id, after), params)]
    if wanted.actor_id is not None:
        conditions.append(f"e.actor_id = {params.add(wanted.actor_id if is_id(wanted.actor_id) else '')}")
    leads = [f"e.kind = {params.add(kind)}" for kind in sorted(wanted.kinds or ())] or ["e.seq > 0"]
    walks = [
        f"SELECT * FROM (SELECT e.seq FROM audit_events e WHERE {' AND '.join([*conditions, lead])}"  # noqa: S608 -- constants and placeholders
        f" ORDER BY e.at DESC, e.seq DESC LIMIT {int(limit)}) w{number}"
        for number, lead in enumerate(leads)
    ]
    found = f"e.seq IN ({' UNION ALL '.join(walks)})"
    rows = await select(f"{_EVENTS} WHERE {found} ORDER BY e.at DESC, e.seq DESC LIMIT {int(limit)}", *params.values)
    return await _views(rows)


async def _position(community_id: str, after: tuple[datetime, str] | None) -> tuple[datetime, int] | None:
    if after is None:
        return None
    sql = "SELECT seq FROM audit_events WHERE id = $1 AND community_id = $2"
    rows = await select(sql, after[1], community_id)
    if not rows:
        raise InvalidInput("after", "after is no cursor of this list; one of its endCursor values was expected.")
    return after[0], rows[0]["seq"]


def _bounds(wanted: AuditFilter, position: tuple[datetime, int] | None, params: Params) -> list[str]:
    """The tightest bound on either side, and no other (`service.invitation_filter`)."""
    bounds = [] if wanted.after is None else [f"e.at > {params.add(wanted.after)}"]
    if wanted.before is not None and (position is None or wanted.before <= position[0]):
        return [*bounds, f"e.at < {params.add(wanted.before)}"]
    if position is not None:
        return [*bounds, f"(e.at, e.seq) < ({params.add(position[0])}, {params.add(position[1])})"]
    return bounds


async def one(event_id: str, community_ids: list[str]) -> EventView | None:
    """The event of that id, if it belongs to one of these communities."""
    if not community_ids:
        return None
    params = Params(event_id)
    sql = f"{_EVENTS} WHERE e.id = $1 AND e.community_id IN ({params.listed(community_ids)})"
    views = await _views(await select(sql, *params.values))
    return views[0] if views else None


async def _views(rows: list[dict[str, Any]]) -> list[EventView]:
    """The events with their sentences; the people whom they were done to are named in one further statement."""
    facts = [_facts(row["details"]) for row in rows]
    names = await _names({found["member_id"] for found in facts if "member_id" in found})
    return [_view(row, found, names) for row, found in zip(rows, facts, strict=True)]


def _facts(details: Any) -> dict[str, str]:
    facts: dict[str, str] = orjson.loads(details) if isinstance(details, str) else details
    return facts


async def _names(member_ids: set[str]) -> dict[str, str | None]:
    params = Params()
    marks = params.listed(member_ids)
    rows = await select(f"SELECT id, name FROM members WHERE id IN ({marks})", *params.values) if marks else []  # noqa: S608 -- placeholders
    return {row["id"]: row["name"] for row in rows}


def _view(row: dict[str, Any], facts: dict[str, str], names: dict[str, str | None]) -> EventView:
    actor = None
    if row["actor_id"] is not None:
        actor = MemberView(row["actor_id"], row["actor_name"], row["actor_email"], row["actor_created_at"])
    member = names.get(facts.get("member_id", "")) or facts.get("email")
    summary = sentence(row["kind"], facts, row["actor_name"] or row["actor_email"], member)
    return EventView(row["seq"], row["id"], row["kind"], row["happened_at"], actor, row["invitation_id"], summary)
