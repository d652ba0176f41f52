"""Pages of audit events with their sentences: the timeline of an invitation, and the log of a community."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from service.accounts.caller import Caller
from service.addresses import as_written
from service.audit import OTHERS
from service.audit_log.sentences import counted, summary
from service.communities.access import CommunityAccess, accessible_communities
from service.communities.members import MemberView
from service.database import Params, json_object, select, select_pages
from service.database.shares import in_slices
from service.errors import InvalidInput
from service.languages import Sentence, sentence
from service.openid import provider_label
from service.period import in_utc, refuse_empty_period
from service.settings import Settings
from service.tokens import is_id

_MOST_KINDS: Final = 50
_OF_ACTOR: Final = frozenset({"membership.joined", "membership.left", "invitation.accepted"})
_KIND: Final = re.compile(r"[a-z_.]{1,50}")


@dataclass(frozen=True, slots=True)
class EventView:
    """An event; `seq` is its position in the order of decisions.

    `times` counts the event and its repetitions. The first happened at `at`, the last at `last_at`.
    """

    seq: int
    id: str
    kind: str
    at: datetime
    actor: MemberView | None
    invitation_id: str | None
    community_id: str | None
    summary: Sentence
    details: Mapping[str, str]
    times: int
    last_at: datetime | None

    @property
    def member_id(self) -> str | None:
        """The member whom the event concerns: the one who was changed, or who joined, left or accepted."""
        if "member_id" in self.details:
            return self.details["member_id"]
        own = self.actor is not None and self.kind in _OF_ACTOR
        return self.actor.id if own and self.actor is not None else None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions, joined by AND. A field that is None adds no condition. `after` and `before` are exclusive."""

    kinds: frozenset[str] | None = None
    actor_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def signature(self) -> str:
        """Returns the same text for equal filters in every process. A page's cursor is bound to it."""
        return "/".join(
            [",".join(sorted(self.kinds or ())), self.actor_id or "", in_utc(self.after), in_utc(self.before)]
        )

    def __post_init__(self) -> None:
        """Raises InvalidInput for conditions that no event can match."""
        if self.kinds is not None and not 1 <= len(self.kinds) <= _MOST_KINDS:
            raise InvalidInput.wrong_length("kinds", len(self.kinds), _MOST_KINDS)
        if not all(_KIND.fullmatch(kind) for kind in self.kinds or ()):
            raise InvalidInput("kinds", sentence(
                "EVENT_KIND_INVALID",
                "kinds has an entry that is no kind of event; one like invitation.created was expected.",
            ))  # fmt: skip
        refuse_empty_period(self.after, self.before, "after", "before")


_COLUMNS = """
    e.seq, e.id, e.kind, e.at AS happened_at, e.invitation_id, e.community_id, e.details, e.times, e.last_at, e.repeat_key, p.id AS actor_id, p.name AS actor_name,
    p.created_at AS actor_created_at, CASE WHEN m.id IS NULL THEN NULL ELSE p.email END AS actor_email
"""

_PEOPLE = """
    LEFT JOIN members p ON p.id = e.actor_id
    LEFT JOIN memberships m ON m.member_id = e.actor_id AND m.community_id = e.community_id
"""


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """A page of an invitation's events, oldest first, after a given event."""

    invitation_id: str
    limit: int
    after: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class AuditLogQuery:
    """A page of a community's events, newest first, after a given event."""

    community_id: str
    limit: int
    after: tuple[datetime, str] | None = None
    conditions: AuditFilter = field(default_factory=AuditFilter)


async def timeline_pages(queries: Sequence[TimelineQuery], *, settings: Settings) -> list[list[EventView]]:
    """Returns the pages, with one statement for events and one for names. The caller must be an admin."""
    params = Params()
    pages = [_timeline_sql(query, params) for query in queries]
    return await _pages(pages, "e.seq", params, settings)


def _timeline_sql(query: TimelineQuery, params: Params) -> str:
    invitation = params.add(query.invitation_id)
    after = ""
    if query.after is not None:
        event = f"SELECT a.seq FROM audit_events a WHERE a.id = {params.add(query.after[1])} AND a.invitation_id = {invitation}"  # noqa: S608 -- placeholders
        after = f" AND e.seq > COALESCE(({event}), 0)"
    return (
        f"SELECT e.seq FROM audit_events e WHERE e.invitation_id = {invitation}{after}"  # noqa: S608 -- placeholders
        f" ORDER BY e.seq LIMIT {int(query.limit)}"
    )


async def audit_log_pages(queries: Sequence[AuditLogQuery], *, settings: Settings) -> list[list[EventView]]:
    """Returns the pages, with one statement for events, one for names and one for positions. The caller must be an admin.

    Each kind of the filter is one scan along an index, newest first. The cost of a page does not depend on the length of
    the log.
    """
    params, positions = Params(), await _positions(queries)
    pages = [_log_sql(query, positions, params) for query in queries]
    return await _pages(pages, "e.at DESC, e.seq DESC", params, settings)


def _log_sql(query: AuditLogQuery, positions: dict[str, int], params: Params) -> str:
    conditions, position = query.conditions, None
    if query.after is not None:
        # Events are never deleted, so an unknown id is forged. The page then begins at the cursor's instant.
        position = query.after[0], positions.get(query.after[1], 0)
    terms = [f"e.community_id = {params.add(query.community_id)}", *_bounds(conditions, position, params)]
    if conditions.actor_id is not None:
        terms.append(f"e.actor_id = {params.add(conditions.actor_id if is_id(conditions.actor_id) else '')}")
    kinds = [f"e.kind = {params.add(kind)}" for kind in sorted(conditions.kinds or ())] or ["e.seq > 0"]
    tail = f"ORDER BY at DESC, seq DESC LIMIT {int(query.limit)}"
    scans = " UNION ALL ".join(
        f"SELECT * FROM (SELECT e.seq, e.at FROM audit_events e WHERE {' AND '.join([*terms, kind])} {tail}) w{number}"  # noqa: S608 -- constants and placeholders
        for number, kind in enumerate(kinds)
    )
    return f"SELECT u.seq FROM ({scans}) u {tail}"  # noqa: S608 -- our own SQL


async def _positions(queries: Sequence[AuditLogQuery]) -> dict[str, int]:
    """Returns the position of each event after which a page begins."""
    params = Params()
    if not (marks := params.add_all({query.after[1] for query in queries if query.after is not None})):
        return {}
    rows = await select(f"SELECT id, seq FROM audit_events WHERE id IN ({marks})", *params.values)  # noqa: S608 -- placeholders
    return {row["id"]: row["seq"] for row in rows}


def _bounds(conditions: AuditFilter, position: tuple[datetime, int] | None, params: Params) -> list[str]:
    """Returns only the tightest bound on each side (`service.invitations.search`)."""
    bounds = [] if conditions.after is None else [f"e.at > {params.add(conditions.after)}"]
    if conditions.before is not None and (position is None or conditions.before <= position[0]):
        return [*bounds, f"e.at < {params.add(conditions.before)}"]
    if position is not None:
        return [*bounds, f"(e.at, e.seq) < ({params.add(position[0])}, {params.add(position[1])})"]
    return bounds


async def _pages(keys: list[str], order: str, params: Params, settings: Settings) -> list[list[EventView]]:
    """Returns the events of each page. `keys` select their positions in the log."""
    sql = f"SELECT k.page, {_COLUMNS} FROM {{keys}} k JOIN audit_events e ON e.seq = k.seq {_PEOPLE} ORDER BY k.page, {order}"  # noqa: S608 -- constants
    pages = await select_pages(keys, sql, params)
    views = iter(await _views([row for rows in pages for row in rows], settings))
    return [[next(views) for _ in rows] for rows in pages]


async def find_event(event_id: str, caller: Caller, settings: Settings) -> tuple[EventView, CommunityAccess] | None:
    """Returns an event of a community that the caller administers, with the access to the community."""
    accesses = await accessible_communities(caller, settings) if is_id(event_id) else []
    administered = {access.community_id: access for access in accesses if access.is_admin}
    event = await _find_event(event_id, administered, settings) if administered else None
    return None if event is None else (event, administered[event.community_id or ""])


async def _find_event(event_id: str, community_ids: Iterable[str], settings: Settings) -> EventView | None:
    params = Params(event_id)
    where = f"e.id = $1 AND e.community_id IN ({params.add_all(community_ids)})"
    sql = f"SELECT {_COLUMNS} FROM audit_events e {_PEOPLE} WHERE {where}"  # noqa: S608 -- constants and placeholders
    views = await _views(await select(sql, *params.values), settings)
    return views[0] if views else None


async def _views(rows: list[dict[str, Any]], settings: Settings) -> list[EventView]:
    """Returns the events with their sentences. A second statement reads the names of the affected members."""
    facts = [json_object(row["details"]) async for row in in_slices(rows)]
    names = await _names({event["member_id"] for event in facts if "member_id" in event})
    labels = {name: provider_label(name, provider) for name, provider in settings.providers.items()}
    return [_view(row, event, names, labels) async for row, event in in_slices(zip(rows, facts, strict=True))]


async def _names(member_ids: set[str]) -> dict[str, str | None]:
    params = Params()
    marks = params.add_all(member_ids)
    rows = await select(f"SELECT id, name FROM members WHERE id IN ({marks})", *params.values) if marks else []  # noqa: S608 -- placeholders
    return {row["id"]: row["name"] for row in rows}


def _view(
    row: dict[str, Any], facts: dict[str, str], names: dict[str, str | None], labels: Mapping[str, str]
) -> EventView:
    actor = None
    if row["actor_id"] is not None:
        actor = MemberView(row["actor_id"], row["actor_name"], row["actor_email"], row["actor_created_at"])
    member = names.get(facts.get("member_id", "")) or as_written(facts.get("email", ""))
    name = row["actor_name"] or as_written(row["actor_email"] or "")
    text = summary(row["kind"], facts, name, member, provider_labels=labels)
    text = counted(text, row["times"], row["last_at"], same_details=row["repeat_key"] != OTHERS)
    return EventView(
        row["seq"], row["id"], row["kind"], row["happened_at"], actor, row["invitation_id"], row["community_id"], text, facts, row["times"],
        row["last_at"],
    )  # fmt: skip
