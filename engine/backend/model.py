"""Triton's Python-based backend `seqway`: the class that Triton looks for.

Triton loads this file for every variant whose configuration says `backend: "seqway"`, and the
variant's manifest says of which kind it is.
"""

from pathlib import Path
from typing import Any

from engine.backend import logs
from engine.backend.encoder import EncoderVariant
from engine.backend.generation import GenerationVariant
from engine.contract.manifest import read_manifest


class TritonPythonModel:
    """One instance of one variant."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the variant and starts its threads."""
        logs.configure(args["model_name"])
        manifest = read_manifest(Path(args["model_repository"]) / args["model_version"])
        kind = EncoderVariant if manifest.kind == "encoder" else GenerationVariant
        self._variant: EncoderVariant | GenerationVariant = kind(args)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        """The responses of an encoder; a generating variant answers in its own time."""
        return self._variant.execute(requests)

    def finalize(self) -> None:
        """Stops the variant."""
        self._variant.finalize()
