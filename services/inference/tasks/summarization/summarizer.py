"""Texts in, summaries out as they are made."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Literal

from services.inference.models.catalogue import SUMMARIZATION, Catalogue
from services.inference.models.languages import own_code
from services.inference.models.manifest import Manifest
from services.inference.models.route import Route
from services.inference.rows.account import Account
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.generation import Generation
from services.inference.rows.run import running
from services.inference.rows.tenancy import TENANT
from services.inference.settings import InferenceSettings
from services.inference.tasks.summarization.digest import Digest
from services.inference.tasks.summarization.digest_rows import Attempt, PartRow
from services.inference.tasks.summarization.summary import DigestDelta, DigestEnd, DigestOutput
from services.inference.text.threads import CUTTING


class SummaryLength(StrEnum):
    """How long a summary is; the names are those in the records of batch jobs."""

    FREE = "FREE"
    SHORT = "SHORT"
    MEDIUM = "MEDIUM"
    LONG = "LONG"


# The least and the most that a summary has of what the model can make; None is no bound.
_BOUNDS: Mapping[SummaryLength, tuple[float | None, float | None]] = {
    SummaryLength.FREE: (None, None),
    SummaryLength.SHORT: (None, 1 / 4),
    SummaryLength.MEDIUM: (1 / 8, 1 / 2),
    SummaryLength.LONG: (1 / 4, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRequest:
    """What to summarize, and how; `deadline` is a time of the running event loop's clock.

    A batch job keeps one without contents and deadline, which each of its chunks adds.
    """

    contents: Sequence[str] = ()
    deadline: float = inf
    language: str = "en"
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    length: SummaryLength = SummaryLength.FREE
    kind: Literal["summarization"] = "summarization"


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
        async with aclosing(self._outputs(job, stream=False)) as outputs:
            async for output in outputs:
                if isinstance(output, DigestDelta):
                    texts[output.content] += output.text
                elif isinstance(output, DigestEnd):
                    ends[output.content] = output
                elif isinstance(output, Account):
                    account = output
        assert account is not None
        return SummaryAnswer(texts, [ends[index] for index in range(len(texts))], account)

    def stream(
        self, job: SummaryRequest, *, live: bool = True
    ) -> AsyncGenerator[SummaryOutput, None]:
        """Progress, deltas and an end for each text, in order within a text, then the account.

        When not `live`, the deltas are whole summaries, which costs less.  Close it
        when you leave early: that cancels what the engine still does for it.  Raises a
        SeqwayError.
        """
        return self._outputs(job, stream=live)

    async def _outputs(
        self, job: SummaryRequest, *, stream: bool
    ) -> AsyncGenerator[SummaryOutput, None]:
        manifest = self._catalogue.pick(SUMMARIZATION, job.model).manifest
        language = own_code(manifest, job.language)
        generation = replace(
            bounded(job.generation, job.length, manifest),
            stream=stream,
            source_language=language,
            target_language=language,
        )
        digests = [
            Digest(content, text, job.language, generation, manifest.max_source_tokens)
            for content, text in enumerate(job.contents)
        ]
        waiting = len(digests)
        route = Route(self._catalogue, manifest.name, job.model)
        with running(self._engine, route, job.deadline, self._settings) as run:
            for digest in digests:
                run.add(digest.start())
            touched = digests
            while True:
                for digest in touched:
                    for output in digest.drain():
                        yield output
                    while digest.is_due:
                        run.add(await CUTTING.run(TENANT.get(), digest.advance))
                        for output in digest.drain():
                            yield output
                    if digest.done:
                        waiting -= 1
                        end = digest.end()
                        end.warnings.extend(run.account.warnings)
                        yield end
                if not waiting:
                    break
                rows = await run.step()
                touched = list(
                    dict.fromkeys(r.digest for r in rows if isinstance(r, Attempt | PartRow))
                )
        yield run.account.close()


def bounded(generation: Generation, length: SummaryLength, manifest: Manifest) -> Generation:
    """The options with the bounds of a length; those that are set already are exact and win."""
    low, high = _BOUNDS[length]
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
