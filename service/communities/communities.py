"""Communities: finding and creating them, counting members, and locking seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service import audit
from service.accounts.caller import Caller
from service.communities.access import CommunityAccess, community_access
from service.database import Params, select, transaction
from service.errors import NotFound, NotPermitted, NotSignedIn
from service.invitation_status import is_pending
from service.languages import Sentence, sentence
from service.limits import refuse_over
from service.models import Community, Membership, Role
from service.settings import RateLimit, Settings
from service.text import NAME, language_tag, validated_text
from service.tokens import new_id

_CREATIONS_PER_MEMBER: Final = RateLimit(count=20, period=timedelta(days=1))
_CREATIONS_LIMITED: Final = sentence("RATE_LIMITED", "You created as many communities as one may in a day.")


async def find_community_id(text: str) -> str:
    """Returns the id of the one community with this id or name, ignoring case. Raises NotFound with advice."""
    rows = await select("SELECT id FROM communities WHERE id = $1 OR lower(name) = lower($1) LIMIT 3", text)
    if len(rows) > 1:
        ids = ", ".join(row["id"] for row in rows)
        raise NotFound(Sentence(f"Several communities are called {text}: {ids}. Give an id."))
    if not rows:
        raise NotFound(Sentence(f"There is no community with the name or id {text}."))
    return str(rows[0]["id"])


async def count_communities(caller: Caller) -> int:
    """Returns the number of communities of the caller's member."""
    rows = await select("SELECT count(*) AS communities FROM memberships WHERE member_id = $1", caller.member_id)
    return int(rows[0]["communities"])


def may_create(caller: Caller | None, settings: Settings) -> bool:
    """Whether the operator lets members create communities and the caller has a session."""
    return caller is not None and caller.grant is None and settings.community_creation == "members"


async def create_community(
    name: str, *, locale: str | None = None, caller: Caller | None, now: datetime, settings: Settings
) -> CommunityAccess:
    """Creates a community with the caller as its owner, where the operator lets members create them."""
    if caller is None:
        raise NotSignedIn
    if settings.community_creation != "members":
        raise NotPermitted(sentence(
            "COMMUNITY_CREATION_CLOSED", "Communities are created by the operators of this service; ask them for one."
        ))  # fmt: skip
    name, locale = validated_text(name, NAME), language_tag(locale)
    async with transaction():
        await refuse_over(_CREATIONS_PER_MEMBER, f"creations:{caller.member_id}", _CREATIONS_LIMITED, now=now)
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


async def count_members(community_ids: Sequence[str]) -> list[int]:
    """Counts the members of each community, in one statement."""
    params = Params()
    marks = params.add_all(community_ids)
    sql = f"SELECT community_id, count(*) AS members FROM memberships WHERE community_id IN ({marks}) GROUP BY community_id"  # noqa: S608 -- placeholders
    counts = {row["community_id"]: row["members"] for row in await select(sql, *params.values)}
    return [counts.get(community_id, 0) for community_id in community_ids]


_SEATS_TAKEN: Final = f"""
SELECT (SELECT count(*) FROM memberships WHERE community_id = $1) AS members,
    (SELECT count(*) FROM invitations WHERE community_id = $1 AND {is_pending("$2")}) AS pending
"""  # noqa: S608 -- constants


@dataclass(frozen=True, slots=True)
class Seats:
    """The seat limit of a community, and the members and pending invitations that take seats."""

    limit: int | None
    members: int
    pending: int


async def lock_seats(community_id: str, now: datetime) -> Seats:
    """Counts the seats, and locks the community so that concurrent transactions wait before they count."""
    community = (await select("SELECT seat_limit FROM communities WHERE id = $1 FOR NO KEY UPDATE", community_id))[0]
    taken = (await select(_SEATS_TAKEN, community_id, now))[0]
    return Seats(community["seat_limit"], taken["members"], taken["pending"])
