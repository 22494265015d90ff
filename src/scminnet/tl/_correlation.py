"""Correlations of chosen pairs of columns of two sparse matrices, in time and memory of the non-zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core.arguments import check_choice
from scminnet._core.matrices import Block
from scminnet.tl._ranks import compiled, shifted_ranks, untied_pairs

METHODS = ("spearman", "pearson")

#: Kendall's tau-b of a gene's values and whether a peak's are not 0.
KENDALL = "kendall"


class Columns(NamedTuple):
    """Columns ready to be correlated: values whose zeros are not stored, and two numbers a column."""

    #: rows x columns; for Spearman, ranks less the rank that the column's zeros share
    values: sparse.csc_matrix
    mean: np.ndarray
    #: root of the sum of squared deviations from the mean; 0 exactly where the column is constant
    norm: np.ndarray


class Correlated(NamedTuple):
    """Correlations of pairs over some observations, and what they were computed from."""

    #: correlation of each pair, NaN where it is not defined
    r: np.ndarray
    #: number of observations of each pair
    n: np.ndarray
    genes: Columns
    peaks: Columns


@dataclass(frozen=True, eq=False)
class PairValues:
    """Values of pairs of a gene and a peak, to be correlated over any of the observations.

    Attributes
    ----------
    genes, peaks
        Values of the genes and of the peaks, observations x features.
    first, second
        Columns of each pair in ``genes`` and in ``peaks``.
    method, nonzero
        As in :func:`scminnet.tl.cre_links`.
    """

    genes: Block
    peaks: Block
    first: np.ndarray
    second: np.ndarray
    method: str
    nonzero: bool

    def correlate(self, rows: np.ndarray) -> Correlated:
        """Correlate every pair over some of the observations."""
        x, y = prepare(self.genes[rows], self.method), prepare(self.peaks[rows], self.method, binary=True)
        return Correlated(*correlate_pairs(x, y, self.first, self.second, nonzero=self.nonzero), x, y)


def prepare(matrix: Any, method: str, *, binary: bool = False) -> Columns:
    """Make the columns of a matrix ready to be correlated.

    Parameters
    ----------
    matrix
        Observations x features, sparse or dense, finite; negative values are allowed.
    method
        ``"spearman"``, ``"pearson"`` or ``"kendall"``.
    binary
        With ``"kendall"``: make the columns those of peaks, 1 where they are not 0.

    Returns
    -------
    The columns, with as many stored values as ``matrix`` has non-zeros; ``matrix`` is unchanged.
    """
    values = sparse.csc_matrix(matrix, copy=True)
    values.sum_duplicates()
    values.eliminate_zeros()
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if method == KENDALL and binary:
        values.data = np.ones_like(values.data, dtype=np.float64)
    elif method != "pearson":
        values.data = shifted_ranks(values)
    mean, norm = _moments(values.data, values.indptr, values.shape[0])
    if method == KENDALL and not binary:
        # ranks summed over open cells are half the concordant less the discordant pairs: only the divisor differs
        untied = untied_pairs(values.data, values.indptr, values.shape[0])
        norm = np.where(norm > 0, np.sqrt(values.shape[0] * untied) / 2, 0)
    return Columns(values, mean, norm)


def check_method(method: str, methods: Sequence[str] = METHODS, *, nonzero: bool) -> None:
    """Raise unless ``method`` is one of ``methods`` and goes with ``nonzero``."""
    check_choice(method, methods, "method")
    if nonzero and method != "pearson":
        raise ValueError(
            f"`nonzero` is set with `method`={method!r}, whose ranks are of all observations. "
            "Choose 'pearson', or leave it out."
        )


def correlate_pairs(
    x: Columns, y: Columns, first: np.ndarray, second: np.ndarray, *, nonzero: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Correlate column ``first[k]`` of ``x`` with column ``second[k]`` of ``y``, for each k.

    Parameters
    ----------
    x, y
        The columns.
    first, second
        The pairs.
    nonzero
        Correlate over the rows in which both columns are non-zero; the columns must hold values, not ranks.

    Returns
    -------
    Correlations, float64 in [-1, 1], NaN where a column is constant or, with ``nonzero``, fewer than three rows are
    left. And the number of rows of each, int64.
    """
    if (np.diff(first) < 0).any():
        # a column of x is spread out once for each run of its pairs
        order = np.argsort(first, kind="stable")
        r, counts = correlate_pairs(x, y, first[order], second[order], nonzero=nonzero)
        place = np.argsort(order)
        return r[place], counts[place]
    n = x.values.shape[0]
    if nonzero:
        return _nonzero(*_parts(x), *_parts(y), first, second, n)
    products = _products(*_parts(x), x.mean, *_parts(y), first, second, n)
    return _ratio(products, x.norm[first] * y.norm[second]), np.full(len(first), n)


def _parts(columns: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return columns.values.data, columns.values.indices, columns.values.indptr


def _ratio(products: np.ndarray, norms: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, np.clip(products / norms, -1, 1), np.nan)


@compiled
def _moments(data: np.ndarray, indptr: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each column, and root of the sum of squared deviations."""
    n_columns = len(indptr) - 1
    mean, norm = np.zeros(n_columns), np.zeros(n_columns)
    for column in range(n_columns):
        start, end = indptr[column], indptr[column + 1]
        n_zeros = n - (end - start)
        total, is_constant = 0.0, True
        for i in range(start, end):
            total += data[i]
            is_constant &= n_zeros == 0 and data[i] == data[start]
        # rounding would give constant columns a norm
        if is_constant:
            continue
        mean[column] = total / n
        squares = n_zeros * mean[column] ** 2
        for i in range(start, end):
            squares += (data[i] - mean[column]) ** 2
        norm[column] = np.sqrt(squares)
    return mean, norm


@compiled
def _products(
    x_data: np.ndarray,
    x_rows: np.ndarray,
    x_indptr: np.ndarray,
    x_mean: np.ndarray,
    y_data: np.ndarray,
    y_rows: np.ndarray,
    y_indptr: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    n: int,
) -> np.ndarray:
    """Sums over the rows of centred x times y; centring y as well would not change them."""
    products = np.empty(len(first))
    centred = np.empty(n)
    spread = -1
    for k in range(len(first)):
        if first[k] != spread:
            spread = first[k]
            for row in range(n):
                centred[row] = -x_mean[spread]
            for i in range(x_indptr[spread], x_indptr[spread + 1]):
                centred[x_rows[i]] += x_data[i]
        total = 0.0
        for i in range(y_indptr[second[k]], y_indptr[second[k] + 1]):
            total += centred[y_rows[i]] * y_data[i]
        products[k] = total
    return products


@compiled
def _nonzero(
    x_data: np.ndarray,
    x_rows: np.ndarray,
    x_indptr: np.ndarray,
    y_data: np.ndarray,
    y_rows: np.ndarray,
    y_indptr: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations over the rows in which both columns are non-zero, and their number."""
    correlations, counts = np.empty(len(first)), np.zeros(len(first), np.int64)
    dense, x, y = np.zeros(n), np.empty(n), np.empty(n)
    spread = -1
    for k in range(len(first)):
        if first[k] != spread:
            spread = first[k]
            for row in range(n):
                dense[row] = 0
            for i in range(x_indptr[spread], x_indptr[spread + 1]):
                dense[x_rows[i]] = x_data[i]
        count, x_sum, y_sum = 0, 0.0, 0.0
        x_varies, y_varies = False, False
        for i in range(y_indptr[second[k]], y_indptr[second[k] + 1]):
            value = dense[y_rows[i]]
            if value != 0:
                x[count], y[count] = value, y_data[i]
                x_sum += x[count]
                y_sum += y[count]
                x_varies |= x[count] != x[0]
                y_varies |= y[count] != y[0]
                count += 1
        counts[k] = count
        correlations[k] = np.nan
        if count >= 3 and x_varies and y_varies:
            xx, yy, xy = 0.0, 0.0, 0.0
            for i in range(count):
                x_deviation, y_deviation = x[i] - x_sum / count, y[i] - y_sum / count
                xx += x_deviation**2
                yy += y_deviation**2
                xy += x_deviation * y_deviation
            correlations[k] = min(max(xy / np.sqrt(xx * yy), -1.0), 1.0)
    return correlations, counts
