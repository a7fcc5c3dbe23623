"""What the options of a call become for its rows."""

from hashlib import blake2b

from engine.contract.options import Options

Seed = int | list[int] | None


def can_begin_anywhere(options: Options) -> bool:
    """Whether an answer may go on after its first words by means of `target_prefix`.

    Bounds on tokens count from after the prefix, and details would describe it differently.
    """
    details = options.token_log_probs or options.alignment or (options.num_hypotheses or 1) > 1
    return not (options.max_new_tokens or options.min_new_tokens or details)


def row_seed(seed: Seed, *place: int) -> Seed:
    """The seed of the row at a place of the call, such as (content, start of its source).

    Rows of one call must not draw the same numbers, and a row's must not depend on what else is in
    its request.  The row at (0, 0, ...) has the seed itself.
    """
    if seed is None or not any(place):
        return seed
    key = blake2b(repr((seed, *place)).encode(), digest_size=8)
    return int.from_bytes(key.digest(), "little")
