"""Expected values at points of an embedding: half from the nearest measured cells, half from a linear model.

Neighbours follow any shape, but are few. The linear model uses all cells, but is straight. Their mean was better within
cell types than either on both development sets, at every size (``docs/decisions.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.matrices import Block, dense, fold, read_rows
from scminnet.graph.neighbors import Neighbors, nearest_neighbors

#: Cells whose weight the linear model's penalty has.
PENALTY = 30.0

#: A neighbour weighs exp(-SHARPNESS * (its distance / that of the farthest)²).
SHARPNESS = 2.0

#: Smallest spread of a feature, as a share of its standard deviation over all measured cells.
SPREAD_FLOOR = 0.3


@dataclass(frozen=True, eq=False)
class Donors:
    """Cells in which the features were measured.

    Attributes
    ----------
    values
        Cells x features, a row matrix in memory, on disk or of dask. It may have more cells than are used.
    var
        Table of the features.
    rows
        Row of each donor in ``values``, int64.
    points
        Donors x d: embedding by the modality that is imputed.
    other_points
        Donors x d: embedding by other modalities where the donor has them, otherwise the same as ``points``.
    """

    values: Any
    var: pd.DataFrame
    rows: np.ndarray
    points: np.ndarray
    other_points: np.ndarray

    def read(self, rows: np.ndarray) -> Block:
        """Read rows of ``values`` as float32."""
        return read_rows(self.values, rows).astype(np.float32, copy=False)


class _Sums(NamedTuple):
    """Sums over donors, float64, by feature; ``products`` with the columns of the points."""

    n: int
    total: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    products: np.ndarray


def _add(a: _Sums, b: _Sums) -> _Sums:
    return _Sums(
        a.n + b.n,
        a.total + b.total,
        a.squares + b.squares,
        np.minimum(a.low, b.low),
        np.maximum(a.high, b.high),
        a.products + b.products,
    )


def _sums_of_block(block: Block, points: np.ndarray, used: np.ndarray) -> _Sums:
    n_features, width = block.shape[1], points.shape[1]
    if not used.any():
        nothing = np.zeros(n_features)
        return _Sums(0, nothing, nothing, nothing + np.inf, nothing - np.inf, np.zeros((width, n_features)))
    block = block[used].astype(np.float32, copy=False)
    low, high = block.min(axis=0), block.max(axis=0)
    if sparse.issparse(block):
        low, high = low.toarray().ravel(), high.toarray().ravel()
    return _Sums(
        len(points[used]),
        np.asarray(block.sum(axis=0, dtype=np.float64)).ravel(),
        np.asarray(_squares(block).sum(axis=0, dtype=np.float64)).ravel(),
        low.astype(np.float64),
        high.astype(np.float64),
        np.asarray((block.T @ points[used]).T, dtype=np.float64),
    )


class Expected(NamedTuple):
    """Expected values, and how far the measured ones spread around them, both cells x features, float32."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, eq=False)
class Imputer:
    """Expected values of the donors' features at any point of the embedding."""

    donors: Donors
    n_neighbors: int
    seed: int

    def neighbors(self, points: np.ndarray) -> Neighbors:
        """Find the nearest donors of each point."""
        return nearest_neighbors(self.donors.points, self.n_neighbors, query=points, seed=self.seed)

    @cached_property
    def _centre_and_width(self) -> tuple[np.ndarray, float]:
        points = self.donors.other_points
        width = float(points.std(axis=0).mean())
        return points.mean(axis=0), width if width > 0 else 1.0

    def _standardised(self, points: np.ndarray) -> np.ndarray:
        centre, width = self._centre_and_width
        return (points - centre) / width

    @cached_property
    def _sums(self) -> _Sums:
        donors = self.donors
        n = donors.values.shape[0]
        used = np.zeros(n, dtype=bool)
        used[donors.rows] = True
        points = np.zeros((n, donors.points.shape[1]))
        points[donors.rows] = self._standardised(donors.other_points)
        return fold(_sums_of_block, _add, donors.values, points, used)

    @property
    def lowest(self) -> np.ndarray:
        """Smallest measured value of each feature, float32."""
        return self._sums.low.astype(np.float32)

    @cached_property
    def _coefficients(self) -> np.ndarray:
        points = self._standardised(self.donors.other_points).astype(np.float64)
        penalised = points.T @ points + PENALTY * np.eye(points.shape[1])
        # the points are centred, so the values need not be
        return np.linalg.solve(penalised, self._sums.products)

    def expect(self, points: np.ndarray, neighbors: Neighbors) -> Expected:
        """Return the expected values at some points, whose neighbours are given."""
        sums = self._sums
        average = sums.total / sums.n
        deviation = np.sqrt(np.maximum(sums.squares / sums.n - average**2, 0))
        near, near_squares = self._over_neighbors(neighbors)
        linear = average + self._standardised(points) @ self._coefficients
        mean = np.clip((near + linear) / 2, sums.low, sums.high)
        variance = np.maximum(near_squares - near**2, 0) + (SPREAD_FLOOR * deviation) ** 2
        return Expected(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))

    def _over_neighbors(self, neighbors: Neighbors) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted means of the neighbours' values and of their squares, dense."""
        rows, places = np.unique(neighbors.indices, return_inverse=True)
        values = self.donors.read(self.donors.rows[rows])
        n, k = neighbors.indices.shape
        weights = sparse.csr_matrix(
            (neighbor_weights(neighbors.distances).ravel(), places.ravel(), np.arange(n + 1) * k), shape=(n, len(rows))
        )
        return dense(weights @ values), dense(weights @ _squares(values))


def neighbor_weights(distances: np.ndarray) -> np.ndarray:
    """Weigh neighbours by a Gaussian whose width follows the distance of the farthest. Rows sum to 1, float64."""
    farthest = distances[:, -1:].astype(np.float64)
    weights = np.exp(-SHARPNESS * np.square(distances / np.where(farthest > 0, farthest, 1)))
    return weights / weights.sum(axis=1, keepdims=True)


def _squares(values: Block) -> Block:
    return np.square(values) if isinstance(values, np.ndarray) else sparse.csr_matrix(values.multiply(values))
