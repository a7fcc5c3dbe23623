"""Records that earlier versions have written: read as they were meant, and told apart as before."""

import json
from hashlib import sha256
from typing import Any

import pytest

from engine.contract.options import Options
from services.inference.tasks.classifier import ClassificationRequest
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import SummaryLength, SummaryRequest
from services.inference.tasks.translation.translator import TranslationRequest
from services.inference.text.terms import TermEntry
from services.jobs.lifecycle.creation import NewJob, _digestible
from services.jobs.store.records import JOBS, JobRecord, QueuePriority
from services.jobs.tasks import Task

GENERATION: dict[str, Any] = {
    "stream": False,
    "priority": "interactive",
    "max_new_tokens": 0,
    "min_new_tokens": None,
    "num_beams": None,
    "length_penalty": None,
    "early_stopping": None,
    "num_hypotheses": 0,
    "sample": None,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "seed": None,
    "no_repeat_ngram_size": None,
    "repetition_penalty": None,
    "stop_repetition": None,
    "target_prefix": "",
    "source_language": "",
    "target_language": "",
    "alignment": False,
    "token_log_probs": False,
}
SEED = 2**63 + 1

# What stood in a record, what it says, and the start of the digest that tells two jobs apart.
OLD: list[tuple[dict[str, Any], Task, str]] = [
    (
        {
            "source": "en",
            "target": "fr",
            "model": "en-fr",
            "generation": {**GENERATION, "num_beams": 4, "early_stopping": "never", "seed": SEED}
            | {"target_prefix": "Ah"},
            "mime_type": "text/html",
            "do_not_translate": ["Seqway"],
            "glossary": [{"source_term": "game", "target_term": "jeu", "case_sensitive": True}],
            "kind": "translation",
        },
        TranslationRequest(
            source="en",
            target="fr",
            model="en-fr",
            generation=Options(
                num_beams=4, early_stopping="never", seed=SEED, target_prefix="Ah"
            ),
            mime_type="text/html",
            do_not_translate=["Seqway"],
            glossary=[TermEntry("game", "jeu", True)],
        ),
        "6360203ed9a096a0",
    ),
    (
        {
            "source": "en",
            "target": "fr",
            "model": "",
            "generation": GENERATION,
            "mime_type": "text/plain",
            "do_not_translate": [],
            "glossary": [],
            "kind": "translation",
        },
        TranslationRequest(source="en", target="fr", do_not_translate=[], glossary=[]),
        "715a9903ed357381",
    ),
    (
        {
            "language": "de",
            "model": "sum",
            "generation": {**GENERATION, "max_new_tokens": 60, "sample": True, "temperature": 0.5},
            "length": "SHORT",
            "kind": "summarization",
        },
        SummaryRequest(
            language="de",
            model="sum",
            generation=Options(max_new_tokens=60, temperature=0.5, sample=True),
            length=SummaryLength.SHORT,
        ),
        "6a240df822469e2b",
    ),
    (
        {
            "model": "topics",
            "top_k": 3,
            "threshold": 0.25,
            "multi_label": True,
            "kind": "classification",
        },
        ClassificationRequest(model="topics", top_k=3, threshold=0.25, multi_label=True),
        "a0d48acde9917680",
    ),
    (
        {
            "model": "qa",
            "top_k": 2,
            "max_answer_tokens": 30,
            "generation": {**GENERATION, "num_beams": 2},
            "kind": "question-answering",
        },
        Question(
            model="qa", top_k=2, max_answer_tokens=30, generation=Options(num_beams=2)
        ),
        "25fb380d0c278c35",
    ),
]  # fmt: skip
REST: dict[str, Any] = {
    "id": "id",
    "tenant": "tenant",
    "upload": "upload",
    "digest": "digest",
    "sizes": [4, 2],
    "created": 1.5,
    "retention": 3600.0,
    "deadline": 2.5,
    "request_id": "request",
    "labels": {"a": "b"},
    "priority": 1,
    "traceparent": "00-x",
}


def record_of(task: Task) -> JobRecord:
    return JobRecord(**{**REST, "priority": QueuePriority.HIGH, "task": task})


@pytest.mark.parametrize(("stored", "task", "digest"), OLD)
def test_a_job_of_before_is_read_and_written_as_it_was(
    stored: dict[str, Any], task: Task, digest: str
) -> None:
    old = REST | {"task": stored}
    assert JOBS.decode(json.dumps(old).encode()) == record_of(task)
    assert json.loads(JOBS.encode(record_of(task))) == old, "processes of before read it as well"


@pytest.mark.parametrize(("stored", "task", "digest"), OLD)
def test_a_call_that_is_repeated_after_an_update_is_the_same_job(
    stored: dict[str, Any], task: Task, digest: str
) -> None:
    order = NewJob("tenant", task, 3600.0, "req", {"a": "b"}, QueuePriority.HIGH)
    assert sha256(_digestible(order)).hexdigest().startswith(digest)


def test_what_each_chunk_adds_is_not_kept() -> None:
    for task in (
        TranslationRequest(source="en", target="fr", contents=["a text"], deadline=5.0),
        Question(question="a question", context="a text", deadline=5.0),
    ):
        data = JOBS.encode(record_of(task))
        assert b"a text" not in data and b"a question" not in data
        assert JOBS.decode(data).task.deadline == float("inf")
