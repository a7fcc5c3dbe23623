"""The twin's gRPC server, and the faults that a test can have it show."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as triton  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2_grpc

from engine.contract.manifest import Manifest
from services.inference.triton.wire import pack, unpack
from tests.services.twin.encoders import result
from tests.services.twin.manifests import manifest_of
from tests.services.twin.stream import Stream


@dataclass
class Twin:
    """What it serves, the faults that it shows, and what it has seen.

    `gate`: rows wait at it behind their first word, and encoders before they answer.  `dead`:
    models that answer nothing.  `deaf`: models that answer no probe.  `unloaded`: models that are
    not ready.  `capacity`: a request that would make more rows run is refused.  `failing`: what
    every row ends with instead of EOS, and `lost` says that
    its process lost its GPU.  `error`: what every request is answered with.
    `killed`: models whose process is gone: what it had stays open, later requests get an error.
    `busy`: probes of encoders wait at the gate too.  `refusal`: why every request is refused as
    INVALID_OPTIONS, and `refused_option` the option that is at fault.
    """

    manifests: list[Manifest] = field(default_factory=lambda: [manifest_of()])
    limit: int = 512
    capacity: int = 100_000
    dead: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    unloaded: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    failing: str = ""
    lost: bool = False
    refusal: str = ""
    refused_option: str = ""
    busy: bool = False
    error: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    cancelled: int = 0
    requests: int = 0
    cancel_requests: int = 0
    streams: int = 0
    options: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self._server: grpc.aio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def manifest(self, model: str) -> Manifest:
        """The manifest of a model that it serves."""
        return next(each for each in self.manifests if each.name == model)

    def error_of(self, model: str) -> str:
        """What Triton answers requests to a model with; "" when it answers them."""
        dead = f"Stub process '{model}_0_0' is not healthy."
        return dead if model in self.killed else self.error

    async def start(self) -> None:
        """Listens; on the port of before when it was stopped."""
        options = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))
        self._server = grpc.aio.server(options=options)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(self), self._server)
        self.port = self._server.add_insecure_port(self.url)
        await self._server.start()

    async def stop(self) -> None:
        """Breaks every stream."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def RepositoryIndex(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        response = triton.RepositoryIndexResponse()
        for manifest in self._twin.manifests:
            state = "UNAVAILABLE" if manifest.name in self._twin.unloaded else "READY"
            response.models.add(name=manifest.name, version="1", state=state)
        response.models.add(name="somebody-elses", version="1", state="READY")
        return response

    async def ModelConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        response = triton.ModelConfigResponse()
        for manifest in self._twin.manifests:
            if manifest.name == request.name:
                text = manifest.to_json()
                response.config.parameters["manifest"].string_value = text
        return response

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterator[Any], context: Any
    ) -> None:
        self._twin.streams += 1
        stream = Stream(self._twin, context)
        try:
            async for request in requests:
                stream.take(request)
        finally:
            self._twin.streams -= 1
            stream.close()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        twin = self._twin
        if request.model_name in twin.dead:
            await asyncio.Event().wait()
        if error := twin.error_of(request.model_name):
            await context.abort(grpc.StatusCode.INTERNAL, error)
        columns = [
            [each.decode() for each in unpack(content)] for content in request.raw_input_contents
        ]
        manifest = twin.manifest(request.model_name)
        names = [each.name for each in request.inputs]
        assert names == ["TEXT", "OPTIONS", *(["QUESTION"] if manifest.head == "spans" else [])]
        options = json.loads(columns[1][0])
        if not options.get("probe"):
            await self._pass_gate(request.model_name, len(columns[0]), options, context)
        elif twin.busy:
            await twin.gate.wait()
        questions = columns[2] if len(columns) > 2 else [""] * len(columns[0])
        results = [
            json.dumps(result(manifest, text, question, options, twin.limit)).encode()
            for text, question in zip(columns[0], questions, strict=True)
        ]
        response = triton.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name="RESULT", datatype="BYTES", shape=[len(results), 1])
        response.raw_output_contents.append(pack(results))
        return response

    async def _pass_gate(
        self, model: str, size: int, options: dict[str, Any], context: Any
    ) -> None:
        twin = self._twin
        twin.batches.append(size)
        twin.options.append(options)
        twin.running += size
        try:
            await twin.gate.wait()
        except asyncio.CancelledError:
            twin.cancelled += size
            raise
        finally:
            twin.running -= size
        if error := twin.error_of(model):
            await context.abort(grpc.StatusCode.INTERNAL, error)
