"""The settings of one training run, read from a TOML file and validated."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.model.config import ModelConfig


class ConfigError(ValueError):
    """A training configuration that can't be used; the message names the field."""


class TrainingConfig(BaseModel):
    """What to train, on what, and how.

    `model` holds the fields of `ModelConfig`.  `precision` is the type of the forward and backward
    pass; weights, their moments and the sum of the loss stay in FP32 ("master weights",
    Micikevicius et al. 2018, arXiv:1710.03740), and "fp16" adds loss scaling.  The learning rate
    rises linearly for `warmup_steps` to `peak_learning_rate` and falls linearly to 0 at `steps`.
    `batch_tokens` bounds rows times padded length, on the longer of both sides.  A pair with a side
    over `max_length` is left out; with `cut_sources`, its source loses its middle instead (a
    classifier's always does).  `initial_checkpoint` gives the weights and the tokenizer to start
    from.  `word_dropout` and `repeat_rare` are for classification: with the latter, a text whose
    label has n texts, fewer than the mean m, comes about sqrt(m / n) times in an epoch (square-root
    sampling, Mahajan et al. 2018, arXiv:1805.00932).  `max_target_tokens` is the limit that goes
    into a generating checkpoint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Path
    dev: Path
    test: Path
    output: Path
    task: Literal["translation", "summarization", "classification"] = "translation"
    source_language: str = ""
    target_language: str = ""
    initial_checkpoint: Path | None = None
    model: dict[str, Any]
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    steps: int = Field(gt=0)
    warmup_steps: int = Field(ge=0, default=1000)
    peak_learning_rate: float = Field(gt=0, default=2e-3)
    weight_decay: float = Field(ge=0, default=0.01)
    label_smoothing: float = Field(ge=0, lt=1, default=0.1)
    clip_norm: float = Field(gt=0, default=1.0)
    batch_tokens: int = Field(ge=64, default=2048)
    max_length: int = Field(ge=8, default=160)
    cut_sources: bool = False
    word_dropout: float = Field(ge=0, lt=1, default=0.0)
    repeat_rare: bool = False
    max_target_tokens: int | None = Field(gt=0, default=None)
    ema_decay: float = Field(ge=0, lt=1, default=0.999)
    evaluate_every: int = Field(gt=0, default=500)
    seed: int = 1

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        transformer = self.transformer
        if self.max_length > transformer.max_positions:
            raise ValueError(
                f"max_length is over model.max_positions ({transformer.max_positions})"
            )
        if (self.task == "translation") != (self.languages is not None):
            raise ValueError("source_language and target_language go with task = translation")
        return self

    @property
    def languages(self) -> tuple[str, str] | None:
        """Source and target language of a translation."""
        if self.source_language and self.target_language:
            return self.source_language, self.target_language
        return None

    @property
    def transformer(self) -> ModelConfig:
        """The model's own configuration."""
        try:
            return ModelConfig(**self.model)
        except TypeError as error:
            raise ValueError(f"model: {error}") from error


def load_config(path: Path) -> TrainingConfig:
    """Reads a TOML file; paths in it are relative to the working directory.

    Raises:
        ConfigError: it can't be read, or a field is wrong.

    """
    try:
        return TrainingConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
