"""A step of beam search for all texts with equally many beams at once.

Each text's 2k best continuations of its k beams are looked at: those that end the answer become
hypotheses if they are among the first k, the others go on.  Only texts of which a beam ends, whose
scores are changed, or whose token is forced are looked at one by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.beam_search import BeamSearch, EndedBeam
from engine.runtime.decoding.candidates import Candidates
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import FREE, NEVER, StepView


class NextBeams(NamedTuple):
    """How n texts go on: their beams `[n,k]`, best first.

    `slots` are where they stand once `sources` were copied to `targets`, of which none is a source;
    `scores` what they rank by, `log_probs` the model's of their `tokens`. `ended` are those that
    end, before anything is copied; of a text that `is_over [n]` nothing else is left.
    """

    slots: Ints
    tokens: Ints
    log_probs: Floats
    scores: Floats
    sources: Ints
    targets: Ints
    ended: list[EndedBeam]
    is_over: NDArray[np.bool_]


def join_beams(searches: Sequence[BeamSearch], step: StepView, slots: Ints) -> NextBeams:
    """How texts go on after a step.

    Args:
        searches: of one model, with k beams each.
        step: what the model gave.
        slots: `[n,k]`, of their beams, best first.

    """
    width = slots.shape[1]
    every, every_score, every_log_prob = _continuations(searches, step, slots)
    best = _best(every_score, 2 * width)
    tokens, scores, log_probs = every.take(best), every_score.take(best), every_log_prob.take(best)
    parents = best // (2 * width) % width
    ending = (tokens == searches[0].eos_id) | (tokens < 0) | step.is_last(slots[:, :1])
    ended = []
    for text, place in zip(*(axis.tolist() for axis in ending[:, :width].nonzero()), strict=True):
        slot, values = slots[text, parents[text, place]], (tokens, scores, log_probs)
        token, *others = (array[text, place].item() for array in values)
        ended.append(EndedBeam(text, int(slot), token, *others))
    scores += ending * NEVER
    chosen = _best(scores, width)
    placed, sources, targets = place_beams(slots, parents.take(chosen))
    made = tokens.take(chosen), log_probs.take(chosen), scores.take(chosen)
    return NextBeams(placed, *made, sources, targets, ended, ending.all(axis=1))


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
    forced = step.forced(slots[:, 0]).tolist()
    for text, (search, token) in enumerate(zip(searches, forced, strict=True)):
        if token != FREE:
            tokens[text], scores[text], log_probs[text] = -1, 0, 0
            tokens[text, :, 0] = token
        elif search.constrained:
            changed = search.constrain(step, slots[text].tolist(), totals[text])
            tokens[text], scores[text], log_probs[text] = changed
    scores += step.scores[slots][..., None]
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
    suppressed = step.outputs()["suppressed_logits"][slots]
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
