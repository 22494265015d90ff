"""Principal components of scaled values whose matrix is never made dense."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils.extmath import svd_flip

from scminnet.pp.combat import Lines, Moments

#: Cells whose values are changed at a time.
_BLOCK = 4096


def scaled_pca(
    values: sparse.csr_matrix, codes: np.ndarray, moments: Moments, lines: Lines, n_pcs: int, *, limit: float, seed: int
) -> np.ndarray:
    """Project cells onto the principal components of their corrected, scaled and clipped values.

    Each value becomes ``z = clip((slope * x + intercept - mean) / deviation, -limit, limit)``, with the mean and standard deviation
    of its feature after the correction. All zeros of a feature in a batch become one value, z0. So the matrix of z is z - z0, which
    has the non-zeros of x, plus the rows of z0; the singular vectors of such a sum need no more than products with its two parts.

    Parameters
    ----------
    values
        Cells x features, none constant within its batches.
    codes
        Number of each cell's batch.
    moments
        Of ``values`` in these batches.
    lines
        The correction.
    n_pcs
        Components; at most the number of features, and one less than that of cells.
    limit
        Largest absolute value after scaling.
    seed
        Seed of the search for components.

    Returns
    -------
    float32 array (cells, PCs); variances fall from column to column, and each component's largest loading is positive.
    """
    sizes, means, variances = moments
    n_cells = len(codes)
    corrected = lines.slope * means + lines.intercept
    mean = sizes @ corrected / n_cells
    deviation = np.sqrt(sizes @ (lines.slope**2 * variances + (corrected - mean) ** 2) / (n_cells - 1))
    slope, intercept = lines.slope / deviation, (lines.intercept - mean) / deviation
    zero = np.clip(intercept, -limit, limit)

    deviating = values.astype(np.float64)
    for start in range(0, n_cells, _BLOCK):
        bounds = deviating.indptr[start : start + _BLOCK + 1]
        here = slice(bounds[0], bounds[-1])
        at = np.repeat(codes[start : start + _BLOCK], np.diff(bounds)), deviating.indices[here]
        deviating.data[here] = np.clip(slope[at] * deviating.data[here] + intercept[at], -limit, limit) - zero[at]

    # clipping moves the means away from 0
    offset = zero - (deviating.sum(axis=0).A1 + sizes @ zero) / n_cells
    batch = sparse.csr_matrix((np.ones(n_cells), codes, np.arange(n_cells + 1)), shape=(n_cells, len(sizes)))
    operator = LinearOperator(
        values.shape,
        matvec=lambda v: deviating @ v + batch @ (offset @ v),
        rmatvec=lambda u: deviating.T @ u + offset.T @ (batch.T @ u),
        dtype=np.float64,
    )
    if n_pcs < min(values.shape):
        start = np.random.default_rng(seed).uniform(-1, 1, min(values.shape))
        u, s, vt = svds(operator, n_pcs, v0=start, solver="arpack")
    else:
        # arpack can not give all; these are few features
        u, s, vt = np.linalg.svd(operator @ np.eye(n_pcs), full_matrices=False)
    order = np.argsort(-s, kind="stable")
    u, _ = svd_flip(u[:, order], vt[order], u_based_decision=False)
    return (u * s[order]).astype(np.float32)
