"""How a checkpoint's author means it to decode, in the terms of the engine's options."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from engine.model.errors import CheckpointError

logger = logging.getLogger(__name__)

MOST_BEAMS = 8

_SAME_NAME = (
    "num_beams",
    "length_penalty",
    "early_stopping",
    "temperature",
    "top_k",
    "top_p",
    "no_repeat_ngram_size",
    "repetition_penalty",
)
_RENAMED = {
    "do_sample": "sample",
    "forced_eos_token_id": "forced_eos_id",
    "suppress_tokens": "suppressed_ids",
    "begin_suppress_tokens": "begin_suppressed_ids",
}
_NOT_SUPPORTED = (
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "sequence_bias",
    "guidance_scale",
    "stop_strings",
    "renormalize_logits",
    "penalty_alpha",
    "num_beam_groups",
)
"""Settings that change answers and that the engine does not have, where they are not neutral."""

_NEUTRAL: tuple[Any, ...] = (None, False, 0, 1, 1.0, [], {})


@dataclass(frozen=True)
class GenerationDefaults:
    """`options` are defaults of the engine's options, as in a manifest's `generation`.

    `suppressed_ids` are tokens that are never made; `prefix` stands before every text.
    """

    options: dict[str, Any] = field(default_factory=dict)
    suppressed_ids: tuple[int, ...] = ()
    forced_bos_id: int | None = None
    prefix: str = ""


def read_generation(folder: Path, hf: Mapping[str, Any], tasks: list[str]) -> GenerationDefaults:
    """The defaults of `generation_config.json`, or, without it, of `config.json`, which is `hf`.

    The `task_specific_params` of the first of `tasks` that has some come over them, as in
    `transformers`' pipelines; their `prefix` is what T5 needs before a text.

    Raises:
        CheckpointError: a file can't be read.

    """
    stated = _stated(folder)
    specific: Mapping[str, Any] = hf.get("task_specific_params") or {}
    for task in tasks:
        if task in specific:
            stated |= specific[task]
            break
    bad_words = stated.get("bad_words_ids") or []
    options = _options(stated)
    longer = [ids for ids in bad_words if len(ids) > 1]
    if longer:
        options["bad_words"] = longer
    return GenerationDefaults(
        options=options,
        suppressed_ids=tuple(ids[0] for ids in bad_words if len(ids) == 1),
        forced_bos_id=stated.get("forced_bos_token_id"),
        prefix=stated.get("prefix") or "",
    )


def _stated(folder: Path) -> dict[str, Any]:
    old = not (folder / "generation_config.json").exists()
    name = "config.json" if old else "generation_config.json"
    try:
        generation = GenerationConfig.from_pretrained(
            folder, config_file_name=name, local_files_only=True, _from_model_config=old
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / name} can't be read: {error}") from error
    return {key: value for key, value in generation.to_dict().items() if value is not None}


def _options(stated: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: stated[name] for name in _SAME_NAME if name in stated}
    options |= {ours: stated[theirs] for theirs, ours in _RENAMED.items() if theirs in stated}
    # transformers' lengths count the decoder's start token.
    for kind in ("max", "min"):
        tokens = stated.get(f"{kind}_new_tokens")
        if tokens is None and stated.get(f"{kind}_length"):
            tokens = max(stated[f"{kind}_length"] - 1, 0)
        if tokens:
            options[f"{kind}_new_tokens"] = tokens
    if options.get("num_beams", 1) > MOST_BEAMS:
        logger.warning("the checkpoint asks for %d beams: %d", options["num_beams"], MOST_BEAMS)
        options["num_beams"] = MOST_BEAMS
    if isinstance(options.get("forced_eos_id"), list):
        options["forced_eos_id"] = options["forced_eos_id"][0]
    for name in _NOT_SUPPORTED:
        if stated.get(name) not in _NEUTRAL:
            logger.warning("the checkpoint's %s=%s is not supported: left out", name, stated[name])
    return options
