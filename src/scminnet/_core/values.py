"""Checks of a matrix's values: NaN, infinite, too large and negative ones, and whether they look like counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core import matrices
from scminnet._core.arguments import shorten
from scminnet._core.user_warnings import warn

#: Largest size of a value: the sum of its squares over 10^8 cells fits into float32. Nothing measured is larger.
TOO_LARGE = 1e15

#: Features look z-scored if the means and deviations of this share differ from 0 and 1 by so little. Clipping moves
#: them further; then there is a limit, a whole number, that several features reach.
SCALED_SHARE, SCALED_BY, CLIPPED_BY = 0.9, 0.01, 0.3

#: Names of the cells and of the features of a matrix.
Names: TypeAlias = tuple[pd.Index, pd.Index]

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
    n_too_large: int
    n_negative: int
    largest: float
    whole: bool

    @property
    def look_like_counts(self) -> bool:
        """Whether all are whole numbers, none is negative and some are above 1 (binarised data are not counts)."""
        return self.whole and self.largest > 1 and not self.n_negative


class _Fault(NamedTuple):
    """A kind of value that is refused: its name, how to find it, and what to do."""

    name: str
    found: Callable[[np.ndarray], np.ndarray]
    remedy: str


def check_values(
    matrix: Any, modality: str, names: Names | None = None, *, counts_for: str | None = None, stored: bool = False
) -> Values:
    """Raise if a matrix holds values that can not be used, or no numbers. Return a summary of its values.

    NaN, infinite values and values above ``TOO_LARGE`` in size are refused. Negative ones are refused if
    ``counts_for`` is given.

    Parameters
    ----------
    matrix
        The matrix, of sound structure (``check_sparse``), as :func:`~scminnet._core.mdata.layer_matrix` returns it.
    modality
        Its modality, for error messages.
    names
        Names of its cells and features, for error messages.
    counts_for
        What needs counts, or values made of counts, as the start of a sentence. ``None``: negative values are accepted.
    stored
        Accept a matrix on disk or a dask array, which is read once.
    """
    _check_kind(matrix, modality, stored=stored)
    # rows of a lazy product are sums of rows, so it is enough to check the rows
    source = matrices.product_source(matrix)
    values = matrices.fold(_summarise_block, _merge_summaries, source)
    faults = [
        (values.n_nan, _Fault("NaN", np.isnan, "Remove or fill them first")),
        (values.n_infinite, _Fault("infinite", np.isinf, "Remove them first")),
        (
            values.n_too_large,
            _Fault(
                "too large",
                _too_large,
                f"Squares of values beyond {TOO_LARGE:g} have no place in float32. Correct them first",
            ),
        ),
    ]
    if counts_for is not None:
        remedy = f"{counts_for} needs counts or log-normalised values, neither scaled nor centred. Give these"
        faults.append((values.n_negative, _Fault("negative", _negative, remedy)))
    for n, fault in faults:
        if n:
            where = "" if names is None else _place(source, names, fault)
            raise ValueError(f"modality {modality!r} holds {n:,} {fault.name} values{where}. {fault.remedy}.")
    return values


def _check_kind(matrix: Any, modality: str, *, stored: bool) -> None:
    """Raise unless a matrix holds real numbers and can be read by rows."""
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
    if matrix.dtype.kind not in "fiub":
        raise TypeError(f"modality {modality!r} holds {matrix.dtype} values. Give a numeric matrix of real numbers.")
    if matrices.is_dask(matrix) and np.isnan(matrix.shape[0]):
        raise ValueError(
            f"modality {modality!r} is a dask array of unknown length. Call its `compute_chunk_sizes()` first."
        )


def _too_large(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(values) & ((values > TOO_LARGE) | (values < -TOO_LARGE))


def _negative(values: np.ndarray) -> np.ndarray:
    return values < 0


def _place(matrix: Any, names: Names, fault: _Fault) -> str:
    """Name the first cell and feature with such a value."""
    for rows, block in matrices.row_blocks(matrix, 4 * matrices.ROWS):
        hits = np.flatnonzero(fault.found(nonzero_values(block)))
        if not len(hits):
            continue
        if isinstance(block, np.ndarray):
            row, column = divmod(int(hits[0]), block.shape[1])
        else:
            row = int(np.searchsorted(block.indptr, hits[0], side="right")) - 1
            column = int(block.indices[hits[0]])
        cells, features = names
        return f", the first in cell {cells[rows.start + row]!r}, feature {features[column]!r}"
    return ""


def _summarise_block(block: Any) -> Values:
    values = nonzero_values(block)
    smallest, largest = values.min(initial=0), values.max(initial=0)
    wrong = (0, 0, 0, 0)
    # counting takes arrays as long as the values, so it is only done if something is wrong; NaN fails both comparisons
    if not (smallest >= 0 and largest <= TOO_LARGE):
        found = (np.isnan(values), np.isinf(values), _too_large(values), _negative(values))
        wrong = tuple(int(which.sum()) for which in found)  # type: ignore[assignment]
    return Values(*wrong, float(largest), holds_whole_numbers(block))


def _merge_summaries(first: Values, second: Values) -> Values:
    return Values(
        first.n_nan + second.n_nan,
        first.n_infinite + second.n_infinite,
        first.n_too_large + second.n_too_large,
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
    """Tell whether all values are whole numbers, none is negative and some are above 1 (binarised are not counts)."""
    values = nonzero_values(matrix)
    return values.size > 0 and values.max() > 1 and values.min() >= 0 and holds_whole_numbers(matrix)


def look_scaled(matrix: Any, mean: np.ndarray, std: np.ndarray) -> bool:
    """Tell whether features look z-scored: mean 0 and deviation 1, perhaps clipped.

    Parameters
    ----------
    matrix
        Cells x features. It is read once if the features may have been clipped.
    mean, std
        Mean and standard deviation of each feature. Constant features are ignored.
    """
    mean, std = mean[std > 0], std[std > 0]
    if not len(std):
        return False
    off = np.maximum(np.abs(mean), np.abs(std - 1))
    if (off <= SCALED_BY).mean() >= SCALED_SHARE:
        return True
    if (off <= CLIPPED_BY).mean() < SCALED_SHARE:
        return False
    highest = matrices.fold(_highest, np.maximum, matrix)
    limit = highest.max()
    return bool(limit > 1 and limit == np.floor(limit) and (highest == limit).sum() > 1)


def _highest(block: Any) -> np.ndarray:
    """Return the largest value of each feature."""
    highest = block.max(axis=0)
    return np.asarray(highest.todense() if sparse.issparse(highest) else highest).ravel()


def warn_unless_counts(values: Mapping[str, Values], what: str, signed: str = "") -> None:
    """Warn if modalities hold values that are not whole numbers, naming them. To be called by a public function.

    Parameters
    ----------
    values
        By modality, what its values are like.
    what
        What expects counts.
    signed
        What is done with modalities that hold negative values, if they are accepted, as the end of a sentence.
    """
    negative = [modality for modality, found in values.items() if found.n_negative]
    other = [modality for modality, found in values.items() if not found.whole and not found.n_negative]
    if other:
        warn(
            f"{shorten(other)}: values are not whole numbers, so they look normalised. {what} expects counts: "
            "name their `layer`, and normalise the result afterwards."
        )
    if negative:
        warn(
            f"{shorten(negative)}: some values are negative, so they are no counts, and {signed}. If there are counts, "
            "name their `layer`."
        )
