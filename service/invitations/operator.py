"""Actions on the operator's authority: creating communities, inviting owners, and recovering accounts.

A sign-in never finds an account by its address. The operator names the account to recover, and its sign-ins and sessions
end. Its owner returns with a link to the mailbox and a login that proves the address.
"""

from datetime import datetime, timedelta

from service import audit
from service.accounts.identities import delete_sign_ins
from service.addresses import Address
from service.changes import Changed, notify
from service.database import execute, select, transaction
from service.errors import ExpectedError, NotFound
from service.invitation_status import is_open
from service.invitations.invite import INSERT
from service.languages import Sentence
from service.mail import outbox
from service.models import Community, MailKind, Role
from service.settings import Settings
from service.text import NAME, language_tag, validated_text
from service.tokens import new_id


async def create_community_as_operator(
    name: str, owner: Address, *, locale: str | None = None, another: bool = False, now: datetime, settings: Settings
) -> str:
    """Creates a community, invites its first owner, and returns the community's id.

    `locale` is the language of its mails. Raises InvalidInput for an invalid name or language, and NameTaken for the name of
    a community that exists, in any case, unless `another` is true.
    """
    community_id = new_id("com")
    name, locale = validated_text(name, NAME), language_tag(locale)
    async with transaction():
        if not another:
            await _refuse_taken_name(name)
        await Community.create(id=community_id, name=name, locale=locale, created_at=now)
        await audit.record(now, audit.Event("community.created", community_id))
        await invite_owner(community_id, owner, now=now, settings=settings)
    return community_id


class NameTaken(ExpectedError):
    """Raised when a community has the name already. A repeated command would create a second one by mistake."""


async def _refuse_taken_name(name: str) -> None:
    rows = await select(
        "SELECT id, name FROM communities WHERE lower(name) = lower($1) ORDER BY created_at LIMIT 1", name
    )
    if rows:
        raise NameTaken(
            Sentence(
                f"There is a community {rows[0]['name']} already ({rows[0]['id']}). --another creates a second one."
            )
        )


async def invite_owner(community_id: str, owner: Address, *, now: datetime, settings: Settings) -> None:
    """Invites an owner to a community."""
    await invite_for_operator(community_id, owner, Role.OWNER, for_member_id=None, now=now, settings=settings)


async def invite_for_operator(
    community_id: str, email: Address, role: Role, *, for_member_id: str | None, now: datetime, settings: Settings
) -> None:
    """Creates an invitation without an inviter, which supersedes an open invitation of the address.

    With `for_member_id` only that account can accept it.
    """
    invitation_id, days = new_id("inv"), settings.invitation_days
    expires_at = now + timedelta(days=days)
    async with transaction():
        await execute(
            f"UPDATE invitations SET superseded_at = $1 WHERE community_id = $2 AND email = $3 AND {is_open()}",  # noqa: S608 -- constants
            now, community_id, email,
        )  # fmt: skip
        await execute(
            INSERT, invitation_id, community_id, email, role, None, None, None, now, expires_at, days, for_member_id,
            None,
        )  # fmt: skip
        await outbox.order(invitation_id, generation=1, kind=MailKind.INVITATION, now=now)
        await audit.record(now, audit.Event("invitation.created", community_id, None, invitation_id, {"role": role}))
        await notify(Changed(community_id, invitation_id))


async def release_account(email: Address, *, now: datetime, settings: Settings) -> bool:
    """Ends the sign-ins, sessions and access tokens of the account with this address, and invites its owner back to it.

    Returns False when the account belongs to no community. It then loses the address, and an invitation to the address
    creates a new account. Raises NotFound when no account has the address.
    """
    async with transaction():
        member_id, access = await _account(email)
        await delete_sign_ins(member_id, now=now)
        await audit.record(now, audit.Event("member.identity_released", access and access[0], member_id))
        if access is None:
            await execute("UPDATE members SET email = NULL WHERE id = $1", member_id)
            return False
        await invite_for_operator(access[0], email, access[1], for_member_id=member_id, now=now, settings=settings)
        return True


async def _account(email: Address) -> tuple[str, tuple[str, Role] | None]:
    """Returns the account of an address, with the community and role of its highest membership."""
    rows = await select(
        "SELECT m.id, s.community_id, s.role FROM members m LEFT JOIN memberships s ON s.member_id = m.id"
        " WHERE m.email = $1 AND m.erased_at IS NULL ORDER BY m.id",
        email,
    )
    if not rows:
        raise NotFound(Sentence("No account has this address; invite the person instead."))
    memberships = [(row["id"], (row["community_id"], Role(row["role"]))) for row in rows if row["role"] is not None]
    return max(memberships, key=lambda found: found[1][1].rank, default=(rows[0]["id"], None))
