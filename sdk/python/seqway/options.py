"""Generation options of a call."""

from dataclasses import dataclass
from typing import Literal

SummaryLength = Literal["short", "medium", "long"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling of tokens at random; None is the server's default.

    Attributes:
        temperature: Divides the logits; 0.001 to 1,000.
        top_k: Samples from the k most probable tokens; 0 is all.
        top_p: Samples from the most probable tokens that together reach this probability.
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
        max_new_tokens: Most tokens of one segment; 0 is the model's own limit.
        min_new_tokens: Fewest tokens before the end of sequence is allowed.
        num_beams: Beam width, 1 to 8; 1 is greedy decoding.
        length_penalty: Beam search ranks by the log-probability over length to this power.
        early_stopping: When a beam search stops; as in transformers.
        num_hypotheses: Number of answers returned (n-best), 1 to `num_beams`.
        sampling: Samples tokens; `Sampling()` has the server's defaults.
        no_repeat_ngram_size: No n-gram of this many tokens occurs twice; 0 allows all.
        repetition_penalty: Makes repeated tokens less likely; 1 is off.
        target_prefix: Text that the answer starts with.
        token_log_probs: Whether each token's log-probability is returned.
        stop_repetition: Whether an answer that loops is stopped.
        priority: "bulk" runs in the capacity that interactive calls leave free.

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
