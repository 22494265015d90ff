"""Weighted vote of the nearest neighbours on a label, for label transfer and its accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scminnet.graph.neighbors import Neighbors


@dataclass(frozen=True)
class Vote:
    """Result of the vote for n points.

    Attributes
    ----------
    winners
        int64 array (n,): label code with the largest weight, the smallest code on a tie.
    shares
        float32 array (n,): the winner's share of the weight of all votes, in (0, 1].
    """

    winners: np.ndarray
    shares: np.ndarray


def vote(codes: np.ndarray, neighbors: Neighbors, n_types: int, n_neighbors: int | None = None) -> Vote:
    """Let each point's nearest neighbours vote for its label, weighted by 1 / Euclidean distance.

    If some neighbours have distance 0, only these vote, with equal weights. These are the rules of scikit-learn's
    ``KNeighborsClassifier(weights="distance")``.

    Parameters
    ----------
    codes
        Label of each searched point, int array with values in [0, ``n_types``).
    neighbors
        Nearest searched points of the n points to label.
    n_types
        Number of labels.
    n_neighbors
        Only this many nearest neighbours vote. ``None``: all.

    Returns
    -------
    Vote of the n points.
    """
    votes = codes[neighbors.indices[:, :n_neighbors]]
    weights = _weights(neighbors.distances[:, :n_neighbors])
    n = len(votes)
    point_and_type = np.arange(n)[:, None] * n_types + votes
    weight = np.bincount(point_and_type.ravel(), weights=weights.ravel(), minlength=n * n_types).reshape(n, n_types)
    winners = weight.argmax(axis=1)
    shares = weight[np.arange(n), winners] / weights.sum(axis=1)
    # rounding can lift a unanimous vote a little above 1
    return Vote(winners, np.minimum(shares, 1).astype(np.float32))


def _weights(distances: np.ndarray) -> np.ndarray:
    """Weigh neighbours by 1 / distance, or only those at distance 0 if there are any (rows ascend)."""
    distances = distances.astype(np.float64)
    identical = distances == 0
    return np.where(identical[:, :1], identical, 1 / np.where(identical, 1, distances))
