"""Texts in, translated text out as it is made."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from typing import Literal

from services.inference.markup import TermEntry, TermTrie, parse
from services.inference.models.catalogue import Catalogue
from services.inference.models.route import Route
from services.inference.rows.account import Account
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.generation import Generation
from services.inference.rows.run import running
from services.inference.rows.tenancy import TENANT
from services.inference.settings import InferenceSettings
from services.inference.tasks.translation.document import Document, DocumentDelta, DocumentEnd
from services.inference.tasks.translation.sentence import Sentence
from services.inference.text.threads import CUTTING
from services.inference.tracing import tracer

# Characters from which on cutting a call into sentences would hold up other calls.
_LONG_CALL = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationRequest:
    """What to translate, and how; `deadline` is a time of the running event loop's clock.

    A batch job keeps one without contents and deadline, which each of its chunks adds.
    """

    contents: Sequence[str] = ()
    source: str
    target: str
    deadline: float = inf
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    mime_type: str = "text/plain"
    do_not_translate: Sequence[str] = ()
    glossary: Sequence[TermEntry] = ()
    kind: Literal["translation"] = "translation"


@dataclass(slots=True)
class TranslationAnswer:
    """A call's translations, whole: `texts[i]` goes with `ends[i]`."""

    texts: list[str]
    ends: list[DocumentEnd]
    account: Account


Output = DocumentDelta | DocumentEnd | Account


class Translator:
    """Cuts texts into sentences, has the engine translate them, and puts them together again."""

    def __init__(
        self, engine: InferenceEngine, catalogue: Catalogue, settings: InferenceSettings
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._settings = settings

    async def translate(self, job: TranslationRequest) -> TranslationAnswer:
        """The whole answer: the outputs of `stream`, folded."""
        parts: list[list[str]] = [[] for _ in job.contents]
        ends: dict[int, DocumentEnd] = {}
        account = None
        async with aclosing(self._outputs(job, stream=False)) as outputs:
            async for output in outputs:
                if isinstance(output, DocumentDelta):
                    parts[output.content].append(output.text)
                elif isinstance(output, DocumentEnd):
                    ends[output.content] = output
                else:
                    account = output
        assert account is not None
        return TranslationAnswer(
            ["".join(each) for each in parts], [ends[i] for i in range(len(parts))], account
        )

    def stream(self, job: TranslationRequest, *, live: bool = True) -> AsyncGenerator[Output, None]:
        """Deltas and an end for each text, in order within a text, then the account.

        When not `live`, the deltas are whole sentences, which costs less.  Close it
        when you leave early: that cancels what the engine still does for it.  Raises a
        SeqwayError.
        """
        return self._outputs(job, stream=live)

    async def _outputs(
        self, job: TranslationRequest, *, stream: bool
    ) -> AsyncGenerator[Output, None]:
        variant, source, target = self._catalogue.pick_translator(job.source, job.target, job.model)
        generation = replace(
            job.generation, stream=stream, source_language=source, target_language=target
        )
        documents = await _documents(job, generation)
        waiting = len(documents)
        route = Route(self._catalogue, variant.name, job.model)
        with running(self._engine, route, job.deadline, self._settings) as run:
            run.add(row for document in documents for row in document.rows)
            touched = documents
            while True:
                for document in touched:
                    for output in document.drain():
                        if isinstance(output, DocumentEnd):
                            waiting -= 1
                            output.warnings.extend(run.account.warnings)
                        yield output
                if not waiting:
                    break
                rows = await run.step()
                touched = list(
                    dict.fromkeys(row.document for row in rows if isinstance(row, Sentence))
                )
        yield run.account.close()


async def _documents(job: TranslationRequest, generation: Generation) -> list[Document]:
    """The contents, cut into sentences; in a thread when that takes long."""

    def cut() -> list[Document]:
        with tracer.start_as_current_span("cut") as span:
            terms = TermTrie(job.do_not_translate, job.glossary)
            documents = [
                Document(content, parse(text, job.mime_type, job.source, terms), generation)
                for content, text in enumerate(job.contents)
            ]
            span.set_attribute("seqway.contents", len(documents))
            span.set_attribute("seqway.segments", sum(len(each.rows) for each in documents))
            return documents

    looked_for = (entry.source_term for entry in job.glossary)
    if sum(map(len, chain(job.contents, job.do_not_translate, looked_for))) > _LONG_CALL:
        return await CUTTING.run(TENANT.get(), cut)
    return cut()
