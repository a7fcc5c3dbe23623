"""How to generate: options of all commands that generate text."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from seqway.options import GenerationOptions, Sampling

_EARLY_STOPPING: dict[str | None, bool | Literal["never"] | None] = {
    None: None,
    "true": True,
    "false": False,
    "never": "never",
}


def _flag(*names: str, text: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Generation", **limits)


@dataclass(frozen=True)
class GenerationFlags:
    """Options that are not given follow the model's generation_config."""

    beams: Annotated[
        int | None, _flag("--beams", min=1, max=8, text="Beam width; 1 is greedy decoding.")
    ] = None
    length_penalty: Annotated[
        float | None,
        _flag(
            "--length-penalty", text="Above 0, beam search prefers longer answers; below, shorter."
        ),
    ] = None
    early_stopping: Annotated[
        Literal["true", "false", "never"] | None,
        _flag("--early-stopping", text="When beam search stops, as in transformers."),
    ] = None
    n_best: Annotated[
        int | None,
        _flag("--n-best", min=1, max=8, text="Number of answers to return, at most --beams."),
    ] = None
    sample: Annotated[bool, _flag("--sample", text="Sample tokens at random.")] = False
    temperature: Annotated[
        float | None, _flag("--temperature", text="Sampling temperature; below 1 is less random.")
    ] = None
    sampling_top_k: Annotated[
        int | None,
        _flag("--top-k", min=0, text="Sample from the k most probable tokens; 0 is all."),
    ] = None
    sampling_top_p: Annotated[
        float | None,
        _flag("--top-p", text="Sample from the most probable tokens up to this total."),
    ] = None
    seed: Annotated[
        int | None,
        _flag(
            "--seed",
            min=0,
            max=2**64 - 1,
            metavar="INTEGER",
            text="The same seed gives the same answer.",
        ),
    ] = None
    no_repeat_ngram: Annotated[
        int | None,
        _flag(
            "--no-repeat-ngram", min=0, text="No n-gram of this length occurs twice; 0 allows all."
        ),
    ] = None
    repetition_penalty: Annotated[
        float | None,
        _flag("--repetition-penalty", text="Above 1 makes repeated tokens less likely."),
    ] = None
    min_tokens: Annotated[
        int | None, _flag("--min-tokens", min=0, text="Fewest tokens of a sentence.")
    ] = None
    max_tokens: Annotated[
        int | None,
        _flag(
            "--max-tokens",
            "--max-new-tokens",
            min=0,
            text="Most tokens of a sentence; 0 is the model's own limit.",
        ),
    ] = None
    prefix: Annotated[str | None, _flag("--prefix", text="Text that the answer starts with.")] = (
        None
    )
    log_probs: Annotated[bool, _flag("--log-probs", text="Show each token's log-probability.")] = (
        False
    )
    stop_repetition: Annotated[
        bool | None,
        _flag("--stop-repetition/--no-stop-repetition", text="Stop an answer that loops."),
    ] = None
    bulk: Annotated[
        bool, _flag("--bulk", text="Run at bulk priority, behind interactive calls.")
    ] = False

    def options(self) -> GenerationOptions:
        """As the client takes them; `typer.BadParameter` for contradictions."""
        self._check_sampling()
        self._check_counts()
        return GenerationOptions(
            max_new_tokens=self.max_tokens,
            min_new_tokens=self.min_tokens,
            num_beams=self.beams,
            length_penalty=self.length_penalty,
            early_stopping=_EARLY_STOPPING[self.early_stopping],
            num_hypotheses=self.n_best,
            sampling=self._sampling(),
            no_repeat_ngram_size=self.no_repeat_ngram,
            repetition_penalty=self.repetition_penalty,
            target_prefix=self.prefix,
            token_log_probs=self.log_probs or None,
            stop_repetition=self.stop_repetition,
            priority="bulk" if self.bulk else None,
        )

    def _sampling(self) -> Sampling | None:
        if not self.sample:
            return None
        return Sampling(
            temperature=self.temperature,
            top_k=self.sampling_top_k,
            top_p=self.sampling_top_p,
            seed=self.seed,
        )

    def _check_sampling(self) -> None:
        if self.sample and (self.beams or 1) > 1:
            raise _refusal("--sample", f"can't be combined with --beams {self.beams}")
        if self.sample and (self.n_best or 1) > 1:
            raise _refusal("--sample", f"can't be combined with --n-best {self.n_best}")
        for name, value in (
            ("--temperature", self.temperature),
            ("--top-k", self.sampling_top_k),
            ("--top-p", self.sampling_top_p),
            ("--seed", self.seed),
        ):
            if value is not None and not self.sample:
                raise _refusal(name, "requires --sample")
        _check_span("--temperature", self.temperature, 0.001, 1000)
        if self.sampling_top_p is not None and not 0 < self.sampling_top_p <= 1:
            raise _refusal("--top-p", f"must be above 0 and at most 1, not {self.sampling_top_p:g}")

    def _check_counts(self) -> None:
        if self.beams is not None and self.n_best is not None and self.n_best > self.beams:
            raise _refusal(
                "--n-best", f"{self.beams} beams give {self.beams} answers at most: raise --beams"
            )
        if self.min_tokens and self.max_tokens and self.min_tokens > self.max_tokens:
            raise _refusal("--min-tokens", f"is above --max-tokens {self.max_tokens}")
        _check_span("--repetition-penalty", self.repetition_penalty, 0.01, 100)
        _check_span("--length-penalty", self.length_penalty, -10, 10)


def _check_span(name: str, value: float | None, lowest: float, highest: float) -> None:
    if value is not None and not lowest <= value <= highest:
        raise _refusal(name, f"must be from {lowest:g} to {highest:g}, not {value:g}")


def _refusal(name: str, problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint=name)
