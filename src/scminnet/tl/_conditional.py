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
    return _solve(r, first, second, *_parts(peaks), peaks.values.shape[0], RIDGE)


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
    return _in_place(r, first, second, others, *_parts(genes), *_parts(peaks), peaks.values.shape[0], RIDGE)


def _parts(columns: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    values = columns.values
    return values.data, values.indices, values.indptr, columns.mean, columns.norm


@compiled
def _solve(
    r: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    mean: np.ndarray,
    norm: np.ndarray,
    n: int,
    ridge: float,
) -> np.ndarray:
    result = np.full(len(r), np.nan)
    low = 0
    while low < len(r):
        high = low
        while high < len(r) and first[high] == first[low]:
            high += 1
        pairs = low + np.flatnonzero(np.isfinite(r[low:high]))
        if len(pairs):
            among = _among(second[pairs], data, rows, indptr, mean, norm, n)
            result[pairs] = (1 + ridge) * np.linalg.solve(among + ridge * np.eye(len(pairs)), r[pairs])
        low = high
    return result


@compiled
def _among(
    columns: np.ndarray,
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    mean: np.ndarray,
    norm: np.ndarray,
    n: int,
) -> np.ndarray:
    """Correlations of columns among themselves."""
    among = np.eye(len(columns))
    dense = np.zeros(n)
    for a in range(len(columns)):
        column = columns[a]
        for i in range(indptr[column], indptr[column + 1]):
            dense[rows[i]] = data[i]
        for b in range(a):
            other = columns[b]
            total = 0.0
            for i in range(indptr[other], indptr[other + 1]):
                total += dense[rows[i]] * data[i]
            among[a, b] = (total - n * mean[column] * mean[other]) / (norm[column] * norm[other])
            among[b, a] = among[a, b]
        for i in range(indptr[column], indptr[column + 1]):
            dense[rows[i]] = 0
    return among


@compiled
def _in_place(
    r: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    others: np.ndarray,
    x_data: np.ndarray,
    x_rows: np.ndarray,
    x_indptr: np.ndarray,
    x_mean: np.ndarray,
    x_norm: np.ndarray,
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    mean: np.ndarray,
    norm: np.ndarray,
    n: int,
    ridge: float,
) -> np.ndarray:
    result = np.empty(others.shape)
    low = 0
    while low < len(r):
        high = low
        while high < len(r) and first[high] == first[low]:
            high += 1
        size, gene = high - low, first[low]
        columns = second[low:high]
        inverse = np.linalg.inv(_among(columns, data, rows, indptr, mean, norm, n) + ridge * np.eye(size))
        # the gene's peaks and, last, the gene, side by side: each value of another peak then meets all at once
        dense, means = np.zeros((n, size + 1)), np.empty(size + 1)
        for a in range(size):
            for i in range(indptr[columns[a]], indptr[columns[a] + 1]):
                dense[rows[i], a] = data[i] / norm[columns[a]]
            means[a] = mean[columns[a]] / norm[columns[a]]
        for i in range(x_indptr[gene], x_indptr[gene + 1]):
            dense[x_rows[i], size] = x_data[i] / x_norm[gene]
        means[size] = x_mean[gene] / x_norm[gene]
        products = np.empty(size + 1)
        for a in range(size):
            # inverse without the pair's peak, by the block inverse
            without = inverse - np.outer(inverse[:, a], inverse[a]) / inverse[a, a]
            given = without @ r[low:high]
            for k in range(others.shape[1]):
                other = others[low + a, k]
                products[:] = -n * mean[other] * means
                for i in range(indptr[other], indptr[other + 1]):
                    for b in range(size + 1):
                        products[b] += data[i] * dense[rows[i], b]
                products /= norm[other]
                explained = products[:size] @ (without @ products[:size])
                covariance = products[size] - products[:size] @ given
                result[low + a, k] = (1 + ridge) * covariance / (1 + ridge - explained)
        low = high
    return result
