"""Checks of a matrix's values: NaN, infinite and negative values, and whether they look like counts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core import matrices
from scminnet._core.arguments import shorten
from scminnet._core.sparse_structure import check_sparse

#: Values checked at a time, and values checked first.
_BLOCK, _FEW = 2**24, 1024


def nonzero_values(matrix: Any) -> np.ndarray:
    """Return the stored values of a sparse matrix, or a flat view of a dense one."""
    if sparse.issparse(matrix):
        return matrix.data
    return np.asarray(matrix).ravel()


class Values(NamedTuple):
    """Summary of a matrix's values. Zeros that a sparse matrix does not store are not counted."""

    n_nan: int
    n_infinite: int
    n_negative: int
    largest: float
    whole: bool

    @property
    def look_like_counts(self) -> bool:
        """Whether all are whole numbers and some are above 1 (binarised data are not counts)."""
        return self.whole and self.largest > 1


def check_values(matrix: Any, modality: str, *, allow_negative: bool = False, stored: bool = False) -> Values:
    """Raise if a matrix holds NaN, infinite or negative values, or no numbers. Return a summary of its values.

    Parameters
    ----------
    matrix
        The matrix.
    modality
        Its modality, for error messages.
    allow_negative
        Accept negative values.
    stored
        Accept a matrix on disk or a dask array, which is read once.
    """
    if not (matrices.in_memory(matrix) or stored):
        raise TypeError(
            f"modality {modality!r} holds a {type(matrix).__name__}: data on disk are not supported here. "
            "Read them into memory, e.g. with `mdata.copy()` or `adata.to_memory()`."
        )
    if matrices.by_columns(matrix):
        raise TypeError(
            f"modality {modality!r} is stored by columns (CSC), so cells can not be read in blocks. Write it by rows: "
            "`adata.X = adata.X.to_memory().tocsr()` if it fits into memory, then write the file again."
        )
    if not (matrices.in_memory(matrix) or matrices.on_disk(matrix) or matrices.is_dask(matrix)):
        raise TypeError(
            f"modality {modality!r} holds a {type(matrix).__name__}. "
            "Give a sparse matrix or an array, in memory, on disk or as a dask array."
        )
    if not (np.issubdtype(matrix.dtype, np.number) or matrix.dtype == bool):
        raise TypeError(f"modality {modality!r} holds {matrix.dtype} values. Give a numeric matrix.")
    if matrices.is_dask(matrix) and np.isnan(matrix.shape[0]):
        raise ValueError(
            f"modality {modality!r} is a dask array of unknown length. Call its `compute_chunk_sizes()` first."
        )
    check_sparse(matrix, f"the matrix of modality {modality!r}")
    # rows of a lazy product are sums of rows, so it is enough to check the rows
    values = matrices.fold(_summarise_block, _merge_summaries, matrices.product_source(matrix))
    for what, found, remedy in (
        ("NaN", values.n_nan, "Remove or fill them"),
        ("infinite", values.n_infinite, "Remove them"),
        (
            "negative",
            0 if allow_negative else values.n_negative,
            "Give counts or log-normalised values, neither scaled nor centred",
        ),
    ):
        if found:
            raise ValueError(f"modality {modality!r} holds {found:,} {what} values. {remedy} first.")
    return values


def _summarise_block(block: Any) -> Values:
    values = nonzero_values(block)
    smallest, largest = values.min(initial=0), values.max(initial=0)
    wrong = (0, 0, 0)
    # counting takes arrays as long as the values, so it is only done if something is wrong; NaN fails both comparisons
    if not (smallest >= 0 and largest < np.inf):
        wrong = int(np.isnan(values).sum()), int(np.isinf(values).sum()), int((values < 0).sum())
    return Values(*wrong, float(largest), holds_whole_numbers(block))


def _merge_summaries(first: Values, second: Values) -> Values:
    return Values(
        first.n_nan + second.n_nan,
        first.n_infinite + second.n_infinite,
        first.n_negative + second.n_negative,
        max(first.largest, second.largest),
        first.whole and second.whole,
    )


def holds_whole_numbers(matrix: Any) -> bool:
    """Tell whether all values of a matrix are whole numbers."""
    values = nonzero_values(matrix)
    # in blocks: a rounded copy of the sums of 500,000 cells takes gigabytes
    blocks = (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))
    # the first few nearly always decide
    return np.array_equal(values[:_FEW], np.floor(values[:_FEW])) and all(
        np.array_equal(block, np.floor(block)) for block in blocks
    )


def looks_like_counts(matrix: Any) -> bool:
    """Tell whether all values are whole numbers and some are above 1 (binarised data are not counts)."""
    values = nonzero_values(matrix)
    return values.size > 0 and values.max() > 1 and holds_whole_numbers(matrix)


def warn_unless_counts(values: Mapping[str, Values], what: str) -> None:
    """Warn if modalities hold values that are not whole numbers, naming them. To be called by a public function."""
    other = [modality for modality, found in values.items() if not found.whole]
    if other:
        warnings.warn(
            f"{shorten(other)}: values are not whole numbers, so they look normalised. {what} expects counts: "
            "name their `layer`, and normalise the result afterwards.",
            UserWarning,
            stacklevel=3,
        )
