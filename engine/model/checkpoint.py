"""Loads a Hugging Face checkpoint folder (or hub id) as one of our models."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig

from engine.contract.manifest import Task
from engine.model.config import ModelConfig
from engine.model.encoders.model import EncoderModel
from engine.model.errors import CheckpointError, counted, in_one_line, unreadable
from engine.model.families import ENCODER_FAMILIES, SEQ2SEQ_FAMILIES, marian_nmt
from engine.model.generation_defaults import GenerationDefaults, read_generation, task_names
from engine.model.hub import locate
from engine.model.shortlist import Shortlist
from engine.model.tasks import Head, check_architecture
from engine.model.transformer import Transformer
from engine.model.weights import Int8Scales, read_weights

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "read_config"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, loaded: the model in evaluation mode, in FP32.

    `hf` is its `config.json` with the family's defaults. `languages` is the pair that it names
    itself. Limits count tokens, special ones included; `max_target_tokens` is what the decoder's
    positions allow. `labels` and `multi_label` are a classifier's. `int8_scales` are those that the
    checkpoint brings of its own for linear maps, by our prefix; the head's is "head".
    """

    folder: Path
    family: str
    kind: Literal["seq2seq", "encoder"]
    model: Transformer | EncoderModel
    sha256: str
    hf: dict[str, Any]
    max_source_tokens: int
    max_target_tokens: int = 0
    languages: tuple[str, str] | None = None
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    head: Head | None = None
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    int8_scales: Mapping[str, Int8Scales] = field(default_factory=dict)
    shortlist: Shortlist | None = None

    @property
    def transformer(self) -> Transformer:
        """The encoder-decoder of a "seq2seq" checkpoint."""
        assert isinstance(self.model, Transformer)
        return self.model

    @property
    def encoder(self) -> EncoderModel:
        """The encoder of an "encoder" checkpoint."""
        assert isinstance(self.model, EncoderModel)
        return self.model

    @property
    def config(self) -> ModelConfig:
        """The configuration of the encoder-decoder."""
        return self.transformer.config

    @property
    def is_recurrent(self) -> bool:
        """Whether it has a decoder that is recurrent."""
        return self.kind == "seq2seq" and self.config.is_recurrent

    @property
    def has_windows(self) -> bool:
        """Whether it has an encoder whose tokens do not attend to all of their source."""
        return self.kind == "seq2seq" and self.config.encoder_attention != "full"

    @property
    def vocab_size(self) -> int:
        """How many token ids the model has; those of answers, where sources have others."""
        return self.model.config.vocab_size

    @property
    def source_vocab_size(self) -> int:
        """How many token ids sources may be made of."""
        return self.config.encoder_vocab_size if self.kind == "seq2seq" else self.vocab_size

    @property
    def suppressed_ids(self) -> tuple[int, ...]:
        """Tokens that its author forbids."""
        return self.generation.suppressed_ids


def load_checkpoint(
    folder_or_id: str | Path,
    task: Task | None = None,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    languages: tuple[str, str] | None = None,
) -> Checkpoint:
    """Loads a folder that `transformers` wrote, or downloads a hub id first.

    `task` None takes what the checkpoint was made for; `languages`, of which "" is any, choose
    between the decoding defaults of a checkpoint that has some for each pair.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, of a family that is not supported, not
            made for the task, or holds values that are not finite.

    """
    folder = locate(folder_or_id, revision, allow_pickle)
    raw = read_config(folder)
    family = raw["model_type"]
    if family not in SEQ2SEQ_FAMILIES and family not in ENCODER_FAMILIES:
        known = ", ".join(sorted({*SEQ2SEQ_FAMILIES, *ENCODER_FAMILIES}))
        raise CheckpointError(
            f"{folder}: model_type {family!r} is not supported; these are: {known}."
        )
    kind: Literal["seq2seq", "encoder"] = "seq2seq" if family in SEQ2SEQ_FAMILIES else "encoder"
    head = check_architecture(folder, kind, raw.get("architectures") or [], task)
    config = _checked(
        folder,
        lambda: AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
    )
    hf = {**config.to_dict(), **raw}
    state, sha256 = read_weights(folder, allow_pickle)
    if head is None:
        return _seq2seq(folder, family, hf, state, sha256, task_names(hf, task, languages))
    return _encoder(folder, family, hf, config, state, sha256, head)


def _seq2seq(
    folder: Path,
    family: str,
    hf: dict[str, Any],
    state: dict[str, Tensor],
    sha256: str,
    tasks: list[str],
) -> Checkpoint:
    module = SEQ2SEQ_FAMILIES[family]
    generation = _checked(folder, lambda: read_generation(folder, hf, tasks))
    hf |= generation.tokens
    config: ModelConfig = _checked(folder, lambda: module.read_config(hf))
    tracked = _Tracked(state)
    weights = _checked(folder, lambda: module.map_weights(tracked, config))
    scales: dict[str, Int8Scales] = {}
    if module is marian_nmt:
        scales = _checked(folder, lambda: marian_nmt.int8_scales(tracked, config))
    tracked.check_finite(folder)
    tracked.warn_of_rest(folder)
    model = _checked(folder, lambda: _filled(lambda: Transformer(config), weights))
    source, target = hf.get("source_language"), hf.get("target_language")
    return Checkpoint(
        folder=folder,
        family=family,
        kind="seq2seq",
        model=model.eval(),
        sha256=sha256,
        hf=hf,
        max_source_tokens=config.max_positions,
        max_target_tokens=config.max_answer,
        languages=(source, target) if source and target else None,
        generation=generation,
        int8_scales=scales,
        shortlist=_checked(folder, lambda: Shortlist.load(folder)),
    )


def _encoder(
    folder: Path,
    family: str,
    hf: dict[str, Any],
    hf_config: PretrainedConfig,
    state: dict[str, Tensor],
    sha256: str,
    head: Head,
) -> Checkpoint:
    module = ENCODER_FAMILIES[family]
    config = _checked(folder, lambda: module.read_config(hf))
    names: dict[Any, str] = hf_config.id2label or {}
    labels = tuple(str(names[index]) for index in sorted(names)) if head == "classification" else ()
    if hf.get("problem_type") == "regression":
        raise CheckpointError(f"{folder} holds a regression head: only classes are supported.")
    tracked = _Tracked(state)
    weights = _checked(folder, lambda: module.map_weights(tracked, config, head))
    tracked.check_finite(folder)
    tracked.warn_of_rest(folder)
    outputs = len(labels) or 2
    model = _checked(folder, lambda: _filled(lambda: EncoderModel(config, head, outputs), weights))
    # One output alone can't be compared with others: transformers takes its sigmoid, too.
    multi_label = hf.get("problem_type") == "multi_label_classification" or len(labels) == 1
    return Checkpoint(
        folder=folder,
        family=family,
        kind="encoder",
        model=model.eval(),
        sha256=sha256,
        hf=hf,
        max_source_tokens=config.max_tokens,
        head=head,
        labels=labels,
        multi_label=multi_label,
    )


def _filled(make: Callable[[], M], weights: dict[str, Tensor]) -> M:
    """The model that `make` makes, with these very tensors as its weights: none is copied.

    Raises:
        RuntimeError: one has another shape, or is no parameter.

    """
    with torch.device("meta"):  # no memory, and no random numbers, for what comes from the file
        model = make()
    if (table := weights.pop("positions", None)) is not None:
        expected = model.get_buffer("positions").shape
        if table.shape != expected:
            raise RuntimeError(
                f"the table of positions is {list(table.shape)}, not {list(expected)}."
            )
        model.register_buffer("positions", table, persistent=False)
    model.load_state_dict(weights, assign=True)
    return model


class _Tracked(dict[str, Tensor]):
    """A state dict that knows which tensors were asked for."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self._read.add(name)
        tensor = super().__getitem__(name)
        if not tensor.is_floating_point():
            raise ValueError(f"{name} holds {tensor.dtype}, and only real numbers are supported.")
        return tensor

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        self._read |= set(self)
        return super().items()

    def check_finite(self, folder: Path) -> None:
        """Refuses tensors that were asked for and hold what is not finite.

        Raises:
            CheckpointError: one does; it is named as in the checkpoint.

        """
        for name in sorted(self._read & set(self)):
            tensor = super().__getitem__(name)
            # Marian's may hold -inf for tokens that are never to be made.
            least = float("-inf") if name.endswith("final_logits_bias") else None
            if not all(_is_finite(part, least) for part in tensor.flatten().split(_PART)):
                raise CheckpointError(f"{folder}: {name} holds values that are not finite.")

    def warn_of_rest(self, folder: Path) -> None:
        """Says what is left out; `transformers` leaves out and names the same."""
        rest = [name for name in self if name not in self._read and not _is_copy(name)]
        if rest:
            said = f"{counted(len(rest), 'tensor')} {'is' if len(rest) == 1 else 'are'}"
            logger.warning("%s: %s not used, such as %s", folder.name, said, rest[0])


_PART = 1 << 22
"""Values that are looked at together."""


def _is_finite(part: Tensor, least: float | None) -> bool:
    wrong = ~torch.isfinite(part.float())
    if least is not None:
        wrong &= part != least
    return not wrong.any()


_COPIES = ("embed_tokens.weight", "lm_head.weight", "position_ids", "embed_positions.weight")


def _is_copy(name: str) -> bool:
    """Whether a tensor is a tied copy of another one, or a constant."""
    return name.endswith(_COPIES) or name == "final_logits_bias"


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` as it stands; the fields that all families have are of their types.

    Raises:
        CheckpointError: it can't be read, or such a field is of another type.

    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # JSON can hold halves of characters, which no file that we write can.
        json.dumps(content, ensure_ascii=False).encode()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise unreadable(path, error) from error
        raise CheckpointError(f"{folder} is no checkpoint: it has no config.json.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} can't be read: it holds no JSON object.")
    if not isinstance(content.get("model_type"), str):
        raise CheckpointError(f"{path} names no model_type, such as 'marian' or 'bert'.")
    classes, specific = content.get("architectures"), content.get("task_specific_params")
    if not _is_list_of(str, classes or []):
        raise CheckpointError(f"{path}: architectures has to be a list of names, not {classes!r}.")
    if not isinstance(specific or {}, dict) or not _is_list_of(dict, [*(specific or {}).values()]):
        raise CheckpointError(
            f"{path}: task_specific_params has to hold an object for each task, not {specific!r}."
        )
    return content


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _checked(folder: Path, load: Callable[[], T]) -> T:
    try:
        return load()
    except KeyError as error:
        raise CheckpointError(f"{folder} is incomplete: {error.args[0]!r} is missing.") from error
    except CheckpointError:
        raise
    # What others have written is wrong in more ways than can be listed.
    except Exception as error:
        raise CheckpointError(f"{folder}: {in_one_line(error)}") from error
