"""What a caller is told when a model cannot do what the options ask for."""

import re
from collections.abc import Mapping

from services.inference.errors import InvalidOptionError

# Where the engine's options stand in a request, when not in options.<name>.
_FIELDS: Mapping[str, str] = {
    "sample": "options.sampling",
    "temperature": "options.sampling.temperature",
    "top_k": "options.sampling.top_k",
    "top_p": "options.sampling.top_p",
    "seed": "options.sampling.seed",
    "source_language": "source_language_code",
    "target_language": "target_language_code",
}
_NAMES = re.compile(
    "|".join(
        rf"\b{name}\b"
        for name in (
            *_FIELDS,
            *("max_new_tokens", "min_new_tokens", "num_beams", "length_penalty"),
            *("early_stopping", "num_hypotheses", "no_repeat_ngram_size", "repetition_penalty"),
            *("stop_repetition", "target_prefix", "token_log_probs", "priority"),
        )
    )
)


def invalid_options(message: str) -> InvalidOptionError:
    """The engine's refusal as the caller's mistake; the first option that it names is at fault."""
    named = _NAMES.search(message)
    if named is None:
        return InvalidOptionError(message, field="options")
    name = named.group()
    return InvalidOptionError(message, field=_FIELDS.get(name, f"options.{name}"))
