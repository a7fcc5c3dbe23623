"""Requests and responses of Triton's gRPC service, as docs/triton-protocol.md lays them out.

Triton's generated messages carry no types: this file and its neighbours that name `stub` are the
only ones that touch them.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tritonclient.grpc import service_pb2 as triton  # type: ignore[import-untyped]

from engine.contract.events import Event, decode_events
from engine.contract.readings import Reading, decode_reading
from services.inference.errors import ModelFailedError

_LENGTH = struct.Struct("<I")
_FINAL = "triton_final_response"


def infer_request(
    model: str, request_id: str, texts: Sequence[str], options: Mapping[str, Any]
) -> Any:
    """A `ModelInferRequest` with the texts and options, that asks for the empty final response."""
    request = triton.ModelInferRequest(model_name=model, id=request_id)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    request.inputs.add(name="TEXT", datatype="BYTES", shape=[len(texts)])
    request.inputs.add(name="OPTIONS", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(pack(text.encode() for text in texts))
    request.raw_input_contents.append(pack([json.dumps(options).encode()]))
    return request


def element_request(
    model: str, texts: Sequence[str], questions: Sequence[str] | None, options: Sequence[str]
) -> Any:
    """A `ModelInferRequest` to an encoder variant: a batch of elements, each with its options."""
    request = triton.ModelInferRequest(model_name=model)
    inputs: dict[str, Sequence[str]] = {"TEXT": texts, "OPTIONS": options}
    if questions is not None:
        inputs["QUESTION"] = questions
    for name, values in inputs.items():
        request.inputs.add(name=name, datatype="BYTES", shape=[len(values), 1])
        request.raw_input_contents.append(pack(value.encode() for value in values))
    return request


def cancel_request(model: str, request_id: str, cancelled: Sequence[str]) -> Any:
    """A control request that cancels the rows of other requests."""
    return infer_request(model, request_id, (), {"cancel": list(cancelled)})


def events_of(payload: bytes) -> list[Event]:
    """The events of one response; ModelFailedError when they break the protocol."""
    try:
        return decode_events(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelFailedError(f"the engine sent events that break the protocol: {error}") from None


def reading_of(payload: bytes) -> Reading:
    """The result of one element; ModelFailedError when it breaks the protocol."""
    try:
        return decode_reading(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelFailedError(
            f"the model sent a result that breaks the protocol: {error}"
        ) from None


def events_payload(response: Any) -> bytes | None:
    """The JSON of the `EVENTS` output of a `ModelInferResponse`, None when it has no output."""
    contents = response.raw_output_contents
    return bytes(contents[0][_LENGTH.size :]) if contents else None


def is_final(response: Any) -> bool:
    """Whether nothing follows on the request of this `ModelInferResponse`."""
    return _FINAL in response.parameters and bool(response.parameters[_FINAL].bool_param)


def pack(elements: Any) -> bytes:
    """A BYTES tensor: each element behind its length, four bytes, little-endian."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def unpack(tensor: bytes) -> list[bytes]:
    """The elements of a BYTES tensor."""
    elements: list[bytes] = []
    position = 0
    while position < len(tensor):
        (length,) = _LENGTH.unpack_from(tensor, position)
        position += _LENGTH.size
        elements.append(tensor[position : position + length])
        position += length
    return elements
