"""Turns a structured source into plain sentences for a model, and their translations into markup.

    terms = TermTrie(["Debian"], [TermEntry("editor", "éditeur")])  # once for many sources
    marked = parse(source, "text/html", "en", terms)
    for segment in marked.segments:          # translate segment.text; ask for the alignment
        rendered = render(segment, translation, alignment)   # when segment.needs_alignment
        out += segment.gap + rendered.text
    out += marked.tail

Whatever the model answers, each tag, comment, placeholder and protected phrase of the source comes
back exactly once, elements stay properly nested, and text is escaped.  A segment whose `is_plain`
is true needs none of this: its translation is its output, and may be streamed as it comes.
A segment that is too long for the model is divided by `split`, which keeps all that it holds.
"""

from services.inference.markup.parser import parse
from services.inference.markup.passage import (
    MarkedSegment,
    MarkedText,
    Rendered,
)
from services.inference.markup.segments import split
from services.inference.markup.translation.renderer import render

__all__ = [
    "MarkedSegment",
    "MarkedText",
    "Rendered",
    "parse",
    "render",
    "split",
]
