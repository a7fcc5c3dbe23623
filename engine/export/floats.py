"""The FP32 graphs of a checkpoint, and what is seen in them on calibration texts."""

from collections.abc import Sequence

import onnx

from engine.export.calibration import Observation, observe
from engine.export.encoder_export import never_int8, observe_encoder
from engine.export.encoder_graphs import EncoderGraphs
from engine.export.transformer_graphs import TransformerGraphs
from engine.model.checkpoint import Checkpoint
from engine.runtime.manifest import Manifest

Graphs = dict[str, onnx.ModelProto]
"""Models by the names of their files."""

ENCODER, STEP, MODEL = "encoder.onnx", "decoder_step.onnx", "model.onnx"

BATCH = 16


class FloatGraphs:
    """The FP32 graphs of a checkpoint: an encoder and a decoder step, or one model.

    `calibration` are texts as ids, as the model takes them.
    """

    def __init__(
        self, checkpoint: Checkpoint, manifest: Manifest, calibration: Sequence[list[int]]
    ) -> None:
        self.checkpoint, self.manifest = checkpoint, manifest
        self.calibration = sorted(calibration, key=len)
        self.graphs: Graphs
        self.never_int8: frozenset[str] = frozenset()
        if manifest.kind == "encoder":
            self.graphs = {MODEL: EncoderGraphs(checkpoint.encoder).graph()}
            self.never_int8 = never_int8(self.graphs[MODEL])
        else:
            builder = TransformerGraphs(checkpoint.transformer, checkpoint.suppressed_ids)
            self.graphs = {ENCODER: builder.encoder(), STEP: builder.decoder_step()}

    def observe(self, graphs: Graphs | None = None, texts: int = 0) -> dict[str, Observation]:
        """What is seen in the graphs, or in others of the same inputs; of `texts`, or 0 for all."""
        graphs = graphs or self.graphs
        every = max(1, len(self.calibration) // texts) if texts else 1
        chosen = self.calibration[::every]
        if self.manifest.kind == "encoder":
            config = self.checkpoint.encoder.config
            return {MODEL: observe_encoder(graphs[MODEL], config, chosen)}
        batches = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
        encoder, step = observe(graphs[ENCODER], graphs[STEP], self.manifest, batches)
        return {ENCODER: encoder, STEP: step}
