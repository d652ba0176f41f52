"""Finds, resends and revokes invitations, for the admins of their community."""

from datetime import datetime, timedelta
from typing import Final

from service import audit
from service.accounts.access_tokens import lock_access_token
from service.accounts.caller import Caller
from service.changes import Changed, notify
from service.communities.access import (
    CommunityAccess,
    community_access,
)
from service.database import IntegrityError, execute, select, transaction
from service.errors import (
    ExpectedError,
    NotFound,
    NotPermitted,
    NotSignedIn,
    RateLimited,
)
from service.invitation_status import Status, is_pending
from service.invitations.errors import RESENT_TOO_SOON, InvitationClosed
from service.invitations.invite import (
    NO_INVITATION,
    invitation_event,
    only_token_forbids,
    read_invitation,
    refuse_without_seat,
    token_forbids_role,
)
from service.invitations.views import RESEND_PAUSE, InvitationView
from service.languages import sentence
from service.limits import audited
from service.mail import outbox
from service.models import Block, MailKind
from service.settings import Settings
from service.tokens import is_id


async def find_invitation(
    invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings
) -> InvitationView:
    """Returns an invitation to an admin of its community. Raises NotSignedIn, and NotFound for all other callers."""
    if caller is None:
        raise NotSignedIn
    rows = (
        await select("SELECT community_id FROM invitations WHERE id = $1", invitation_id)
        if is_id(invitation_id)
        else []
    )
    try:
        access = await community_access(caller, rows[0]["community_id"] if rows else "", settings)
    except NotFound:
        raise NotFound(NO_INVITATION) from None
    if not access.is_admin:
        raise NotFound(NO_INVITATION)
    return await read_invitation(access, invitation_id, now, settings)


async def resend(invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> InvitationView:
    """Orders a mail with a new link, and invalidates earlier links and flows. The caller becomes the inviter.

    Reopens a declined invitation, which then takes a seat again.
    """
    view = await find_invitation(invitation_id, caller=caller, now=now, settings=settings)
    _refuse_managing(view)
    if view.status not in {Status.PENDING, Status.DECLINED}:
        raise _closed_error(view)
    if view.status is Status.DECLINED and await _is_blocked(view):
        raise InvitationClosed(
            sentence(
                "ADDRESS_BLOCKED",
                "A person with the link blocked further invitations from this community to this address. The mail about the"
                " block can lift it, and so can the operator.",
            ),
            view.status,
        )
    async with audited(view.access.community_id, view.access.member_id, invitation_id=view.id, now=now):
        if view.can_resend_at is not None:
            raise RateLimited(RESENT_TOO_SOON, view.can_resend_at - now)
    return await _write_resend(view, now, settings)


_RESEND = """
UPDATE invitations SET generation = generation + 1, inviter_id = $2, access_token_id = $7, declined_at = NULL,
    expires_at = $3,
    days = CASE WHEN declined_at IS NULL THEN days END,
    delivery = 'QUEUED', delivery_reason = NULL, delivery_code = NULL, delivery_facts = NULL, delivery_at = $4, delivered_at = NULL, resent_at = $4,
    resends = CASE WHEN resends_since_at > $5 THEN resends + 1 ELSE 1 END,
    resends_since_at = CASE WHEN resends_since_at > $5 THEN resends_since_at ELSE $4 END
WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL
    AND (declined_at IS NOT NULL OR expires_at > $4) AND (resent_at IS NULL OR resent_at <= $6)
"""


async def _write_resend(view: InvitationView, now: datetime, settings: Settings) -> InvitationView:
    access, limit = view.access, settings.rate_limits.resends_per_invitation
    reopened = view.status is Status.DECLINED
    expires_at = now + timedelta(days=access.invitation_days) if reopened else view.expires_at
    period, pause = (limit.period, RESEND_PAUSE) if limit else (timedelta(days=1), timedelta(0))
    async with transaction():
        if reopened:
            await refuse_without_seat(access, now)
        await lock_access_token(access.grant, now=now)
        if not await _reopen(view, access, expires_at, now, period, pause):
            raise _closed_error(await read_invitation(access, view.id, now, settings))
        generation = (await select("SELECT generation FROM invitations WHERE id = $1", view.id))[0]["generation"]
        await outbox.order(view.id, generation=generation, kind=MailKind.INVITATION, now=now)
        await audit.record(
            now, invitation_event("invitation.reopened" if reopened else "invitation.resent", access, view.id)
        )
        await notify(Changed(access.community_id, view.id))
        return await read_invitation(access, view.id, now, settings)


async def _reopen(
    view: InvitationView,
    access: CommunityAccess,
    expires_at: datetime,
    now: datetime,
    period: timedelta,
    pause: timedelta,
) -> bool:
    """Whether this resend succeeded. Raises InvitationClosed when the address of a declined one has a newer invitation."""
    try:
        async with transaction():
            facts = (view.id, access.member_id, expires_at, now, now - period, now - pause, access.access_token_id)
            return await execute(_RESEND, *facts) == 1
    except IntegrityError:
        raise InvitationClosed(
            sentence(
                "INVITATION_SUPERSEDED",
                "This address has a newer invitation. Send that one again, or invite the address again.",
            ),
            view.status,
        ) from None


async def revoke(invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> InvitationView:
    """Revokes a pending invitation, and invalidates its links and flows. Its history remains."""
    view = await find_invitation(invitation_id, caller=caller, now=now, settings=settings)
    _refuse_managing(view)
    async with transaction():
        revoked = await execute(
            f"UPDATE invitations SET revoked_at = $1, revoked_by_id = $2 WHERE id = $3 AND {is_pending('$1')}",  # noqa: S608 -- constants
            now, view.access.member_id, view.id,
        )  # fmt: skip
        if not revoked:
            raise _closed_error(await read_invitation(view.access, view.id, now, settings))
        await audit.record(now, invitation_event("invitation.revoked", view.access, view.id))
        await notify(Changed(view.access.community_id, view.id))
        return await read_invitation(view.access, view.id, now, settings)


def _refuse_managing(view: InvitationView) -> None:
    if not view.access.may_manage(view.role):
        raise NotPermitted(
            token_forbids_role(view.role)
            if only_token_forbids(view.access, view.role)
            else sentence(
                "NOT_PERMITTED",
                "This is an invitation to the role %(role)s, which is above your own.",
                role=view.role.label,
            )
        )


_CLOSED: Final = {
    Status.PENDING: sentence("INVITATION_CHANGED", "This invitation changed while you asked. Try again."),
    Status.ACCEPTED: sentence("INVITATION_CLOSED", "This invitation was accepted already."),
    Status.DECLINED: sentence("INVITATION_CLOSED", "This invitation was declined. You can send it again."),
    Status.REVOKED: sentence("INVITATION_CLOSED", "This invitation was revoked. Invite the address again."),
    Status.EXPIRED: sentence("INVITATION_CLOSED", "This invitation has expired. Invite the address again."),
}


def _closed_error(view: InvitationView) -> ExpectedError:
    return InvitationClosed(_CLOSED[view.status], view.status)


async def _is_blocked(view: InvitationView) -> bool:
    return await Block.filter(community_id=view.access.community_id, email=view.email).exists()
