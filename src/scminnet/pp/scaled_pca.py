"""PCA of scaled values without a dense matrix."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils.extmath import svd_flip

from scminnet._core.matrices import Block, fold, in_memory
from scminnet._core.principal_axes import CELLS_PER_FEATURE, principal_axes, sums_of_products
from scminnet.pp.combat import LinearCorrection, Moments

#: Cells processed at a time.
_BLOCK = 4096


class _Scaling(NamedTuple):
    """Scaling of a value x by batch and feature: ``clip(slope * x + intercept, -limit, limit)``, and scaled zeros."""

    slope: np.ndarray
    intercept: np.ndarray
    zero: np.ndarray
    limit: float

    def deviations(self, values: sparse.csr_matrix, codes: np.ndarray) -> None:
        """Turn the stored values of some cells, float64, into z - z0, in place."""
        for start in range(0, len(codes), _BLOCK):
            bounds = values.indptr[start : start + _BLOCK + 1]
            here = slice(bounds[0], bounds[-1])
            at = np.repeat(codes[start : start + _BLOCK], np.diff(bounds)), values.indices[here]
            scaled = self.slope[at] * values.data[here] + self.intercept[at]
            values.data[here] = np.clip(scaled, -self.limit, self.limit) - self.zero[at]


def scaled_pca(
    matrix: Any,
    features: np.ndarray,
    codes: np.ndarray,
    moments: Moments,
    correction: LinearCorrection,
    n_pcs: int,
    *,
    limit: float,
    seed: int,
) -> np.ndarray:
    """Project cells onto the principal components of their corrected, scaled and clipped values.

    Each value becomes ``z = clip((slope * x + intercept - mean) / deviation, -limit, limit)``. Mean and standard
    deviation are those of its feature after the correction. All zeros of a feature in a batch become the same value,
    z0. So the matrix of z is the sum of z - z0, which has the non-zeros of x, and of the rows of z0. The singular
    vectors of this sum only need products with its two parts.

    For many cells, and for a matrix that is not in memory, the components come from the covariance of z instead. It is
    summed over blocks of cells.

    Parameters
    ----------
    matrix
        Cells x features.
    features
        Indices of the features to use. None may be constant within its batches.
    codes
        Batch of each cell, as a number.
    moments
        Moments of these features in these batches.
    correction
        The batch correction.
    n_pcs
        Number of components: at most the number of features, and at most the number of cells minus 1.
    limit
        Largest absolute value after scaling.
    seed
        Seed of the search for components.

    Returns
    -------
    float32 array (cells, PCs). Variances decrease from column to column. Each component's largest loading is positive.
    """
    sizes, means, variances = moments
    n_cells = len(codes)
    corrected = correction.slope * means + correction.intercept
    mean = sizes @ corrected / n_cells
    deviation = np.sqrt(sizes @ (correction.slope**2 * variances + (corrected - mean) ** 2) / (n_cells - 1))
    slope, intercept = correction.slope / deviation, (correction.intercept - mean) / deviation
    scaling = _Scaling(slope, intercept, np.clip(intercept, -limit, limit), limit)
    if not in_memory(matrix) or n_cells > CELLS_PER_FEATURE * len(features):
        return _pca_by_covariance(matrix, features, codes, scaling, n_pcs)
    return _pca_by_products(matrix[:, features].astype(np.float64), codes, sizes, scaling, n_pcs, seed)


def _pca_by_products(
    deviating: sparse.csr_matrix, codes: np.ndarray, sizes: np.ndarray, scaling: _Scaling, n_pcs: int, seed: int
) -> np.ndarray:
    n_cells, zero = len(codes), scaling.zero
    scaling.deviations(deviating, codes)
    # centre again, because clipping changes the means
    offset = zero - (deviating.sum(axis=0).A1 + sizes @ zero) / n_cells
    batch = sparse.csr_matrix((np.ones(n_cells), codes, np.arange(n_cells + 1)), shape=(n_cells, len(sizes)))
    products = LinearOperator(
        deviating.shape,
        matvec=lambda v: deviating @ v + batch @ (offset @ v),
        rmatvec=lambda u: deviating.T @ u + offset.T @ (batch.T @ u),
        dtype=np.float64,
    )
    if n_pcs < min(deviating.shape):
        start = np.random.default_rng(seed).uniform(-1, 1, min(deviating.shape))
        u, s, vt = svds(products, n_pcs, v0=start, solver="arpack")
    else:
        # arpack can not compute all components; there are few features here
        u, s, vt = np.linalg.svd(products @ np.eye(n_pcs), full_matrices=False)
    order = np.argsort(-s, kind="stable")
    u, _ = svd_flip(u[:, order], vt[order], u_based_decision=False)
    return (u * s[order]).astype(np.float32)


def _pca_by_covariance(
    matrix: Any, features: np.ndarray, codes: np.ndarray, scaling: _Scaling, n_pcs: int
) -> np.ndarray:
    n_cells, n_features = len(codes), len(features)

    def scaled(block: Block, codes: np.ndarray) -> np.ndarray:
        values = sparse.csr_matrix(block[:, features], dtype=np.float64)
        values.sum_duplicates()
        scaling.deviations(values, codes)
        return values.toarray().astype(np.float32) + scaling.zero.astype(np.float32)[codes]

    def products(block: Block, codes: np.ndarray) -> np.ndarray:
        total = np.zeros((n_features + 1, n_features))
        for start in range(0, len(codes), _BLOCK):
            total += sums_of_products(scaled(block[start : start + _BLOCK], codes[start : start + _BLOCK]))
        return total

    _, loadings, mean = principal_axes(fold(products, np.add, matrix, codes), n_cells, n_pcs)
    loadings, offset = loadings.astype(np.float32), (mean @ loadings).astype(np.float32)

    def project(block: Block, codes: np.ndarray) -> list[np.ndarray]:
        starts = range(0, len(codes), _BLOCK)
        return [scaled(block[i : i + _BLOCK], codes[i : i + _BLOCK]) @ loadings - offset for i in starts]

    return np.concatenate(fold(project, operator.add, matrix, codes))
