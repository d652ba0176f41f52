"""Errors of a sign-in: a stable reason for the audit, and a sentence for the person.

Neither contains data from the provider: no code, token, description or URL (H063, H068).
"""

from service.flow_sentences import flow_sentence
from service.languages import Sentence


class SignInFailed(Exception):
    """Raised when a login cannot be verified or did not happen; nothing was granted.

    `reason` is a stable word of the audit. `sentence` tells the person what happened and what to do next.
    """

    code = "SIGN_IN_NOT_VERIFIED"

    def __init__(self, reason: str, sentence: Sentence | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = sentence or flow_sentence(self.code, reason=reason)


class ProviderUnavailable(SignInFailed):
    """Raised when a provider is down, slow, or not set up as OpenID Connect Discovery 1.0 requires.

    `detail` is for the operator: a sentence without secrets that names the found and the expected value.
    """

    code = "PROVIDER_UNAVAILABLE"

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail
