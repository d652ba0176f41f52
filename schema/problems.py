"""Problems: the members of result unions that report an expected failure. Each error of the service has one."""

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import strawberry
import structlog

from schema.context import Info
from schema.types import Invitation, Membership
from schema.types.communities import invitation_with_community, membership_with_community
from service import errors, metrics, openid
from service.communities.members import AlreadyMember as AlreadyMemberError
from service.invitation_status import Status
from service.invitations.errors import AlreadyInvited as AlreadyInvitedError
from service.invitations.errors import InvitationClosed as InvitationClosedError
from service.languages import localized

log = structlog.get_logger()

_OF_ALL: Final = frozenset({"message", "code"})


@strawberry.interface
class Problem:
    message: str = strawberry.field(
        description="For a person to read, in the language of the request; never a secret, never an internal detail."
    )
    code: str = strawberry.field(
        description="Stable, for programs: NOT_PERMITTED, EMAIL_INVALID, ... docs/clients.md lists the codes."
    )

    @classmethod
    def from_error(cls, error: Any) -> Self:
        """The problem of an error: its sentence and code, and its attributes with the names of the problem's fields."""
        further = {field.name: getattr(error, field.name) for field in fields(cls) if field.name not in _OF_ALL}
        return cls(message=localized(error.sentence), code=error.sentence.code, **further)


@strawberry.type
class AlreadyInvited(Problem):
    invitation: Invitation

    @classmethod
    def from_error(cls, error: AlreadyInvitedError) -> Self:
        invitation = invitation_with_community(error.invitation)
        return cls(message=localized(error.sentence), code=error.sentence.code, invitation=invitation)


@strawberry.type
class AlreadyMember(Problem):
    membership: Membership

    @classmethod
    def from_error(cls, error: AlreadyMemberError) -> Self:
        membership = membership_with_community(error.membership)
        return cls(message=localized(error.sentence), code=error.sentence.code, membership=membership)


@strawberry.type
class InvalidEmail(Problem):
    pass


@strawberry.type(description="An argument is out of its bounds: field names it.")
class InvalidInput(Problem):
    field: str


@strawberry.type
class EmailDomainNotAllowed(Problem):
    allowed_domains: list[str]


@strawberry.type
class SeatLimitReached(Problem):
    limit: int


@strawberry.type(description="No such thing, or nothing that the caller may see.")
class NotFound(Problem):
    pass


@strawberry.type
class NotPermitted(Problem):
    pass


@strawberry.type
class NotSignedIn(Problem):
    pass


@strawberry.type(
    description="The last sign-in of the session is older than 15 minutes. Sign in again, then repeat the action."
)
class FreshSignInRequired(Problem):
    pass


@strawberry.type(
    description="The browser's session belongs to another member than the one named. Nothing happened: reload the page."
)
class SessionChanged(Problem):
    pass


@strawberry.type(description="Only ever the caller's own limits: their address, their account, their community.")
class RateLimited(Problem):
    retry_after_seconds: int


@strawberry.type(description="The invitation is no longer open for this: its status says why.")
class InvitationClosed(Problem):
    status: Status


@strawberry.type(description="One answer for unknown, malformed, expired, revoked, replaced and used links.")
class InviteLinkInvalid(Problem):
    pass


@strawberry.type
class UnknownProvider(Problem):
    pass


@strawberry.type(description="The provider cannot be reached, or its configuration is wrong. No sign-in was started.")
class ProviderUnavailable(Problem):
    pass


@strawberry.type(description="A community keeps at least one owner.")
class LastOwner(Problem):
    pass


@strawberry.type
class InvalidCode(Problem):
    tries_left: int


@dataclass(frozen=True)
class Handler:
    """Converts an error of the service into its problem, in every field whose union contains the problem.

    Counts each conversion, and logs it with the member's id: operators see attempts at forbidden actions (ASVS 16.3.2).
    An error without a problem in the union is unexpected, and masked.
    """

    exception_type: type[Exception]
    error_type: type[Problem]

    def handle(self, exception: Exception, *, info: Info, **_: Any) -> Problem:
        problem, caller = self.error_type.__name__, info.context.caller
        metrics.refusals.labels(info.field_name, problem).inc()
        member_id = caller.member_id if caller else None
        log.info("mutation.refused", mutation=info.field_name, problem=problem, member_id=member_id)
        return self.error_type.from_error(exception)


_PROBLEMS: Final[dict[type[Exception], type[Problem]]] = {
    errors.NotSignedIn: NotSignedIn,
    errors.FreshSignInRequired: FreshSignInRequired,
    errors.SessionChanged: SessionChanged,
    errors.NotFound: NotFound,
    errors.NotPermitted: NotPermitted,
    errors.InvalidEmail: InvalidEmail,
    errors.InvalidInput: InvalidInput,
    errors.EmailDomainNotAllowed: EmailDomainNotAllowed,
    errors.SeatLimitReached: SeatLimitReached,
    errors.RateLimited: RateLimited,
    errors.InviteLinkInvalid: InviteLinkInvalid,
    errors.UnknownProvider: UnknownProvider,
    errors.LastOwner: LastOwner,
    errors.InvalidCode: InvalidCode,
    openid.ProviderUnavailable: ProviderUnavailable,
    AlreadyInvitedError: AlreadyInvited,
    AlreadyMemberError: AlreadyMember,
    InvitationClosedError: InvitationClosed,
}

HANDLERS: Final = tuple(Handler(error, problem) for error, problem in _PROBLEMS.items())


def problem_of(error: errors.ExpectedError) -> Problem:
    """The problem of an error, for a row of inviteMembers."""
    return _PROBLEMS[type(error)].from_error(error)
