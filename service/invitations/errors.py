"""Expected errors that carry an invitation or its status."""

from typing import Final

from service.errors import ExpectedError
from service.invitation_status import Status
from service.invitations.views import InvitationView
from service.languages import Sentence, sentence

_KNOWN: Final = {
    Status.PENDING: sentence(
        "ALREADY_INVITED", "This address has a pending invitation already; you can send it again from there."
    ),
    Status.ACCEPTED: sentence("INVITED_BEFORE", "This address was invited before; that invitation was accepted."),
    Status.DECLINED: sentence("INVITED_BEFORE", "This address was invited before; that invitation was declined."),
    Status.REVOKED: sentence("INVITED_BEFORE", "This address was invited before; that invitation was revoked."),
    Status.EXPIRED: sentence("INVITED_BEFORE", "This address was invited before; that invitation has expired."),
}

INVITER_LIMITED: Final = sentence("INVITER_LIMIT_REACHED", "You have invited as many people as one may for now.")
COMMUNITY_LIMITED: Final = sentence(
    "COMMUNITY_LIMIT_REACHED", "This community has invited as many people as it may for now."
)
EITHER_LIMITED: Final = sentence(
    "INVITES_LIMITED", "You or this community have invited as many people as one may for now."
)
RESENT_TOO_SOON: Final = sentence("RESENT_TOO_SOON", "This invitation was sent again a short while ago.")
LIMITS: Final = {limit.code: limit for limit in (INVITER_LIMITED, COMMUNITY_LIMITED, EITHER_LIMITED, RESENT_TOO_SOON)}
"""The sentences of limits, by the code that audit events store."""


class AlreadyInvited(ExpectedError):
    """Raised when the address has an invitation that excludes a new one.

    The invitation is pending, or it is closed and the list with the address does not reinvite closed ones.
    """

    def __init__(self, invitation: InvitationView) -> None:
        super().__init__(_KNOWN[invitation.status])
        self.invitation = invitation


class InvitationClosed(ExpectedError):
    """Raised when the invitation's status does not allow the action."""

    def __init__(self, reason: Sentence, status: Status) -> None:
        super().__init__(reason)
        self.status = status
