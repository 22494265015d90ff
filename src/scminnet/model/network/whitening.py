"""Principal components of standardised values, whitened: each of about unit variance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from scminnet._core.matrices import Block
from scminnet._core.principal_axes import CELLS_PER_FEATURE, axes_of, principal_axes, sums_of_products
from scminnet.model.network.layers import scale_and_bound

#: Up to this many features, their covariance is always cheaper. Above, ARPACK is cheaper for few cells.
MAX_COVARIANCE_FEATURES = 500

#: A peak that is open in this number of cells has half of the variance of a frequent one (``docs/decisions.md``).
RARE = 10

#: Number of cells that are made dense at a time.
_BLOCK = 4096

#: Components below this share of the first one's deviation are rounding errors of float32 covariances.
MIN_RELATIVE_DEVIATION = 1e-3


class Whitened(NamedTuple):
    """Whitened principal components."""

    weights: np.ndarray
    """Features x components, float32."""
    variances: np.ndarray
    """Variance of each component's scores over the cells that whiten: below 1 by what the ridge takes."""


class Standardisation(NamedTuple):
    """How the values of each feature are standardised, as the input layer does it."""

    mean: np.ndarray
    scale: np.ndarray
    bound: np.ndarray
    zero: np.ndarray
    """The standardised zero."""

    @classmethod
    def of(cls, mean: np.ndarray, std: np.ndarray, peaks: np.ndarray) -> Standardisation:
        """Make it of each feature's mean and standard deviation, and of which features are peaks."""
        found = scale_and_bound(*(torch.from_numpy(values) for values in (mean, std, peaks)))
        scale, bound = (values.numpy() for values in found)
        return cls(mean, scale, bound, np.clip(-mean * scale, -bound, bound))


def standardised_deviation(matrix: Block, by: Standardisation) -> Block:
    """Return z - z0: standardised, clipped values minus each feature's standardised zero. It is as sparse as x."""
    mean, scale, bound, zero = by
    if isinstance(matrix, np.ndarray):
        return np.clip((matrix - mean) * scale, -bound, bound).astype(np.float32) - zero
    at = matrix.indices
    values = np.clip((matrix.data - mean[at]) * scale[at], -bound[at], bound[at]) - zero[at]
    return sparse.csr_matrix((values.astype(np.float32), at, matrix.indptr), shape=matrix.shape)


def rarity_weights(parts: Sequence[tuple[int, np.ndarray, np.ndarray]], peaks: np.ndarray) -> np.ndarray:
    """Return the weight of each feature in the principal components: less for peaks that few cells have open.

    A peak that counts in n cells has the weight sqrt(n / (n + ``RARE``)), because few cells tell little of it. Other
    features have the weight 1. n is the effective number of cells, (sum x)^2 / sum x^2: of binary values the number of
    ones.

    Parameters
    ----------
    parts
        Number of cells, and mean and standard deviation of each feature, of each part.
    peaks
        Whether each feature is a peak, bool.
    """
    n = np.zeros(len(peaks))
    for n_cells, mean, std in parts:
        squares = np.square(mean, dtype=np.float64)
        total = squares + np.square(std, dtype=np.float64)
        n += n_cells * np.divide(squares, total, out=np.zeros_like(total), where=total > 0)
    return np.where(peaks, np.sqrt(n / (n + RARE)), 1).astype(np.float32)


def weighted(values: Block, weights: np.ndarray) -> Block:
    """Return the values times the weight of each feature."""
    return values * weights if isinstance(values, np.ndarray) else (values @ sparse.diags(weights)).tocsr()


def leading_components(parts: Sequence[Block], n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the principal components of cells. Each part is centred separately.

    Returns
    -------
    Variances in falling order, and directions (features x components).
    """
    n_cells, n_features = sum(part.shape[0] for part in parts), parts[0].shape[1]
    if n_features <= MAX_COVARIANCE_FEATURES or n_cells > CELLS_PER_FEATURE * n_features:
        scatter = np.zeros((n_features, n_features))
        for part in parts:
            sums = _sums(part)
            scatter += sums[1:] - np.outer(sums[0], sums[0]) / part.shape[0]
        return axes_of(scatter / (n_cells - 1), n_components)
    means = [np.asarray(part.mean(axis=0), dtype=np.float32).ravel() for part in parts]

    def scattered(direction: np.ndarray) -> np.ndarray:
        direction = direction.astype(np.float32, copy=False)
        return sum(
            part.T @ (part @ direction) - part.shape[0] * mean * (mean @ direction)
            for part, mean in zip(parts, means, strict=True)
        )

    start = np.random.default_rng(seed).uniform(-1, 1, n_features).astype(np.float32)
    operator = LinearOperator((n_features, n_features), matvec=scattered, dtype=np.float32)
    values, vectors = eigsh(operator, n_components, v0=start)
    return np.maximum(values[::-1], 0) / (n_cells - 1), vectors[:, ::-1]


def _sums(part: Block) -> np.ndarray:
    blocks = (part[start : start + _BLOCK] for start in range(0, part.shape[0], _BLOCK))
    dense = (block if isinstance(block, np.ndarray) else block.toarray() for block in blocks)
    return reduce(np.add, map(sums_of_products, dense))


def whitened_components(
    parts: Sequence[Block],
    n_components: int,
    seed: int,
    *,
    ridge: float = 0.0,
    by_all: bool = False,
    feature_weights: np.ndarray | None = None,
) -> Whitened:
    """Return the principal components, each of at most unit variance over the first part's cells.

    Parameters
    ----------
    parts
        Cells x features. Each part is centred separately, so a shift between parts is no component. All parts
        determine the directions. Whitening uses the variance of the first part only. Other parts would bias the
        components if they have a different cell-type composition.
    n_components
        Largest number of components. There are fewer if the number of cells or features, or the rank, is smaller.
    seed
        Seed of the start of the iteration.
    ridge
        A component of variance v is divided by the root of v + ridge times the total variance of the components. 0
        whitens. A larger ridge shrinks components of small variance, which few cells estimate poorly.
    by_all
        Whiten by the variance of all parts' cells, if the other parts' cells are coupled as well.
    feature_weights
        What each feature is multiplied by before (:func:`rarity_weights`). The components' weights include it.
    """
    if feature_weights is not None:
        parts = [weighted(part, feature_weights) for part in parts]
    n_features = parts[0].shape[1]
    whole = n_features <= MAX_COVARIANCE_FEATURES
    n_components = min(n_components, sum(part.shape[0] for part in parts) - 1, n_features if whole else n_features - 1)
    variance, directions = leading_components(parts, n_components, seed)
    if len(parts) > 1 and not by_all:
        scores = parts[0] @ directions
        axes = principal_axes(sums_of_products(scores), *scores.shape)
        variance, directions = axes.variances, directions @ axes.loadings
    kept = np.sqrt(variance) > MIN_RELATIVE_DEVIATION * np.sqrt(variance[0])
    variance = variance[kept]
    divisor = variance + ridge * variance.sum()
    weights = (directions[:, kept] / np.sqrt(divisor)).astype(np.float32)
    if feature_weights is not None:
        weights *= feature_weights[:, None]
    return Whitened(weights, variance / divisor)
