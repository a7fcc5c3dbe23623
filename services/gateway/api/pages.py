"""Pages of a list: their size, and the tokens by which callers ask for the next one."""

import base64
import binascii
import re

from services.inference.errors import InvalidOptionError, InvalidPageTokenError

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_LONGEST_TOKEN = 1024


def page_size(asked: int) -> int:
    """The size to use for the one that a caller asks for; InvalidOptionError."""
    if asked < 0:
        raise InvalidOptionError("page_size must not be negative", field="page_size")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def token_of(text: str) -> str:
    """What callers send back."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def text_of(token: str, field: str, form: re.Pattern[str] | None = None) -> str:
    """What `token_of` was made of, "" without a token; InvalidPageTokenError names the field."""
    if len(token) > _LONGEST_TOKEN:
        raise wrong_token(field)
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise wrong_token(field) from None
    if text and form is not None and not form.fullmatch(text):
        raise wrong_token(field)
    return text


def wrong_token(field: str) -> InvalidPageTokenError:
    """The error for a token that is not ours."""
    return InvalidPageTokenError(
        f"{field} was not issued by this server: send it unchanged, or leave it empty", field=field
    )
