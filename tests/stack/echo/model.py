"""The least backend that speaks docs/triton-protocol.md: it answers every text with itself.

A model that is not decoupled answers every probe as an encoder variant does.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

import engine  # noqa: F401 - the root of the repository has to be importable inside Triton


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self._decoupled = config.get("model_transaction_policy", {}).get("decoupled", False)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        if not self._decoupled:
            return [self._ready(request) for request in requests]
        self._stream(requests)
        return None

    def _ready(self, request: Any) -> Any:
        options = triton.get_input_tensor_by_name(request, "OPTIONS").as_numpy()
        assert [json.loads(one) for one in options.ravel()] == [{"probe": True}]
        answer = np.array([b'{"type": "ready"}'], dtype=object).reshape(options.shape)
        return triton.InferenceResponse([triton.Tensor("RESULT", answer)])

    def _stream(self, requests: list[Any]) -> None:
        for request in requests:
            texts = triton.get_input_tensor_by_name(request, "TEXT").as_numpy()
            events = [
                {"type": "end", "i": index, "text": text.decode(), "finish_reason": "EOS"}
                for index, text in enumerate(texts)
            ] or [{"type": "ready"}]
            sender = request.get_response_sender()
            answer = np.array([json.dumps(events).encode()], dtype=object)
            sender.send(triton.InferenceResponse([triton.Tensor("EVENTS", answer)]))
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
