"""Principal axes from the covariance of features, summed over blocks of cells.

The sums cost cells x features² operations, the decomposition features³. An iterative decomposition of sparse values
passes over them hundreds of times for a hundred components. It is several times slower once there are ten times as
many cells as features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

#: Cells per feature from which the covariance is faster.
CELLS_PER_FEATURE = 10


class Axes(NamedTuple):
    """Principal axes of p features, in descending order of variance."""

    variances: np.ndarray
    """Variance along each axis, divided by n - 1, float64."""
    loadings: np.ndarray
    """Features x axes, float64. Each axis has unit length and a positive largest loading."""
    mean: np.ndarray
    """Mean of each feature, float64."""


def sums_of_products(z: np.ndarray) -> np.ndarray:
    """Sum a block of cells x features, and below it the products of features. float64, (p + 1, p)."""
    return np.vstack([z.sum(axis=0, dtype=np.float64), z.T @ z])


def principal_axes(sums: np.ndarray, n_cells: int, n: int) -> Axes:
    """Return the first ``n`` axes.

    Parameters
    ----------
    sums
        Sum of :func:`sums_of_products` over blocks that add up to ``n_cells``.
    n_cells
        Number of cells.
    n
        Number of axes, at most the number of features.
    """
    mean = sums[0] / n_cells
    covariance = (sums[1:] - n_cells * np.outer(mean, mean)) / (n_cells - 1)
    return Axes(*axes_of(covariance, n), mean)


def axes_of(covariance: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return variances and loadings of the first ``n`` axes of a covariance, as in :class:`Axes`."""
    n_features = len(covariance)
    variances, loadings = linalg.eigh(covariance, subset_by_index=(n_features - n, n_features - 1))
    variances, loadings = np.maximum(variances[::-1], 0), loadings[:, ::-1]
    return variances, loadings * signs_of(loadings)


def signs_of(loadings: np.ndarray) -> np.ndarray:
    """Return the sign of each column's largest entry. The signs of a decomposition itself depend on rounding."""
    return np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])])
