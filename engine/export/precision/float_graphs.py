"""The FP32 graphs of a checkpoint, and what is seen in them on calibration texts."""

from collections.abc import Sequence

import onnx

from engine.contract.manifest import Manifest
from engine.export.graphs.encoder import EncoderGraphs
from engine.export.graphs.transformer import TransformerGraphs
from engine.export.memory_budget import Budget
from engine.export.precision.calibration import Observation, decoded, observe
from engine.export.precision.encoders import never_int8, observe_encoder
from engine.model.checkpoint import Checkpoint
from engine.runtime.sessions.caches import padded

Graphs = dict[str, onnx.ModelProto]
"""Models by the names of their files."""

ENCODER, STEP, MODEL = "encoder.onnx", "decoder_step.onnx", "model.onnx"

BATCH = 16
"""Texts that are decoded together, at most."""


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
        budget, lengths = Budget.of(self.checkpoint), [len(text) for text in chosen]
        if self.manifest.kind == "encoder":
            config = self.checkpoint.encoder.config
            # A start is enough to see a range by, where the whole would take too much.
            texts_seen = [text[: budget.longest()] for text in chosen]
            groups = budget.groups([len(text) for text in texts_seen], observed=True)
            seen = [[texts_seen[index] for index in group] for group in groups]
            return {MODEL: observe_encoder(graphs[MODEL], config, seen)}
        positions = min(decoded(padded(max(lengths))), self.manifest.max_target_tokens)
        groups = budget.groups(lengths, positions, observed=True, most=BATCH)
        batches = [[chosen[index] for index in group] for group in groups]
        encoder, step = observe(graphs[ENCODER], graphs[STEP], self.manifest, batches)
        return {ENCODER: encoder, STEP: step}
