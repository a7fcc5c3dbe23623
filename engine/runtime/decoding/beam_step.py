"""A step of beam search for all texts with equally many beams at once.

Each text's 2k best continuations of its k beams are looked at: those that end the answer become
hypotheses if they are among the first k, the others go on.  Only texts of which a beam ends, whose
scores are changed, or whose token is forced are looked at one by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.runtime.decoding.beam_search import NEVER, BeamSearch
from engine.runtime.decoding.candidates import Candidates
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import FREE, StepView


class NextBeams(NamedTuple):
    """How n texts go on, `[n,k]` each, best first.

    The tokens, the model's log-probabilities of them, and the beams of this step before them.
    """

    tokens: Ints
    log_probs: Floats
    parents: Ints


def advance_beams(searches: Sequence[BeamSearch], step: StepView, slots: Ints) -> NextBeams:
    """Takes a step of n texts; each search knows then whether it is complete.

    Args:
        searches: of one model, with k beams each.
        step: what the model gave.
        slots: `[n,k]`, of the beams that the last step returned.

    """
    width = slots.shape[1]
    every, scores, log_probs = _continuations(searches, step, slots)
    best = _best(scores, 2 * width)
    tokens, scores = every.take(best), scores.take(best)
    ending = (tokens == searches[0].eos_id) | (tokens < 0)
    for text, search in enumerate(searches):
        search.length += 1
        if search.length >= search.longest:
            ending[text] = True
    for text, place in zip(*(axis.tolist() for axis in ending[:, :width].nonzero()), strict=True):
        index = best[text, place]
        slot = slots[text, index // (2 * width) % width]
        log_prob, score = log_probs.take(index), scores[text, place]
        searches[text].end_beam(step, int(slot), int(tokens[text, place]), score, float(log_prob))
    scores += ending * NEVER
    chosen = _best(scores, width)
    is_over = ending.all(axis=1).tolist()
    for search, own, over in zip(searches, scores.take(chosen), is_over, strict=True):
        search.go_on(own, is_open=not over)
    best = best.take(chosen)
    return NextBeams(every.take(best), log_probs.take(best), best // (2 * width) % width)


def _continuations(
    searches: Sequence[BeamSearch], step: StepView, slots: Ints
) -> tuple[Ints, Floats, Floats]:
    """The 2k best tokens of each beam, `[n,k,2k]`: what they rank by, and their log-probabilities.

    Behind the end of a vocabulary tokens are -1, and their scores NaN, which sorts last.
    """
    width = slots.shape[1]
    found = step.candidates(slots, 2 * width)
    totals = _totals(searches[0], step, slots, found)
    scored_by = found.totals if searches[0].renormalizes else totals
    tokens = found.ids
    log_probs, scores = found.logits - totals[..., None], found.logits - scored_by[..., None]
    forced = step.forced[slots[:, 0]].tolist()
    for text, (search, token) in enumerate(zip(searches, forced, strict=True)):
        if token != FREE:
            tokens[text], scores[text], log_probs[text] = -1, 0, 0
            tokens[text, :, 0] = token
        elif search.constrained:
            changed = search.constrain(step, slots[text].tolist(), totals[text])
            tokens[text], scores[text], log_probs[text] = changed
    scores += np.array([search.scores for search in searches])[..., None]
    scores[tokens < 0] = np.nan
    return tokens, scores, log_probs


def _best(scores: Floats, count: int) -> Ints:
    """Where each text's highest `scores [n,...]` lie in the flat array, best first, `[n,count]`.

    Equal ones are in their order.
    """
    rows = -scores.reshape(len(scores), -1)
    best: Ints = rows.argsort(axis=1, kind="stable")[:, :count]
    best += np.arange(0, rows.size, rows.shape[1])[:, None]
    return best


def _totals(search: BeamSearch, step: StepView, slots: Ints, found: Candidates) -> Floats:
    """The log-sum-exps `[n,k]` of the logits of the whole vocabulary, as `transformers` has it.

    Where the session suppresses tokens its own leave them out; theirs are put back.
    """
    if "suppressed_logits" not in search.needs:
        return found.totals
    suppressed = step.outputs["suppressed_logits"][slots]
    missing = np.exp(suppressed - found.totals[..., None]).sum(axis=-1)
    totals: Floats = found.totals + np.log1p(missing)
    return totals


def place_beams(slots: Ints, parents: Ints) -> tuple[Ints, Ints, Ints]:
    """Where the next beams stand, so that few are copied: a parent's first child stays in its slot.

    Args:
        slots: `[n,k]`, of this step's beams.
        parents: `[n,k]`, for each beam of the next step its beam in this one.

    Returns:
        The slots of the next step's beams, and the copies (from, to) that make it so; none reads a
        slot that another writes.

    """
    texts, width = slots.shape
    beams = np.arange(width)
    placed = slots.take(parents + width * np.arange(texts)[:, None])
    is_further = (parents[:, :, None] == parents[:, None, :]).argmax(axis=2) != beams
    is_free = (parents[:, None, :] != beams[:, None]).all(axis=2)
    sources, targets = placed[is_further], slots[is_free]  # as many in each text
    placed[is_further] = targets
    return placed, sources, targets
