"""Audit events as people read them: the timeline of an invitation, and the log of a community."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from service.audit import OTHERS
from service.audit_log.sentences import counted, summary
from service.communities.access import MemberView
from service.database import select
from service.database.shares import in_slices
from service.database.sql import Params
from service.errors import InvalidInput
from service.languages import sentence
from service.period import in_utc, refuse_empty_period
from service.tokens import is_id

_MOST_KINDS: Final = 50
_KIND: Final = re.compile(r"[a-z_.]{1,50}")


@dataclass(frozen=True, slots=True)
class EventView:
    """One event; `seq` is its place in the order in which things were decided.

    `times` counts it and its repeats, of which the last happened at `last_at`; the first happened at `at`.
    """

    seq: int
    id: str
    kind: str
    at: datetime
    actor: MemberView | None
    invitation_id: str | None
    summary: str
    times: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions, joined by AND; None asks nothing. `after` and `before` are exclusive."""

    kinds: frozenset[str] | None = None
    actor_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def signature(self) -> str:
        """The same text for equal filters, in every process: a page's cursor is for one filter."""
        return "/".join(
            [",".join(sorted(self.kinds or ())), self.actor_id or "", in_utc(self.after), in_utc(self.before)]
        )

    def __post_init__(self) -> None:
        """Raises InvalidInput where nothing could ever match, because that is never what was meant."""
        if self.kinds is not None and not 1 <= len(self.kinds) <= _MOST_KINDS:
            raise InvalidInput.wrong_length("kinds", len(self.kinds), _MOST_KINDS)
        if not all(_KIND.fullmatch(kind) for kind in self.kinds or ()):
            raise InvalidInput("kinds", sentence(
                "EVENT_KIND_INVALID",
                "kinds has an entry that is no kind of event; one like invitation.created was expected.",
            ))  # fmt: skip
        refuse_empty_period(self.after, self.before, "after", "before")


_COLUMNS = """
    e.seq, e.id, e.kind, e.at AS happened_at, e.invitation_id, e.details, e.times, e.last_at, e.repeat_key, p.id AS actor_id, p.name AS actor_name,
    p.created_at AS actor_created_at, CASE WHEN m.id IS NULL THEN NULL ELSE p.email END AS actor_email
"""

_PEOPLE = """
    LEFT JOIN members p ON p.id = e.actor_id
    LEFT JOIN memberships m ON m.member_id = e.actor_id AND m.community_id = e.community_id
"""


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """A page of what happened to an invitation, oldest first, after an event of it."""

    invitation_id: str
    limit: int
    after: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class AuditLogQuery:
    """A page of what happened in a community, newest first, after an event of it."""

    community_id: str
    limit: int
    after: tuple[datetime, str] | None = None
    wanted: AuditFilter = field(default_factory=AuditFilter)


async def of_invitations(asked: Sequence[TimelineQuery]) -> list[list[EventView]]:
    """All these pages, in one statement and one for names; for admins of the invitations' communities only."""
    params = Params()
    pages = [_timeline_sql(page, params) for page in asked]
    return await _pages(pages, "e.seq", params)


def _timeline_sql(page: TimelineQuery, params: Params) -> str:
    invitation = params.add(page.invitation_id)
    after = ""
    if page.after is not None:
        event = f"SELECT a.seq FROM audit_events a WHERE a.id = {params.add(page.after[1])} AND a.invitation_id = {invitation}"  # noqa: S608 -- placeholders
        after = f" AND e.seq > COALESCE(({event}), 0)"
    return (
        f"SELECT e.seq FROM audit_events e WHERE e.invitation_id = {invitation}{after}"  # noqa: S608 -- placeholders
        f" ORDER BY e.seq LIMIT {int(page.limit)}"
    )


async def of_communities(asked: Sequence[AuditLogQuery]) -> list[list[EventView]]:
    """All these pages, in one statement, one for names and one for the positions to go on from; for admins only.

    Each kind asked for is one walk along an index, newest first, so that a page costs the same however long the log is.
    """
    params, positions = Params(), await _positions(asked)
    pages = [_log_sql(page, positions, params) for page in asked]
    return await _pages(pages, "e.at DESC, e.seq DESC", params)


def _log_sql(page: AuditLogQuery, positions: dict[str, int], params: Params) -> str:
    wanted, position = page.wanted, None
    if page.after is not None:
        # Events are never deleted; an id that is none's is forged, and the page begins at the instant beside it.
        position = page.after[0], positions.get(page.after[1], 0)
    conditions = [f"e.community_id = {params.add(page.community_id)}", *_bounds(wanted, position, params)]
    if wanted.actor_id is not None:
        conditions.append(f"e.actor_id = {params.add(wanted.actor_id if is_id(wanted.actor_id) else '')}")
    leads = [f"e.kind = {params.add(kind)}" for kind in sorted(wanted.kinds or ())] or ["e.seq > 0"]
    tail = f"ORDER BY at DESC, seq DESC LIMIT {int(page.limit)}"
    walks = " UNION ALL ".join(
        f"SELECT * FROM (SELECT e.seq, e.at FROM audit_events e WHERE {' AND '.join([*conditions, lead])} {tail}) w{number}"  # noqa: S608 -- constants and placeholders
        for number, lead in enumerate(leads)
    )
    return f"SELECT u.seq FROM ({walks}) u {tail}"  # noqa: S608 -- our own SQL


async def _positions(asked: Sequence[AuditLogQuery]) -> dict[str, int]:
    """The places in the log of the events to go on from."""
    params = Params()
    if not (marks := params.listed({page.after[1] for page in asked if page.after is not None})):
        return {}
    rows = await select(f"SELECT id, seq FROM audit_events WHERE id IN ({marks})", *params.values)  # noqa: S608 -- placeholders
    return {row["id"]: row["seq"] for row in rows}


def _bounds(wanted: AuditFilter, position: tuple[datetime, int] | None, params: Params) -> list[str]:
    """The tightest bound on either side, and no other (`service.invitations.search`)."""
    bounds = [] if wanted.after is None else [f"e.at > {params.add(wanted.after)}"]
    if wanted.before is not None and (position is None or wanted.before <= position[0]):
        return [*bounds, f"e.at < {params.add(wanted.before)}"]
    if position is not None:
        return [*bounds, f"(e.at, e.seq) < ({params.add(position[0])}, {params.add(position[1])})"]
    return bounds


async def _pages(pages: list[str], order: str, params: Params) -> list[list[EventView]]:
    """The events of each page; what a page finds are their places in the log."""
    found = " UNION ALL ".join(
        f"SELECT {number} AS page, p{number}.seq FROM ({sql}) p{number}"  # noqa: S608 -- our own SQL
        for number, sql in enumerate(pages)
    )
    sql = f"SELECT k.page, {_COLUMNS} FROM ({found}) k JOIN audit_events e ON e.seq = k.seq {_PEOPLE} ORDER BY k.page, {order}"  # noqa: S608 -- our own SQL
    rows = await select(sql, *params.values)
    views: list[list[EventView]] = [[] for _ in pages]
    for row, view in zip(rows, await _views(rows), strict=True):
        views[row["page"]].append(view)
    return views


async def one(event_id: str, community_ids: list[str]) -> EventView | None:
    """The event of that id, if it belongs to one of these communities."""
    if not community_ids:
        return None
    params = Params(event_id)
    where = f"e.id = $1 AND e.community_id IN ({params.listed(community_ids)})"
    sql = f"SELECT {_COLUMNS} FROM audit_events e {_PEOPLE} WHERE {where}"  # noqa: S608 -- constants and placeholders
    views = await _views(await select(sql, *params.values))
    return views[0] if views else None


async def _views(rows: list[dict[str, Any]]) -> list[EventView]:
    """The events with their sentences; the people whom they were done to are named in one further statement."""
    facts = [_facts(row["details"]) async for row in in_slices(rows)]
    names = await _names({found["member_id"] for found in facts if "member_id" in found})
    return [_view(row, found, names) async for row, found in in_slices(zip(rows, facts, strict=True))]


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
    text = summary(row["kind"], facts, row["actor_name"] or row["actor_email"], member)
    text = counted(text, row["times"], row["last_at"], alike=row["repeat_key"] != OTHERS)
    return EventView(
        row["seq"], row["id"], row["kind"], row["happened_at"], actor, row["invitation_id"], text, row["times"],
        row["last_at"],
    )  # fmt: skip
