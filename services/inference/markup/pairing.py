"""Which tags belong together, which end a sentence, and which content stays untranslated."""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from services.inference.markup.elements import BLOCKS, UNTRANSLATED, says_translate
from services.inference.markup.scanning import Language, Token, TokenKind

_ENDS = (TokenKind.DOCTYPE, TokenKind.RAW, TokenKind.BREAK)


@dataclass(slots=True)
class Structure:
    """What holds for each token of a source."""

    partner: list[int]  # the other tag of its element, else -1
    ends_sentence: list[bool]
    is_translated: list[bool]
    atom_end: dict[int, int] = field(default_factory=dict)  # untranslated inline elements


def structure(source: str, tokens: Sequence[Token], language: Language) -> Structure:
    """Pairs tags as a browser does and finds what each token is."""
    partner = _partners(tokens)
    if language is Language.XML:
        ends_sentence = _xml_blocks(source, tokens, partner)
    else:
        ends_sentence = [each.name in BLOCKS or each.kind in _ENDS for each in tokens]
    result = Structure(partner, ends_sentence, [True] * len(tokens))
    if language is not Language.PLAIN:
        names = UNTRANSLATED if language is Language.HTML else frozenset()
        _mark_untranslated(source, tokens, names, result)
    return result


def _partners(tokens: Sequence[Token]) -> list[int]:
    """An end tag belongs to the last open tag of its name; what is open inside has no end."""
    partner = [-1] * len(tokens)
    open_tags: list[int] = []
    open_names: Counter[str] = Counter()
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.START:
            open_tags.append(index)
            open_names[token.name] += 1
        elif token.kind is TokenKind.END and open_names[token.name]:
            while True:
                start = open_tags.pop()
                open_names[tokens[start].name] -= 1
                if tokens[start].name == token.name:
                    break
            partner[start], partner[index] = index, start
    return partner


def _xml_blocks(source: str, tokens: Sequence[Token], partner: Sequence[int]) -> list[bool]:
    """Tags beside text are inline, as are all inside them; other tags end a sentence.

    So does DeepL find the structure of XML ("outline detection").
    """
    parents = [-1] * len(tokens)
    with_text = set()
    path = [-1]
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.END and partner[index] >= 0:
            path.pop()
        parents[index] = path[-1]
        if token.kind is TokenKind.TEXT and not source[token.start : token.end].isspace():
            with_text.add(path[-1])
        elif token.kind is TokenKind.START and partner[index] >= 0:
            path.append(index)
    inline = {-1: False}
    for index in range(len(tokens)):
        parent = parents[index]
        inline[index] = inline[parent] or parent in with_text
    return [
        token.kind in _ENDS
        or (token.kind in (TokenKind.START, TokenKind.END, TokenKind.EMPTY) and not inline[index])
        for index, token in enumerate(tokens)
    ]


def _mark_untranslated(
    source: str, tokens: Sequence[Token], names: AbstractSet[str], result: Structure
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
            default = states[-1] and token.name not in names
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
