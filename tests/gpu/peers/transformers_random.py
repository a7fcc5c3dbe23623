"""`transformers` with random weights of a shape."""

from collections.abc import Callable
from typing import Any

import torch

from tests.gpu.shapes import Shape

SystemRun = Callable[[], None]


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


def open_model(
    shape: Shape, device: torch.device, dtype: torch.dtype, tokens: int, options: dict[str, Any]
) -> Callable[[int], SystemRun]:
    """Makes a run of so many rows, each `tokens` in and out, with `options` of `generate`."""
    model = _marian(shape, tokens).to(device, dtype)

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
