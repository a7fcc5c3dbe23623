"""Encoder variants in the real Triton."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.aio import InferenceServerClient as AsyncClient

from deploy.local.assembly import running_triton
from deploy.local.settings import StackSettings
from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions
from tests.engine.model.encoder_checkpoints import FAMILIES, LABELS
from tests.engine.model.encoder_tokenizers import texts
from tests.stack.conftest import triton_installed  # noqa: F401

LONG = "𝄞 " + " ".join(texts(40))
QUESTION = "What does it do?"
SHORT = " ".join(texts()[3].split()[:6])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for head, task in (("classification", "classification"), ("spans", "question-answering")):
        folder = tmp_path_factory.mktemp(head)
        FAMILIES["bert"](folder, head, 5)
        job = ExportJob(
            load_checkpoint(folder),
            head,
            ("", ""),
            root,
            texts(32),
            task=task,  # type: ignore[arg-type]
        )
        export(job, ["fp32"] if head == "spans" else ["fp32", "int8"])
    return root


@pytest.fixture(scope="module")
def triton(triton_installed: None, repository: Path) -> Iterator[StackSettings]:  # noqa: F811
    with running_triton(repository) as settings:
        yield settings


def inputs(columns: dict[str, list[bytes]]) -> list[InferInput]:
    made = []
    for name, values in columns.items():
        tensor = InferInput(name, [len(values), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value] for value in values], np.object_))
        made.append(tensor)
    return made


def ask(triton: StackSettings, model: str, columns: dict[str, list[bytes]]) -> list[dict[str, Any]]:
    client = InferenceServerClient(f"127.0.0.1:{triton.ports.triton_grpc.number}")
    try:
        answer = client.infer(model, inputs(columns)).as_numpy("RESULT")
    finally:
        client.close()
    assert answer.shape == (len(columns["TEXT"]), 1)
    return [json.loads(value) for value in answer.ravel()]


def classify(triton: StackSettings, *sources: str, model: str = "classification_fp32") -> Any:
    columns = {"TEXT": [text.encode() for text in sources], "OPTIONS": [b"{}"] * len(sources)}
    return ask(triton, model, columns)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_logits_are_those_of_the_engine(
    triton: StackSettings, repository: Path, precision: str
) -> None:
    model = f"classification_{precision}"
    sources = [SHORT, LONG, "", texts()[5]]
    expected = EncoderEngine(repository / model / "1").run([EncoderItem(text) for text in sources])
    for result, own in zip(classify(triton, *sources, model=model), expected, strict=True):
        assert result["type"] == "logits"
        assert len(result["logits"]) == len(LABELS)
        assert result.keys() == own.as_dict().keys()
        np.testing.assert_allclose(result["logits"], own.as_dict()["logits"], atol=1e-4)


def test_spans_are_code_points_of_the_context(triton: StackSettings, repository: Path) -> None:
    options = EncoderOptions(top_k=3, max_answer_tokens=8)
    (result,) = ask(
        triton,
        "spans_fp32",
        {
            "TEXT": [LONG.encode()],
            "QUESTION": [QUESTION.encode()],
            "OPTIONS": [b'{"top_k": 3, "max_answer_tokens": 8}'],
        },
    )
    (own,) = EncoderEngine(repository / "spans_fp32" / "1").run(
        [EncoderItem(LONG, QUESTION, options)]
    )
    expected = json.loads(json.dumps(own.as_dict()))
    assert result["type"] == "spans"
    assert result["windows"] > 3
    assert [a["start"] for a in result["answers"]] == [a["start"] for a in expected["answers"]]
    assert [a["end"] for a in result["answers"]] == [a["end"] for a in expected["answers"]]
    assert result["no_answer_score"] == pytest.approx(expected["no_answer_score"], abs=1e-4)


def test_errors_and_probes_are_answered_in_their_place(triton: StackSettings) -> None:
    columns = {
        "TEXT": [SHORT.encode(), b"\xff\xfe", SHORT.encode(), SHORT.encode(), b"", SHORT.encode()],
        "OPTIONS": [b"{}", b"{}", b'{"beams": 4}', b"not json", b'{"probe": true}', b"[]"],
    }
    results = ask(triton, "classification_fp32", columns)
    kinds = [result["type"] for result in results]
    assert kinds == ["logits", "error", "error", "error", "ready", "error"]
    errors = [result for result in results if result["type"] == "error"]
    assert {error["reason"] for error in errors} == {"INVALID_OPTIONS"}
    for word, error in zip(("UTF-8", "beams", "JSON", "object"), errors, strict=True):
        assert word in error["message"]
    (long_question,) = ask(
        triton,
        "spans_fp32",
        {"TEXT": [b"short"], "QUESTION": [LONG.encode()], "OPTIONS": [b"{}"]},
    )
    assert long_question["reason"] == "TOO_LONG"


async def test_triton_gathers_requests_and_each_gets_its_own_answers(
    triton: StackSettings,
) -> None:
    sources = [" ".join(text.split()[:12]) for text in texts(64)]
    alone = [classify(triton, text)[0] for text in sources[:4]]
    before = counters(triton)
    client = AsyncClient(f"127.0.0.1:{triton.ports.triton_grpc.number}")
    try:
        answers = await asyncio.gather(
            *(
                client.infer(
                    "classification_fp32", inputs({"TEXT": [text.encode()], "OPTIONS": [b"{}"]})
                )
                for text in sources
            )
        )
    finally:
        await client.close()
    together = [json.loads(answer.as_numpy("RESULT")[0, 0]) for answer in answers]
    for one, other in zip(alone, together, strict=False):
        np.testing.assert_allclose(one["logits"], other["logits"], atol=1e-4)
    after = counters(triton)
    assert after["texts"] - before["texts"] == len(sources)
    windows = sum(result["windows"] for result in together)
    assert after["windows"] - before["windows"] == windows
    batches = after["batches"] - before["batches"]
    assert 0 < batches < len(sources), "every text was computed alone"


def counters(triton: StackSettings) -> dict[str, float]:
    url = f"http://127.0.0.1:{triton.ports.triton_metrics.number}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    prefix = "seqway_encoder_"
    found = [line for line in lines if line.startswith(prefix) and "classification_fp32" in line]
    return {line.split("{")[0].removeprefix(prefix): float(line.split()[-1]) for line in found}
