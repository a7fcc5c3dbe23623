"""Blank lines of an input, through a worker's inference and a twin of Triton."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_stack import wait_until
from jobs_bench import Bench

from services.foundation.environment import read_settings
from services.inference.tasks.classifier import ClassificationRequest
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import SummaryRequest
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.intake import Format, InputForm, IntakeLimits, read_items
from services.jobs.lifecycle.creation import NewJob
from services.jobs.store.records import State
from services.jobs.tasks import Task
from tests.services.twin import Twin, manifest_of
from tests.services.twin.manifests import classifier, extractor, summarizer
from workers.inference import TritonInference
from workers.settings import WorkerSettings

TRANSLATION = TranslationRequest(source="en", target="fr")
SUMMARIZATION = SummaryRequest()
CSV = b'text,question\n"",what?\n  ,what?\ngames libs,what?\n'
INPUTS = {
    Format.TEXT: b"\n  \ngames libs\n",
    Format.JSON_LINES: b'{"text": ""}\n{"text": "  "}\n{"text": "games libs"}\n',
    Format.CSV: CSV,
    Format.TSV: b"text\tn\n\t1\n  \t2\ngames libs\t3\n",
}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """One store is enough here."""
    return f"file://{tmp_path}/store"


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    made = Twin([manifest_of(), summarizer(), classifier(), extractor()])
    await made.start()
    yield made
    await made.stop()


async def ended(
    make: Callable[..., Bench], twin: Twin, task: Task, kind: Format
) -> tuple[State, list[dict[str, Any]]]:
    """The state and the lines of a job with two blank lines and a third."""
    bench = make()
    settings = read_settings(
        WorkerSettings,
        triton_url=twin.url,
        health_interval=0.05,
        job_store=bench.settings.job_store,
    )
    inference = await asyncio.to_thread(TritonInference, settings)
    await wait_until(lambda: inference.is_ready(task))
    bench.runner._inference = inference
    asks = "question" if isinstance(task, Question) else None
    items = read_items([INPUTS[kind]], InputForm(kind, question_field=asks), IntakeLimits())
    job = bench.creator.create(NewJob("default", task, 3600.0), items).id
    progress = await asyncio.to_thread(bench.settle, job)
    return progress.state, bench.check(job, 3)


@pytest.mark.parametrize("kind", INPUTS)
async def test_blank_texts_are_translated_to_themselves(
    make: Callable[..., Bench], twin: Twin, kind: Format
) -> None:
    state, lines = await ended(make, twin, TRANSLATION, kind)
    assert state is State.SUCCEEDED
    assert [line["text"] for line in lines[:2]] == ["", "  "]
    assert lines[2]["text"]


@pytest.mark.parametrize("kind", INPUTS)
async def test_the_summary_of_a_blank_text_is_blank(
    make: Callable[..., Bench], twin: Twin, kind: Format
) -> None:
    state, lines = await ended(make, twin, SUMMARIZATION, kind)
    assert state is State.SUCCEEDED
    assert [line["text"].strip() for line in lines[:2]] == ["", ""]
    assert lines[0]["text"] == ""
    assert lines[2]["text"]


@pytest.mark.parametrize(
    ("task", "said"),
    [(ClassificationRequest(), "nothing to classify"), (Question(), "nothing to search")],
)
async def test_in_a_blank_text_there_is_nothing_to_classify_or_to_search(
    make: Callable[..., Bench], twin: Twin, task: Task, said: str
) -> None:
    state, lines = await ended(make, twin, task, Format.CSV)
    assert state is State.PARTIALLY_SUCCEEDED
    assert [line["error"]["reason"] for line in lines[:2]] == ["EMPTY_TEXT"] * 2
    assert all(said in line["error"]["message"] for line in lines[:2])
    assert lines[2]["status"] == "succeeded"
