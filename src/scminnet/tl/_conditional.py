"""The correlation of a gene with a peak given its other peaks, and what peaks from elsewhere would have instead."""

from __future__ import annotations

import numpy as np

from scminnet.tl._correlation import Columns, compiled

#: Ridge penalty, in variances of a peak. On simulated cells 0.6 to 2 rank links alike
#: (``benchmarks/downstream/link_score.py``).
RIDGE = 1.0


def conditional_correlation(r: np.ndarray, first: np.ndarray, second: np.ndarray, peaks: Columns) -> np.ndarray:
    r"""Regress each gene on all of its peaks together, with a ridge penalty.

    With :math:`R` the correlations of the gene's peaks among themselves and :math:`r` those with the gene, it is

    .. math:: (1 + \lambda) (R + \lambda I)^{-1} r,

    so that a peak without correlated neighbours keeps its r, and peaks that only follow another lose theirs.

    Parameters
    ----------
    r
        Correlations of the pairs; NaN where not defined.
    first, second
        Genes and columns of peaks of the pairs. Pairs of a gene are neighbours.
    peaks
        The columns.

    Returns
    -------
    float64, one value a pair; NaN where r is. Beyond 1 in rare cases.
    """
    return _solve(r, first, second, _parts(peaks), peaks.values.shape[0], RIDGE)


def in_place(
    r: np.ndarray, first: np.ndarray, second: np.ndarray, others: np.ndarray, genes: Columns, peaks: Columns
) -> np.ndarray:
    """Return the conditional correlations that other peaks would have in the place of each pair's peak.

    Parameters
    ----------
    r, first, second, peaks
        As in :func:`conditional_correlation`, all r defined.
    others
        Columns of the other peaks, (pairs, peaks a pair). They vary.
    genes
        The columns that ``first`` numbers.

    Returns
    -------
    float64, (pairs, peaks a pair).
    """
    return _in_place(r, first, second, others, _parts(genes), _parts(peaks), peaks.values.shape[0], RIDGE)


#: Values, their rows, the bounds of columns, and mean and norm of columns, for compiled loops.
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _parts(columns: Columns) -> Parts:
    values = columns.values
    return values.data, values.indices, values.indptr, columns.mean, columns.norm


@compiled
def _solve(r: np.ndarray, first: np.ndarray, second: np.ndarray, peaks: Parts, n: int, ridge: float) -> np.ndarray:
    result = np.full(len(r), np.nan)
    low = 0
    while low < len(r):
        high = low
        while high < len(r) and first[high] == first[low]:
            high += 1
        pairs = low + np.flatnonzero(np.isfinite(r[low:high]))
        if len(pairs):
            inverse = _inverse(second[pairs], peaks, n, ridge)
            for a in range(len(pairs)):
                total = 0.0
                for b in range(len(pairs)):
                    total += inverse[a, b] * r[pairs[b]]
                result[pairs[a]] = (1 + ridge) * total
        low = high
    return result


@compiled
def _inverse(columns: np.ndarray, peaks: Parts, n: int, ridge: float) -> np.ndarray:
    """Inverse of the columns' correlations among themselves plus the penalty."""
    data, rows, indptr, mean, norm = peaks
    among = np.empty((len(columns), len(columns)))
    dense = np.zeros(n)
    for a in range(len(columns)):
        column = columns[a]
        for i in range(indptr[column], indptr[column + 1]):
            dense[rows[i]] = data[i]
        among[a, a] = 1 + ridge
        for b in range(a):
            other = columns[b]
            total = 0.0
            for i in range(indptr[other], indptr[other + 1]):
                total += dense[rows[i]] * data[i]
            among[a, b] = (total - n * mean[column] * mean[other]) / (norm[column] * norm[other])
            among[b, a] = among[a, b]
        for i in range(indptr[column], indptr[column + 1]):
            dense[rows[i]] = 0
    return np.linalg.inv(among)


@compiled
def _in_place(
    r: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    others: np.ndarray,
    genes: Parts,
    peaks: Parts,
    n: int,
    ridge: float,
) -> np.ndarray:
    x_data, x_rows, x_indptr, x_mean, x_norm = genes
    data, rows, indptr, mean, norm = peaks
    result = np.empty(others.shape)
    low = 0
    while low < len(r):
        high = low
        while high < len(r) and first[high] == first[low]:
            high += 1
        size, gene = high - low, first[low]
        columns = second[low:high]
        inverse = _inverse(columns, peaks, n, ridge)
        # the gene's peaks and, last, the gene, side by side: each value of another peak then meets all at once
        dense, means = np.zeros((n, size + 1)), np.empty(size + 1)
        for a in range(size):
            for i in range(indptr[columns[a]], indptr[columns[a] + 1]):
                dense[rows[i], a] = data[i] / norm[columns[a]]
            means[a] = mean[columns[a]] / norm[columns[a]]
        for i in range(x_indptr[gene], x_indptr[gene + 1]):
            dense[x_rows[i], size] = x_data[i] / x_norm[gene]
        means[size] = x_mean[gene] / x_norm[gene]
        products, given, without = np.empty(size + 1), np.empty(size), np.empty((size, size))
        for a in range(size):
            # inverse without the pair's peak, by the block inverse, and the gene's coefficients of the others
            for b in range(size):
                given[b] = 0
                for c in range(size):
                    without[b, c] = inverse[b, c] - inverse[b, a] * inverse[a, c] / inverse[a, a]
                    given[b] += without[b, c] * r[low + c]
            for k in range(others.shape[1]):
                other = others[low + a, k]
                for b in range(size + 1):
                    products[b] = -n * mean[other] * means[b]
                for i in range(indptr[other], indptr[other + 1]):
                    for b in range(size + 1):
                        products[b] += data[i] * dense[rows[i], b]
                covariance, left = products[size] / norm[other], 1 + ridge
                for b in range(size):
                    covariance -= given[b] * products[b] / norm[other]
                    for c in range(size):
                        left -= products[b] * without[b, c] * products[c] / norm[other] ** 2
                result[low + a, k] = (1 + ridge) * covariance / left
        low = high
    return result
