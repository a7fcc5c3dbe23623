"""The model that Triton runs, over the torch session: a batch, a stream, and a caller who leaves.

Triton itself is not here (docs/gpu says why): `tests.gpu.triton_twin` stands for it.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from engine.contract.events import FinishReason
from engine.contract.manifest import MANIFEST_FILE
from engine.runtime.sessions.placement import SESSION_VARIABLE
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.text.hugging_face import TOKENIZER_FILE
from tests.gpu import triton_twin
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.triton_twin import InferenceRequest
from tests.gpu.variant import CHECKPOINT, LONGEST, TEXTS

_ROWS = 16
_SECONDS = 20.0
_LEFT_BEHIND = 64
"""How many times as many texts a caller leaves: it has to take longer than noticing that."""


def backend(bench: Bench, part: Part) -> None:
    """The example model in the precision that suits the device, its tokenizer and all."""
    with _variant(bench) as (model, texts):
        session = model._engine.lanes[0]._session
        is_ours = type(session) is TorchSession and session._device.is_cuda == bench.is_cuda
        part.gate("the torch session runs it", is_ours)
        limit = bench.size.limit
        _batch(part, model, texts, limit)
        _stream(part, model, texts[0], limit)
        _leave(part, model, texts * _LEFT_BEHIND)


def _batch(part: Part, model: Any, texts: list[str], limit: int) -> None:
    """All texts in one request, none of which is streamed."""
    begin = time.monotonic()
    request = _asked("batch", texts, stream=False, priority="bulk", max_new_tokens=limit)
    model.execute([request])
    events = [event for _, some, _ in _responses(request) for event in some]
    ends = [event for event in events if event["type"] == "end"]
    part["batch"] = {"texts": len(texts), "ms": 1000 * (time.monotonic() - begin)}
    answered = sorted(end["i"] for end in ends) == list(range(len(texts)))
    good = all(not end.get("message") and end["output_tokens"] > 0 for end in ends)
    part.gate("a batch is answered", answered and good)


def _stream(part: Part, model: Any, text: str, limit: int) -> None:
    """Parts of a text come while it is made, and make what comes without a stream."""
    begin = time.monotonic()
    request = _asked("stream", [text], stream=True, max_new_tokens=limit)
    model.execute([request])
    found = list(_responses(request))
    whole = _asked("whole", [text], stream=False, max_new_tokens=limit)
    model.execute([whole])
    answers = [
        "".join(event.get("text", "") for _, some, _ in parts for event in some)
        for parts in (found, list(_responses(whole)))
    ]
    times = [1000 * (at - begin) for at, _, _ in found]
    part["stream"] = {"messages": len(found), "first_ms": times[0], "last_ms": times[-1]}
    part.gate("a stream comes in parts", len(found) > 1 and len(answers[0]) > 0)
    part.gate("a stream is the whole answer", answers[0] == answers[1])


def _leave(part: Part, model: Any, texts: list[str]) -> None:
    """Who leaves frees slots: the request ends as cancelled, and nothing runs on."""
    request = _asked("leaver", texts, stream=True, priority="bulk")
    model.execute([request])
    responses = _responses(request)
    next(responses)
    request.sender.has_left = True
    events = [event for _, some, _ in responses for event in some]
    reasons = [event["finish_reason"] for event in events if event["type"] == "end"]
    part["leaver"] = {"texts": len(texts), "cancelled": reasons.count(FinishReason.CANCELLED)}
    part.gate("who leaves is cancelled", FinishReason.CANCELLED in reasons)
    end = time.monotonic() + _SECONDS
    while model._engine.gauges.running and time.monotonic() < end:
        time.sleep(0.01)
    part.gate("slots are free again", model._engine.gauges.running == 0)


def _asked(key: str, texts: list[str], **options: Any) -> InferenceRequest:
    return InferenceRequest(key, texts, json.dumps(options))


def _responses(request: InferenceRequest) -> Iterator[tuple[float, list[dict[str, Any]], bool]]:
    """Times and events as they come, until the last."""
    while True:
        at, content, is_last = request.sender.responses.get(timeout=_SECONDS)
        yield at, json.loads(content), is_last
        if is_last:
            return


@contextmanager
def _variant(bench: Bench) -> Iterator[tuple[Any, list[str]]]:
    """The served variant, and texts for it."""
    triton_twin.install()
    from engine.backend.generation import GenerationVariant

    precision, folder = "fp16" if bench.is_cuda else "fp32", bench.scratch / "served" / "1"
    shutil.copytree(bench.variant_in(precision), folder)
    shutil.copy(CHECKPOINT / TOKENIZER_FILE, folder)
    manifest = replace(bench.manifest, precision=precision)
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    parameters = {"max_rows": {"string_value": str(_ROWS)}}
    config = {"parameters": parameters, "instance_group": [{"count": 1}]}
    args = {"model_config": json.dumps(config), "model_repository": str(folder.parent)}
    args |= {"model_version": "1", "model_name": "en-fr", "model_instance_name": "en-fr_0"}
    args |= {"model_instance_kind": "GPU" if bench.is_cuda else "CPU"}
    with patch.dict(os.environ, {SESSION_VARIABLE: "torch"}):
        model = GenerationVariant({**args, "model_instance_device_id": "0"})
    try:
        yield model, _texts(bench.size.texts)
    finally:
        model.finalize()


def _texts(count: int) -> list[str]:
    lines = TEXTS.read_text(encoding="utf-8").splitlines()
    texts = (json.loads(line)["source"] for line in lines)
    return [text for text in texts if len(text) <= LONGEST][:count]
