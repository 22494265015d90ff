"""Distances for the margins: exact ones along the graph, and Euclidean ones, instead of those by landmarks."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

from scminnet.graph.geodesic import GeodesicIndex


class StraightDistances:
    """Euclidean distances between principal components, scaled to the median of a ``GeodesicIndex``."""

    def __init__(self, points: np.ndarray, geodesics: GeodesicIndex) -> None:
        self.points = points
        i, j = np.random.default_rng(0).integers(len(points), size=(2, 2000))
        self.scale = 1.0
        self.scale = np.median(geodesics.pairs(i, j)) / np.median(self.pairs(i, j))

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of pairs."""
        return (self.scale * np.linalg.norm(self.points[i] - self.points[j], axis=1)).astype(np.float32)

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of all pairs of two sets."""
        return (self.scale * cdist(self.points[i], self.points[j])).astype(np.float32)


class ExactDistances:
    """Exact distances along the graph, kept for all pairs."""

    def __init__(self, graph: sparse.csr_matrix) -> None:
        self.distances = shortest_path(graph, directed=False).astype(np.float32)

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of pairs."""
        return self.distances[i, j]

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of all pairs of two sets."""
        return self.distances[np.ix_(i, j)]
