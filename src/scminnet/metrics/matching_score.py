"""Matching score: the probability that a matching by shared nearest neighbours gives to the true match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.keys import SHOW_PROGRESS_FROM
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.metrics._both_ways import BothWays, paired_embeddings
from scminnet.metrics._checks import NotDefinedError


@dataclass(frozen=True)
class MatchingScore(BothWays):
    """Probability of the true match, in [0, 1], in both directions; higher is better.

    Attributes
    ----------
    x_to_y
        Cells of x look for their match among the cells of y.
    y_to_x
        Cells of y look for their match among the cells of x.
    """


@check_types
def matching_score(
    x: np.ndarray, y: np.ndarray, *, n_neighbors: int = 1, chunk_size: int = 512, seed: int = 0
) -> MatchingScore:
    r"""Measure the probability that cells are matched with their own profile in the other modality.

    This is the score of the NeurIPS 2021 competition's task "match modality" :cite:p:`Lance22`. A method gives each
    pair of cells a weight, each cell's weights are scaled to a sum of 1, and the score is the mean over the cells of
    the true match's share. The weights are those of the winning method, CLUE :cite:p:`Tu22`: the Jaccard index of the
    nearest neighbours that both cells have in common, in both modalities. With :math:`N_x(c)` and :math:`N_y(c)` for
    the k cells of x and of y that are nearest to cell c by Euclidean distance, where a cell is the first neighbour of
    itself,

    .. math:: s_{ij} = |N_x(x_i) \cap N_x(y_j)| + |N_y(x_i) \cap N_y(y_j)|, \quad
              w_{ij} = \frac{s_{ij}}{4k - s_{ij}}, \quad
              \frac{1}{n}\sum_i \frac{w_{ii}}{\sum_j w_{ij}}

    With k = 1, as CLUE uses it, mutual nearest neighbours weigh 1, and one-sided ones 1/3.

    1 is perfect for k = 1, and random pairing gives about 1 / n. The value falls as the number of cells grows, so
    compare it within one data set only. A cell near its match is not enough: other cells must be farther away. An
    embedding that puts all cells on one point therefore scores nearly 0, where FOSCTTM is 0 as well, its best value.

    CLUE scales all cells to unit length first, as MinNet's embedding is. Scale ``x`` and ``y`` so if directions alone
    matter in your embedding.

    Parameters
    ----------
    x
        Embedding of n cells by one modality, array (n, d).
    y
        Embedding of the same cells, in the same order, by the other modality, array (n, d).
    n_neighbors
        Number k of nearest neighbours, of which the first in the array count at equal distances. The default is
        CLUE's. With more, even a perfect embedding scores below 1.
    chunk_size
        Rows of ``x`` compared at a time. Memory is the weights of ``chunk_size`` cells, of which about 4 k² for each
        cell are not zero, and at most ``chunk_size`` x n. The result does not depend on it.
    seed
        Seed of the neighbour search, which is approximate on large data.

    Returns
    -------
    MatchingScore with ``x_to_y``, ``y_to_x`` and ``mean``.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        The arrays are not finite numeric matrices of one shape, hold fewer than two cells or fewer than
        ``n_neighbors``, or ``n_neighbors`` or ``chunk_size`` is not a whole number of at least 1.

    Examples
    --------
    >>> matching_score([[0.0], [1.0], [2.0]], [[0.0], [1.0], [0.9]]).x_to_y  # cell 1 has two candidates, cell 2 another
    0.5833333333333334
    """
    x, y = paired_embeddings(x, y)
    check_count(n_neighbors, "n_neighbors")
    check_count(chunk_size, "chunk_size")
    n = len(x)
    if n < 2:
        raise NotDefinedError(f"`x` holds {n} cells: the score needs two or more cells measured in both modalities.")
    if n < n_neighbors:
        raise NotDefinedError(f"`n_neighbors` is {n_neighbors}, `x` holds {n} cells. Give fewer neighbours.")

    # which cells of x, then of y, are neighbours of each cell of x; and of each cell of y
    of_x = sparse.hstack([_within(x, n_neighbors, seed), _across(x, y, n_neighbors, seed)], format="csr")
    of_y = sparse.hstack([_across(y, x, n_neighbors, seed), _within(y, n_neighbors, seed)], format="csr").T.tocsr()
    own = np.empty(n)
    from_x, from_y = np.empty(n), np.zeros(n)
    chunks = [slice(start, min(start + chunk_size, n)) for start in range(0, n, chunk_size)]
    for rows in tqdm(chunks, desc="matching score", disable=n < SHOW_PROGRESS_FROM):
        weights = of_x[rows] @ of_y
        weights.data = weights.data / (4 * n_neighbors - weights.data)
        own[rows] = weights.diagonal(k=rows.start)
        from_x[rows] = weights.sum(axis=1).A1
        from_y += weights.sum(axis=0).A1
    return MatchingScore(x_to_y=float(np.mean(own / from_x)), y_to_x=float(np.mean(own / from_y)))


def _across(cells: np.ndarray, others: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
    """Return a matrix (cells, others) with 1 for the k nearest others."""
    return _indicator(nearest_neighbors(others, k, query=cells, seed=seed).indices, len(others))


def _within(cells: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
    """Return a matrix (cells, cells) with 1 for the cell itself and the k - 1 nearest others."""
    found = np.arange(len(cells))[:, None]
    if k > 1:
        found = np.hstack([found, nearest_neighbors(cells, k - 1, seed=seed).indices])
    return _indicator(found, len(cells))


def _indicator(indices: np.ndarray, n_columns: int) -> sparse.csr_matrix:
    n, k = indices.shape
    return sparse.csr_matrix((np.ones(n * k), indices.ravel(), np.arange(n + 1) * k), shape=(n, n_columns))
