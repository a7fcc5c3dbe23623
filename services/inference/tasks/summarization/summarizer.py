"""Texts in, summaries out as they are made."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from enum import Enum

from services.inference.models.catalogue import SUMMARIZATION, Catalogue
from services.inference.models.languages import own_code
from services.inference.models.manifest import Manifest
from services.inference.rows.account import Account
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.generation import Generation
from services.inference.rows.recovery import Route
from services.inference.rows.run import running
from services.inference.settings import InferenceSettings
from services.inference.tasks.summarization.recursive_summary import RecursiveSummary
from services.inference.tasks.summarization.summary import DigestDelta, DigestEnd, DigestOutput


class SummaryLength(Enum):
    """The least and the most that a summary has of what the model can make; None is no bound."""

    FREE = (None, None)
    SHORT = (None, 1 / 4)
    MEDIUM = (1 / 8, 1 / 2)
    LONG = (1 / 4, None)


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """What to summarize, and how; `deadline` is a time of the running event loop's clock."""

    contents: Sequence[str]
    deadline: float
    language: str = "en"
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    length: SummaryLength = SummaryLength.FREE


@dataclass(slots=True)
class SummaryAnswer:
    """A call's summaries, whole: `texts[i]` goes with `ends[i]`."""

    texts: list[str]
    ends: list[DigestEnd]
    account: Account


SummaryOutput = DigestOutput | Account


class Summarizer:
    """Has the engine summarize texts, in parts where they are too long."""

    def __init__(
        self, engine: InferenceEngine, catalogue: Catalogue, settings: InferenceSettings
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._settings = settings

    async def summarize(self, job: SummaryRequest) -> SummaryAnswer:
        """The whole answer: the outputs of `stream`, folded."""
        texts = [""] * len(job.contents)
        ends: dict[int, DigestEnd] = {}
        account = None
        async with aclosing(self.stream(job, live=False)) as outputs:
            async for output in outputs:
                if isinstance(output, DigestDelta):
                    texts[output.content] += output.text
                elif isinstance(output, DigestEnd):
                    ends[output.content] = output
                elif isinstance(output, Account):
                    account = output
        assert account is not None
        return SummaryAnswer(texts, [ends[index] for index in range(len(texts))], account)

    async def stream(
        self, job: SummaryRequest, *, live: bool = True
    ) -> AsyncGenerator[SummaryOutput, None]:
        """Progress, deltas and an end for each text, in order within a text, then the account.

        When not `live`, the deltas are whole summaries, which costs less.  Close it
        when you leave early: that cancels what the engine still does for it.  Raises a
        ServiceError.
        """
        manifest = self._catalogue.pick(SUMMARIZATION, job.model).manifest
        language = own_code(manifest, job.language)
        generation = replace(
            bounded(job.generation, job.length, manifest),
            stream=live,
            source_language=language,
            target_language=language,
        )
        summaries = [
            RecursiveSummary(content, text, job.language, generation, manifest.max_source_tokens)
            for content, text in enumerate(job.contents)
        ]
        waiting = len(summaries)
        route = Route(self._catalogue, manifest.name, job.model)
        with running(self._engine, route, job.deadline, self._settings) as run:
            for summary in summaries:
                run.add(summary.start())
            touched = summaries
            while True:
                for summary in touched:
                    for output in summary.drain():
                        yield output
                    while summary.is_due:
                        await run.add_cut(summary.advance)
                        for output in summary.drain():
                            yield output
                    if summary.done:
                        waiting -= 1
                        end = summary.end()
                        end.warnings.extend(run.account.warnings)
                        yield end
                if not waiting:
                    break
                rows = await run.step()
                touched = [summaries[index] for index in dict.fromkeys(r.content for r in rows)]
        yield run.account.close()


def bounded(generation: Generation, length: SummaryLength, manifest: Manifest) -> Generation:
    """The options with the bounds of a length; those that are set already are exact and win."""
    low, high = length.value
    least, most = generation.min_new_tokens, generation.max_new_tokens
    usual = manifest.generation_defaults
    limit = int(usual.get("max_new_tokens", 0)) or manifest.max_target_tokens
    if not most and high is not None:
        most = max(int(limit * high), least or 0, 1)
    if least is None and low is not None:
        least = min(int(limit * low), most or limit)
    if least is None and high is not None and usual.get("min_new_tokens", 0) > most:
        least = most // 2
    return replace(generation, min_new_tokens=least, max_new_tokens=most)
