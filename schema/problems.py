"""Expected failures as the API tells them: each refusal of the service has one type, and a sentence for a person."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry
import structlog

from schema import types
from schema.context import Info
from service import errors, metrics, openid
from service.communities import access
from service.invitations import errors as invitation_errors
from service.invitations.status import Status

log = structlog.get_logger()


@strawberry.interface
class Problem:
    message: str = strawberry.field(description="For a person to read; never a secret, never an internal detail.")


@strawberry.type
class AlreadyInvited(Problem):
    invitation: types.Invitation


@strawberry.type
class AlreadyMember(Problem):
    membership: types.Membership


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
    description="The session has no sign-in of the last 15 minutes. Sign in again, then repeat the action."
)
class FreshSignInRequired(Problem):
    code: str = strawberry.field(description="Stable, for programs: FRESH_SIGN_IN_REQUIRED.")


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


@strawberry.type(description="The provider cannot be reached, or is not set up as it should be. Nothing was begun.")
class ProviderUnavailable(Problem):
    pass


@strawberry.type(description="A community keeps at least one owner.")
class LastOwner(Problem):
    pass


@strawberry.type
class InvalidCode(Problem):
    tries_left: int


_PLAIN: dict[type[Exception], type[Any]] = {
    errors.NotSignedIn: NotSignedIn,
    errors.NotFound: NotFound,
    errors.NotPermitted: NotPermitted,
    errors.InvalidEmail: InvalidEmail,
    errors.InviteLinkInvalid: InviteLinkInvalid,
    errors.UnknownProvider: UnknownProvider,
    errors.LastOwner: LastOwner,
    openid.ProviderUnavailable: ProviderUnavailable,
}

_WITH_FACTS: dict[type[Exception], Callable[[Any], Any]] = {
    errors.FreshSignInRequired: lambda refused: FreshSignInRequired(
        message=refused.message, code=refused.sentence.code
    ),
    errors.InvalidInput: lambda refused: InvalidInput(message=refused.message, field=refused.field),
    errors.EmailDomainNotAllowed: lambda refused: EmailDomainNotAllowed(
        message=refused.message, allowed_domains=refused.allowed_domains
    ),
    errors.SeatLimitReached: lambda refused: SeatLimitReached(message=refused.message, limit=refused.limit),
    errors.RateLimited: lambda refused: RateLimited(
        message=refused.message, retry_after_seconds=refused.retry_after_seconds
    ),
    invitation_errors.AlreadyInvited: lambda refused: AlreadyInvited(
        message=refused.message, invitation=types.Invitation.of(refused.invitation)
    ),
    access.AlreadyMember: lambda refused: AlreadyMember(
        message=refused.message, membership=types.Membership.of(refused.membership)
    ),
    invitation_errors.InvitationClosed: lambda refused: InvitationClosed(
        message=refused.message, status=refused.status
    ),
}

Answer = TypeVar("Answer")


async def answered(info: Info, work: Awaitable[Answer]) -> Any:
    """What the work gives, or the problem that stands for its refusal. Who tries what they may not is told to the operator
    (ASVS 16.3.2), with ids and no more.
    """
    try:
        answer: Any = await work
    except (errors.ExpectedError, openid.ProviderUnavailable) as refused:
        answer = problem_of(refused)
    if isinstance(answer, Problem):
        problem, caller = type(answer).__name__, info.context.caller
        metrics.refusals.labels(info.field_name, problem).inc()
        member_id = caller.member_id if caller else None
        log.info("mutation.refused", mutation=info.field_name, problem=problem, member_id=member_id)
    return answer


def problem_of(refused: Exception) -> Any:
    kind = type(refused)
    if kind in _PLAIN:
        return _PLAIN[kind](message=refused.message)  # type: ignore[attr-defined]
    if kind in _WITH_FACTS:
        return _WITH_FACTS[kind](refused)
    raise refused
