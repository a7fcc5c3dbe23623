"""Texts in, translated text out as it is made."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from services.inference.call import Call, Summary
from services.inference.catalogue import Catalogue
from services.inference.document import Document, TextDelta, TextEnd
from services.inference.engine import Engine, Generation, PriorityName
from services.inference.segmentation import segment
from services.inference.settings import InferenceSettings
from services.inference.window import Window

# Characters from which on cutting a call into sentences would hold up other calls.
_LONG_CALL = 8192


@dataclass(frozen=True, slots=True)
class Job:
    """What to translate, and how; `deadline` is a time of the running event loop's clock."""

    contents: Sequence[str]
    source: str
    target: str
    deadline: float
    model: str = ""
    max_new_tokens: int = 0
    priority: PriorityName = "interactive"


@dataclass(slots=True)
class Answer:
    """A call's translations, whole: `texts[i]` goes with `ends[i]`."""

    texts: list[str]
    ends: list[TextEnd]
    summary: Summary


Output = TextDelta | TextEnd | Summary


class Translator:
    """Cuts texts into sentences, has the engine translate them, and puts them together again."""

    def __init__(self, engine: Engine, catalogue: Catalogue, settings: InferenceSettings) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._settings = settings

    async def translate(self, job: Job) -> Answer:
        """The whole answer: the outputs of `stream`, folded."""
        parts: list[list[str]] = [[] for _ in job.contents]
        ends: dict[int, TextEnd] = {}
        summary = None
        async with aclosing(self._outputs(job, stream=False)) as outputs:
            async for output in outputs:
                if isinstance(output, TextDelta):
                    parts[output.content].append(output.text)
                elif isinstance(output, TextEnd):
                    ends[output.content] = output
                else:
                    summary = output
        assert summary is not None
        return Answer(
            ["".join(each) for each in parts], [ends[i] for i in range(len(parts))], summary
        )

    def stream(self, job: Job) -> AsyncGenerator[Output, None]:
        """Deltas and an end for each text, in order within a text, then the summary.

        Close it when you leave early: that cancels what the engine still does for it.  Raises a
        SeqwayError.
        """
        return self._outputs(job, stream=True)

    async def _outputs(self, job: Job, *, stream: bool) -> AsyncGenerator[Output, None]:
        variant = self._catalogue.pick(job.source, job.target, job.model).name
        generation = Generation(stream, job.deadline, job.max_new_tokens, job.priority)
        documents = await _documents(job)
        with self._engine.open(variant, generation) as session:
            window = Window(
                session,
                (row for document in documents for row in document.rows),
                self._settings.max_segments_in_flight,
            )
            call = Call(variant, window, job.deadline, self._settings.overload_retry_delay)
            touched = dict.fromkeys(documents)
            while True:
                window.fill()
                for document in touched:
                    for output in document.drain():
                        if isinstance(output, TextEnd):
                            call.add(output)
                        yield output
                if call.ended == len(documents):
                    break
                touched = call.take(await session.receive())
        yield call.close()


async def _documents(job: Job) -> list[Document]:
    """The contents, cut into sentences; in a thread when that takes long."""

    def cut() -> list[Document]:
        return [
            Document(content, segment(text, job.source))
            for content, text in enumerate(job.contents)
        ]

    if sum(map(len, job.contents)) > _LONG_CALL:
        return await asyncio.to_thread(cut)
    return cut()
