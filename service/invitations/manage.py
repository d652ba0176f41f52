"""Invitations: what an admin and an invitee may do with one. All refusals come first; then one transaction.

The road of one invite: `invite` writes the invitation and its mail order; `service.delivery.worker` makes the link and sends
it; `service.sign_in.flows` binds the link to a login; `service.invitations.accept` lets its holder in.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tortoise.exceptions import IntegrityError

from service import audit
from service.accounts import access_tokens
from service.accounts.sessions import Caller
from service.addresses import Address, AddressInvalid, canonical
from service.changes import Changed, announce
from service.communities.access import (
    STANDING_COLUMNS,
    AlreadyMember,
    MemberView,
    Standing,
    lock_seats,
    memberships_named,
    standing,
    standing_of,
)
from service.database import execute, select, transaction
from service.database.shares import concerns
from service.errors import (
    MESSAGE,
    NAME,
    EmailDomainNotAllowed,
    InvalidEmail,
    InviteLinkInvalid,
    NotFound,
    NotPermitted,
    NotSignedIn,
    RateLimited,
    Refused,
    SeatLimitReached,
    worded,
)
from service.invitations import views as invitation_views
from service.invitations.errors import AlreadyInvited, InvitationClosed
from service.invitations.links import LinkFacts
from service.invitations.status import Status
from service.invitations.views import InvitationView
from service.languages import language_tag
from service.limits import Allowance, audited, refuse_over_any
from service.mail import blocks, outbox
from service.models import Block, Community, MailKind, Role
from service.settings import Settings
from service.tokens import is_id, new_id

# ---------------------------------------------------------------------------------------------------------- inviting


@dataclass(frozen=True, slots=True)
class Invitee:
    """Whom to invite, as the inviter wrote it."""

    email: str
    role: Role = Role.MEMBER
    message: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Whom to invite, in the form that is stored."""

    email: Address
    role: Role
    message: str | None
    locale: str | None


@dataclass(frozen=True, slots=True)
class _InviteFacts:
    """The inviter and their standing, and what stands in the way of inviting an address."""

    place: Standing
    inviter: MemberView
    open_id: str | None
    open_expires_at: datetime | None
    membership_id: str | None


async def invite(
    community_id: str, invitee: Invitee, *, caller: Caller | None, now: datetime, settings: Settings
) -> InvitationView:
    """Puts an address on the list of a community and orders the mail; the worker makes the link and sends it."""
    if caller is None:
        raise NotSignedIn
    facts = await _invite_facts(community_id, invitee.email, caller, settings)
    refuse_above_own_role(facts.place, invitee.role)
    checked = checked_invitee(invitee, facts.place)
    await _refuse_known(facts, now, settings)
    async with audited(community_id, caller.member_id, now=now), transaction():
        await _refuse_without_seat(facts.place, now)
        await _spend_invites(facts.place, 1, now, settings)
        return await _write_invitation(facts, checked, now, settings)


_INVITE_FACTS = f"""
SELECT {STANDING_COLUMNS},
    p.name AS inviter_name, p.email AS inviter_email, p.created_at AS inviter_created_at,
    i.id AS open_id, i.expires_at AS open_expires_at, am.id AS known_membership_id
FROM memberships m JOIN communities c ON c.id = m.community_id JOIN members p ON p.id = m.member_id
LEFT JOIN invitations i ON i.community_id = c.id AND i.email = $3 AND i.accepted_at IS NULL
    AND i.declined_at IS NULL AND i.revoked_at IS NULL AND i.superseded_at IS NULL
LEFT JOIN memberships am ON am.community_id = c.id AND am.member_id IN (
    SELECT id FROM members WHERE email = $3
    UNION ALL
    SELECT accepted_by_id FROM invitations WHERE community_id = $2 AND email = $3 AND accepted_at IS NOT NULL)
WHERE m.member_id = $1 AND c.id = $2
ORDER BY am.id NULLS LAST LIMIT 1
"""  # noqa: S608 -- constants


async def _invite_facts(community_id: str, email: str, caller: Caller, settings: Settings) -> _InviteFacts:
    """Everything that decides on an invitation, in one statement; an address that is none matches nothing."""
    facts = (caller.member_id, community_id, _canonical_or_nothing(email))
    rows = await select(_INVITE_FACTS, *facts) if is_id(community_id) and caller.may_enter(community_id) else []
    if not rows:
        raise NotFound("There is no such community among yours.")
    row = rows[0]
    concerns(row["community_id"])
    place = standing_of(row, settings, caller.grant)
    inviter = MemberView(place.member_id, row["inviter_name"], row["inviter_email"], row["inviter_created_at"])
    return _InviteFacts(place, inviter, row["open_id"], row["open_expires_at"], row["known_membership_id"])


def _canonical_or_nothing(email: str) -> str:
    try:
        return canonical(email)
    except AddressInvalid:
        return ""


def refuse_above_own_role(place: Standing, role: Role) -> None:
    if not place.is_admin:
        raise NotPermitted("Only admins and owners invite people to this community.")
    if not place.may_manage(role):
        raise NotPermitted(
            _above_the_token(role)
            if _only_the_token_refuses(place, role)
            else f"You are {place.role.lower()} here, so you cannot invite to the role {role.lower()}."
        )


def _only_the_token_refuses(place: Standing, role: Role) -> bool:
    return replace(place, grant=None).may_manage(role)


def _above_the_token(role: Role) -> str:
    return f"This access token cannot be used for invitations to the role {role.lower()}."


def checked_invitee(invitee: Invitee, place: Standing) -> Checked:
    try:
        email = canonical(invitee.email)
    except AddressInvalid as error:
        raise InvalidEmail(str(error)) from None
    message = worded(invitee.message, MESSAGE) if invitee.message and invitee.message.strip() else None
    locale = language_tag(invitee.locale)
    if not place.admits(email):
        raise EmailDomainNotAllowed(list(place.allowed_email_domains))
    return Checked(email, invitee.role, message, locale)


async def _refuse_known(facts: _InviteFacts, now: datetime, settings: Settings) -> None:
    if facts.membership_id is not None:
        raise AlreadyMember((await memberships_named([facts.membership_id], facts.place))[0])
    if facts.open_id is not None and facts.open_expires_at is not None and facts.open_expires_at > now:
        raise AlreadyInvited(await _view(facts.place, facts.open_id, now, settings))


async def _refuse_without_seat(place: Standing, now: datetime) -> None:
    """Counts again under the community's lock, where a limit makes counting matter."""
    if place.seat_limit is None:
        return
    seats = await lock_seats(place.community_id, now)
    if seats.limit is not None and seats.members + seats.pending >= seats.limit:
        raise SeatLimitReached(seats.limit)


async def _spend_invites(place: Standing, number: int, now: datetime, settings: Settings) -> None:
    limits = settings.rate_limits
    own = "You have invited as many people as one may for now."
    all_of_them = "This community has invited as many people as it may for now."
    await refuse_over_any(
        Allowance(limits.invites_per_inviter, f"inviter:{place.member_id}", own),
        Allowance(limits.invites_per_community, f"community:{place.community_id}", all_of_them),
        now=now, times=number,
    )  # fmt: skip


_INSERT = """
INSERT INTO invitations (id, community_id, email, role, message, locale, inviter_id, generation, created_at, expires_at,
    days, delivery, delivery_at, resends, for_member_id, access_token_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, 'QUEUED', $8, 0, $11, $12)
ON CONFLICT DO NOTHING
"""


async def _write_invitation(facts: _InviteFacts, invitee: Checked, now: datetime, settings: Settings) -> InvitationView:
    """The invitation, its mail order and its audit event; loses to a simultaneous invite of the same address (H084)."""
    place, invitation_id = facts.place, new_id("inv")
    if facts.open_id is not None:
        await execute(
            "UPDATE invitations SET superseded_at = $1 WHERE id = $2 AND superseded_at IS NULL", now, facts.open_id
        )
    expires_at = now + timedelta(days=place.invitation_days)
    written = await execute(
        _INSERT, invitation_id, place.community_id, invitee.email, invitee.role, invitee.message, invitee.locale,
        place.member_id, now, expires_at, place.invitation_days, None, place.access_token_id,
    )  # fmt: skip
    if not written:
        raise await _already_invited(place, invitee.email, now, settings)
    await access_tokens.hold(place.grant, now=now)
    await announce(
        Changed(place.community_id, invitation_id),
        outbox.order_statement(invitation_id, generation=1, kind=MailKind.INVITATION, now=now),
        audit.recording(now, _event("invitation.created", place, invitation_id, role=invitee.role)),
    )
    return invitation_views.of_new(
        place, facts.inviter, invitation_id, email=invitee.email, role=invitee.role, message=invitee.message,
        locale=invitee.locale, now=now, expires_at=expires_at, settings=settings,
    )  # fmt: skip


async def _already_invited(place: Standing, email: Address, now: datetime, settings: Settings) -> Refused:
    rows = await select(
        "SELECT id FROM invitations WHERE community_id = $1 AND email = $2 AND accepted_at IS NULL AND declined_at IS NULL"
        " AND revoked_at IS NULL AND superseded_at IS NULL",
        place.community_id, email,
    )  # fmt: skip
    if not rows:
        return NotFound("This invitation changed while you asked. Try again.")
    return AlreadyInvited(await _view(place, rows[0]["id"], now, settings))


def _event(kind: str, place: Standing, invitation_id: str, **details: str) -> audit.Event:
    facts = details | access_tokens.details_of(place.grant)
    return audit.Event(kind, place.community_id, place.member_id, invitation_id, facts)


async def _view(place: Standing, invitation_id: str, now: datetime, settings: Settings) -> InvitationView:
    view = await invitation_views.one(place, invitation_id, now=now, settings=settings)
    if view is None:
        raise NotFound("There is no such invitation.")
    return view


async def found_community(
    name: str, owner: Address, *, locale: str | None = None, now: datetime, settings: Settings
) -> str:
    """The operator makes a community and invites its first owner; returns the community's id.

    `locale` is the language of its mails. Raises InvalidInput for a name out of bounds, and for what is no language.
    """
    community_id = new_id("com")
    name, locale = worded(name, NAME), language_tag(locale)
    async with transaction():
        await Community.create(id=community_id, name=name, locale=locale, created_at=now)
        await audit.record(now, audit.Event("community.created", community_id))
        await invite_owner(community_id, owner, now=now, settings=settings)
    return community_id


async def invite_owner(community_id: str, owner: Address, *, now: datetime, settings: Settings) -> None:
    """The operator invites an owner."""
    await invite_for_operator(community_id, owner, Role.OWNER, for_member_id=None, now=now, settings=settings)


async def invite_for_operator(
    community_id: str, email: Address, role: Role, *, for_member_id: str | None, now: datetime, settings: Settings
) -> None:
    """An invitation without an inviter, whose right nobody can lose. An open one of the address makes way.

    With `for_member_id` it readmits the owner of that very account.
    """
    invitation_id, days = new_id("inv"), settings.invitation_days
    expires_at = now + timedelta(days=days)
    async with transaction():
        await execute(
            "UPDATE invitations SET superseded_at = $1 WHERE community_id = $2 AND email = $3 AND accepted_at IS NULL"
            " AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL",
            now, community_id, email,
        )  # fmt: skip
        await execute(
            _INSERT, invitation_id, community_id, email, role, None, None, None, now, expires_at, days, for_member_id,
            None,
        )  # fmt: skip
        await outbox.order(invitation_id, generation=1, kind=MailKind.INVITATION, now=now)
        await audit.record(now, audit.Event("invitation.created", community_id, None, invitation_id, {"role": role}))
        await announce(Changed(community_id, invitation_id))


# ---------------------------------------------------------------------------------------------- resending, revoking


async def find(invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> InvitationView:
    """The invitation, for an admin of its community. Raises NotSignedIn, and NotFound for whatever they may not see."""
    if caller is None:
        raise NotSignedIn
    rows = (
        await select("SELECT community_id FROM invitations WHERE id = $1", invitation_id)
        if is_id(invitation_id)
        else []
    )
    try:
        place = await standing(caller, rows[0]["community_id"] if rows else "", settings)
    except NotFound:
        raise NotFound("There is no such invitation.") from None
    if not place.is_admin:
        raise NotFound("There is no such invitation.")
    return await _view(place, invitation_id, now, settings)


async def resend(invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> InvitationView:
    """Sends a new link; every earlier link and flow dies now. The caller becomes the inviter. Reopens a declined one,
    which takes a seat again.
    """
    view = await find(invitation_id, caller=caller, now=now, settings=settings)
    _refuse_managing(view)
    if view.status not in {Status.PENDING, Status.DECLINED}:
        raise _closed(view)
    if view.status is Status.DECLINED and await _blocked(view):
        raise InvitationClosed(
            "Somebody with the link blocked further invitations from this community to this address. The mail about the"
            " block can lift it, and so can the operator.",
            view.status,
        )
    async with audited(view.place.community_id, view.place.member_id, invitation_id=view.id, now=now):
        if view.can_resend_at is not None:
            raise RateLimited("This invitation was sent again a short while ago.", view.can_resend_at - now)
    return await _write_resend(view, now, settings)


_RESEND = """
UPDATE invitations SET generation = generation + 1, inviter_id = $2, access_token_id = $7, declined_at = NULL,
    expires_at = $3,
    days = CASE WHEN declined_at IS NULL THEN days END,
    delivery = 'QUEUED', delivery_reason = NULL, delivery_at = $4, delivered_at = NULL, resent_at = $4,
    resends = CASE WHEN resends_since_at > $5 THEN resends + 1 ELSE 1 END,
    resends_since_at = CASE WHEN resends_since_at > $5 THEN resends_since_at ELSE $4 END
WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL
    AND (declined_at IS NOT NULL OR expires_at > $4) AND (resent_at IS NULL OR resent_at <= $6)
"""


async def _write_resend(view: InvitationView, now: datetime, settings: Settings) -> InvitationView:
    place, limit = view.place, settings.rate_limits.resends_per_invitation
    reopened = view.status is Status.DECLINED
    expires_at = now + timedelta(days=place.invitation_days) if reopened else view.expires_at
    period, pause = (limit.period, invitation_views.RESEND_PAUSE) if limit else (timedelta(days=1), timedelta(0))
    async with transaction():
        if reopened:
            await _refuse_without_seat(place, now)
        await access_tokens.hold(place.grant, now=now)
        if not await _reopen(view, place, expires_at, now, period, pause):
            raise _closed(await _view(place, view.id, now, settings))
        generation = (await select("SELECT generation FROM invitations WHERE id = $1", view.id))[0]["generation"]
        await outbox.order(view.id, generation=generation, kind=MailKind.INVITATION, now=now)
        await audit.record(now, _event("invitation.reopened" if reopened else "invitation.resent", place, view.id))
        await announce(Changed(place.community_id, view.id))
        return await _view(place, view.id, now, settings)


async def _reopen(
    view: InvitationView, place: Standing, expires_at: datetime, now: datetime, period: timedelta, pause: timedelta
) -> bool:
    """Whether this resend won; a declined one loses to a newer open invitation of the same address."""
    try:
        async with transaction():
            facts = (view.id, place.member_id, expires_at, now, now - period, now - pause, place.access_token_id)
            return await execute(_RESEND, *facts) == 1
    except IntegrityError:
        raise InvitationClosed(
            "This address has a newer invitation. Send that one again, or invite the address anew.", view.status
        ) from None


async def revoke(invitation_id: str, *, caller: Caller | None, now: datetime, settings: Settings) -> InvitationView:
    """Takes a pending invitation back; its links and flows die now, its history stays."""
    view = await find(invitation_id, caller=caller, now=now, settings=settings)
    _refuse_managing(view)
    async with transaction():
        revoked = await execute(
            "UPDATE invitations SET revoked_at = $1, revoked_by_id = $2 WHERE id = $3 AND accepted_at IS NULL"
            " AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL AND expires_at > $1",
            now, view.place.member_id, view.id,
        )  # fmt: skip
        if not revoked:
            raise _closed(await _view(view.place, view.id, now, settings))
        await audit.record(now, _event("invitation.revoked", view.place, view.id))
        await announce(Changed(view.place.community_id, view.id))
        return await _view(view.place, view.id, now, settings)


def _refuse_managing(view: InvitationView) -> None:
    if not view.place.may_manage(view.role):
        raise NotPermitted(
            _above_the_token(view.role)
            if _only_the_token_refuses(view.place, view.role)
            else f"This is an invitation to the role {view.role.lower()}, which is above your own."
        )


_CLOSED: Final = {
    Status.PENDING: "This invitation changed while you asked. Look at it again.",
    Status.ACCEPTED: "This invitation was accepted already.",
    Status.DECLINED: "This invitation was declined. You can send it again.",
    Status.REVOKED: "This invitation was revoked. Invite the address anew.",
    Status.EXPIRED: "This invitation has expired. Invite the address anew.",
}


def _closed(view: InvitationView) -> Refused:
    return InvitationClosed(_CLOSED[view.status], view.status)


async def _blocked(view: InvitationView) -> bool:
    return await Block.filter(community_id=view.place.community_id, email=view.email).exists()


# ----------------------------------------------------------------------------------------- what the holder of a link does


def open_link(link: LinkFacts | None, now: datetime) -> LinkFacts:
    """The link, if a flow may begin with it. Raises InviteLinkInvalid alike for every other (H130)."""
    if link is None or not link.lives(now):
        raise InviteLinkInvalid
    return link


async def decline(link: LinkFacts, *, block: bool, now: datetime) -> str:
    """Declines for somebody with the link; returns the community's name.

    With block, the community can invite the address no more, until the mail that tells the mailbox of it, or the
    operator, lifts the block. Raises InviteLinkInvalid.
    """
    async with transaction():
        declined = await execute(
            "UPDATE invitations SET declined_at = $1 WHERE id = $2 AND generation = $3 AND accepted_at IS NULL"
            " AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL AND expires_at > $1",
            now, link.invitation_id, link.generation,
        )  # fmt: skip
        if not declined:
            raise InviteLinkInvalid
        await audit.record(now, audit.Event("invitation.declined", link.community_id, None, link.invitation_id))
        if block:
            await blocks.make(link.community_id, link.email, invitation_id=link.invitation_id, now=now)
            await outbox.order_block_notice(link.invitation_id, generation=link.generation, now=now)
        await announce(Changed(link.community_id, link.invitation_id))
    return link.community_name
