"""Rows of cells as tensors. Sparse rows stay sparse up to the first layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from scminnet._core.matrices import in_memory, read_rows


class SparseRows(NamedTuple):
    """Non-zero values of some cells, in compressed rows.

    It is a named tuple because Lightning moves named tuples between devices.
    """

    values: Tensor
    """Non-zero values, float32, shape ``(n_nonzero,)``."""
    columns: Tensor
    """Feature of each value, int32 or int64, shape ``(n_nonzero,)``."""
    offsets: Tensor
    """Start of each cell in ``values``, shape ``(n_cells,)``, of the same type as ``columns``."""


#: Cells x features: sparse rows, or a dense float32 tensor if the user's matrix is dense.
Rows = SparseRows | Tensor


def as_row_matrix(matrix: Any) -> Any:
    """Return a matrix with fast access to rows: CSR for sparse input, an array for dense.

    Nothing is copied if the matrix already has this form or is on disk.
    """
    if sparse.issparse(matrix):
        return sparse.csr_matrix(matrix)
    return np.asarray(matrix) if in_memory(matrix) else matrix


def take_rows(matrix: Any, rows: np.ndarray | slice) -> Rows:
    """Take rows of a matrix in memory, on disk or of dask, as tensors."""
    if isinstance(rows, slice) and sparse.issparse(matrix):
        # views of the values; scipy would copy them
        start, stop, _ = rows.indices(matrix.shape[0])
        indptr = matrix.indptr[start : stop + 1]
        data, indices = (part[indptr[0] : indptr[-1]] for part in (matrix.data, matrix.indices))
        return _sparse_rows(data, indices, indptr[:-1] - indptr[0])
    taken = read_rows(matrix, rows)
    if isinstance(taken, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(taken, dtype=np.float32))
    return _sparse_rows(taken.data, taken.indices, taken.indptr[:-1])


def _sparse_rows(data: np.ndarray, indices: np.ndarray, offsets: np.ndarray) -> SparseRows:
    return SparseRows(
        torch.from_numpy(data.astype(np.float32, copy=False)),
        torch.from_numpy(indices),
        torch.from_numpy(offsets.astype(indices.dtype, copy=False)),
    )
