"""Communities, who belongs to them, and what a member may do there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from service import audit
from service.accounts.sessions import Caller, Grant
from service.addresses import Address, domain_of
from service.database import Params, json_list, select, select_pages, transaction
from service.database.shares import concerns
from service.errors import ExpectedError, NotFound, NotPermitted, NotSignedIn
from service.invitation_status import is_pending
from service.languages import Sentence, sentence
from service.limits import refuse_over
from service.models import Community, Membership, Role
from service.settings import RateLimit, Settings
from service.text import NAME, language_tag, validated_text
from service.tokens import is_id, new_id

MOST_OF_MEMBER: Final = 200  # in a list of one's own communities
NO_COMMUNITY: Final = sentence("NOT_FOUND", "There is no such community among yours.")

_CREATIONS_PER_MEMBER = RateLimit(count=20, period=timedelta(days=1))
_ENOUGH: Final = sentence("RATE_LIMITED", "You created as many communities as one may in a day.")


@dataclass(frozen=True, slots=True)
class MemberView:
    """A person as the caller may see them: `email` is None unless the caller is they, or an admin beside them."""

    id: str
    name: str | None
    email: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CommunityAccess:
    """A community and the caller's own place in it: read in one statement, decides what they may see and do.

    `seats_taken` counts members, and only where a seat limit makes that matter. `grant` bounds a caller who carries an
    access token.
    """

    community_id: str
    name: str
    created_at: datetime
    role: Role
    membership_id: str
    member_id: str
    link_minutes: int
    invitation_days: int
    allowed_email_domains: tuple[str, ...]
    seat_limit: int | None
    seats_taken: int
    locale: str | None
    grant: Grant | None = None

    @property
    def access_token_id(self) -> str | None:
        """The access token that the caller carries; None in a session."""
        return None if self.grant is None else self.grant.token_id

    @property
    def is_admin(self) -> bool:
        return self.role.rank >= Role.ADMIN.rank

    @property
    def seats_left(self) -> int | None:
        return None if self.seat_limit is None else max(0, self.seat_limit - self.seats_taken)

    def admits(self, email: str) -> bool:
        """Whether the rules allow the address's domain."""
        return not self.allowed_email_domains or domain_of(Address(email)) in self.allowed_email_domains

    def may_manage(self, role: Role) -> bool:
        """Whether the caller may invite to, or take away, this role.

        Nobody acts above their own role (H128), and an access token never above its ceiling (H196).
        """
        own = self.is_admin and role.rank <= self.role.rank
        return own and (self.grant is None or self.grant.may_manage(role))


@dataclass(frozen=True, slots=True)
class MembershipView:
    id: str
    member: MemberView
    community: CommunityAccess
    role: Role
    joined_at: datetime
    viewer_can_change: bool


class AlreadyMember(ExpectedError):
    """Raised when a member of this community has the address, or came in by an invitation to it."""

    def __init__(self, membership: MembershipView) -> None:
        super().__init__(sentence("ALREADY_MEMBER", "A member of this community has this address already."))
        self.membership = membership


STANDING_COLUMNS = """
    c.id AS community_id, c.name, c.created_at, c.locale, c.link_minutes, c.invitation_days, c.allowed_email_domains,
    c.seat_limit, m.role, m.id AS membership_id, m.member_id,
    CASE WHEN c.seat_limit IS NULL THEN 0
         ELSE (SELECT count(*) FROM memberships o WHERE o.community_id = c.id) END AS seats_taken
"""


def standing_of(row: dict[str, Any], settings: Settings, grant: Grant | None = None) -> CommunityAccess:
    """A row with STANDING_COLUMNS; where the community sets no policy of its own the operator's stands."""
    return CommunityAccess(
        community_id=row["community_id"],
        name=row["name"],
        created_at=row["created_at"],
        role=Role(row["role"]),
        membership_id=row["membership_id"],
        member_id=row["member_id"],
        link_minutes=row["link_minutes"] or settings.link_minutes,
        invitation_days=row["invitation_days"] or settings.invitation_days,
        allowed_email_domains=json_list(row["allowed_email_domains"]),
        seat_limit=row["seat_limit"],
        seats_taken=row["seats_taken"],
        locale=row["locale"],
        grant=grant,
    )


async def operator_access(community_id: str, settings: Settings) -> CommunityAccess:
    """What the operator may do in a community: what an owner may, as nobody in particular. Raises NotFound."""
    sql = f"SELECT {STANDING_COLUMNS} FROM communities c LEFT JOIN memberships m ON 1 = 0 WHERE c.id = $1"  # noqa: S608 -- constants
    rows = await select(sql, community_id)
    if not rows:
        raise NotFound(Sentence("There is no such community."))
    return standing_of(rows[0] | {"role": Role.OWNER, "membership_id": "", "member_id": ""}, settings)


async def find_by_name(text: str) -> str:
    """The id of the one community that has this id or, in any case, this name. Raises NotFound, saying what to give."""
    rows = await select("SELECT id FROM communities WHERE id = $1 OR lower(name) = lower($1) LIMIT 3", text)
    if len(rows) > 1:
        ids = ", ".join(row["id"] for row in rows)
        raise NotFound(Sentence(f"Several communities are called {text}: {ids}. Give an id."))
    if not rows:
        raise NotFound(Sentence(f"There is no community with the name or id {text}."))
    return str(rows[0]["id"])


async def community_access(caller: Caller | None, community_id: str, settings: Settings) -> CommunityAccess:
    """The caller's place in a community. Raises NotSignedIn, and NotFound alike for what is not and what is not theirs."""
    if caller is None:
        raise NotSignedIn
    found = await standings(caller, settings, community_id=community_id) if is_id(community_id) else []
    if not found:
        raise NotFound(NO_COMMUNITY)
    concerns(community_id)
    return found[0]


async def standings(
    caller: Caller, settings: Settings, *, community_id: str | None = None, most: int | None = None
) -> list[CommunityAccess]:
    """All communities that the caller belongs to, by name, or the first `most` of them, or the one asked for; an access
    token sees its own only.
    """
    sql = f"SELECT {STANDING_COLUMNS} FROM memberships m JOIN communities c ON c.id = m.community_id WHERE m.member_id = $1"  # noqa: S608 -- a constant
    if community_id is None:
        # An access token's own communities are few, and found among all of the member's.
        limit = "" if most is None or caller.grant is not None else f" LIMIT {int(most)}"
        rows = await select(f"{sql} ORDER BY lower(c.name), c.id{limit}", caller.member_id)
    else:
        rows = await select(f"{sql} AND c.id = $2", caller.member_id, community_id)
    return [standing_of(row, settings, caller.grant) for row in rows if caller.may_enter(row["community_id"])][:most]


async def count_of(caller: Caller) -> int:
    """How many communities the caller's member belongs to."""
    rows = await select("SELECT count(*) AS communities FROM memberships WHERE member_id = $1", caller.member_id)
    return int(rows[0]["communities"])


def may_create(caller: Caller | None, settings: Settings) -> bool:
    """Whether communities are open to be created, and by this caller: an access token opens none."""
    return caller is not None and caller.grant is None and settings.community_creation == "members"


async def create_community(
    name: str, *, locale: str | None = None, caller: Caller | None, now: datetime, settings: Settings
) -> CommunityAccess:
    """A new community with the caller as its owner, where the operator lets members create them."""
    if caller is None:
        raise NotSignedIn
    if settings.community_creation != "members":
        raise NotPermitted(sentence(
            "COMMUNITY_CREATION_CLOSED", "Communities are created by the operators of this service; ask them for one."
        ))  # fmt: skip
    name, locale = validated_text(name, NAME), language_tag(locale)
    async with transaction():
        await refuse_over(_CREATIONS_PER_MEMBER, f"creations:{caller.member_id}", _ENOUGH, now=now)
        community = await Community.create(id=new_id("com"), name=name, locale=locale, created_at=now)
        membership = await Membership.create(
            id=new_id("mem"), community=community, member_id=caller.member_id, role=Role.OWNER, joined_at=now
        )
        await audit.record(
            now,
            audit.Event("community.created", community.id, caller.member_id),
            audit.Event("membership.joined", community.id, caller.member_id, details={"role": membership.role}),
        )
    return await community_access(caller, community.id, settings)


_SEATS_TAKEN = f"""
SELECT (SELECT count(*) FROM memberships WHERE community_id = $1) AS members,
    (SELECT count(*) FROM invitations WHERE community_id = $1 AND {is_pending("$2")}) AS pending
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class Seats:
    limit: int | None
    members: int
    pending: int


async def lock_seats(community_id: str, now: datetime) -> Seats:
    """The seat limit and who takes seats, holding the community so that nobody else counts meanwhile."""
    community = (await select("SELECT seat_limit FROM communities WHERE id = $1 FOR NO KEY UPDATE", community_id))[0]
    taken = (await select(_SEATS_TAKEN, community_id, now))[0]
    return Seats(community["seat_limit"], taken["members"], taken["pending"])


async def member_counts(community_ids: Sequence[str]) -> list[int]:
    """How many members each of the communities has, in one statement."""
    params = Params()
    sql = f"SELECT community_id, count(*) AS members FROM memberships WHERE community_id IN ({params.add_all(community_ids)}) GROUP BY community_id"  # noqa: S608 -- placeholders
    counts = {row["community_id"]: row["members"] for row in await select(sql, *params.values)}
    return [counts.get(community_id, 0) for community_id in community_ids]


_MEMBERSHIP_COLUMNS = """
    m.id, m.role, m.joined_at, p.id AS member_id, p.name AS member_name, p.email AS member_email, p.created_at AS member_at
"""


@dataclass(frozen=True, slots=True)
class MembersQuery:
    """A page of the members of a community of the caller's, in the order of joining, after a keyset position."""

    access: CommunityAccess
    limit: int
    after: tuple[datetime, str] | None = None


async def memberships_pages(asked: Sequence[MembersQuery]) -> list[list[MembershipView]]:
    """All these pages, in one statement."""
    params = Params()
    pages = await select_pages([_keys(query, params) for query in asked], _PAGES, params)
    return [[_membership_view(row, query.access) for row in rows] for query, rows in zip(asked, pages, strict=True)]


_PAGES: Final = f"""
SELECT k.page, {_MEMBERSHIP_COLUMNS} FROM {{keys}} k JOIN memberships m ON m.id = k.id JOIN members p ON p.id = m.member_id
ORDER BY k.page, m.joined_at, m.id
"""  # noqa: S608 -- constants


def _keys(query: MembersQuery, params: Params) -> str:
    where = f"m.community_id = {params.add(query.access.community_id)}"
    if query.after is not None:
        where += f" AND (m.joined_at, m.id) > ({params.add_all(query.after)})"
    return f"SELECT m.id FROM memberships m WHERE {where} ORDER BY m.joined_at, m.id LIMIT {int(query.limit)}"  # noqa: S608 -- placeholders


async def memberships_named(ids: Iterable[str], access: CommunityAccess) -> list[MembershipView]:
    """The memberships of these ids in the caller's community."""
    params = Params(access.community_id)
    if not (marks := params.add_all(ids)):
        return []
    sql = (
        f"SELECT {_MEMBERSHIP_COLUMNS} FROM memberships m JOIN members p ON p.id = m.member_id"  # noqa: S608 -- constants
        f" WHERE m.community_id = $1 AND m.id IN ({marks})"
    )
    return [_membership_view(row, access) for row in await select(sql, *params.values)]


async def memberships_by_member(keys: Sequence[tuple[CommunityAccess, str]]) -> list[MembershipView | None]:
    """Memberships by community and member; None for a person who is no member. One statement for each community."""
    found: dict[tuple[str, str], MembershipView] = {}
    for access in dict.fromkeys(access for access, _ in keys):
        params = Params(access.community_id)
        marks = params.add_all({member_id for of, member_id in keys if of == access})
        sql = (
            f"SELECT {_MEMBERSHIP_COLUMNS} FROM memberships m JOIN members p ON p.id = m.member_id"  # noqa: S608 -- constants
            f" WHERE m.community_id = $1 AND m.member_id IN ({marks})"
        )
        rows = await select(sql, *params.values)
        found |= {(access.community_id, row["member_id"]): _membership_view(row, access) for row in rows}
    return [found.get((access.community_id, member_id)) for access, member_id in keys]


def _membership_view(row: dict[str, Any], access: CommunityAccess) -> MembershipView:
    role, own = Role(row["role"]), row["member_id"] == access.member_id
    visible = access.is_admin or own
    member = MemberView(
        row["member_id"], row["member_name"], row["member_email"] if visible else None, row["member_at"]
    )
    can_change = access.grant is None and (own or access.may_manage(role))  # no access token changes members
    return MembershipView(row["id"], member, access, role, row["joined_at"], viewer_can_change=can_change)


async def memberships_of(
    caller: Caller, settings: Settings, *, community_id: str | None = None
) -> list[MembershipView]:
    """The caller's own memberships, by the communities' names, at most MOST_OF_MEMBER; or the one in the community asked
    for.
    """
    places = await standings(caller, settings, community_id=community_id, most=MOST_OF_MEMBER)
    if not places:
        return []
    params = Params()
    marks = params.add_all(access.membership_id for access in places)
    sql = (
        f"SELECT {_MEMBERSHIP_COLUMNS} FROM memberships m JOIN members p ON p.id = m.member_id WHERE m.id IN ({marks})"  # noqa: S608 -- constants
    )
    rows = {row["id"]: row for row in await select(sql, *params.values)}
    return [_membership_view(rows[access.membership_id], access) for access in places if access.membership_id in rows]
