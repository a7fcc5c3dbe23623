"""What Triton has loaded."""

from collections.abc import Callable
from typing import Any

import grpc
import msgspec
from tritonclient.grpc import service_pb2 as triton  # type: ignore[import-untyped]

from engine.contract.manifest import Manifest, decode_manifest
from services.inference.errors import TritonUnavailableError


class TritonRepository:
    """Reads the index and the manifests; every call raises TritonUnavailableError.

    `on_unavailable` is called before it does.
    """

    def __init__(self, stub: Any, on_unavailable: Callable[[], None]) -> None:
        self._stub = stub
        self._on_unavailable = on_unavailable

    async def index(self, within: float) -> dict[str, bool]:
        """Every model by name, and whether Triton calls it ready."""
        response = await self._answer(
            self._stub.RepositoryIndex(triton.RepositoryIndexRequest(), timeout=within)
        )
        return {model.name: model.state == "READY" for model in response.models}

    async def manifest(self, model: str, within: float) -> Manifest | None:
        """The manifest in the model's configuration; None when the model is not one of ours."""
        response = await self._answer(
            self._stub.ModelConfig(triton.ModelConfigRequest(name=model), timeout=within)
        )
        parameters = response.config.parameters
        if "manifest" not in parameters:
            return None
        try:
            return decode_manifest(parameters["manifest"].string_value)
        except msgspec.MsgspecError:
            return None

    async def _answer(self, call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            self._on_unavailable()
            raise TritonUnavailableError(f"Triton does not answer: {error.details()}") from None
