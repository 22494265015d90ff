"""Whether chosen items have a property more often than others of the same strata."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import hypergeom


class Enrichment(NamedTuple):
    """How many chosen items have the property."""

    found: int
    expected: float
    """By the share of each stratum's items, chosen or not, that have it."""
    p: float
    """Probability of as many or more, if the chosen items were drawn at random from their strata."""


def enrichment(has_it: np.ndarray, chosen: np.ndarray, strata: np.ndarray) -> Enrichment:
    """Compare chosen items with all of the same strata. All three arrays have one value an item."""
    n = int(strata.max(initial=0)) + 1
    n_all, n_chosen, n_with = (np.bincount(strata[rows], minlength=n) for rows in (slice(None), chosen, has_it))
    found = int((has_it & chosen).sum())
    expected = float((n_chosen * n_with / np.maximum(n_all, 1)).sum())
    return Enrichment(found, expected, tail(found, n_all, n_with, n_chosen))


def tail(n_found: int, n_all: np.ndarray, n_with: np.ndarray, n_chosen: np.ndarray) -> float:
    """Probability that draws of ``n_chosen`` from each stratum's ``n_all`` find ``n_found`` or more of ``n_with``.

    It is hypergeometric in each stratum; the sum over strata is by convolution.
    """
    density = np.ones(1)
    for total, holding, drawn in zip(n_all, n_with, n_chosen, strict=True):
        if drawn:
            most = min(holding, drawn)
            density = np.convolve(density, hypergeom.pmf(np.arange(most + 1), total, holding, drawn))
    return min(float(density[n_found:].sum()), 1.0)
