"""ComBat without a dense matrix: its correction is linear in each batch and feature.

ComBat subtracts a batch's shift of a feature and divides by its scale (Johnson et al., Biostatistics 2007). So a
corrected value is ``slope * x + intercept``, with one slope and intercept per batch and feature. The empirical Bayes
estimates only need the mean and variance within each batch. scanpy's dense matrix of corrected values is therefore not
needed. The tests compare both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core.matrices import Block, fold

#: Cells processed at a time.
_BLOCK = 4096

#: Relative change at which the estimates have converged, as in scanpy.
_TOLERANCE = 1e-4


class Moments(NamedTuple):
    """Size of each of B batches, and mean and variance (divided by size) of each feature in it, (B, features)."""

    sizes: np.ndarray
    means: np.ndarray
    variances: np.ndarray


class LinearCorrection(NamedTuple):
    """What becomes of a value x of a batch and feature: ``slope * x + intercept``; both (B, features)."""

    slope: np.ndarray
    intercept: np.ndarray


def batch_moments(matrix: Any, codes: np.ndarray) -> Moments:
    """Compute the mean and variance of each feature in each batch, in float64 over blocks of cells.

    Parameters
    ----------
    matrix
        Cells x features, sparse or dense, in memory, on disk or of dask.
    codes
        Batch of each cell, numbered from 0 without gaps.

    Returns
    -------
    The moments, float64. A variance that is only rounding error is 0.
    """
    sizes = np.bincount(codes)

    def sum_block(block: Block, codes: np.ndarray) -> np.ndarray:
        of_batch = sparse.csr_matrix(
            (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(sizes), len(codes))
        )
        values = sparse.csr_matrix(block, dtype=np.float64, copy=True)
        values.sum_duplicates()
        squared = values.copy()
        squared.data **= 2
        return np.stack([(of_batch @ part).toarray() for part in (values, squared)])

    sums, squares = fold(sum_block, np.add, matrix, codes, size=_BLOCK)
    means = sums / sizes[:, None]
    squares /= sizes[:, None]
    variances = squares - means**2
    return Moments(sizes, means, np.where(variances > 1e-10 * squares, variances, 0.0))


def combat(moments: Moments) -> LinearCorrection:
    """Estimate ComBat's correction without covariates, as :func:`scanpy.pp.combat` does.

    Parameters
    ----------
    moments
        Moments of features that vary within some batch, in batches of at least two cells.

    Returns
    -------
    The correction, float64.

    Raises
    ------
    ValueError
        The estimates are not finite, e.g. with a single feature.
    """
    sizes, means, variances = moments
    share = sizes / sizes.sum()
    grand_mean, pooled = share @ means, share @ variances
    # of the values minus the grand mean, divided by the pooled standard deviation
    shifts, scales = (means - grand_mean) / np.sqrt(pooled), variances / pooled
    with np.errstate(divide="ignore", invalid="ignore"):
        settled = [_posterior(*batch) for batch in zip(sizes, shifts, scales, strict=True)]
        shift, scale = (np.stack(estimates) for estimates in zip(*settled, strict=True))
        slope = 1 / np.sqrt(scale)
        intercept = grand_mean - slope * (grand_mean + np.sqrt(pooled) * shift)
    if not (np.isfinite(slope).all() and np.isfinite(intercept).all()):
        raise ValueError(
            f"`batch_correction`: ComBat found no finite correction from {means.shape[1]} features that vary within "
            f"{len(sizes)} batches. Give more features or larger batches, or build the graph with "
            "`scminnet.pp.margin_graph(..., batch_correction=None)`."
        )
    return LinearCorrection(slope, intercept)


def _posterior(n: int, shift: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a batch's shifts and scales towards those of all its features, until both converge."""
    scale = variance * n / (n - 1)
    centre, spread = shift.mean(), shift.var()
    mean = scale.mean()
    width = np.square(scale - mean).sum() / np.float64(len(scale) - 1)
    # the priors: normal for shifts, inverse gamma for scales
    a, b = (2 * width + mean**2) / width, (mean * width + mean**3) / width
    old_shift, old_scale = shift, scale
    change = np.inf
    while change > _TOLERANCE:
        new_shift = (spread * n * shift + old_scale * centre) / (spread * n + old_scale)
        squares = n * (variance + (shift - new_shift) ** 2)
        new_scale = (squares / 2 + b) / (n / 2 + a - 1)
        # scanpy's rule, although it ignores negative shifts, so that both stop at the same step
        change = max((abs(new_shift - old_shift) / old_shift).max(), (abs(new_scale - old_scale) / old_scale).max())
        old_shift, old_scale = new_shift, new_scale
    return new_shift, new_scale
