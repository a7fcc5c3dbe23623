from seqway.cli.output.text_order import TextPiece, in_order
from seqway.events import StreamEvent, TextDelta, TextEnd
from seqway.results import FinishReason, TokenCounts, Translation

TRANSLATION = Translation("", (), FinishReason.EOS, TokenCounts(1, 1), ())


def delta(index: int, text: str) -> TextDelta:
    return TextDelta(index, 0, text)


def end(index: int) -> TextEnd:
    return TextEnd(index, TRANSLATION)


def test_a_single_text_passes_as_it_comes() -> None:
    arrived: list[StreamEvent] = [delta(0, "a"), delta(0, "b"), end(0)]
    assert list(in_order(arrived)) == [
        TextPiece(0, "a"),
        TextPiece(0, "b"),
        TextPiece(0, "", end(0)),
    ]


def test_later_texts_wait_for_earlier_ones() -> None:
    arrived: list[StreamEvent] = [
        delta(1, "x"),
        end(1),
        delta(0, "a"),
        delta(2, "p"),
        end(0),
        end(2),
    ]
    texts = [(piece.content_index, piece.text) for piece in in_order(arrived)]
    assert texts == [(0, "a"), (0, ""), (1, "x"), (1, ""), (2, "p"), (2, "")]


def test_the_current_text_is_not_held_back() -> None:
    pieces = in_order(iter([delta(1, "x"), delta(0, "a")]))
    assert next(pieces) == TextPiece(0, "a")
