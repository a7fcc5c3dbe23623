"""Generated text on standard output: as a whole, or as it comes."""

import sys
from collections.abc import Iterable, Sequence

import typer

from seqway.cli.output.notes import Notes
from seqway.cli.output.text_order import End, in_order
from seqway.events import StreamEvent, SummarizeEvent, TextEnd
from seqway.results import Segment, Summary, TokenLogProb, Translation


def print_answers(answers: Iterable[Translation | Summary], notes: Notes) -> None:
    """Each text on lines of its own, with its alternatives and notes."""
    for index, answer in enumerate(answers):
        _write(answer.text)
        _end_line(answer.text)
        _print_rest(index, answer, notes)


def print_streamed(events: Iterable[StreamEvent | SummarizeEvent], notes: Notes) -> None:
    """The same, one text after the other, each as it comes."""
    last = ""
    for piece in in_order(events):
        _write(piece.text)
        last = piece.text or last
        if piece.end is not None:
            _end_line(last)
            _print_rest(piece.content_index, _answer_of(piece.end), notes)
            last = ""


def _answer_of(end: End) -> Translation | Summary:
    return end.translation if isinstance(end, TextEnd) else end.summary


def _print_rest(index: int, answer: Translation | Summary, notes: Notes) -> None:
    _print_hypotheses(answer.segments if isinstance(answer, Translation) else [answer])
    notes.of_text(index, answer)


def _print_hypotheses(answers: Sequence[Segment | Summary]) -> None:
    """The tokens and alternatives of each answer, where the call requested them."""
    for number, answer in enumerate(answers, 1):
        if not answer.tokens and not answer.alternatives:
            continue
        place = f"sentence {number}, " if len(answers) > 1 else ""
        typer.echo(f"  {place}answer 1 (score {answer.score:.3f}{_quality(answer)})")
        _print_tokens(answer.tokens)
        for rank, other in enumerate(answer.alternatives, 2):
            typer.echo(f"  {place}answer {rank} (score {other.score:.3f}): {other.text}")
            _print_tokens(other.tokens)


def _quality(answer: Segment | Summary) -> str:
    if isinstance(answer, Summary) or answer.quality is None:
        return ""
    return f", quality {answer.quality:.2f}"


def _print_tokens(tokens: Sequence[TokenLogProb]) -> None:
    if tokens:
        shown = (
            f"{token.text.strip() or f'<{token.id}>'} {token.log_prob:.3f}" for token in tokens
        )
        typer.echo("    " + "  ".join(shown))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _end_line(text: str) -> None:
    if not text.endswith("\n"):
        _write("\n")
