"""What HTML's elements mean for translation; names as in the HTML standard (WHATWG)."""

import re

_BLOCKS = """
    address article aside audio base blockquote body br canvas caption center col colgroup dd
    details dialog dir div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3
    h4 h5 h6 head header hgroup hr html iframe legend li link listing main menu meta nav noembed
    noframes noscript object ol optgroup option p param pre script search section select source
    style summary table tbody td template textarea tfoot th thead title tr track ul video xmp
"""
_VOID = """
    area base basefont bgsound br col embed frame hr img input keygen link meta param source
    track wbr
"""

# They end a sentence: all that HTML's default style sheet shows apart from the text around it, and
# <br>, since lines that it parts are rarely one sentence.
BLOCKS = frozenset(_BLOCKS.split())

VOID = frozenset(_VOID.split())

# Their content is no markup (HTML standard, "raw text" and "escapable raw text" elements).
RAW_TEXT = frozenset(["iframe", "noembed", "noframes", "script", "style", "textarea", "xmp"])
ESCAPABLE_TEXT = frozenset(["title"])

# Their content stays as it is, as in Mozilla's translators (Bergamot, Firefox): what a computer
# reads or writes.
UNTRANSLATED = RAW_TEXT | frozenset(["acronym", "code", "kbd", "math", "samp", "svg", "var"])

# Line breaks and runs of spaces in them are to be seen.
PREFORMATTED = frozenset(["pre", "listing"])

_SAID = {"yes": True, "": True, "no": False}
_ATTRIBUTE = re.compile(
    r"""[\s/"'](?P<name>[^\s=/>"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?"""
)


def says_translate(tag: str) -> bool | None:
    """What the attributes of a start tag say about its content; None when they say nothing.

    `translate="no"` and the class "notranslate" are what Google and DeepL document.
    """
    attributes: dict[str, str] = {}
    for found in _ATTRIBUTE.finditer(tag):
        value = next((group for group in found.groups()[1:] if group is not None), "")
        attributes.setdefault(found["name"].lower(), value)
    for name in ("translate", "its:translate"):
        says = _SAID.get(attributes.get(name, "-").strip().lower())
        if says is not None:
            return says
    return False if "notranslate" in attributes.get("class", "").split() else None
