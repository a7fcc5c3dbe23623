"""A performer's outcomes with tasks that fail: one an item, each as soon as it is ready."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from services.inference.errors import BadRequestError, TritonUnavailableError
from services.inference.models.catalogue import Leg, Variant
from services.inference.rows.account import Account
from services.inference.tasks.question_answering.question import Answers, Question
from services.inference.tasks.translation.document import DocumentDelta, DocumentEnd
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.chunks.performer import Performer
from services.jobs.store.items import Item
from services.jobs.store.results import Outcome
from services.jobs.tasks import Task
from tests.services.twin import manifest_of

TASK = TranslationRequest(source="en", target="fr")


class RefusingTranslator:
    """Refuses a call with a text of `bad` after what comes before it; `away` ends every call."""

    def __init__(self, bad: Sequence[str] = (), *, names: bool = False, away: str = "") -> None:
        self.bad, self.names, self.away = bad, names, away
        self.requests: list[TranslationRequest] = []
        self.closed = 0

    async def stream(self, request: TranslationRequest, *, live: bool) -> AsyncIterator[Any]:
        assert not live and request.generation.priority == "bulk"
        self.requests.append(request)
        try:
            for content, text in enumerate(request.contents):
                await asyncio.sleep(0)
                if text in self.bad:
                    if self.names:
                        raise BadRequestError(f"contents[{content}] is bad", content=content)
                    raise BadRequestError("the text is bad")
                if text == self.away:
                    raise TritonUnavailableError("Triton is gone")
                yield DocumentDelta(content, 0, text.upper())
                yield DocumentEnd(content)
        finally:
            self.closed += 1


class PickyAnswerer:
    """Knows no answer to "bad", and is away at "away"."""

    async def answer(self, question: Question) -> Answers:
        await asyncio.sleep(0)
        if question.question == "bad":
            raise BadRequestError("the question is bad")
        if question.question == "away":
            await asyncio.sleep(0.05)
            raise TritonUnavailableError("Triton is gone")
        return Answers([], 0.5, 1, Account("qa_int8"), [])


class OneVariant:
    def pick_legs(self, *_: str, **_options: bool) -> list[Leg]:
        return [Leg(Variant(manifest_of(), ready=True), "en", "fr")]


def performer_of(translator: Any = None, answerer: Any = None) -> Performer:
    nothing: Any = None
    variants: Any = OneVariant()
    return Performer(variants, nothing, translator, nothing, nothing, answerer)


def items_of(*texts: str) -> list[Item]:
    return [Item(index, text, question=text) for index, text in enumerate(texts)]


async def performed(performer: Performer, task: Task, items: list[Item]) -> dict[int, Outcome]:
    done: dict[int, Outcome] = {}
    deadline = asyncio.get_running_loop().time() + 10
    async with aclosing(performer.perform(task, items, deadline)) as outcomes:
        async for index, outcome in outcomes:
            assert index not in done, "one outcome an item"
            done[index] = outcome
    return done


@pytest.mark.parametrize("names", [True, False])
async def test_a_text_that_is_refused_fails_alone(names: bool) -> None:
    translator = RefusingTranslator(["bad", "worse"], names=names)
    done = await performed(
        performer_of(translator), TASK, items_of("aaaaaa", "bad", "", "worse", "bb", "c")
    )
    assert {index: outcome.answer.get("text") for index, outcome in done.items()} == {
        0: "AAAAAA",
        1: None,
        2: "",
        3: None,
        4: "BB",
        5: "C",
    }
    assert done[1].message == "the text is bad"
    sent = [text for request in translator.requests for text in request.contents]
    assert sent.count("aaaaaa") == 1, "what has an outcome is not tried again"
    assert translator.closed == len(translator.requests)


async def test_what_was_ready_before_triton_went_is_kept() -> None:
    translator = RefusingTranslator(away="b")
    outcomes = performer_of(translator).perform(TASK, items_of("aaa", "cc", "b"), 1e9)
    found = [await anext(outcomes), await anext(outcomes)]
    assert [index for index, _ in found] == [0, 1]
    with pytest.raises(TritonUnavailableError):
        await anext(outcomes)


async def test_who_leaves_early_ends_the_call() -> None:
    translator = RefusingTranslator()
    async with aclosing(
        performer_of(translator).perform(TASK, items_of("aaa", "bb", "c"), 1e9)
    ) as outcomes:
        await anext(outcomes)
    assert translator.closed == 1


async def test_a_question_that_is_refused_fails_alone() -> None:
    done = await performed(performer_of(answerer=PickyAnswerer()), Question(), items_of("a", "bad"))
    assert done[0].answer["no_answer_score"] == 0.5 and done[0].answer["model"] == "qa_int8"
    assert (done[1].reason, done[1].message) == (BadRequestError.reason, "the question is bad")


async def test_questions_that_were_answered_before_triton_went_are_kept() -> None:
    items = items_of("a", "away", "b")
    outcomes = performer_of(answerer=PickyAnswerer()).perform(Question(), items, 1e9)
    found = {(await anext(outcomes))[0], (await anext(outcomes))[0]}
    assert found == {0, 2}
    with pytest.raises(TritonUnavailableError):
        await anext(outcomes)
