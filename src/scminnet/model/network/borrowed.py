"""Components that peaks borrow from the features they are linked to.

Few cells tell little of the components of ten thousands of peaks. Cells of the other modality tell along which linked
genes cells differ. These directions, as sums of peaks, stand beside the peaks' own components.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from scminnet._core.matrices import ROWS, Block, row_blocks
from scminnet._core.principal_axes import axes_of
from scminnet.model.network.whitening import Standardisation, Whitened, leading_components, weighted

#: Borrowed components.
N_BORROWED = 20

#: Variance of a borrowed component, in units of an own one's, and the number of features per cell from which on it is
#: so large. With fewer features per cell it is less, and then left out (``docs/decisions.md``).
MAX_SHARE = 0.5
FEATURES_PER_CELL = 1.5
MIN_SHARE = 0.15


def borrowed_share(feature_weights: np.ndarray, n_cells: int) -> float:
    """Return the variance of a borrowed component, in units of an own one's: less, the more cells there are.

    Parameters
    ----------
    feature_weights
        Weight of each feature in the own components. A rare peak is less than a feature.
    n_cells
        Cells that the own components are fitted on.
    """
    per_cell = float(np.square(feature_weights).sum()) / n_cells
    share = MAX_SHARE * min(per_cell / FEATURES_PER_CELL, 1.0)
    return share if share >= MIN_SHARE else 0.0


def of_standardised(linked: sparse.csr_matrix, by: Standardisation) -> sparse.csr_matrix:
    """Return the linked features, which are sums of values, as sums of standardised values."""
    return (sparse.diags(_inverse(by.scale)) @ linked).tocsr().astype(np.float32)


def linked_directions(parts: Sequence[Block], linked: sparse.csr_matrix, weights: np.ndarray, seed: int) -> np.ndarray:
    """Find along which linked features the cells of one modality differ.

    Parameters
    ----------
    parts
        Cells x features. Each part is centred separately.
    linked
        Standardised features x linked features.
    weights
        Weight of each linked feature.
    seed
        Seed of the start of the iteration.

    Returns
    -------
    Linked features x directions, of standardised linked features.
    """
    scale = (np.sqrt(weights) * _inverse(_deviations(parts, linked))).astype(np.float32)
    n = min(N_BORROWED, np.count_nonzero(scale) - 1, sum(part.shape[0] for part in parts) - 1)
    if n < 1:
        return np.zeros((len(weights), 1))
    _, directions = leading_components([weighted(part @ linked, scale) for part in parts], n, seed)
    return np.sqrt(weights)[:, None] * directions


def with_borrowed(
    own: Whitened, parts: Sequence[Block], linked: sparse.csr_matrix, directions: np.ndarray, share: float
) -> Whitened:
    """Put borrowed components after a modality's own ones, as far as these do not hold them.

    Parameters
    ----------
    own
        The own components.
    parts
        Cells x features, which the own components were fitted on.
    linked
        Standardised features x linked features.
    directions
        Directions of the other modality's cells, as :func:`linked_directions` finds them.
    share
        Variance of a borrowed component, in units of an own one's.
    """
    borrowed = linked @ (_inverse(_deviations(parts, linked))[:, None] * directions)
    borrowed = borrowed * _inverse(_deviations(parts, borrowed))
    weights = np.hstack([own.weights, borrowed]).astype(np.float32)
    total, n_cells = np.zeros((weights.shape[1], weights.shape[1])), 0
    for part in parts:
        scores = part @ weights
        total += (scores - scores.mean(axis=0)).T @ scores
        n_cells += len(scores)
    covariance, k = total / n_cells, own.weights.shape[1]
    held = np.linalg.solve(covariance[:k, :k], covariance[:k, k:])
    variances, axes = axes_of(covariance[k:, k:] - covariance[k:, :k] @ held, weights.shape[1] - k)
    # few pairs shrink the own components, so what is borrowed shrinks as much. It is not whitened: what the own
    # components hold already leaves little, and that is noise
    share = share * float(own.variances.mean())
    added = weights @ (np.vstack([-held, np.eye(len(axes))]) @ axes * np.sqrt(share))
    return Whitened(
        np.hstack([own.weights, added.astype(np.float32)]), np.concatenate([own.variances, share * variances])
    )


def _deviations(parts: Sequence[Block], weights: sparse.csr_matrix | np.ndarray) -> np.ndarray:
    """Return the standard deviation of each column of the products within the parts."""
    variances, n_cells = np.zeros(weights.shape[1]), sum(part.shape[0] for part in parts)
    for part in parts:
        total, squares = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        # in blocks, because sums of peaks are hardly sparse
        for _, cells in row_blocks(part, ROWS):
            block = cells @ weights
            total += np.asarray(block.sum(axis=0), dtype=np.float64).ravel()
            squared = block.multiply(block) if sparse.issparse(block) else np.square(block)
            squares += np.asarray(squared.sum(axis=0), dtype=np.float64).ravel()
        variances += np.maximum(squares - total**2 / part.shape[0], 0)
    return np.sqrt(variances / n_cells)


def _inverse(deviations: np.ndarray) -> np.ndarray:
    return np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 1e-6)
