"""The subscription. It checks the caller's rights again before each batch of events, and every two seconds.

When a client reads a batch slowly, the rest goes back into the queue and is read again with the rights of that moment.
"""

from collections.abc import AsyncGenerator
from time import monotonic
from typing import Final

import strawberry

from schema.context import Context, Info
from schema.cursors import BadArgument
from schema.types import Invitation
from schema.types.communities import invitation_with_community
from service.changes import hub
from service.communities.access import CommunityAccess, community_access
from service.errors import NotFound, NotSignedIn
from service.invitations.views import invitations_by_id
from service.languages import sentence

RECHECK: Final = 2.0  # seconds between two checks of the caller's rights (H162)
_MOST_PER_CHECK: Final = 50

_LOST: Final = sentence("LOST", "Some changes were lost. Ask for the list again.")
_NOT_ADMINISTERED: Final = sentence("NOT_FOUND", "There is no such community among those that you administer.")


@strawberry.type
class Subscription:
    @strawberry.subscription(
        description="Every change of an invitation of the community: created, sent, delivered, refused, accepted, ..."
        " Admins and owners only. No replay: after a reconnect, ask again."
    )
    async def invitation_changed(self, info: Info, community_id: strawberry.ID) -> AsyncGenerator[Invitation, None]:
        context = info.context
        with hub.watching(str(community_id)) as watch:
            while True:
                async with context.event_turn():
                    await _admin_access(context, str(community_id))
                if watch.lost:
                    raise BadArgument(_LOST, code="LOST")
                ids = await watch.take(most=_MOST_PER_CHECK, seconds=RECHECK)
                if not ids:
                    continue
                async with context.event_turn():
                    access = await _admin_access(context, str(community_id))
                    views = await invitations_by_id(access, ids, now=context.now, settings=context.settings)
                stale_at = monotonic() + RECHECK
                for invitation_id in ids:
                    if monotonic() > stale_at:
                        watch.put(invitation_id)
                    elif invitation_id in views:
                        # The turn lasts until the event is completed and sent.
                        async with context.event_turn():
                            yield invitation_with_community(views[invitation_id])


async def _admin_access(context: Context, community_id: str) -> CommunityAccess:
    """The caller's current access as an admin. A foreign and an unknown community give the same error."""
    caller = await context.refresh()
    try:
        access = await community_access(caller, community_id, context.settings)
    except (NotSignedIn, NotFound):
        access = None
    if access is None or not access.is_admin:
        raise BadArgument(_NOT_ADMINISTERED, code="NOT_FOUND")
    return access
