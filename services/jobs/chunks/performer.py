"""Answers the texts of a chunk, each on its own account: one bad text fails alone."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from services.inference.errors import (
    DeadlineExceededError,
    InvalidOptionError,
    OverloadError,
    ServiceError,
    ServiceUnavailableError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.models.catalogue import SUMMARIZATION, Catalogue
from services.inference.tasks.classifier import ClassificationRequest, Classifier
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import (
    Summarizer,
    SummaryLength,
    SummaryRequest,
)
from services.inference.tasks.summarization.summary import CompletedSummary, SummaryTextDelta
from services.inference.tasks.translation.document import DocumentDelta, DocumentEnd
from services.inference.tasks.translation.translator import TranslationRequest, Translator
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.results import Outcome
from services.jobs.tasks import (
    AnsweringTask,
    ClassificationTask,
    SummarizationTask,
    Task,
    TranslationTask,
)
from services.jobs.tracing import contents_of

# It is not the texts' fault, and another time it may go well.
TRANSIENT = (
    ServiceUnavailableError,
    OverloadError,
    DeadlineExceededError,
    UnknownModelError,
    UnknownLanguagePairError,
)
_CONTENT = re.compile(r"contents\[(\d+)\]")
_CLASSIFIED_AT_ONCE = 64
_ANSWERED_AT_ONCE = 16

Done = MutableMapping[int, Outcome]


class Performer:
    """Runs tasks through inference, at bulk priority."""

    def __init__(
        self,
        catalogue: Catalogue,
        translator: Translator,
        summarizer: Summarizer,
        classifier: Classifier,
        answerer: Answerer,
    ) -> None:
        self._catalogue = catalogue
        self._translator = translator
        self._summarizer = summarizer
        self._classifier = classifier
        self._answerer = answerer

    async def perform(self, task: Task, items: Sequence[Item], deadline: float, done: Done) -> None:
        """Puts an outcome into `done`, by index, for each item as it is ready.

        Longest first, so that the last ones to run are short.  A text that fails is found by
        halving what is left.  Raises one of TRANSIENT; then the items that are not in `done` are
        to be tried again.
        """
        if not isinstance(task, SummarizationTask):  # the summarizer answers blank texts itself
            for item in items:
                if not item.text.strip():
                    done[item.index] = _of_blank(task, item)
        rest = [item for item in items if item.index not in done]
        rest.sort(key=lambda item: -len(item.text))
        size = _CLASSIFIED_AT_ONCE if isinstance(task, ClassificationTask) else len(rest)
        groups = [rest[start : start + size] for start in range(0, len(rest), size or 1)]
        await self._perform(_call_of(self, task), groups, deadline, done)

    async def _perform(
        self, call: "_Call", groups: Sequence[list[Item]], deadline: float, done: Done
    ) -> None:
        pending = list(reversed(groups))
        while pending:
            group = pending.pop()
            try:
                with contents_of([item.index for item in group]):
                    await call(group, deadline, done)
            except TRANSIENT:
                raise
            except ServiceError as error:
                pending += _after(error, group, done)

    async def translate(
        self, task: TranslationTask, items: Sequence[Item], deadline: float, done: Done
    ) -> None:
        """Translates; an outcome is ready when its text is."""
        variant, *_ = self._catalogue.pick_translator(task.source, task.target, task.model)
        job = TranslationRequest(
            contents=[item.text for item in items],
            source=task.source,
            target=task.target,
            deadline=deadline,
            model=variant.name,
            generation=replace(task.generation, priority="bulk"),
            mime_type=task.mime_type,
            do_not_translate=task.do_not_translate,
            glossary=task.glossary,
        )
        texts: dict[int, list[str]] = {}
        async with aclosing(self._translator.stream(job, live=False)) as outputs:
            async for output in outputs:
                if isinstance(output, DocumentDelta):
                    texts.setdefault(output.content, []).append(output.text)
                elif isinstance(output, DocumentEnd):
                    text = "".join(texts.pop(output.content, ()))
                    done[items[output.content].index] = _generated(text, output, variant.name)

    async def summarize(
        self, task: SummarizationTask, items: Sequence[Item], deadline: float, done: Done
    ) -> None:
        """Summarizes; an outcome is ready when its text is."""
        variant = self._catalogue.pick(SUMMARIZATION, task.model).name
        job = SummaryRequest(
            contents=[item.text for item in items],
            deadline=deadline,
            language=task.language,
            model=variant,
            generation=replace(task.generation, priority="bulk"),
            length=SummaryLength[task.length],
        )
        texts: dict[int, str] = {}
        async with aclosing(self._summarizer.stream(job, live=False)) as outputs:
            async for output in outputs:
                if isinstance(output, SummaryTextDelta):
                    texts[output.content] = texts.get(output.content, "") + output.text
                elif isinstance(output, CompletedSummary):
                    text = texts.pop(output.content, "")
                    done[items[output.content].index] = _generated(text, output, variant)

    async def classify(
        self, task: ClassificationTask, items: Sequence[Item], deadline: float, done: Done
    ) -> None:
        """Classifies all of them in one call."""
        answer = await self._classifier.classify(
            ClassificationRequest(
                contents=[item.text for item in items],
                deadline=deadline,
                model=task.model,
                top_k=task.top_k,
                threshold=task.threshold,
                multi_label=task.multi_label,
            )
        )
        for item, each in zip(items, answer.classifications, strict=True):
            labels = [
                {"label": one.label, "score": one.score, "logit": one.logit} for one in each.labels
            ]
            said = {"labels": labels, "input_tokens": each.input_tokens}
            done[item.index] = _success(said, each.warnings, answer.account.variant)

    async def answer(
        self, task: AnsweringTask, items: Sequence[Item], deadline: float, done: Done
    ) -> None:
        """Answers some questions side by side; one that fails is noted at once."""
        room = asyncio.Semaphore(_ANSWERED_AT_ONCE)

        async def one(item: Item) -> None:
            async with room:
                try:
                    with contents_of([item.index]):
                        done[item.index] = await self._answer(task, item, deadline)
                except TRANSIENT:
                    raise
                except ServiceError as error:
                    done[item.index] = Outcome.failure(error.reason, str(error))

        try:
            async with asyncio.TaskGroup() as group:
                for item in items:
                    group.create_task(one(item))
        except* ServiceError as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, task: AnsweringTask, item: Item, deadline: float) -> Outcome:
        answers = await self._answerer.answer(
            Question(
                question=item.question or "",
                context=item.text,
                deadline=deadline,
                model=task.model,
                top_k=task.top_k,
                max_answer_tokens=task.max_answer_tokens,
                generation=replace(task.generation, priority="bulk"),
            )
        )
        found = [
            {**asdict(each), "finish_reason": each.finish_reason.name} for each in answers.answers
        ]
        account = answers.account
        said = {
            "answers": found,
            "no_answer_score": answers.no_answer_score,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
        }
        return _success(said, answers.warnings, account.variant)


_Call = Callable[[Sequence[Item], float, Done], Awaitable[None]]


def _call_of(performer: Performer, task: Task) -> _Call:
    def bind(method: Any) -> _Call:
        return lambda items, deadline, done: method(task, items, deadline, done)

    match task:
        case TranslationTask():
            return bind(performer.translate)
        case SummarizationTask():
            return bind(performer.summarize)
        case ClassificationTask():
            return bind(performer.classify)
        case AnsweringTask():
            return bind(performer.answer)


def _of_blank(task: Task, item: Item) -> Outcome:
    """White space is its own translation; there is nothing in it to classify or to search."""
    if isinstance(task, TranslationTask):
        return Outcome(Status.SUCCEEDED, {"text": item.text})
    doing = "classify" if isinstance(task, ClassificationTask) else "search for an answer"
    return Outcome.failure("EMPTY_TEXT", f"the text is blank: there is nothing to {doing}")


def _after(error: ServiceError, group: list[Item], done: Done) -> list[list[Item]]:
    """Notes whose fault it was as far as that is clear, and returns the groups to try again."""
    rest = [item for item in group if item.index not in done]
    named = _CONTENT.match(error.field or "")
    if isinstance(error, InvalidOptionError):
        guilty = rest
    elif named and group[int(named[1])] in rest:
        guilty = [group[int(named[1])]]
    else:
        guilty = rest if len(rest) == 1 else []
    for item in guilty:
        done[item.index] = Outcome.failure(error.reason, _without_place(str(error)))
    left = [item for item in rest if item not in guilty]
    if guilty or len(left) < 2:
        return [left] if left else []
    middle = len(left) // 2
    return [left[middle:], left[:middle]]


def _without_place(message: str) -> str:
    """The place in the call means nothing to whoever reads the line."""
    return _CONTENT.sub("the text", message)


def _generated(text: str, end: DocumentEnd | CompletedSummary, variant: str) -> Outcome:
    said: dict[str, Any] = {
        "text": text,
        "finish_reason": end.finish_reason.name,
        "input_tokens": end.input_tokens,
        "output_tokens": end.output_tokens,
    }
    return _success(said, end.warnings, variant)


def _success(said: dict[str, Any], warnings: Sequence[str], variant: str) -> Outcome:
    if warnings:
        said["warnings"] = list(warnings)
    return Outcome(Status.SUCCEEDED, {**said, "model": variant})
