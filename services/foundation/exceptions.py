"""How exceptions are logged: where and of which kind, without words, which may quote a text."""

import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def with_words(exc_info: ExcInfo) -> str:
    """An exception as Python prints it."""
    return "".join(traceback.format_exception(*exc_info))


def without_words(exc_info: ExcInfo) -> str:
    """The frames and the kind of an exception and of those behind it, the first one first."""
    parts: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(frames + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nfollowed by\n".join(reversed(parts))
