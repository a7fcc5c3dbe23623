"""Finds what programs and browsers read in a text: directives, variables, addresses, paths.

A per cent sign behind a number is one, and so is a dollar sign before a number.
"""

import re
from collections.abc import Iterator, Mapping

from services.inference.text.addresses import (
    ADDRESS_START,
    EMAIL,
    PATHS,
    end_of_address,
)

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NO_NAME = r"(?![A-Za-z0-9_])"
_LENGTH = r"(?:hh|h|ll|l|q|j|z|t|L)?"
_CONVERSION = rf"{_LENGTH}[A-Za-z@]"
_SIZE = r"(?:\d+|\*)"
_PERCENT_NAME = (
    r"(?:[A-Za-z_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|[^\W\d_A-Za-z](?:[\w.-]*[^\W_])?)(?:\([\w:.]*\))?"
)
# What goes on behind a per cent sign that starts a directive of printf.
_DIRECTIVE = r"(?:[A-Za-z0-9@]|\.[\d*]|[-+#0][\d.]|\*[A-Za-z.]|\(\w+\)[A-Za-z]|\[\d|<\w+>)"

_TEMPLATES = (
    # Handlebars, Jinja, Angular, Vue, GitHub: {{{html}}}, {{name}}, ${{ x }}.
    r"\{\{\{[^{}\n]{1,200}\}\}\}",
    r"\$?\{\{[^{}\n]{1,200}\}\}",
    # Jinja, Twig, ERB, PHP: {% tag %}, {# note #}, <%= value %>, <?= value ?>.
    r"\{%(?:[^%\n{]|\{(?!%)|%(?!\})){1,300}%\}",
    r"\{#(?:[^#\n{]|\{(?!#)|#(?!\})){0,300}#\}",
    r"<%(?:[^%\n<]|<(?!%)|%(?!>)){1,300}%>",
    r"<\?(?:php|=)(?:[^?\n<]|<(?!\?)|\?(?!>)){1,300}\?>",
    # [[name]], [[${user.name}]].
    r"\[\[ ?[\w.:$#@*(){}-]{1,200} ?\]\]",
    # Numbered tags of message catalogues: <0>, </0>, <1/>.
    r"</?\d+\s*/?>",
    # Svelte: {#if x}, {/if}, {:else}, {@html x}.
    rf"\{{[#/:@]{_NAME}[^{{}}\n]{{0,200}}\}}",
    # Shell, JavaScript, Ruby, Swift: ${x}, $(x), #{x}, %{x}, @{x}, \(x), $t(x).
    r"[$#%@]\{[^{}\n]{1,200}\}",
    r"\$\([A-Za-z_][\w. -]{0,200}\)",
    r"\\\([\w.]{1,200}\)",
    r"\$t\([^()\n]{1,200}\)",
    # Python, C#, ICU: {}, {0}, {name}, {name!r:>10}, {a.b[0]}, {x:>{width}}, {0:d MMM yyyy}.
    r"\{ ?[\w.\[\]!:,<>=^+$@|#-]{0,200} ?\}",
    r"\{[\w.\[\]]{0,200}(?:![rsa])?:[^{}\s]{0,50}(?:\{\w*\}[^{}\s]{0,50}){1,4}\}",
    r"\{(?:\d{1,3}(?:,-?\d{1,3})?:|\w{1,200}:(?=[^{}\n]{0,100}%))[^{}\n]{1,100}\}",
)
_PERCENT = (
    # WordPress: %%title%%; Windows, Symfony: %name%; Boost: %1%.  "%dx%d" and "%s%%" hold none.
    r"(?<!\d)%%[A-Za-z_][A-Za-z0-9_.-]*%%",
    rf"(?<!\d)%(?!{_CONVERSION}%%){_PERCENT_NAME}%(?!{_DIRECTIVE})",
    rf"(?<!\d)%(?!(?:[sdiu]|l[du])(?![a-z]))(?=[\w.-]{{4}}){_PERCENT_NAME}%",
    rf"(?<!\d)%[1-9]\d?%(?!{_DIRECTIVE}|%)",
    # printf in many languages: %(name)s, %[1]d, %<name>s, %1$s.
    rf"%(?:\(\w+\)|\[\d+\]|<\w+>|\d+\$)[#0+-]*\d*(?:\.\d+)?{_CONVERSION}",
    # %.3f, %-10.3f, %05d; %s, %d, %lld, %@, %10d; strftime's %Y and %-d.
    rf"(?<!\d)%[#0+-]*{_SIZE}?\.{_SIZE}{_CONVERSION}",
    rf"(?<!\d)%[#0+-]+{_SIZE}{_CONVERSION}",
    rf"(?<!\d)%[#0+-]*{_SIZE}?(?:{_LENGTH}[A-Za-z]{_NO_NAME}|@)",
    # Drupal: %name.  "95 %sure" is none.
    r"(?<!\d)(?<!\d[ \u00a0\u2009\u202f])%[A-Za-z_](?:[A-Za-z0-9_]*[A-Za-z0-9])?",
    # Qt, Windows: %1, %L1, %1!s!.
    r"(?:(?<!\d)|(?<=%[1-9])|(?<=%L[1-9]))%L?[1-9](?!\d|[.,]\d)(?:![\w.]{1,10}!)?",
    r"%%",
)
_VARIABLES = (
    # $USER$, $HOME, $user->name.
    r"\$[A-Za-z_][A-Za-z0-9_.]*\$(?![A-Za-z0-9_{(])",
    rf"(?<!\d)\${_NAME}(?:->{_NAME})*",
    # __count__, @version@.
    r"(?<![A-Za-z0-9_])__[A-Za-z][A-Za-z0-9_]*__(?![A-Za-z0-9_])",
    r"(?<![A-Za-z0-9_@])@[A-Za-z_][A-Za-z0-9_.-]*@(?![A-Za-z0-9_@])",
    # Laravel, SQL: :name; :smile:.
    r"(?<![^\s(\[{\"'“‘„«「（=>]):(?:[a-z0-9_+-]{1,50}:|[A-Za-z_][A-Za-z0-9_]*)",
    # Character references: &nbsp;, &#160;.
    r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#\d{1,7}|#[xX][0-9A-Fa-f]{1,6});",
)
# ICU messages: {count, plural, one {# item} other {# items}}.
_MESSAGE_START = (
    r"\{\s*[\w.]+\s*,\s*"
    r"(?:plural|select|selectordinal|number|date|time|spellout|ordinal|duration|choice|list)\b"
)
# From the longest kinds to the shortest: at a place the first that fits is taken.  Few characters
# start one, and to ask for these first takes half the time.
_SHORT = "|".join(f"(?:{each})" for each in (*_TEMPLATES, *PATHS, *_PERCENT, *_VARIABLES))
_PLACEHOLDER = re.compile(
    rf"{EMAIL}|(?=[A-Za-z])(?P<address>{ADDRESS_START})"
    rf"|(?P<message>{_MESSAGE_START})"
    rf"|(?=[{{\[<$#%@\\~./_:&]|(?<![A-Za-z0-9])[A-Za-z]:)(?:{_SHORT})"
)
# Every placeholder has one of these in it: most sentences have none, and to ask that is cheap.
_SIGN = re.compile(r"[{\[<$#%@\\~/_:&]|(?i:www)\.")
# Of a catalogue's string; not in templates, paths of Windows, and commands of TeX.
_ESCAPE = re.compile(
    r"\{[^{}\n]{0,300}\}|<%(?:[^%\n]|%(?!>)){1,300}%>|(?<![A-Za-z0-9])[A-Za-z]:\\\S*|\\\\\S*"
    r"|(?P<escape>(?:\\r)?\\n(?![a-z]+\{)|\\[rt](?![a-z]+\{))"
)
BYTE_ORDER_MARK = "\ufeff"
# In a message '{' stands for the character.
_BRACE = re.compile(r"'[{}]+'|[{}]")


def placeholders(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The spans of all placeholders of `text[start:end]`, in order."""
    end = len(text) if end is None else end
    closing: Mapping[int, int] | None = None
    if _SIGN.search(text, start, end) is None:
        return
    while found := _PLACEHOLDER.search(text, start, end):
        start, stop = found.span()
        if found["address"] is not None:
            stop = end_of_address(text, start, stop, end)
        elif found["message"] is not None:
            if closing is None:
                closing = _closing_braces(text, start, end)
            stop = closing.get(start, start)
        if stop > start:
            yield start, stop
        start = max(stop, start + 1)


def escapes(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The spans of the line breaks and tabs that are written as escapes, as in a catalogue."""
    if "\\" not in text:
        return
    for found in _ESCAPE.finditer(text, start, len(text) if end is None else end):
        if found["escape"] is not None:
            yield found.span()


def is_prose(text: str) -> bool:
    """Whether there is nothing in a plain text that is to come back as it is, but white space."""
    return not text.startswith(BYTE_ORDER_MARK) and not any(
        next(found, None) for found in (escapes(text), placeholders(text))
    )


def _closing_braces(text: str, start: int, end: int) -> dict[int, int]:
    """Behind which place each opening brace of `text[start:end]` is closed."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for found in _BRACE.finditer(text, start, end):
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}" and opened:
            closing[opened.pop()] = found.end()
    return closing
