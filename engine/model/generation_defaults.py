"""How a checkpoint's author means it to decode, in the terms of the engine's options."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from engine.contract.manifest import Task
from engine.contract.options import MAX_BEAMS, OPTIONS
from engine.model.errors import CheckpointError, in_one_line
from engine.model.families.languages import fitting_pairs
from engine.model.tokenizers.special_tokens import read_object
from engine.runtime.decoding.settings import Decoding

logger = logging.getLogger(__name__)

_RENAMED = {"do_sample": "sample"}
_LENGTHS = ("max_new_tokens", "max_length", "min_new_tokens", "min_length")
_NOT_SAME = {*_LENGTHS, *_RENAMED.values(), "num_hypotheses"}
_SAME_NAME = [each.name for each in fields(Decoding) if each.name in {*OPTIONS} - _NOT_SAME]
_TOKENS = ("eos_token_id", "decoder_start_token_id")
"""Tokens that `generate` takes from `generation_config.json`, whatever `config.json` says."""

_NOT_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "min_p": (0,),
    "top_h": (),
    "typical_p": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
    "exponential_decay_length_penalty": ([],),
    "sequence_bias": ([], {}),
    "guidance_scale": (1,),
    "stop_strings": ([], ""),
    "penalty_alpha": (0,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0,),
    "constraints": ([],),
    "force_words_ids": ([],),
    "forced_decoder_ids": ([],),
    "watermarking_config": ({},),
    "dola_layers": (),
    "max_time": (),
    "token_healing": (False,),
}
"""Settings that change answers and that the engine does not have, each with its neutral values."""

_RENORMALIZE = "renormalize_logits"


@dataclass(frozen=True)
class GenerationDefaults:
    """`options` are defaults of the engine's options, as in a manifest's `generation`.

    `suppressed_ids` are tokens that are never made; `prefix` stands before every text. `tokens` are
    fields that come over those of `config.json`.
    """

    options: dict[str, Any] = field(default_factory=dict)
    suppressed_ids: tuple[int, ...] = ()
    forced_bos_id: int | None = None
    prefix: str = ""
    tokens: dict[str, int | list[int]] = field(default_factory=dict)


def read_generation(folder: Path, hf: Mapping[str, Any], tasks: list[str]) -> GenerationDefaults:
    """The defaults of `generation_config.json`, or, without it, of `config.json`, which is `hf`.

    The `task_specific_params` of the first of `tasks` that has some come over them, as in
    `transformers`' pipelines; their `prefix` is what T5 needs before a text. What changes answers
    and is not supported is named in a warning.

    Raises:
        CheckpointError: a file can't be read.
        ValueError: tokens are not ids, or one that is forced is not in the vocabulary.

    """
    stated = _stated(folder)
    specific: Mapping[str, Any] = hf.get("task_specific_params") or {}
    own: Mapping[str, Any] = next((specific[task] for task in tasks if task in specific), {})
    stated = {name: value for name, value in ({**stated, **own}).items() if value is not None}
    tokens = {name: stated[name] for name in _TOKENS if name in stated}
    # Marian's answers may have a vocabulary of their own.
    ids = _Ids(stated, hf.get("decoder_vocab_size") or hf["vocab_size"])
    ends = stated.get("eos_token_id", hf.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [ends]
    # `generate` passes over a ban of the end itself.
    words = [word for word in ids.words("bad_words_ids") if word not in [[end] for end in ends]]
    forbidding = {
        "forced_eos_id": ids.forced("forced_eos_token_id"),
        "suppressed_ids": ids.known("suppress_tokens"),
        "begin_suppressed_ids": ids.known("begin_suppress_tokens"),
        "bad_words": [word for word in words if len(word) > 1],
    }
    return GenerationDefaults(
        options=_options(stated)
        | {name: value for name, value in forbidding.items() if value not in (None, [])},
        suppressed_ids=tuple(word[0] for word in words if len(word) == 1),
        forced_bos_id=ids.forced("forced_bos_token_id"),
        prefix=str(stated.get("prefix") or ""),
        tokens=tokens,
    )


def task_names(
    hf: Mapping[str, Any], task: Task | None, languages: tuple[str, str] | None
) -> list[str]:
    """The keys of `task_specific_params` that hold for the task, the most specific first."""
    if task == "summarization":
        return ["summarization"]
    if task != "translation":
        return []
    specific = hf.get("task_specific_params") or {}
    pairs = list(fitting_pairs(hf, languages or ("", "")))
    # Each pair has a prefix of its own, which the template stands for.
    settings = [{**specific[key], "prefix": None} for key in pairs]
    if any(one != settings[0] for one in settings[1:]):
        logger.warning(
            "the checkpoint decodes its pairs of languages differently (%s): none of these "
            "settings is taken; with --source and --target that pair's are",
            ", ".join(pairs),
        )
        pairs = []
    return [*pairs[:1], "translation"]


class _Ids:
    """The fields that name tokens, of a model that has `size` of them."""

    def __init__(self, stated: Mapping[str, Any], size: int) -> None:
        self._stated = stated
        self._size = size

    def known(self, name: str) -> list[int]:
        """A list of ids; those that the model has not can't be made anyway."""
        return self._known(name, self._stated.get(name) or [])

    def words(self, name: str) -> list[list[int]]:
        """A list of lists of ids, without those that can't be made."""
        words = self._stated.get(name) or []
        if not isinstance(words, list) or [] in words:
            raise ValueError(f"{name} has to be a list of lists of token ids, not {words!r}.")
        return [word for word in words if self._known(name, word) == word]

    def forced(self, name: str) -> int | None:
        """One id, the first where several may stand."""
        value = self._stated.get(name)
        known = self._known(name, value if isinstance(value, list) else [value])
        if value in (None, []):
            return None
        if not known:
            raise ValueError(f"{name} is {value!r}: the model's tokens are 0 to {self._size - 1}.")
        return known[0]

    def _known(self, name: str, ids: Any) -> list[int]:
        if not isinstance(ids, list) or any(not isinstance(i, int | None) for i in ids):
            raise ValueError(f"{name} has to hold token ids, not {ids!r}.")
        return [i for i in ids if i is not None and 0 <= i < self._size]


def _stated(folder: Path) -> dict[str, Any]:
    old = not (folder / "generation_config.json").exists()
    name = "config.json" if old else "generation_config.json"
    try:
        generation = GenerationConfig.from_pretrained(
            folder, config_file_name=name, local_files_only=True, _from_model_config=old
        )
    # Each field that is of a wrong type fails in its own way.
    except Exception as error:
        raise CheckpointError(f"{folder / name} can't be read: {in_one_line(error)}") from error
    stated = {key: value for key, value in generation.to_dict().items() if value is not None}
    if not old:
        _warn_of_shadowed(folder, stated)
    return stated


def _warn_of_shadowed(folder: Path, stated: Mapping[str, Any]) -> None:
    """Names what `config.json` sets in vain: `generate` reads `generation_config.json` alone."""
    usual = GenerationConfig._get_default_generation_params()
    names = (*_SAME_NAME, *_RENAMED, *_NOT_SUPPORTED, _RENORMALIZE, *_LENGTHS, "bad_words_ids")
    config = read_object(folder / "config.json")
    for name in names:
        value = config.get(name)
        neutral = (usual.get(name), None, *_NOT_SUPPORTED.get(name, (False,)))
        if name not in stated and value not in neutral:
            logger.warning(
                "%s=%s of config.json does not hold: generation_config.json, which `generate` "
                "reads alone, does not state it",
                *(name, value),
            )


def _options(stated: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: stated[name] for name in _SAME_NAME if name in stated}
    options |= {ours: stated[theirs] for theirs, ours in _RENAMED.items() if theirs in stated}
    # transformers' lengths count the decoder's start token.
    for kind in ("max", "min"):
        tokens = stated.get(f"{kind}_new_tokens")
        if tokens is None and isinstance(length := stated.get(f"{kind}_length"), int):
            tokens = max(length - 1, 0)
        if tokens:
            options[f"{kind}_new_tokens"] = tokens
        elif kind == "max" and stated.get("max_length"):
            logger.warning("the checkpoint's max_length=%s is left out", stated["max_length"])
    beams = options.get("num_beams")
    if isinstance(beams, int) and beams > MAX_BEAMS:
        logger.warning("the checkpoint asks for %d beams: %d", beams, MAX_BEAMS)
        options["num_beams"] = MAX_BEAMS
    for name, neutral in _NOT_SUPPORTED.items():
        if stated.get(name) not in (None, *neutral):
            logger.warning("the checkpoint's %s=%s is not supported: left out", name, stated[name])
    return {name: value for name, value in options.items() if _is_possible(name, value)} | (
        _renormalizing(stated.get(_RENORMALIZE))
    )


def _renormalizing(value: Any) -> dict[str, bool]:
    """`generate` renormalizes when it is told `true`, and takes nothing else for it."""
    if value is True:
        return {_RENORMALIZE: True}
    if value not in (None, False):
        logger.warning("the checkpoint's %s=%r is not true: left out", _RENORMALIZE, value)
    return {}


def _is_possible(name: str, value: Any) -> bool:
    """Whether a request could ask for it; what it could not, its default must not be."""
    if complaint := OPTIONS[name].complaint(value):
        logger.warning("a default of the checkpoint is left out: %s %s", name, complaint)
    return not complaint
