"""Rows of cells as the network takes them: sparse rows stay sparse up to the first layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class SparseRows(NamedTuple):
    """Some cells' non-zero values in compressed rows.

    A named tuple, which Lightning moves to another device by itself, unlike a class of our own.
    """

    values: Tensor
    """Non-zero values, float32, shape ``(n_nonzero,)``."""
    columns: Tensor
    """Their features, int64, shape ``(n_nonzero,)``."""
    offsets: Tensor
    """Where each cell begins, int64, shape ``(n_cells,)``."""


#: Cells x features: sparse rows, or a dense float32 tensor when the user's matrix is dense.
Rows = SparseRows | Tensor


def as_row_matrix(matrix: Any) -> sparse.csr_matrix | np.ndarray:
    """Return a matrix whose rows are quickly taken: CSR for sparse input, an array for dense; no copy where it is one."""
    if sparse.issparse(matrix):
        return sparse.csr_matrix(matrix)
    return np.asarray(matrix)


def take_rows(matrix: sparse.csr_matrix | np.ndarray, rows: np.ndarray | slice) -> Rows:
    """Take rows of a row matrix as tensors."""
    taken = matrix[rows]
    if sparse.issparse(taken):
        return SparseRows(
            torch.from_numpy(taken.data.astype(np.float32, copy=False)),
            torch.from_numpy(taken.indices.astype(np.int64, copy=False)),
            torch.from_numpy(taken.indptr[:-1].astype(np.int64, copy=False)),
        )
    return torch.from_numpy(np.ascontiguousarray(taken, dtype=np.float32))


def n_rows(rows: Rows) -> int:
    """Count the cells."""
    return len(rows.offsets) if isinstance(rows, SparseRows) else len(rows)


def feature_moments(matrix: sparse.csr_matrix | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature.

    Parameters
    ----------
    matrix
        Cells x features.

    Returns
    -------
    Two float32 arrays of length n_features. The deviation divides by n - 1 as :func:`scanpy.pp.scale` does; it is 0 for
    a constant feature. Sums run in float64, two passes, so that large means do not swallow small variances.
    """
    n_cells, n_features = matrix.shape
    if sparse.issparse(matrix):
        values = matrix.data.astype(np.float64)
        columns = matrix.indices
        mean = np.bincount(columns, weights=values, minlength=n_features) / n_cells
        squares = np.bincount(columns, weights=np.square(values - mean[columns]), minlength=n_features)
        n_zero = n_cells - np.bincount(columns, minlength=n_features)
        squares = squares + n_zero * np.square(mean)
    else:
        mean = matrix.mean(axis=0, dtype=np.float64)
        squares = np.zeros(n_features)
        for start in range(0, n_cells, 4096):
            squares += np.square(matrix[start : start + 4096] - mean).sum(axis=0)
    std = np.sqrt(squares / max(n_cells - 1, 1))
    # a constant feature can have a rounding error for a deviation
    std[std <= 1e-7 * np.abs(mean)] = 0.0
    return mean.astype(np.float32), std.astype(np.float32)
