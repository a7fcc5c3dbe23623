"""CTranslate2 with random weights of a shape."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.gpu.shapes import Shape

SystemRun = Callable[[], None]


def open_translator(shape: Shape, device: torch.device, tokens: int) -> Callable[[int], SystemRun]:
    """Makes a run of so many rows, each `tokens` in and out.

    It is made of a specification with random numbers: the converter wants a tokenizer's files.
    """
    import ctranslate2
    import numpy as np

    spec = ctranslate2.specs.TransformerSpec.from_config(
        (shape.layers, shape.layers), shape.heads, pre_norm=False
    )
    random = np.random.default_rng(5)
    width, hidden = shape.width, shape.hidden

    def normal(*sizes: int) -> Any:
        return (random.standard_normal(sizes) * sizes[-1] ** -0.5).astype(np.float32)

    def linear(one: Any, out: int, depth: int) -> None:
        one.weight, one.bias = normal(out, depth), np.zeros(out, np.float32)

    def norm(one: Any) -> None:
        one.gamma, one.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    for stack in (spec.encoder, spec.decoder):
        embeddings = stack.embeddings
        table = embeddings[0] if isinstance(embeddings, list) else embeddings
        table.weight = normal(shape.vocabulary, width)
        stack.position_encodings.encodings = normal(4 * tokens, width)
        for layer in stack.layer:
            attentions: list[tuple[Any, tuple[int, ...]]] = [
                (layer.self_attention, (3 * width, width))
            ]
            if hasattr(layer, "attention"):
                attentions.append((layer.attention, (width, 2 * width, width)))
            for attention, sizes in attentions:
                for one, size in zip(attention.linear, sizes, strict=True):
                    linear(one, size, width)
                norm(attention.layer_norm)
            linear(layer.ffn.linear_0, hidden, width)
            linear(layer.ffn.linear_1, width, hidden)
            norm(layer.ffn.layer_norm)
    linear(spec.decoder.projection, shape.vocabulary, width)
    words = [f"w{index}" for index in range(shape.vocabulary - 3)] + ["<unk>", "<s>", "</s>"]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        kind = "float16" if device.type == "cuda" else "float32"
        translator = ctranslate2.Translator(
            str(Path(folder)), device=device.type, compute_type=kind, inter_threads=1
        )

    def of(rows: int) -> SystemRun:
        texts = [["w7"] * tokens] * rows
        length = {"min_decoding_length": tokens, "max_decoding_length": tokens}

        def run() -> None:
            made = translator.translate_batch(texts, beam_size=1, max_batch_size=rows, **length)
            if {len(one.hypotheses[0]) for one in made} != {tokens}:
                raise RuntimeError("answers have another length")

        return run

    return of
