"""Answers the texts of a chunk, each on its own account: one bad text fails alone."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from engine.contract.options import Priority
from services.inference.errors import (
    DeadlineExceededError,
    InvalidOptionError,
    OverloadError,
    ServiceError,
    ServiceUnavailableError,
    UndecidedLanguageError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.models.catalogue import SUMMARIZATION, Catalogue, Leg
from services.inference.tasks.classifier import ClassificationRequest, Classifier
from services.inference.tasks.language_detector import LanguageDetector
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.question_answering.question import Answers, Question
from services.inference.tasks.summarization.summarizer import (
    Summarizer,
    SummaryOutput,
    SummaryRequest,
)
from services.inference.tasks.summarization.summary import CompletedSummary, SummaryTextDelta
from services.inference.tasks.translation.document import DocumentDelta, DocumentEnd
from services.inference.tasks.translation.translator import (
    Output,
    TranslationRequest,
    Translator,
)
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.results import Outcome
from services.jobs.tasks import Task
from services.jobs.tracing import contents_of

# It is not the texts' fault, and another time it may go well.
TRANSIENT = (
    ServiceUnavailableError,
    OverloadError,
    DeadlineExceededError,
    UnknownModelError,
    UnknownLanguagePairError,
)
_CLASSIFIED_AT_ONCE = 64
_ANSWERED_AT_ONCE = 16
_UNREADY_SECONDS = 5.0

# Outcomes, each with the index of its item.
_Outcomes = AsyncGenerator[tuple[int, Outcome], None]


class Performer:
    """Runs tasks through inference, at bulk priority."""

    def __init__(
        self,
        catalogue: Catalogue,
        detector: LanguageDetector,
        translator: Translator,
        summarizer: Summarizer,
        classifier: Classifier,
        answerer: Answerer,
    ) -> None:
        self._catalogue = catalogue
        self._detector = detector
        self._translator = translator
        self._summarizer = summarizer
        self._classifier = classifier
        self._answerer = answerer

    async def perform(self, task: Task, items: Sequence[Item], deadline: float) -> _Outcomes:
        """The outcome of each item, with its index, as soon as it is ready.

        Longest first, so that the last ones to run are short.  A text that fails is found by
        halving what is left.  Raises one of TRANSIENT; then the items without an outcome are to be
        tried again.  Close it when you leave early.
        """
        if isinstance(task, TranslationRequest) and not task.source:
            async with aclosing(self._detected(task, items, deadline)) as outcomes:
                async for index, outcome in outcomes:
                    yield index, outcome
            return
        rest = sorted(items, key=lambda item: -len(item.text))
        if not isinstance(task, SummaryRequest):  # the summarizer answers blank texts itself
            for item in items:
                if not item.text.strip():
                    yield item.index, _of_blank(task, item)
            rest = [item for item in rest if item.text.strip()]
        size = _CLASSIFIED_AT_ONCE if isinstance(task, ClassificationRequest) else len(rest)
        pending = [rest[start : start + size] for start in range(0, len(rest), size or 1)][::-1]
        while pending:
            group = pending.pop()
            left = {item.index: item for item in group}
            try:
                with contents_of(list(left)):
                    async with aclosing(self._call(task, group, deadline)) as outcomes:
                        async for index, outcome in outcomes:
                            del left[index]
                            yield index, outcome
            except TRANSIENT:
                raise
            except ServiceError as error:
                guilty = _guilty(error, group, left)
                for item in guilty:
                    del left[item.index]
                    yield item.index, Outcome.failure(error.reason, _without_place(error))
                again = list(left.values())
                pending += filter(None, [again] if guilty else _halves(again))

    async def _detected(
        self, task: TranslationRequest, items: Sequence[Item], deadline: float
    ) -> _Outcomes:
        """Items of one language after those of another; an undecided one fails alone."""
        texts = [item.text for item in items]
        among = self._catalogue.sources(task.target, task.model, forbid_pivot=task.forbid_pivot)
        found = await self._detector.detect(texts, task.mime_type, among)
        groups: dict[str, list[Item]] = {}
        for item, each in zip(items, found, strict=True):
            if each.language:
                groups.setdefault(each.language, []).append(item)
            elif each.without_words:
                yield item.index, _of_blank(task, item)
            else:
                error = UndecidedLanguageError([tag for tag, _ in each.candidates], item.index)
                yield item.index, Outcome.failure(error.reason, _without_place(error))
        unready: ServiceUnavailableError | None = None
        for language, group in groups.items():
            part = replace(task, source=language)
            try:
                self._legs(part)
            except ServiceUnavailableError as error:
                unready = error
                continue
            async with aclosing(self.perform(part, group, deadline)) as outcomes:
                async for index, outcome in outcomes:
                    yield index, _with_language(outcome, language)
        if unready is not None:  # which is no fault of the texts: none of them was tried
            raise OverloadError(str(unready), retry_delay=_UNREADY_SECONDS) from unready

    def _call(self, task: Task, items: Sequence[Item], deadline: float) -> _Outcomes:
        if not isinstance(task, ClassificationRequest):
            task = replace(task, generation=replace(task.generation, priority=Priority.BULK))
        if isinstance(task, Question):
            return self._answer(replace(task, deadline=deadline), items)
        task = replace(task, contents=[item.text for item in items], deadline=deadline)
        match task:
            case TranslationRequest():
                return self._translate(task, items)
            case SummaryRequest():
                return self._summarize(task, items)
            case ClassificationRequest():
                return self._classify(task, items)

    def _translate(self, task: TranslationRequest, items: Sequence[Item]) -> _Outcomes:
        legs = self._legs(task)
        variant = legs[-1].variant.name
        request = replace(task, model=variant) if len(legs) == 1 else task
        return _generated(self._translator.stream(request, live=False), items, variant)

    def _legs(self, task: TranslationRequest) -> list[Leg]:
        return self._catalogue.pick_legs(
            task.source, task.target, task.model, forbid_pivot=task.forbid_pivot
        )

    def _summarize(self, task: SummaryRequest, items: Sequence[Item]) -> _Outcomes:
        variant = self._catalogue.pick(SUMMARIZATION, task.model).name
        request = replace(task, model=variant)
        return _generated(self._summarizer.stream(request, live=False), items, variant)

    async def _classify(self, task: ClassificationRequest, items: Sequence[Item]) -> _Outcomes:
        answer = await self._classifier.classify(task)
        for item, each in zip(items, answer.classifications, strict=True):
            labels = [
                {"label": one.label, "score": one.score, "logit": one.logit} for one in each.labels
            ]
            said = {"labels": labels, "input_tokens": each.input_tokens}
            yield item.index, _success(said, each.warnings, answer.account.variant)

    async def _answer(self, task: Question, items: Sequence[Item]) -> _Outcomes:
        """Answers some questions side by side; each fails by itself."""
        room = asyncio.Semaphore(_ANSWERED_AT_ONCE)

        async def one(item: Item) -> tuple[int, Outcome]:
            question = replace(task, question=item.question or "", context=item.text)
            async with room:
                try:
                    with contents_of([item.index]):
                        return item.index, _answered(await self._answerer.answer(question))
                except TRANSIENT:
                    raise
                except ServiceError as error:
                    return item.index, Outcome.failure(error.reason, str(error))

        calls = [asyncio.create_task(one(item)) for item in items]
        try:
            for call in asyncio.as_completed(calls):
                yield await call
        finally:
            for each in calls:
                each.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


def _with_language(outcome: Outcome, language: str) -> Outcome:
    if outcome.status is not Status.SUCCEEDED:
        return outcome
    return replace(outcome, answer={**(outcome.answer or {}), "detected_language_code": language})


def _of_blank(task: Task, item: Item) -> Outcome:
    """What has no words is its own translation; nothing in it is to be classified or found."""
    if isinstance(task, TranslationRequest):
        return Outcome(Status.SUCCEEDED, {"text": item.text})
    doing = "classify" if isinstance(task, ClassificationRequest) else "search for an answer"
    return Outcome.failure("EMPTY_TEXT", f"the text is blank: there is nothing to {doing}")


def _guilty(error: ServiceError, group: Sequence[Item], left: Mapping[int, Item]) -> list[Item]:
    """The items without an outcome whose fault an error is, as far as that is clear."""
    if isinstance(error, InvalidOptionError):
        return list(left.values())
    if error.content is not None and group[error.content].index in left:
        return [group[error.content]]
    return list(left.values()) if len(left) == 1 else []


def _halves(items: list[Item]) -> list[list[Item]]:
    """The second half comes first: groups are taken from the end."""
    middle = len(items) // 2
    return [items[middle:], items[:middle]]


def _without_place(error: ServiceError) -> str:
    """The place in the call means nothing to whoever reads the line."""
    place = None if error.content is None else error.field
    return str(error).replace(place, "the text") if place else str(error)


async def _generated(
    outputs: AsyncGenerator[Output | SummaryOutput, None], items: Sequence[Item], variant: str
) -> _Outcomes:
    """An outcome is ready when its text is."""
    texts: dict[int, list[str]] = {}
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output, DocumentDelta | SummaryTextDelta):
                texts.setdefault(output.content, []).append(output.text)
            elif isinstance(output, DocumentEnd | CompletedSummary):
                said = {
                    "text": "".join(texts.pop(output.content, ())),
                    "finish_reason": output.finish_reason.name,
                    "input_tokens": output.input_tokens,
                    "output_tokens": output.output_tokens,
                }
                if isinstance(output, DocumentEnd) and output.pivot is not None:
                    pivot = output.pivot
                    said["pivot"] = {"language_code": pivot.code, "model": pivot.model}
                if isinstance(output, DocumentEnd) and output.quality is not None:
                    said["quality"] = output.quality
                made_by = output.model if isinstance(output, DocumentEnd) else variant
                yield items[output.content].index, _success(said, output.warnings, made_by)


def _answered(answers: Answers) -> Outcome:
    account = answers.account
    said = {
        "answers": [
            {**asdict(each), "finish_reason": each.finish_reason.name} for each in answers.answers
        ],
        "no_answer_score": answers.no_answer_score,
        "input_tokens": account.input_tokens,
        "output_tokens": account.output_tokens,
    }
    return _success(said, answers.warnings, account.variant)


def _success(said: dict[str, Any], warnings: Sequence[str], variant: str) -> Outcome:
    if warnings:
        said["warnings"] = list(warnings)
    return Outcome(Status.SUCCEEDED, {**said, "model": variant})
