"""How a sign-in fails: a stable reason for the audit, and a sentence for the person.

Neither ever carries what the provider sent: no code, token, description or URL (H063, H068).
"""

from typing import Final

from service.languages import Sentence, gettext_noop

_NOT_BELIEVED: Final = gettext_noop(
    "The sign-in provider's answer did not pass our checks, so it was not believed and nothing was changed. Try again;"
    " if it happens again, tell whoever runs this service: %(reason)s."
)
_UNAVAILABLE: Final = gettext_noop(
    "The sign-in provider cannot be used right now; nothing was changed. Try again in a few minutes; if it happens"
    " again, tell whoever runs this service: %(reason)s."
)


class SignInFailed(Exception):
    """Raised when a login cannot be believed or did not happen; nothing was granted.

    `reason` is a stable word of the audit, `message` tells the person what happened and what to do next.
    """

    code, wording = "SIGN_IN_FAILED", _NOT_BELIEVED

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = Sentence(self.wording, self.code, {"reason": reason})
        self.message = message or str(self.sentence)


class ProviderUnavailable(SignInFailed):
    """Raised when a provider is down, slow, or not set up as OpenID Connect Discovery 1.0 wants it.

    `detail` is for the operator: a sentence without secrets that says what was found and what was expected.
    """

    code, wording = "PROVIDER_UNAVAILABLE", _UNAVAILABLE

    def __init__(self, reason: str, message: str | None = None, *, detail: str = "") -> None:
        super().__init__(reason, message)
        self.detail = detail
