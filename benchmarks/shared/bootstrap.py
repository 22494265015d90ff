"""Average precision of a score over many bootstraps at once, and its intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Bootstraps that are computed at a time.
_BLOCK = 100


def cluster_weights(clusters: np.ndarray, n_bootstraps: int, seed: int) -> np.ndarray:
    """Draw clusters with replacement; row 0 is the sample itself.

    Returns
    -------
    How often each observation was drawn, float32 (1 + bootstraps, observations).
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    n = cluster.max() + 1
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_bootstraps)
    return np.vstack([np.ones((1, n)), drawn]).astype(np.float32)[:, cluster]


def average_precision(outcome: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision with each row of weights, as scikit-learn's with ``sample_weight``; NaN without positives."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    areas = []
    for start in range(0, len(weights), _BLOCK):
        ordered = weights[start : start + _BLOCK, order].astype(np.float64)
        called = np.cumsum(ordered, axis=1)[:, last]
        hits = np.cumsum(ordered * outcome[order], axis=1)[:, last]
        new = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(called > 0, hits / called, 0)
            areas.append((precision * new).sum(axis=1) / hits[:, -1])
    return np.concatenate(areas)


def interval(values: np.ndarray, *, key: str = "auprc") -> dict[str, Any]:
    """Return the value of the sample, first, and the middle 95 % of the bootstraps."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {key: round(float(values[0]), 4), "interval": [round(float(low), 4), round(float(high), 4)]}
