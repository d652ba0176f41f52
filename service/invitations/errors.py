"""Expected failures that carry an invitation or its status."""

from service.errors import ExpectedError
from service.invitations.status import Status
from service.invitations.views import InvitationView


class AlreadyInvited(ExpectedError):
    """Raised when the address has an invitation that none may stand beside; nothing was changed or sent.

    It is pending, or closed and the list that names the address asks for nobody anew.
    """

    def __init__(self, invitation: InvitationView) -> None:
        super().__init__(
            "This address has a pending invitation already; you can send it again from there."
            if invitation.status == "PENDING"
            else f"This address was invited before; that invitation is {invitation.status.lower()} now."
        )
        self.invitation = invitation


class InvitationClosed(ExpectedError):
    """Raised when the invitation's status does not allow this any more."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status
