"""Expected failures of use cases: one class for each outcome, with a stable code and a sentence for the caller.

An expected failure means that nothing happened. None carries a secret. The sentence is not in a language yet: the edge
formats it for its reader (`service.languages.Sentence`). docs/clients.md lists the codes.
"""

from datetime import timedelta

from service.addresses import as_written
from service.languages import Sentence, sentence


class ExpectedError(Exception):
    """The root of all expected failures; its text is the English sentence."""

    def __init__(self, reason: Sentence) -> None:
        super().__init__(str(reason))
        self.sentence = reason

    @property
    def code(self) -> str:
        """The stable code of the sentence."""
        return self.sentence.code


class NotSignedIn(ExpectedError):
    """Raised when a use case needs a session and the caller has none."""

    def __init__(self, reason: Sentence | None = None) -> None:
        super().__init__(reason or sentence("NOT_SIGNED_IN", "Sign in first."))


class FreshSignInRequired(ExpectedError):
    """Raised when an action changes access to the account and the session's sign-in is more than 15 minutes old."""

    def __init__(self) -> None:
        super().__init__(
            sentence(
                "FRESH_SIGN_IN_REQUIRED",
                "For your protection, sign in once more first. Then repeat what you wanted to do within 15 minutes.",
            )
        )


class SessionChanged(ExpectedError):
    """Raised when a page acts for one member and the browser's session has become another member's."""

    def __init__(self) -> None:
        super().__init__(
            sentence(
                "SESSION_CHANGED",
                "Another account is signed in on this browser now. Reload the page, and repeat the action as that account.",
            )
        )


class NotFound(ExpectedError):
    """Raised when there is no such thing, or nothing that the caller may see; the two read the same."""


class NotPermitted(ExpectedError):
    """Raised when the caller sees the thing but may not do this with it."""


class InvalidEmail(ExpectedError):
    """Raised when a text is no address that could be invited."""


class InvalidInput(ExpectedError):
    """Raised when an argument is out of its bounds; `field` names it as the API does."""

    def __init__(self, field: str, reason: Sentence) -> None:
        super().__init__(reason)
        self.field = field

    @classmethod
    def out_of_range(cls, field: str, value: int, lowest: int, highest: int) -> "InvalidInput":
        """The failure of a number below `lowest` or above `highest`."""
        return cls(
            field,
            sentence(
                "NUMBER_OUT_OF_RANGE",
                "%(field)s is %(value)s; between %(lowest)s and %(highest)s was expected.",
                field=field, value=value, lowest=lowest, highest=highest,
            ),
        )  # fmt: skip

    @classmethod
    def wrong_length(cls, field: str, entries: int, highest: int) -> "InvalidInput":
        """The failure of a list without entries, or with more than `highest`."""
        return cls(
            field,
            sentence(
                "LIST_LENGTH_INVALID",
                "%(field)s has %(entries)s entries; between 1 and %(highest)s were expected.",
                field=field, entries=entries, highest=highest,
            ),
        )  # fmt: skip


class EmailDomainNotAllowed(ExpectedError):
    """Raised when the community's policy does not allow the invitee's domain."""

    def __init__(self, allowed_domains: list[str]) -> None:
        super().__init__(
            sentence(
                "EMAIL_DOMAIN_NOT_ALLOWED",
                "This community invites addresses at these domains only: %(domains)s.",
                domains=tuple(as_written(domain) for domain in allowed_domains),
            )
        )
        self.allowed_domains = allowed_domains


class SeatLimitReached(ExpectedError):
    """Raised when members and pending invitations together fill every seat."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            sentence(
                "SEAT_LIMIT_REACHED",
                "All seats of this community (%(limit)s) are taken by members and pending invitations.",
                limit=limit,
            )
        )
        self.limit = limit


class RateLimited(ExpectedError):
    """Raised when one of the caller's own limits is reached, and only then."""

    def __init__(self, reason: Sentence, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after_seconds = max(1, -int(-retry_after.total_seconds() // 1))


class InviteLinkInvalid(ExpectedError):
    """Raised for unknown, malformed, expired, revoked, replaced and used links, without a difference (H130)."""

    def __init__(self) -> None:
        super().__init__(
            sentence(
                "INVITE_LINK_INVALID",
                "This link does not work any more. Ask for a fresh one: it goes to the invited mailbox.",
            )
        )


class InvalidCode(ExpectedError):
    """Raised when a mailbox code is wrong, expired or not sent yet."""

    def __init__(self, reason: Sentence, tries_left: int) -> None:
        super().__init__(reason)
        self.tries_left = tries_left


class UnknownProvider(ExpectedError):
    """Raised when no provider of that name is configured."""

    def __init__(self) -> None:
        super().__init__(sentence("UNKNOWN_PROVIDER", "There is no such sign-in here. Choose one of the offered ones."))


class LastOwner(ExpectedError):
    """Raised when a change would leave a community without an owner."""

    def __init__(self) -> None:
        super().__init__(
            sentence("LAST_OWNER", "A community keeps at least one owner. Make another member an owner first.")
        )
