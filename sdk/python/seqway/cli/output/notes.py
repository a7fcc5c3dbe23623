"""Notes and warnings beside the answer, on stderr."""

from collections import Counter
from collections.abc import Iterable, Sequence

import typer

from seqway.glossary import GlossaryEntry
from seqway.results import (
    AskResult,
    Classification,
    DroppedSpan,
    FinishReason,
    GlossaryMatch,
    Summary,
    Translation,
)

_ENDINGS = {
    FinishReason.LENGTH: "truncated: the token limit was reached (see --max-tokens)",
    FinishReason.REPETITION: "the answer looped and was stopped; it holds the loop once",
    FinishReason.CANCELLED: "truncated: generation was cancelled",
    FinishReason.ERROR: "truncated: generation failed",
}


class Notes:
    """Writes notes and warnings; of several texts, they name the text, from 1."""

    def __init__(self, texts: int = 1, glossary: Sequence[GlossaryEntry] = ()) -> None:
        self._several = texts > 1
        self._glossary = glossary

    def of_text(self, index: int, answer: Translation | Summary) -> None:
        """Warnings, how it ended, what was left out, and the glossary's terms that were applied."""
        self._warn(index, *answer.warnings, *_ending(answer.finish_reason))
        match answer:
            case Translation():
                if answer.detected_language:
                    self._note(index, f"detected language: {answer.detected_language}")
                self._applied(index, answer.glossary_matches)
                if answer.pivot is not None:
                    self._note(
                        index, f"translated through {answer.pivot.language} ({answer.pivot.model})"
                    )
            case Summary():
                self._warn(index, *map(_dropped, answer.dropped))

    def _applied(self, index: int, matches: Iterable[GlossaryMatch]) -> None:
        times = Counter(match.entry_index for match in matches)
        terms = ", ".join(_term(self._glossary[entry], times[entry]) for entry in sorted(times))
        if terms:
            self._note(index, f"glossary: {terms}")

    def of_classification(self, index: int, classification: Classification) -> None:
        """Warnings, and that no label was good enough."""
        self._warn(index, *classification.warnings)
        if not classification.labels:
            self._note(index, "no label reached the threshold")

    def of_answers(self, result: AskResult) -> None:
        """Warnings, how the answers ended, or that the context holds none."""
        self._warn(0, *result.warnings)
        for answer in result.answers:
            self._warn(0, *_ending(answer.finish_reason))
        if not result.answers:
            self._note(
                0,
                f"the context holds no answer (score {result.no_answer_score:.2f})",
            )

    def _warn(self, index: int, *messages: str) -> None:
        for message in messages:
            self._write(index, f"warning: {message}")

    def _note(self, index: int, message: str) -> None:
        self._write(index, f"note: {message}")

    def _write(self, index: int, message: str) -> None:
        place = f"text {index + 1}: " if self._several else ""
        typer.echo(f"seqway: {place}{message}", err=True)


def _ending(reason: FinishReason) -> tuple[str, ...]:
    return (_ENDINGS[reason],) if reason in _ENDINGS else ()


def _dropped(span: DroppedSpan) -> str:
    return f"characters {span.source_start:,} to {span.source_end:,} were left out: {span.reason}"


def _term(entry: GlossaryEntry, times: int) -> str:
    return f"{entry.source_term} → {entry.target_term}" + (f" ({times} times)" if times > 1 else "")
