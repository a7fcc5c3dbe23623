"""Which variant answers the lines of a batch: each record says it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from engine.contract.manifest import Manifest
from services.gateway.api.jobs.messages import result_message
from services.inference.errors import OverloadError, ServiceUnavailableError
from services.inference.models.catalogue import Catalogue
from services.inference.models.choice import VariantChoice
from services.inference.settings import InferenceSettings
from services.inference.tasks.classifier import ClassificationRequest, Classifier
from services.inference.tasks.language_detector import LanguageDetector
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.summarization.summarizer import Summarizer, SummaryRequest
from services.inference.tasks.translation.pivot_translator import PivotTranslator
from services.inference.tasks.translation.translator import TranslationRequest
from services.inference.triton.engine import TritonEngine
from services.inference.triton.watch import Watch
from services.jobs.chunks.performer import Performer
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.results import Outcome, line_of
from services.jobs.tasks import Task
from tests.services.twin import QUALITY_MODEL, Twin, classifier, manifest_of, summarizer

INT8, FP32 = "int8", "fp32"


async def nothing() -> None:
    pass


class Line:
    """A performer as a worker has it, over a twin of Triton."""

    def __init__(self, twin: Twin, engine: TritonEngine, settings: InferenceSettings) -> None:
        self.twin = twin
        catalogue = Catalogue(
            VariantChoice(settings.preferred_precisions, settings.max_quality_loss)
        )
        self.watch = Watch(engine, catalogue, settings, nothing)
        detector = LanguageDetector(catalogue)
        self.performer = Performer(
            catalogue,
            detector,
            PivotTranslator(engine, catalogue, detector, settings),
            Summarizer(engine, catalogue, settings),
            Classifier(engine.encoder, catalogue),
            Answerer(engine, engine.encoder, catalogue, settings),
        )

    async def perform(self, task: Task, items: list[Item], done: dict[int, Outcome]) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        async with aclosing(self.performer.perform(task, items, deadline)) as outcomes:
            async for index, outcome in outcomes:
                done[index] = outcome


def both(manifest: Manifest) -> list[Manifest]:
    names = {each: f"{manifest.base_model}_{each}" for each in (INT8, FP32)}
    return [replace(manifest, precision=each, name=name) for each, name in names.items()]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    twin = Twin([*both(manifest_of()), *both(summarizer()), *both(classifier())])
    await twin.start()
    settings = InferenceSettings(triton_url=twin.url, triton_patience=0.0)
    engine = TritonEngine(settings)
    made = Line(twin, engine, settings)
    await made.watch.look()
    yield made
    await engine.close()
    await twin.stop()


@pytest.mark.parametrize(
    "task",
    [
        TranslationRequest(source="en", target="fr"),
        SummaryRequest(),
        ClassificationRequest(),
    ],
    ids=lambda task: task.kind,
)
async def test_each_record_says_which_variant_made_it(line: Line, task: Task) -> None:
    """A model that dies between two chunks: the next is answered by another variant, and says so.

    What was done by then keeps its own word.
    """
    first = [Item(n, "a game of science " * 10) for n in range(3)]
    later = [Item(n, "a game of science " * 10) for n in range(3, 6)]
    done: dict[int, Outcome] = {}
    await line.perform(task, first, done)
    model = done[0].answer["model"].rpartition("_")[0]
    line.twin.killed.add(f"{model}_{INT8}")
    try:
        await line.perform(task, later, done)
    except ServiceUnavailableError:
        await line.watch.look()
        await line.perform(task, later, done)
    said = {index: outcome.answer["model"] for index, outcome in done.items()}
    expected = dict.fromkeys(range(3), f"{model}_{INT8}")
    assert said == expected | dict.fromkeys(range(3, 6), f"{model}_{FP32}")


async def test_a_line_says_the_quality_that_is_estimated(line: Line) -> None:
    line.twin.manifests = [
        replace(each, quality_model=QUALITY_MODEL if each.precision == INT8 else None)
        for each in line.twin.manifests
    ]
    item, done = Item(0, "A game."), dict[int, Outcome]()
    for precision, expected in ((INT8, 1 / 3), (FP32, None)):
        task = TranslationRequest(source="en", target="fr", model=f"en-fr_{precision}")
        await line.perform(task, [item], done)
        assert done[0].answer.get("quality") == (expected and pytest.approx(expected, abs=1e-4))
        message = result_message(line_of(item, done[0]))
        assert message.HasField("quality") == (expected is not None)


async def test_an_undecided_line_fails_alone(line: Line) -> None:
    english, hungarian = "A small editor for plain text.", "Ez egy nagyon kicsi szövegszerkesztő."
    texts = [english, hungarian, "42", " ", "Another of these small programs."]
    done: dict[int, Outcome] = {}
    task = TranslationRequest(source="", target="fr")
    await line.perform(task, [Item(n, text) for n, text in enumerate(texts, 10)], done)
    assert done[11].status is Status.FAILED
    assert done[11].reason == "UNDECIDED_LANGUAGE"
    expected = "the language of the text is undecided; give source_language_code"
    assert done[11].message == expected
    succeeded = {index: outcome.answer for index, outcome in done.items() if index != 11}
    assert {index: said["text"] for index, said in succeeded.items()} == {
        index: text.upper() for index, text in enumerate(texts, 10) if index != 11
    }
    languages = [said.get("detected_language_code") for _, said in sorted(succeeded.items())]
    assert languages == ["en", None, None, "en"]
    assert succeeded[10]["model"] == "en-fr_int8"


async def test_lines_whose_language_has_no_model_now_are_not_tried(line: Line) -> None:
    """Their texts must not be blamed for it: the attempt is no failure."""
    line.twin.manifests.append(manifest_of(INT8, "pt-fr"))
    await line.watch.look()
    line.twin.unloaded.add("pt-fr_int8")
    await line.watch.look()
    texts = ["Um pequeno editor de texto, rápido e simples.", "A small editor for plain text."]
    done: dict[int, Outcome] = {}
    with pytest.raises(OverloadError, match="pt-fr_int8") as unready:
        task = TranslationRequest(source="", target="fr")
        await line.perform(task, [Item(n, text) for n, text in enumerate(texts)], done)
    assert unready.value.retry_delay
    assert {index: outcome.status for index, outcome in done.items()} == {1: Status.SUCCEEDED}


async def test_a_chunk_that_names_its_variant_is_done_by_no_other(line: Line) -> None:
    task = TranslationRequest(source="en", target="fr", model="en-fr_int8")
    line.twin.killed.add("en-fr_int8")
    done: dict[int, Outcome] = {}
    with pytest.raises(ServiceUnavailableError):
        await line.perform(task, [Item(0, "A game.")], done)
    assert done == {}


async def test_a_record_says_through_which_language_it_went(line: Line) -> None:
    line.twin.manifests.append(manifest_of("int8", "pt-en"))
    await line.watch.look()
    done: dict[int, Outcome] = {}
    await line.perform(TranslationRequest(source="pt", target="fr"), [Item(0, "Um jogo.")], done)
    answer = done[0].answer
    assert answer["text"] == "UM JOGO." and answer["model"] == "en-fr_int8"
    assert answer["pivot"] == {"language_code": "en", "model": "pt-en_int8"}
