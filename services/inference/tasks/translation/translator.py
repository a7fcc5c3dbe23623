"""Texts in, translated text out as it is made."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from math import inf
from typing import Literal

from engine.contract.options import Options
from services.inference.errors import ServiceError, UndecidedLanguageError
from services.inference.models.catalogue import Catalogue, Leg
from services.inference.rows.account import Account
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.recovery import Route
from services.inference.rows.run import in_thread, running
from services.inference.settings import InferenceSettings
from services.inference.tasks.language_detector import LanguageDetector
from services.inference.tasks.translation.document import (
    Document,
    DocumentDelta,
    DocumentEnd,
    Sentence,
)
from services.inference.text.media_types import MIME_TYPES, MarkupKind
from services.inference.text.placeholders import is_prose
from services.inference.text.segmentation import Segmentation, segment_words
from services.inference.text.terms import TermEntry, TermTrie
from services.inference.tracing import tracer

# Characters from which on cutting a call into sentences would hold up other calls.
_LONG_CALL = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationRequest:
    """What to translate, and how; `deadline` is a time of the running event loop's clock.

    An empty `source` is detected, for each text of its own.

    A batch job keeps one without contents and deadline, which each of its chunks adds.
    """

    contents: Sequence[str] = ()
    source: str
    target: str
    deadline: float = inf
    model: str = ""
    generation: Options = field(default_factory=Options)
    mime_type: str = "text/plain"
    do_not_translate: Sequence[str] = ()
    glossary: Sequence[TermEntry] = ()
    forbid_pivot: bool = False
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
        self,
        engine: InferenceEngine,
        catalogue: Catalogue,
        detector: LanguageDetector,
        settings: InferenceSettings,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._detector = detector
        self._settings = settings

    async def translate(self, job: TranslationRequest) -> TranslationAnswer:
        """The whole answer: the outputs of `stream`, folded."""
        parts: list[list[str]] = [[] for _ in job.contents]
        ends: dict[int, DocumentEnd] = {}
        account = None
        async with aclosing(self.stream(job, live=False)) as outputs:
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
        ServiceError.
        """
        return self._stream(job, live) if job.source else self._stream_detected(job, live)

    async def _stream_detected(
        self, job: TranslationRequest, live: bool
    ) -> AsyncGenerator[Output, None]:
        """Texts of one language after those of another."""
        languages = await self._languages(job)
        named = [each for each in languages if each]
        usual = named[0] if named else self._sources(job)[0]
        groups: dict[str, list[int]] = {}
        for content, language in enumerate(languages):
            groups.setdefault(language or usual, []).append(content)
        accounts: list[Account] = []
        for language, group in groups.items():
            part = replace(job, source=language, contents=[job.contents[i] for i in group])
            try:
                async with aclosing(self._stream(part, live)) as outputs:
                    async for output in outputs:
                        if isinstance(output, Account):
                            accounts.append(output)
                            continue
                        content = group[output.content]
                        if isinstance(output, DocumentEnd):
                            output.detected_language = languages[content]
                        yield replace(output, content=content)
            except ServiceError as error:
                if error.content is not None:
                    error.move(group[error.content])
                raise
        yield Account.joined(accounts)

    async def _languages(self, job: TranslationRequest) -> list[str]:
        """Of each text; "" for one without words, which is the same in all."""
        found = await self._detector.detect(job.contents, job.mime_type, self._sources(job))
        for content, each in enumerate(found):
            if not each.language and not each.without_words:
                raise UndecidedLanguageError([tag for tag, _ in each.candidates], content)
        return [each.language for each in found]

    def _sources(self, job: TranslationRequest) -> list[str]:
        return self._catalogue.sources(job.target, job.model, forbid_pivot=job.forbid_pivot)

    def _stream(self, job: TranslationRequest, live: bool) -> AsyncGenerator[Output, None]:
        leg = Leg(*self._catalogue.pick_translator(job.source, job.target, job.model))
        return self._by_one(job, leg, live)

    async def _by_one(
        self, job: TranslationRequest, leg: Leg, live: bool
    ) -> AsyncGenerator[Output, None]:
        generation = replace(
            job.generation, stream=live, source_language=leg.source, target_language=leg.target
        )
        documents = await _documents(job, generation)
        waiting = len(documents)
        route = Route(self._catalogue, leg.variant.name, job.model)
        with running(self._engine, route, job.deadline, self._settings) as run:
            run.add(row for document in documents for row in document.rows)
            touched = documents
            while True:
                for document in touched:
                    for output in document.drain():
                        if isinstance(output, DocumentEnd):
                            waiting -= 1
                            output.warnings.extend(run.account.warnings)
                            output.model = run.account.variant
                        yield output
                if not waiting:
                    break
                rows = await run.step()
                touched = [documents[index] for index in dict.fromkeys(r.content for r in rows)]
        yield run.account.close()


async def _documents(job: TranslationRequest, generation: Options) -> list[Document]:
    """The contents, cut into sentences; in a thread when that takes long."""

    def cut() -> list[Document]:
        with tracer.start_as_current_span("cut") as span:
            documents = _cut(job, generation)
            span.set_attribute("seqway.contents", len(documents))
            span.set_attribute("seqway.segments", sum(len(each.rows) for each in documents))
            return documents

    looked_for = (entry.source_term for entry in job.glossary)
    if sum(map(len, chain(job.contents, job.do_not_translate, looked_for))) > _LONG_CALL:
        return await in_thread(cut)
    return cut()


def _cut(job: TranslationRequest, generation: Options) -> list[Document]:
    has_terms = bool(job.do_not_translate or job.glossary)
    terms = TermTrie(job.do_not_translate, job.glossary) if has_terms else None
    is_plain = MIME_TYPES[job.mime_type] is MarkupKind.PLAIN and not has_terms
    documents = []
    for content, text in enumerate(job.contents):
        if is_plain and is_prose(text):
            documents.append(_document(content, segment_words(text, job.source), generation))
        else:
            # Imported by those who need it: most calls are prose.
            from services.inference.markup import parse
            from services.inference.tasks.translation.marked_sentence import MarkedSentence

            marked = parse(text, job.mime_type, job.source, terms)
            documents.append(_document(content, marked, generation, MarkedSentence))
    return documents


def _document(
    content: int, found: Segmentation, generation: Options, kind: type[Sentence] = Sentence
) -> Document:
    """Of the sentences of a text, only the first begins with the prefix."""
    generations = chain([generation], repeat(replace(generation, target_prefix="")))
    return Document(content, map(kind, repeat(content), found.segments, generations), found.tail)
