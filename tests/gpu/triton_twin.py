"""What Triton gives a Python model as `triton_python_backend_utils`, as far as ours uses it."""

import queue
import sys
import time
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

FINAL = 1


class Tensor:
    """A named array."""

    def __init__(self, name: str, array: Any) -> None:
        self._name, self._array = name, array

    def name(self) -> str:
        """As in the model's configuration."""
        return self._name

    def as_numpy(self) -> Any:
        """Its values."""
        return self._array


@dataclass(frozen=True)
class InferenceResponse:
    """The outputs of one response."""

    output_tensors: list[Tensor]


class TritonModelException(Exception):  # noqa: N818 - Triton's own name
    """What Triton raises."""


class Sender:
    """Where a request's responses go; `has_left` is what its caller decides."""

    def __init__(self) -> None:
        self.responses: queue.SimpleQueue[tuple[float, bytes, bool]] = queue.SimpleQueue()
        self.has_left = False

    def send(self, response: InferenceResponse, flags: int = 0) -> None:
        """Takes a response, with the time at which it came."""
        content = response.output_tensors[0].as_numpy()[0]
        self.responses.put((time.monotonic(), content, flags == FINAL))

    def is_cancelled(self) -> bool:
        """Whether the caller has left."""
        return self.has_left


@dataclass(frozen=True)
class InferenceRequest:
    """A request of some texts."""

    key: str
    texts: list[str]
    options: str
    sender: Sender = field(default_factory=Sender)

    def request_id(self) -> str:
        """The caller's name for it."""
        return self.key

    def get_response_sender(self) -> Sender:
        """Where responses go."""
        return self.sender


class MetricFamily:
    """Metrics of a name, of which `totals` has the values by their labels."""

    COUNTER, GAUGE = "counter", "gauge"

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.name, self.description, self.kind = name, description, kind

    def Metric(self, labels: dict[str, str]) -> "Metric":  # noqa: N802 - Triton's own name
        """One of them."""
        return Metric(labels)


class Metric:
    """A number."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels, self.value = labels, 0.0

    def increment(self, value: float) -> None:
        """Adds to it."""
        self.value += value

    def set(self, value: float) -> None:
        """Replaces it."""
        self.value = value


def install() -> None:
    """Has models import this in the place of Triton's own."""
    twin: Any = ModuleType("triton_python_backend_utils")
    twin.Tensor, twin.InferenceResponse = Tensor, InferenceResponse
    twin.TritonModelException, twin.MetricFamily = TritonModelException, MetricFamily
    twin.TRITONSERVER_RESPONSE_COMPLETE_FINAL = FINAL
    twin.get_input_tensor_by_name = _input
    sys.modules["triton_python_backend_utils"] = twin


def _input(request: InferenceRequest, name: str) -> Tensor:
    values = {"TEXT": request.texts, "OPTIONS": [request.options]}[name]
    return Tensor(name, np.array([[one.encode()] for one in values], np.object_))
