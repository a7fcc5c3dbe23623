"""What can go wrong with a call.

    ServiceError
    ├── BadRequestError            the caller must change the request
    │   ├── MalformedMessageError
    │   ├── MissingFieldError
    │   ├── TooManyContentsError
    │   ├── TextTooLongError
    │   ├── CallTooLongError
    │   ├── InvalidOptionError
    │   ├── InvalidPageTokenError
    │   ├── UnsupportedMimeTypeError
    │   ├── InvalidLanguageError
    │   ├── UndecidedLanguageError
    │   └── UnknownLanguagePairError
    ├── UnknownModelError
    ├── DeadlineExceededError
    ├── OverloadError              the same call may succeed later
    ├── ServiceUnavailableError    the same call may succeed later
    │   ├── TritonUnavailableError
    │   │   └── TritonUnreachableError
    │   └── ModelNotReadyError
    │       └── ModelDeadError
    └── ModelFailedError

The text of an error is shown to the caller: it never quotes the texts that the caller sent.
"""

from collections.abc import Sequence
from typing import ClassVar


def content_field(index: int) -> str:
    """How the text at an index of the call's contents is named."""
    return f"contents[{index}]"


class ServiceError(Exception):
    """A call failed; `reason` tells programs why, the text tells people."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        content: int | None = None,
        retry_delay: float | None = None,
    ) -> None:
        """`content` is the index of the text at fault among the call's contents."""
        super().__init__(message)
        self.field = field if content is None else content_field(content)
        self.content = content
        self.retry_delay = retry_delay

    def move(self, content: int) -> None:
        """Names the text at fault by its index in a larger call."""
        self.field, self.content = content_field(content), content


class BadRequestError(ServiceError):
    """The request breaks a rule."""

    reason = "INVALID_REQUEST"


class MalformedMessageError(BadRequestError):
    """The bytes of the request are not the message that the method takes."""

    reason = "MALFORMED_MESSAGE"


class MissingFieldError(BadRequestError):
    """A required field is empty."""

    reason = "FIELD_REQUIRED"


class TooManyContentsError(BadRequestError):
    """The call carries more texts than the server takes."""

    reason = "TOO_MANY_CONTENTS"


class TextTooLongError(BadRequestError):
    """One text has more characters than the server takes, or a part no model can take."""

    reason = "TEXT_TOO_LONG"


class CallTooLongError(BadRequestError):
    """All texts of the call have more characters than the server takes."""

    reason = "CALL_TOO_LONG"


class InvalidOptionError(BadRequestError):
    """An option is out of its range."""

    reason = "INVALID_OPTION"


class InvalidPageTokenError(BadRequestError):
    """The page token is not one that this server gave."""

    reason = "INVALID_PAGE_TOKEN"


class UnsupportedMimeTypeError(BadRequestError):
    """The texts are of a kind that cannot be translated here."""

    reason = "UNSUPPORTED_MIME_TYPE"


class InvalidLanguageError(BadRequestError):
    """The code is no language's."""

    reason = "INVALID_LANGUAGE"


class UndecidedLanguageError(BadRequestError):
    """The language of a text was to be detected, and it is undecided."""

    reason = "UNDECIDED_LANGUAGE"

    def __init__(self, detected: Sequence[str], content: int) -> None:
        """`detected` are the candidates, best first; none where the text fits no language."""
        found = f": it may be {' or '.join(detected[:3])}" if detected else ""
        super().__init__(
            f"the language of {content_field(content)} is undecided{found}; give"
            " source_language_code",
            content=content,
        )


class UnknownLanguagePairError(BadRequestError):
    """No model translates from the one language to the other."""

    reason = "UNKNOWN_LANGUAGE_PAIR"


class UnknownModelError(ServiceError):
    """There is no model or variant of that name."""

    reason = "UNKNOWN_MODEL"


class DeadlineExceededError(ServiceError):
    """The deadline passed, or leaves no time to begin."""

    reason = "DEADLINE_PASSED"


class OverloadError(ServiceError):
    """There is no room for the call now."""

    reason = "OVERLOADED"


class ServiceUnavailableError(ServiceError):
    """What the call needs is not there now."""

    reason = "UNAVAILABLE"


class TritonUnavailableError(ServiceUnavailableError):
    """Triton does not answer."""

    reason = "TRITON_UNAVAILABLE"


class TritonUnreachableError(TritonUnavailableError):
    """No connection to Triton could be made: it has not seen the request."""


class ModelNotReadyError(ServiceUnavailableError):
    """The model exists and does not answer now."""

    reason = "MODEL_NOT_READY"


class ModelDeadError(ModelNotReadyError):
    """The process that ran the model has ended: nothing more comes on what it was asked."""


class ModelFailedError(ServiceError):
    """The model failed on the call."""

    reason = "MODEL_FAILED"
