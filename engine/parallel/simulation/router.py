"""Spreads what comes to pods over their groups, by the budget of tokens that each has free."""

import numpy as np

from engine.parallel.simulation.stage import Counts, Floats


def spread(arrived: Counts, load: Floats) -> Counts:
    """How many of the texts `arrived [pods]` each group gets, `[pods,groups]`.

    Each goes to the group that has the least to do, of `load [pods,groups]` in texts: so they fill
    the groups up to one level.
    """
    pods, groups = load.shape
    if groups == 1:
        return arrived[:, None]
    order = np.argsort(load, axis=1, kind="stable")
    ascending = np.take_along_axis(load, order, axis=1)
    filled = np.cumsum(ascending, axis=1)
    levels = (arrived[:, None] + filled) / np.arange(1, groups + 1)
    following = np.column_stack([ascending[:, 1:], np.full(pods, np.inf)])
    level = np.take_along_axis(levels, np.argmax(levels <= following, axis=1)[:, None], axis=1)
    given = np.maximum(0, np.floor(level - ascending)).astype(np.int64)
    rest = arrived - given.sum(axis=1)
    # Less than one for each group is left: the least loaded get it.
    given += np.arange(groups) < rest[:, None]
    result = np.zeros_like(given)
    np.put_along_axis(result, order, given, axis=1)
    return result
