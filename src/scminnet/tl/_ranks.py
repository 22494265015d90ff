"""Ranks of the columns of a sparse matrix, in time and memory of the non-zeros."""

from __future__ import annotations

import numba
import numpy as np
from scipy import sparse

#: Compiles plain loops. Not parallel: that would change torch's number of threads.
compiled = numba.njit(nogil=True, cache=True)


def shifted_ranks(values: sparse.csc_matrix) -> np.ndarray:
    """Average ranks of each column's stored values among all its values, less the rank of its zeros."""
    order = np.empty(values.nnz, dtype=np.int64)
    for low, high in zip(values.indptr[:-1], values.indptr[1:], strict=True):
        order[low:high] = values.data[low:high].argsort()
    return _ranks(values.data, order, values.indptr, values.shape[0])


@compiled
def _ranks(data: np.ndarray, order: np.ndarray, indptr: np.ndarray, n: int) -> np.ndarray:
    ranks = np.empty(len(data))
    for column in range(len(indptr) - 1):
        start, size = indptr[column], indptr[column + 1] - indptr[column]
        n_zeros = n - size
        n_negative = 0
        while n_negative < size and data[start + order[start + n_negative]] < 0:
            n_negative += 1
        rank_of_zero = n_negative + (n_zeros + 1) / 2
        low = 0
        while low < size:
            value = data[start + order[start + low]]
            high = low + 1
            while high < size and data[start + order[start + high]] == value:
                high += 1
            rank = (low + high + 1) / 2 - rank_of_zero
            if low >= n_negative:
                rank += n_zeros
            for i in range(low, high):
                ranks[start + order[start + i]] = rank
            low = high
    return ranks


@compiled
def untied_pairs(ranks: np.ndarray, indptr: np.ndarray, n: int) -> np.ndarray:
    """Number of pairs of rows of each column whose values differ."""
    untied = np.empty(len(indptr) - 1)
    for column in range(len(untied)):
        ordered = np.sort(ranks[indptr[column] : indptr[column + 1]])
        n_zeros = n - len(ordered)
        ties = n_zeros * (n_zeros - 1) / 2
        low = 0
        while low < len(ordered):
            high = low
            while high < len(ordered) and ordered[high] == ordered[low]:
                high += 1
            ties += (high - low) * (high - low - 1) / 2
            low = high
        untied[column] = n * (n - 1) / 2 - ties
    return untied
