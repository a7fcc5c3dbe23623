"""Finds what programs and browsers read in a text: directives, variables, addresses, paths."""

import re
from collections.abc import Iterator

# From the longest kinds to the shortest: at a place the first that fits is taken.
_PATTERNS = (
    # Templates: {{name}}, {% tag %}, <%= value %>, [[name]].
    r"\{\{[^{}\n]{1,200}\}\}",
    r"\{%[^{}\n]{1,200}%\}",
    r"<%[^<>\n]{1,200}%>",
    # Numbered tags of message catalogues: <0>, </0>, <1/>.
    r"</?\d+\s*/?>",
    # ICU messages: {count, plural, one {# item} other {# items}}.
    r"\{\s*\w+\s*,\s*(?:plural|select|selectordinal|number|date|time|spellout|ordinal|duration)\b"
    r"[^{}]*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}[^{}]*)*\}",
    # Shell, JavaScript, Ruby: ${x}, $(x), #{x}, %{x}.
    r"[$#%]\{[^{}\n]{1,200}\}",
    r"\$\([\w. -]{1,200}\)",
    # Python, C#, ICU: {}, {0}, {name}, {name!r:>10}, {a.b[0]}.
    r"\{[ ]?[\w.\[\]!:,<>=^+$@|#-]{0,200}[ ]?\}",
    # Addresses and paths.  Punctuation at the end is the sentence's.
    r"(?i:https?|ftps?|sftp|file|git|svn|ssh|wss?|ldaps?|grpcs?|redis|postgres(?:ql)?|mysql|mongodb"
    r"|amqps?|s3|gs|ircs?)://[^\s<>\"'“”«»]*[^\s<>\"'“”«».,;:!?()\[\]{}…]",
    r"\bwww\.[^\s<>\"'“”«»]*[^\s<>\"'“”«».,;:!?()\[\]{}…]",
    r"(?<![\w.+-])(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    r"(?<![\w/.])(?:~|\.{1,2})?(?:/[\w.+@-]+){2,}/?(?<![.])",
    r"\b[A-Za-z]:\\[\w.\\-]*[\w\\]",
    # printf and its like: %s, %1$s, %(name)s, %-10.3f, %@, %%; Windows: %PATH%.
    r"%[A-Z_][A-Z0-9_]{2,}%",
    r"%\(\w+\)[#0+-]*\d*(?:\.\d+)?[a-zA-Z]",
    r"%\d+\$[#0+-]*\d*(?:\.\d+)?(?:hh|h|ll|l|q|j|z|t|L)?[a-zA-Z@]",
    r"(?<!\d)%[#0+-]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:(?:hh|h|ll|l|q|j|z|t|L)?[sdiu]|"
    r"(?:hh|h|ll|l|q|j|z|t|L)?[oxXeEfFgGcrapn](?![A-Za-z])|@)",
    r"%%",
    # Variables: $HOME.
    r"\$[A-Za-z_]\w*",
)
_PLACEHOLDER = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS))


def placeholders(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The spans of all placeholders of `text[start:end]`, in order."""
    for found in _PLACEHOLDER.finditer(text, start, len(text) if end is None else end):
        yield found.span()
