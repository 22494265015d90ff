"""How far a cell may lie from its neighbours of another modality and still be among cells like itself."""

from __future__ import annotations

import numpy as np

from scminnet.graph.neighbors import nearest_neighbors

#: Points whose own distances are looked at. A quantile of 0.95 is then accurate to a third of a percent.
MAX_POINTS = 4_000


def gap(own: np.ndarray, distances: np.ndarray) -> float:
    """Return by what factor cells lie farther from points of another modality than these from each other, at least 1.

    The lower quartile is that of known types as long as unseen ones are less than three quarters of the cells.

    Parameters
    ----------
    own
        Mean distance of each point to its neighbours among the other points.
    distances
        Mean distance of each cell to its neighbours among the points.
    """
    usual = float(np.quantile(own, 0.25))
    return max(1.0, float(np.quantile(distances, 0.25)) / usual) if usual > 0 else 1.0


def own_distances(points: np.ndarray, n_neighbors: int, seed: int) -> np.ndarray:
    """Return the mean distance of points to their nearest other points, of at most ``MAX_POINTS`` spread evenly."""
    chosen = np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).astype(np.int64)
    found = nearest_neighbors(points, n_neighbors + 1, query=points[chosen], seed=seed)
    is_self = found.indices == chosen[:, None]
    # among duplicates, or where the search is approximate, a point may miss itself
    is_self[~is_self.any(axis=1), -1] = True
    return found.distances[~is_self].reshape(len(chosen), n_neighbors).mean(axis=1)
