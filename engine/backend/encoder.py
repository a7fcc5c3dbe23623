"""An encoder variant: a shim between Triton's batched requests and `EncoderEngine`.

docs/triton-protocol.md is the contract.  Triton's own dynamic batching gathers requests; each is
answered with one response, and everything that can go wrong with a text is told in its own result.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

from engine.backend.device import device_of
from engine.backend.encoder_metrics import EncoderMetrics
from engine.backend.loss import end_process
from engine.backend.parameters import Parameters
from engine.backend.tracing import open_spans
from engine.contract.options import InvalidOptionsError, take_traceparents
from engine.contract.readings import Failure, Reading, encode_reading
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, parse_encoder_options
from engine.runtime.sessions.session import DeviceLostError

if TYPE_CHECKING:
    from engine.backend.spans import TracedRequest


@dataclass(frozen=True)
class _Asked:
    """The elements of a request; `traced` when some are part of sampled traces."""

    items: list[EncoderItem | Failure]
    traced: "TracedRequest | None"


class EncoderVariant:
    """One instance of one variant that scores text; takes what Triton gives to `initialize`."""

    def __init__(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters, device = Parameters(config), device_of(args)
        folder = Path(args["model_repository"]) / args["model_version"]
        lanes, threads = parameters.lanes(device), parameters.threads()
        self._engine = EncoderEngine(folder, lanes, threads, device)
        self._spans = self._engine.manifest.head == "spans"
        self._metrics = EncoderMetrics(args["model_name"], args["model_instance_name"])
        self._tracing = open_spans(args["model_name"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers the texts of all requests together, in one response for each request."""
        read = [self._read(request) for request in requests]
        items = [one for asked in read for one in asked.items if isinstance(one, EncoderItem)]
        try:
            answered = iter(self._engine.run(items))
        except DeviceLostError as error:
            end_process(error)
        responses = []
        for asked in read:
            results = [
                next(answered) if isinstance(one, EncoderItem) else one for one in asked.items
            ]
            responses.append(_response(results))
            if self._tracing is not None and asked.traced is not None:
                self._tracing.read(asked.traced, results, len(items))
        self._metrics.update(self._engine.counts, len(items))
        return responses

    def finalize(self) -> None:
        """Waits for what runs."""
        self._engine.close()
        if self._tracing is not None:
            self._tracing.close()

    def _read(self, request: Any) -> "_Asked":
        """The items of a request; one that can't be read is answered by itself."""
        names = ("TEXT", "OPTIONS", "QUESTION") if self._spans else ("TEXT", "OPTIONS")
        columns = [
            pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel() for name in names
        ]
        traceparents: list[str] = []
        items = [self._item(traceparents, *fields) for fields in zip(*columns, strict=True)]
        traced = self._tracing.request(traceparents) if self._tracing is not None else None
        return _Asked(items, traced)

    def _item(
        self, traceparents: list[str], text: bytes, options: bytes, question: bytes = b""
    ) -> EncoderItem | Failure:
        """Reads an element, and appends the span that it is part of."""
        traceparents.append("")
        try:
            raw = json.loads(options or b"{}")
            if not isinstance(raw, dict):
                raise InvalidOptionsError("OPTIONS must be a JSON object")
            traceparents[-1:] = take_traceparents(raw, 1) or [""]
            parsed = parse_encoder_options(raw, spans=self._spans)
            return EncoderItem(text.decode(), question.decode(), parsed)
        except InvalidOptionsError as error:
            return Failure("INVALID_OPTIONS", str(error))
        except UnicodeDecodeError as error:
            return Failure("INVALID_OPTIONS", f"TEXT, QUESTION and OPTIONS must be UTF-8: {error}")
        except ValueError as error:
            return Failure("INVALID_OPTIONS", f"OPTIONS is not JSON: {error}")


def _response(results: list[Reading]) -> Any:
    texts = [[encode_reading(result)] for result in results]
    tensor = pb_utils.Tensor("RESULT", np.array(texts, dtype=np.object_))
    return pb_utils.InferenceResponse([tensor])
