"""Which tags belong together, which end a sentence, and which content stays untranslated."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.inference.markup.source.elements import BLOCKS, UNTRANSLATED, says_translate
from services.inference.markup.source.scanner import (
    CDATA_START,
    MarkupToken,
    TokenKind,
)
from services.inference.text.media_types import MarkupKind

_TAGS = (TokenKind.START, TokenKind.END, TokenKind.EMPTY)
_ENDS = (TokenKind.DOCTYPE, TokenKind.RAW, TokenKind.BREAK)


@dataclass(slots=True)
class Structure:
    """What holds for each token of a source."""

    partner: list[int]  # the other tag of its element, else -1
    ends_sentence: list[bool]
    is_translated: list[bool]
    atom_end: dict[int, int] = field(default_factory=dict)  # untranslated inline elements


def structure(source: str, tokens: Sequence[MarkupToken], language: MarkupKind) -> Structure:
    """Pairs tags as a browser does and finds what each token is."""
    partner = _partners(tokens)
    if language is MarkupKind.XML:
        ends_sentence = _xml_blocks(source, tokens, partner)
    else:
        ends_sentence = [_is_block(each) or each.kind in _ENDS for each in tokens]
    result = Structure(partner, ends_sentence, [True] * len(tokens))
    if language is not MarkupKind.PLAIN:
        _mark_untranslated(source, tokens, language, result)
    return result


def _partners(tokens: Sequence[MarkupToken]) -> list[int]:
    """An end tag belongs to the last open tag of its name; what is open inside has no end."""
    partner = [-1] * len(tokens)
    open_tags: list[int] = []
    open_names: Counter[tuple[str, int]] = Counter()
    for index, token in enumerate(tokens):
        name = (token.name, token.section)  # no element reaches over the end of a CDATA section
        if token.kind is TokenKind.START:
            open_tags.append(index)
            open_names[name] += 1
        elif token.kind is TokenKind.END and open_names[name]:
            while True:
                start = open_tags.pop()
                open_name = (tokens[start].name, tokens[start].section)
                open_names[open_name] -= 1
                if open_name == name:
                    break
            partner[start], partner[index] = index, start
    return partner


def _xml_blocks(source: str, tokens: Sequence[MarkupToken], partner: Sequence[int]) -> list[bool]:
    """Tags beside text are inline, as are all inside them; other tags end a sentence.

    So does DeepL find the structure of XML ("outline detection").  The text of a CDATA section is
    text of the element that it is in; its tags, if any, are those of HTML.
    """
    parents = [-1] * len(tokens)
    with_text = set()
    path = [-1]
    for index, token in enumerate(tokens):
        is_xml = token.section < 0 and token.name != CDATA_START
        if token.kind is TokenKind.END and partner[index] >= 0 and is_xml:
            path.pop()
        parents[index] = path[-1]
        if token.kind is TokenKind.TEXT and not source[token.start : token.end].isspace():
            with_text.add(path[-1])
        elif token.kind is TokenKind.START and partner[index] >= 0 and is_xml:
            path.append(index)
    inline = {-1: False}
    for index in range(len(tokens)):
        parent = parents[index]
        inline[index] = inline[parent] or parent in with_text
    return [
        token.kind in _ENDS
        or (token.kind in _TAGS and not inline[index] if token.section < 0 else _is_block(token))
        for index, token in enumerate(tokens)
    ]


def _is_block(token: MarkupToken) -> bool:
    return token.name in BLOCKS


def _mark_untranslated(
    source: str, tokens: Sequence[MarkupToken], language: MarkupKind, result: Structure
) -> None:
    """Follows `translate`, "notranslate" and the elements that are never translated."""
    states = [True]
    for index, token in enumerate(tokens):
        end = result.partner[index]
        if token.kind is TokenKind.END and end >= 0:
            states.pop()
        result.is_translated[index] = states[-1]
        if token.kind is TokenKind.BREAK and not states[-1]:
            result.ends_sentence[index] = False  # code in a sentence
        if token.kind is TokenKind.START and end >= 0:
            says = says_translate(source[token.start : token.end])
            is_html = language is MarkupKind.HTML or token.section >= 0
            default = states[-1] and not (is_html and token.name in UNTRANSLATED)
            states.append(default if says is None else says)
    # An element that is untranslated as a whole, within a sentence, is one atom.
    broken = _running_count(
        ends or (translated and token.kind is TokenKind.TEXT)
        for ends, translated, token in zip(
            result.ends_sentence, result.is_translated, tokens, strict=True
        )
    )
    index = 0
    while index < len(tokens):
        end = result.partner[index]
        starts_untranslated = (
            end > index
            and result.is_translated[index]
            and not result.is_translated[min(index + 1, end - 1)]
            and end > index + 1
        )
        if starts_untranslated and broken[end + 1] == broken[index]:
            result.atom_end[index] = end
            index = end
        index += 1


def _running_count(flags: Iterable[bool]) -> list[int]:
    """How many of the first n flags are set, for each n."""
    counts = [0]
    for flag in flags:
        counts.append(counts[-1] + flag)
    return counts
