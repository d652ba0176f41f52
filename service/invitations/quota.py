"""The limits on inviting: their counters, and the number of invitations that they still allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.communities.access import CommunityAccess
from service.invitations.errors import COMMUNITY_LIMITED, INVITER_LIMITED
from service.limits import Allowance, Remainder, remainders
from service.settings import RateLimits


@dataclass(frozen=True, slots=True)
class InvitationQuota:
    """The number of invitations that the caller and the community may still create; None without a limit.

    `resets_at` is the end of the period of the lower one, which begins with the first invitation; None without a limit.
    """

    by_you: int | None
    by_community: int | None
    resets_at: datetime | None


def allowances(access: CommunityAccess, limits: RateLimits) -> tuple[Allowance, Allowance]:
    """The limits of the inviter and of the community, in the order in which invitations are counted."""
    return (
        Allowance(limits.invites_per_inviter, f"inviter:{access.member_id}", INVITER_LIMITED),
        Allowance(limits.invites_per_community, f"community:{access.community_id}", COMMUNITY_LIMITED),
    )


async def quotas(accesses: Sequence[CommunityAccess], *, limits: RateLimits, now: datetime) -> list[InvitationQuota]:
    """The quota of each access, in one statement. Counts nothing."""
    pairs = [allowances(access, limits) for access in accesses]
    found = await remainders([allowance for pair in pairs for allowance in pair], now=now)
    return [_quota(found[inviter.key], found[community.key]) for inviter, community in pairs]


def _quota(by_you: Remainder, by_community: Remainder) -> InvitationQuota:
    counts = [remainder.count for remainder in (by_you, by_community) if remainder.count is not None]
    lowest = [remainder for remainder in (by_you, by_community) if counts and remainder.count == min(counts)]
    ends = [remainder.resets_at for remainder in lowest if remainder.resets_at is not None]
    return InvitationQuota(by_you.count, by_community.count, max(ends, default=None))
