"""The correlation of a gene with a peak given the gene's other peaks."""

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
    values = peaks.values
    n = values.shape[0]
    return _solve(r, first, second, values.data, values.indices, values.indptr, peaks.mean, peaks.norm, n, RIDGE)


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
    dense = np.zeros(n)
    low = 0
    while low < len(r):
        high = low
        while high < len(r) and first[high] == first[low]:
            high += 1
        pairs = low + np.flatnonzero(np.isfinite(r[low:high]))
        size = len(pairs)
        among = np.empty((size, size))
        for a in range(size):
            column = second[pairs[a]]
            for i in range(indptr[column], indptr[column + 1]):
                dense[rows[i]] = data[i]
            among[a, a] = 1 + ridge
            for b in range(a):
                other = second[pairs[b]]
                total = 0.0
                for i in range(indptr[other], indptr[other + 1]):
                    total += dense[rows[i]] * data[i]
                among[a, b] = (total - n * mean[column] * mean[other]) / (norm[column] * norm[other])
                among[b, a] = among[a, b]
            for i in range(indptr[column], indptr[column + 1]):
                dense[rows[i]] = 0
        if size:
            result[pairs] = (1 + ridge) * np.linalg.solve(among, r[pairs])
        low = high
    return result
