"""How answers are generated, as a call says it."""

from dataclasses import dataclass
from typing import Literal

SummaryLength = Literal["short", "medium", "long"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Tokens are drawn at random; None is the server's default.

    Attributes:
        temperature: Divides the logits; 0.001 to 1,000.
        top_k: Only the k most probable tokens are drawn from; 0 allows all.
        top_p: Only the most probable tokens that together reach this probability are drawn from.
        seed: The same seed gives the same answer; from 0 to 2^64 - 1.

    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """How to generate; None leaves it to the checkpoint's generation_config.

    The server checks ranges and contradictions: `InvalidRequestError` names the field.

    Attributes:
        max_new_tokens: The most tokens of one segment; 0 is the model's own limit.
        min_new_tokens: The fewest before the end of sequence is allowed.
        num_beams: Beams of the search, 1 to 8; 1 is greedy decoding.
        length_penalty: Beam search ranks by the log-probability over length to this power.
        early_stopping: When a beam search stops; as in transformers.
        num_hypotheses: How many answers are returned (n-best), 1 to `num_beams`.
        sampling: Draws tokens; `Sampling()` with the server's defaults.
        no_repeat_ngram_size: No n-gram of so many tokens comes twice; 0 allows all.
        repetition_penalty: Makes tokens that have come less likely; 1 changes nothing.
        target_prefix: What the answer begins with.
        token_log_probs: Whether each token's log-probability is returned.
        stop_repetition: Whether an answer that runs in a loop is stopped.
        priority: "bulk" fills what interactive work leaves free.

    """

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | Literal["never"] | None = None
    num_hypotheses: int | None = None
    sampling: Sampling | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float | None = None
    target_prefix: str | None = None
    token_log_probs: bool | None = None
    stop_repetition: bool | None = None
    priority: Literal["interactive", "bulk"] | None = None
