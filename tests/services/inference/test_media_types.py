"""What a text is, in all the ways that media types may be written."""

import pytest

from services.inference.errors import UnsupportedMimeTypeError
from services.inference.text.media_types import mime_type_of


@pytest.mark.parametrize(
    ("written", "mime_type"),
    [
        ("", ""),
        ("text/html", "text/html"),
        ("Text/HTML", "text/html"),
        ("text/html; charset=utf-8", "text/html"),
        ("text/html;charset=UTF-8", "text/html"),
        ("TEXT/PLAIN ; CharSet=Utf-8", "text/plain"),
        ('text/xml; charset="utf-8"', "text/xml"),
        ('text/xml; charset="\\u\\tf-8"', "text/xml"),
        ("application/xml; charset=utf8", "application/xml"),
        ("application/xhtml+xml; profile=strict; charset=utf-8", "application/xhtml+xml"),
        ("text/plain; format=flowed; delsp=yes", "text/plain"),
        ('text/plain; title="a; charset=latin1"', "text/plain"),
        ("text/html;", "text/html"),
        ("text/html;; charset=utf-8 ;", "text/html"),
        (" text/html\t", "text/html"),
    ],
)
def test_parameters_and_case_do_not_matter(written: str, mime_type: str) -> None:
    assert mime_type_of(written) == mime_type


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("text/rtf", "must be one of application/xhtml"),
        ("text/rtf; charset=utf-8", "must be one of application/xhtml"),
        ("html", "must be one of"),
        ("text/html, text/plain", "must be one of"),
        ("; charset=utf-8; charset=latin1", "UTF-8"),
        ("text/html; charset=iso-8859-1", "charset of mime_type must be utf-8"),
        ('text/html; charset="UTF-16"', "charset of mime_type must be utf-8"),
        ("text/html; charset=shift_jis", "charset of mime_type must be utf-8"),
        ("text/html; charset=us-ascii", "charset of mime_type must be utf-8"),
        ("text/html; charset=utf-8; charset=latin1", "charset of mime_type must be utf-8"),
        ('text/html; charset=""', "charset of mime_type must be utf-8"),
        ("text/html; charset=", "name=value"),
        ("text/html; charset", "name=value"),
        ("text/html; charset = utf-8", "name=value"),
        ("text/html charset=utf-8", "must be one of"),
        ('text/html; charset="utf-8', "name=value"),
        ("text/html; @", "name=value"),
        ("text/html;" + " " * 1_000_000 + "@", "255 characters"),
        ('text/html; a="' + "\\x" * 1_000_000, "255 characters"),
    ],
)
def test_what_is_no_such_type_is_refused(written: str, message: str) -> None:
    with pytest.raises(UnsupportedMimeTypeError, match=message.replace("+", "\\+")) as caught:
        mime_type_of(written)
    assert caught.value.field == "mime_type"
