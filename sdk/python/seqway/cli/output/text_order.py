"""From the interleaved deltas of several texts to text after text."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seqway.events import StreamEvent, SummarizeEvent, SummaryDelta, SummaryEnd, TextDelta, TextEnd

End = TextEnd | SummaryEnd


@dataclass(frozen=True, slots=True)
class TextPiece:
    """More of text `content_index`; `end` closes it, with an empty `text`."""

    content_index: int
    text: str
    end: End | None = None


def in_order(events: Iterable[StreamEvent | SummarizeEvent]) -> Iterator[TextPiece]:
    """All pieces of text 0, then of text 1, and so on; each as early as that order allows."""
    current = 0
    held: defaultdict[int, deque[TextPiece]] = defaultdict(deque)
    for event in events:
        match event:
            case TextDelta(content_index=index, text=text):
                held[index].append(TextPiece(index, text))
            case SummaryDelta(content_index=index, text=text):
                held[index].append(TextPiece(index, text))
            case TextEnd(content_index=index) | SummaryEnd(content_index=index):
                held[index].append(TextPiece(index, "", event))
        while held[current]:
            piece = held[current].popleft()
            yield piece
            if piece.end is not None:
                del held[current]
                current += 1
