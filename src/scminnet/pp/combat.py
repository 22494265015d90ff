"""ComBat without a dense matrix: for each batch and feature the correction is a line, and lines follow from moments.

ComBat subtracts from a value what is typical of its batch and feature, and divides by how widely these scatter
(Johnson et al., Biostatistics 2007). So a corrected value is ``slope * x + intercept`` with one slope and intercept a batch
and feature. Its empirical Bayes estimates read the values through their mean and variance within each batch only, so that
scanpy's dense matrix of corrected values is never needed; the tests compare both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core.matrices import Block, fold

#: Cells whose values are looked at a time.
_BLOCK = 4096

#: Relative change at which the estimates have settled; scanpy's.
_TOLERANCE = 1e-4


class Moments(NamedTuple):
    """Number of cells of each of B batches, and mean and variance (divided by that number) of each feature in it, (B, features)."""

    sizes: np.ndarray
    means: np.ndarray
    variances: np.ndarray


class Lines(NamedTuple):
    """What becomes of a value x of a batch and feature: ``slope * x + intercept``; both (B, features)."""

    slope: np.ndarray
    intercept: np.ndarray


def batch_moments(matrix: Any, codes: np.ndarray) -> Moments:
    """Mean and variance of each feature in each batch, summed in float64 over blocks of cells.

    Parameters
    ----------
    matrix
        Cells x features, sparse or dense, wherever it is stored.
    codes
        Number of each cell's batch, from 0 on without gaps.

    Returns
    -------
    The moments, float64. A variance that is but the rounding of its sums is 0.
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


def combat(moments: Moments) -> Lines:
    """Estimate ComBat's correction, without covariates, as :func:`scanpy.pp.combat` does.

    Parameters
    ----------
    moments
        Of features that vary within some batch, in batches of two cells or more.

    Returns
    -------
    The lines, float64.

    Raises
    ------
    ValueError
        The estimates are not finite, e.g. because a single feature has no spread over features.
    """
    sizes, means, variances = moments
    share = sizes / sizes.sum()
    grand_mean, pooled = share @ means, share @ variances
    # of the values less the grand mean, over the pooled standard deviation
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
    return Lines(slope, intercept)


def _posterior(n: int, shift: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a batch's shifts and scales towards what its features have in common, until both have settled."""
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
        # scanpy's rule to the letter, though it overlooks negative shifts: so that both stop at the same step
        change = max((abs(new_shift - old_shift) / old_shift).max(), (abs(new_scale - old_scale) / old_scale).max())
        old_shift, old_scale = new_shift, new_scale
    return new_shift, new_scale
