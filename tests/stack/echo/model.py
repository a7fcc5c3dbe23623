"""The least backend that speaks docs/triton-protocol.md: it answers every text with itself."""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

import engine  # noqa: F401 - the root of the repository has to be importable inside Triton


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> None:
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
