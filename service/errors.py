"""Every expected failure of a use case: one leaf per outcome, each a sentence for the person who asked.

A refusal means that nothing happened. None carries a secret.
"""

from dataclasses import dataclass
from datetime import timedelta


class ExpectedError(Exception):
    """The root of all refusals; `message` is for a person to read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotSignedIn(ExpectedError):
    """Raised when a use case needs a session and the caller has none."""

    def __init__(self, message: str = "Sign in first.") -> None:
        super().__init__(message)


class FreshSignInRequired(ExpectedError):
    """Raised when an action changes access to the account and the session's sign-in is more than 15 minutes old."""

    code = "FRESH_SIGN_IN_REQUIRED"

    def __init__(self) -> None:
        super().__init__(
            "For your protection, sign in once more first. Then repeat what you wanted to do within 15 minutes."
        )


class NotFound(ExpectedError):
    """Raised when there is no such thing, or nothing that the caller may see; the two read the same."""

    def __init__(self, message: str = "There is nothing here that you can see.") -> None:
        super().__init__(message)


class NotPermitted(ExpectedError):
    """Raised when the caller sees the thing but may not do this with it."""


class InvalidEmail(ExpectedError):
    """Raised when a text is no address that could be invited."""


class InvalidInput(ExpectedError):
    """Raised when an argument is out of its bounds; `field` names it as the API does."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class EmailDomainNotAllowed(ExpectedError):
    """Raised when the community's policy does not allow the invitee's domain."""

    def __init__(self, allowed_domains: list[str]) -> None:
        super().__init__(f"This community invites addresses at {', '.join(allowed_domains)} only.")
        self.allowed_domains = allowed_domains


class SeatLimitReached(ExpectedError):
    """Raised when members and pending invitations together fill every seat."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"All {limit} seats of this community are taken by members and pending invitations.")
        self.limit = limit


class RateLimited(ExpectedError):
    """Raised when one of the caller's own limits is used up, and only then."""

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after_seconds = max(1, -int(-retry_after.total_seconds() // 1))


class InviteLinkInvalid(ExpectedError):
    """Raised alike for unknown, malformed, expired, revoked, replaced and used links (H130)."""

    def __init__(self) -> None:
        super().__init__("This link does not work any more. Ask for a fresh one: it goes to the invited mailbox.")


class UnknownProvider(ExpectedError):
    """Raised when no provider of that name is configured."""

    def __init__(self) -> None:
        super().__init__("There is no such sign-in here. Choose one of the offered ones.")


class LastOwner(ExpectedError):
    """Raised when a change would leave a community without an owner."""

    def __init__(self) -> None:
        super().__init__("A community keeps at least one owner. Make somebody else an owner first.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a text from a person may be, in characters."""

    field: str
    longest: int
    lines: bool = False


NAME = Bounds("name", 100)
MESSAGE = Bounds("message", 1000, lines=True)


def validated_text(text: str, bounds: Bounds) -> str:
    """The text, trimmed. Raises InvalidInput when it is empty, too long, or carries control characters (H087)."""
    trimmed = text.strip()
    if not trimmed:
        raise InvalidInput(
            bounds.field, f"The {bounds.field} is empty; between 1 and {bounds.longest} characters were expected."
        )
    if len(trimmed) > bounds.longest:
        raise InvalidInput(
            bounds.field, f"The {bounds.field} has {len(trimmed)} characters; at most {bounds.longest} were expected."
        )
    if not all(_printable(character, lines=bounds.lines) for character in trimmed):
        raise InvalidInput(
            bounds.field, f"The {bounds.field} has a control character or a line break where plain text was expected."
        )
    return trimmed


def _printable(character: str, *, lines: bool) -> bool:
    return character.isprintable() or character in _INVISIBLE_BUT_FINE or (lines and character in "\n\r\t")


# Joiners shape names and emoji in many scripts; the mails neutralise them where they could mislead.
_INVISIBLE_BUT_FINE = "\u200c\u200d\u00a0\u202f\u3000"
