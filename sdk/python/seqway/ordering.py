"""From the interleaved deltas of several texts to text after text."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seqway.events import StreamEvent, TextDelta, TextEnd


@dataclass(frozen=True, slots=True)
class Piece:
    """More of text `content_index`; `last` closes that text: no text itself, but its warnings."""

    content_index: int
    text: str
    last: bool = False
    warnings: tuple[str, ...] = ()


def in_order(events: Iterable[StreamEvent]) -> Iterator[Piece]:
    """All pieces of text 0, then of text 1, and so on; each as early as that order allows."""
    current = 0
    held: defaultdict[int, deque[Piece]] = defaultdict(deque)
    for event in events:
        match event:
            case TextDelta(content_index=index, text=text):
                held[index].append(Piece(index, text))
            case TextEnd(content_index=index, translation=translation):
                closing = Piece(index, "", last=True, warnings=tuple(translation.warnings))
                held[index].append(closing)
        while held[current]:
            piece = held[current].popleft()
            yield piece
            if piece.last:
                del held[current]
                current += 1
