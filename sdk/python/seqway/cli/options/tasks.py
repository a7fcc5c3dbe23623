"""The options of each task, the same for a call and for a batch job."""

from dataclasses import dataclass
from typing import Annotated

import typer

from seqway.arguments import ClassifyArguments, SummarizeArguments, TranslateArguments
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.markup import MarkupFlags
from seqway.cli.options.terms import TermFlags
from seqway.options import SummaryLength


@dataclass(frozen=True)
class LanguageFlags:
    """From which language to which."""

    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="LANG", help='Language of the text; "auto" has it detected.'
        ),
    ] = "en"
    target: Annotated[
        str, typer.Option("--to", "-t", metavar="LANG", help="Language to translate to.")
    ] = "fr"
    forbid_pivot: Annotated[
        bool,
        typer.Option("--no-pivot", help="Do not translate through a third language."),
    ] = False


@dataclass(frozen=True)
class SummaryFlags:
    """How long a summary is to be."""

    length: Annotated[
        SummaryLength | None,
        typer.Option("--length", help="Length of the summary; by default the model decides."),
    ] = None
    language: Annotated[
        str, typer.Option("--language", metavar="LANG", help="Language of the text.")
    ] = "en"


@dataclass(frozen=True)
class LabelFlags:
    """Which labels to return."""

    top_k: Annotated[
        int, typer.Option("--top-k", "-k", min=0, help="Most labels of a text; 0 is all.")
    ] = 3
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0.0, max=1.0, help="Only labels with at least this score."),
    ] = None
    multi_label: Annotated[
        bool | None,
        typer.Option(
            "--multi-label/--single-label",
            help="Whether several labels may apply; by default the model decides.",
        ),
    ] = None

    def arguments(self, model: str) -> ClassifyArguments:
        """As the client takes them."""
        return {
            "top_k": self.top_k,
            "threshold": self.threshold,
            "multi_label": self.multi_label,
            "model": model,
        }


@dataclass(frozen=True)
class AnswerFlags:
    """Which answers to return."""

    answers: Annotated[int, typer.Option("--answers", min=1, help="Most answers to return.")] = 1
    max_answer_tokens: Annotated[
        int,
        typer.Option(
            "--max-answer-tokens", min=0, help="Most tokens of an extracted answer; 0 is 30."
        ),
    ] = 0


def translate_arguments(
    languages: LanguageFlags,
    markup: MarkupFlags,
    terms: TermFlags,
    generation: GenerationFlags,
    model: str,
) -> TranslateArguments:
    """As the client takes them; `typer.BadParameter` for contradictions."""
    return {
        "source": languages.source,
        "target": languages.target,
        "mime_type": markup.mime_type(),
        "do_not_translate": terms.keep or (),
        "glossary": terms.entries(),
        "forbid_pivot": languages.forbid_pivot,
        "options": generation.options(),
        "model": model,
    }


def summarize_arguments(
    summary: SummaryFlags, generation: GenerationFlags, model: str
) -> SummarizeArguments:
    """As the client takes them; `typer.BadParameter` for contradictions."""
    return {
        "language": summary.language,
        "length": summary.length,
        "options": generation.options(),
        "model": model,
    }
