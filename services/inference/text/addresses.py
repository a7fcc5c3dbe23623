"""Finds where addresses end, in text of any script: https://..., www. ..., a@b.example.

An address may hold letters beyond ASCII (RFC 3987), and text of a script without spaces may follow
it directly (`詳細はhttps://a.example/docsをご覧ください。`).  So letters of another script belong
to it where they start behind a delimiter (`/wiki/Россия`); those of scripts without spaces only if
it stands apart on its left (`参照 https://a.example/wiki/日本`).
"""

import re

from services.inference.text.characters import MARKS

_ASCII = r"A-Za-z0-9\-._~:@!$*+,;=%"
_AMPERSAND = r"&(?!(?:lt|gt|quot|apos|nbsp|#39|#34|#x2[27]);)"
_LATIN = r"\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
# Thai to Khmer, Chinese and Japanese, and Korean, where particles are glued to words.
_UNSPACED = (
    r"\u0e00-\u0fff\u1000-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u318f\u31a0-\u31ff\u3400-\u9fff"
    r"\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"
    r"\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_OTHER = rf"[^\W\x00-\x7f{_LATIN}{_UNSPACED}]"
_LABEL = rf"(?:[A-Za-z0-9{_LATIN}-]+|{_OTHER}+|[{_UNSPACED}]+)"
_LOCAL_PART = rf"(?:[A-Za-z0-9.+%{_LATIN}_-]+|(?<!\w){_OTHER}+)"
_WORD = rf"[A-Za-z0-9_.+@{_LATIN}-]|{_OTHER}"

# What is found whole.
EMAIL = (
    rf"(?<![A-Za-z0-9.+%{_LATIN}_-])(?:mailto:)?@?{_LOCAL_PART}@{_LABEL}(?:\.{_LABEL})+(?<!-)"
    r"(?::[A-Za-z0-9_.~-]+(?:/[A-Za-z0-9_.~-]+)+(?<![.]))?"  # of git and scp
)
PATHS = (
    rf"(?<![A-Za-z0-9_/.{_LATIN}])(?<!{_OTHER})(?:~|\.{{1,2}})?(?:/(?:{_WORD})+){{2,}}/?(?<![.])",
    rf"(?<![A-Za-z0-9])[A-Za-z]:\\[A-Za-z0-9_.\\{_LATIN}-]*[A-Za-z0-9_\\{_LATIN}]",
    r"(?<!\\)\\\\[A-Za-z0-9_.-]+(?:\\[A-Za-z0-9_$-][A-Za-z0-9_.$-]*)+(?<![.])",
)
# What starts an address that `end_of_address` finds the end of.
ADDRESS_START = (
    r"(?i:https?|ftps?|sftp|file|git|svn|ssh|wss?)://"
    r"|(?<![A-Za-z0-9])(?![A-Za-z0-9+.-]{0,30}[.-](?:https?|ftps?|file|wss?)://)"
    r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
    r"|(?<![A-Za-z0-9.@/])(?i:www)\.(?=\w)"
    r"|(?<![A-Za-z0-9])(?i:file:/|tel:(?=[+\d])|magnet:\?|data:(?=\w+/)|urn:(?=\w+:))"
)

_BRACKET = r"[()\[\]{}]"
_HOST = re.compile(
    rf"[{_ASCII}{_LATIN}{MARKS}]+|{_AMPERSAND}"
    rf"|(?<=[/.@-]){_OTHER}(?:{_OTHER}|[{MARKS}\d-])*"
    rf"|(?<=[/@])[{_UNSPACED}][{_UNSPACED}\d-]*(?=\.)|(?<=\.)[{_UNSPACED}][{_UNSPACED}\d-]*"
    rf"|{_BRACKET}"
)
_DELIMITER = r"(?<=[/=_\-+.&?#:~,;@!$*(])"
_PATH = (
    rf"[{_ASCII}/?#{_LATIN}{MARKS}]+|{_AMPERSAND}|{_BRACKET}"
    rf"|{_DELIMITER}{_OTHER}(?:{_OTHER}|[{MARKS}\d])*"
)
_PATH_BESIDE_TEXT = re.compile(_PATH)
# Text that goes on behind a "/" starts with hiragana in Japanese, and a title holds no "を"; in
# Korean it is a particle.
_PARTICLE = (
    r"(?:에(?:서?[는도]?|게)|[을를은는이가와과의도만]|으?로[는도]?|부터|까지|(?:이?라|하)고"
    r"|입니다|이(?:다|며|고))(?![\uac00-\ud7a3])"
)
_PATH_APART = re.compile(
    rf"{_PATH}|(?<=[/=_\-+#&?~(])(?![ぁ-ゖ]|{_PARTICLE})[{_UNSPACED}](?:(?!を)[{_UNSPACED}{MARKS}])*"
)
_BEFORE_APART = frozenset(" \t\n\r\f\u00a0\u3000([{<\"'“‘„«‹「『（【《〈［｛")
_CLOSING = {")": "(", "]": "[", "}": "{"}
# At the end they are the sentence's.
_SENTENCE_MARKS = ".,;:!?*([{"


def end_of_address(text: str, start: int, at: int, end: int) -> int:
    """Where the address that starts at `start` ends; `at` is behind its ADDRESS_START.

    Punctuation at its end, brackets that it does not open, and emphasis around it are no part of
    it.  Returns `start` when nothing is left.
    """
    before = text[start - 1 : start]
    is_apart = not before or before in _BEFORE_APART
    open_brackets: list[str] = []
    stop = _run(_HOST, text, at, end, open_brackets)
    if stop < end and text[stop] in "/?#":
        path = _PATH_APART if is_apart else _PATH_BESIDE_TEXT
        stop = _run(path, text, stop, end, open_brackets)
    while stop > at and (text[stop - 1] in _SENTENCE_MARKS or text[stop - 1] == before != "/"):
        stop -= 1
    return stop if stop > at else start


def _run(piece: re.Pattern[str], text: str, at: int, end: int, open_brackets: list[str]) -> int:
    """Where the pieces from `at` on end: at a bracket that closes none of those that are open."""
    while found := piece.match(text, at, end):
        if found[0] in _CLOSING:
            if not open_brackets or open_brackets.pop() != _CLOSING[found[0]]:
                break
        elif found[0] in _CLOSING.values():
            open_brackets.append(found[0])
        at = found.end()
    return at
