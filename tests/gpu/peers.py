"""Other systems with the same load: random weights of a shape, answers of a fixed length."""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.gpu.shapes import Shape

SystemRun = Callable[[], None]


def peers(
    shape: Shape, device: torch.device, dtype: torch.dtype, tokens: int
) -> dict[str, Callable[[], Callable[[int], SystemRun]]]:
    """What opens each system that is installed, those that take longest to begin last.

    An open one makes a run of so many rows, each `tokens` in and out.
    """

    def transformers(**options: Any) -> Callable[[], Callable[[int], SystemRun]]:
        return lambda: _transformers(_marian(shape, tokens).to(device, dtype), tokens, options)

    static = {"cache_implementation": "static"}
    found = {"transformers eager": transformers()}
    if importlib.util.find_spec("ctranslate2") is not None:
        found["ctranslate2"] = lambda: _ctranslate2(shape, device, tokens)
    found["transformers static"] = transformers(**static, disable_compile=True)
    if device.type == "cuda":
        found["transformers compiled"] = transformers(**static)
    return found


def tokens_per_second(run: SystemRun, rows: int, tokens: int, device: torch.device) -> float:
    """Of the second run: the first compiles and warms up."""
    run()
    _wait(device)
    begin = time.perf_counter()
    run()
    _wait(device)
    return rows * tokens / (time.perf_counter() - begin)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _marian(shape: Shape, tokens: int) -> Any:
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(5)
    config = MarianConfig(
        vocab_size=shape.vocabulary,
        d_model=shape.width,
        encoder_layers=shape.layers,
        decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.hidden,
        decoder_ffn_dim=shape.hidden,
        max_position_embeddings=4 * tokens,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    return MarianMTModel(config).eval()


def _transformers(model: Any, tokens: int, options: dict[str, Any]) -> Callable[[int], SystemRun]:
    def of(rows: int) -> SystemRun:
        ids = torch.full((rows, tokens), 7, device=model.device)

        @torch.inference_mode()
        def run() -> None:
            length = {"min_new_tokens": tokens, "max_new_tokens": tokens}
            mask = torch.ones_like(ids)
            made = model.generate(
                input_ids=ids, attention_mask=mask, num_beams=1, **length, **options
            )
            if made.shape[1] != 1 + tokens:
                raise RuntimeError("answers have another length")

        return run

    return of


def _ctranslate2(shape: Shape, device: torch.device, tokens: int) -> Callable[[int], SystemRun]:
    """From a specification filled with random numbers: its converter wants a tokenizer's files."""
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
