"""A coupling: which cells of two modalities belong together, without the matrix of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scminnet.coupling.metacells import Metacells, averages

#: Rows of the plan that are computed at a time.
_BLOCK = 1024


class Points(NamedTuple):
    """The metacells of one side. The mass between two is ``exp`` of their product and their scalings."""

    code: np.ndarray
    """Metacell of each cell, int64, (cells,)."""
    size: np.ndarray
    """Cells of each metacell, float32, (metacells,)."""
    group: np.ndarray
    """Group of each metacell, int64."""
    vector: np.ndarray
    """Metacells x dimensions, float32: the larger the product of two vectors, the more similar the cells."""
    types: np.ndarray
    """Cell type of each metacell, int64, -1 where unknown."""
    scaling: np.ndarray
    """Logarithm of the scaling, float32."""


@dataclass(frozen=True)
class Coupling:
    """What :func:`~scminnet.coupling.couple.couple` found for two modalities.

    Attributes
    ----------
    points
        Metacells of both sides.
    epsilon
        Unit of the logarithm of the mass, in units of the cost.
    type_cost
        Taken from the logarithm of the mass between cells of different types.
    covariance
        Covariance of coupled cells' scores, and of the pairs' if there were any, components x components, float64.
    pairs_share
        Share of the pairs in the covariance: 0 without pairs, near 1 if they know far more than the coupling.
    """

    points: tuple[Points, Points]
    epsilon: float
    type_cost: float
    covariance: np.ndarray
    pairs_share: float

    def affinities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return how strongly cells are coupled, float32, (len(first), len(second)); the largest is 1.

        Parameters
        ----------
        first, second
            Cells of either side, int64.
        """
        rows, columns = (points.code[cells] for points, cells in zip(self.points, (first, second), strict=True))
        return self._between_metacells(rows, columns)

    def draw_partners(self, side: int, n: int, seed: int) -> np.ndarray:
        """Draw partners of each cell of a side in proportion to the coupling.

        Parameters
        ----------
        side
            0 or 1: whose partners.
        n
            Partners of each cell, drawn with replacement.
        seed
            Seed of the draws.

        Returns
        -------
        Cells of the other side, int64, (cells, n).
        """
        rng = np.random.default_rng((seed, side))
        own, other = self.points[side], self.points[1 - side]
        by_metacell = np.argsort(other.code, kind="stable")
        starts = np.searchsorted(other.code[by_metacell], np.arange(len(other.size)))
        everyone = np.arange(len(other.size))
        partners = np.empty((len(own.code), n), np.int64)
        for start in range(0, len(own.code), _BLOCK):
            rows = own.code[start : start + _BLOCK]
            affinity = (
                self._between_metacells(rows, everyone) if side == 0 else self._between_metacells(everyone, rows).T
            )
            cumulated = np.cumsum(affinity * other.size, axis=1, dtype=np.float64)
            thresholds = rng.random((len(rows), n)) * cumulated[:, -1:]
            metacell = np.stack(
                [np.searchsorted(c, t, side="right") for c, t in zip(cumulated, thresholds, strict=True)]
            )
            metacell = np.minimum(metacell, len(other.size) - 1)
            within = np.floor(rng.random(metacell.shape) * other.size[metacell]).astype(np.int64)
            partners[start : start + _BLOCK] = by_metacell[starts[metacell] + within]
        return partners

    def partner_means(self, side: int, values: np.ndarray) -> np.ndarray:
        """Return the mean of the other side's values over the partners of each cell, float32.

        Parameters
        ----------
        side
            0 or 1: whose partners.
        values
            Cells of the other side x features.

        Returns
        -------
        Cells of the side x features.
        """
        own, other = self.points[side], self.points[1 - side]
        means = averages(values, Metacells(other.code, other.size, other.group))
        everyone = np.arange(len(other.size))
        result = np.empty((len(own.size), values.shape[1]), np.float32)
        for start in range(0, len(own.size), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(own.size)))
            affinity = (
                self._between_metacells(rows, everyone) if side == 0 else self._between_metacells(everyone, rows).T
            )
            mass = affinity * other.size
            result[rows] = mass @ means / np.maximum(mass.sum(axis=1, keepdims=True), np.float32(1e-30))
        return result[own.code]

    def _between_metacells(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        first, second = self.points
        mass = first.vector[rows] @ second.vector[columns].T
        mass += first.scaling[rows][:, None]
        mass += second.scaling[columns]
        left, right = first.types[rows][:, None], second.types[columns]
        if (left >= 0).any() and (right >= 0).any():
            mass -= np.float32(self.type_cost) * ((left != right) & (left >= 0) & (right >= 0))
        mass[first.group[rows][:, None] != second.group[columns]] = -np.inf
        # only ratios matter, and these must stay within float32
        if mass.size and np.isfinite(largest := mass.max()):
            mass -= largest
        return np.exp(mass, out=mass)
