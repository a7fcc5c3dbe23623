"""The two checkpoints that are timed: the example, and a random one of Marian's base size."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

MARIAN_VOCABULARY = 32001
# A field of generation, which the configuration of a model takes but does not declare.
_NO_BAD_WORDS: dict[str, Any] = {"bad_words_ids": None}


def write_marian_base(example: Path, folder: Path, *, small: bool = False) -> None:
    """A random Marian checkpoint (6+6 layers, d 512, 61 M parameters) with the example's pieces.

    A `small` one has 1+1 layers, d 128, and is soon computed.

    Its vocabulary is filled up with pieces that no text has. It never ends an answer, so every
    answer has the longest length.
    """
    torch.manual_seed(0)
    tokenizer = json.loads((example / "tokenizer.json").read_text(encoding="utf-8"))
    special = {"</s>": 0, "<unk>": 1, "<pad>": MARIAN_VOCABULARY - 1}
    pieces = [entry for entry in tokenizer["model"]["vocab"] if entry[0] not in special]
    filler = [[f"<filler{index}>", -100.0] for index in range(MARIAN_VOCABULARY - len(pieces) - 3)]
    tokenizer["model"] |= {
        "vocab": [["</s>", 0.0], ["<unk>", 0.0], *pieces, *filler, ["<pad>", 0.0]],
        "unk_id": 1,
    }
    for added in tokenizer["added_tokens"]:
        added["id"] = special[added["content"]]
    tokenizer["post_processor"]["special_tokens"]["</s>"]["ids"] = [special["</s>"]]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    PreTrainedTokenizerFast(
        tokenizer_file=str(path), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    layers, width = (1, 128) if small else (6, 512)
    config = MarianConfig(
        vocab_size=MARIAN_VOCABULARY,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=512,
        pad_token_id=special["<pad>"],
        eos_token_id=special["</s>"],
        decoder_start_token_id=special["<pad>"],
        forced_eos_token_id=None,
        **_NO_BAD_WORDS,
    )
    model = MarianMTModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.02)
    model.save_pretrained(folder)
