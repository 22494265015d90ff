"""Mean and standard deviation of each feature, computed in blocks of cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scminnet._core.matrices import Block, fold

#: A feature of a smaller standard deviation is constant: float32 holds no inverse of it.
_SMALLEST = 1e-30

#: Cells whose values are summed at a time, so that the float64 copies stay small.
_BLOCK = 4096


class _Sums(NamedTuple):
    """Number of cells, and each feature's mean and sum of squared deviations, float64."""

    n: int
    mean: np.ndarray
    squares: np.ndarray


def feature_moments(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and standard deviation of each feature.

    Parameters
    ----------
    matrix
        Cells x features, in memory, on disk or as a dask array. It is read once.

    Returns
    -------
    Two float32 arrays of length n_features. The standard deviation divides by n - 1, as in :func:`scanpy.pp.scale`. It
    is 0 for a constant feature. Sums run in float64 over deviations from a block's mean, so small variances survive
    large means.
    """
    n_cells, mean, squares = fold(_block_sums, _merge, matrix, size=_BLOCK)
    std = np.sqrt(squares / max(n_cells - 1, 1))
    # rounding can give a constant feature a tiny deviation
    std[(std <= 1e-7 * np.abs(mean)) | (std < _SMALLEST)] = 0.0
    return mean.astype(np.float32), std.astype(np.float32)


def _block_sums(block: Block) -> _Sums:
    n_cells, n_features = block.shape
    if isinstance(block, np.ndarray):
        mean = block.mean(axis=0, dtype=np.float64)
        return _Sums(n_cells, mean, np.square(block - mean).sum(axis=0))
    return _Sums(n_cells, *_sparse_sums(block.data, block.indices, n_cells, n_features))


@njit(cache=True, nogil=True)
def _sparse_sums(
    values: np.ndarray, columns: np.ndarray, n_cells: int, n_features: int
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Compute each feature's mean and sum of squared deviations, in two passes over cached values."""
    mean, squares = np.zeros(n_features), np.zeros(n_features)
    n_zero = np.full(n_features, n_cells)
    for k in range(len(values)):
        mean[columns[k]] += values[k]
        n_zero[columns[k]] -= 1
    mean /= n_cells
    for k in range(len(values)):
        squares[columns[k]] += (values[k] - mean[columns[k]]) ** 2
    return mean, squares + n_zero * mean**2


def _merge(first: _Sums, second: _Sums) -> _Sums:
    """Combine the sums of two sets of cells (Chan, Golub and LeVeque, The American Statistician 1983)."""
    n = first.n + second.n
    apart = second.mean - first.mean
    return _Sums(
        n,
        first.mean + apart * (second.n / n),
        first.squares + second.squares + np.square(apart) * (first.n * second.n / n),
    )
