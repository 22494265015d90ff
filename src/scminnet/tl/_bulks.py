"""The arithmetic of mini-bulks: how many a group gets, which cells make one, and their sums."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scvi.utils import track

from scminnet._constants import SHOW_PROGRESS_FROM
from scminnet.graph.ward import ward_order


def allot(n_cells: np.ndarray, limits: np.ndarray, n_bulks: int) -> np.ndarray:
    """Share out bulks among groups of cells: one each, then the next to the group whose bulks are largest.

    Parameters
    ----------
    n_cells
        Cells of each group, int array (g,).
    limits
        Most bulks of each group, int array (g,), at least 1 each.
    n_bulks
        Number of bulks, from g to the sum of ``limits``.

    Returns
    -------
    Bulks of each group, int64 array (g,) that sums to ``n_bulks``.
    """
    bulks = np.ones(len(n_cells), dtype=np.int64)
    for _ in range(n_bulks - len(bulks)):
        bulks[np.where(bulks < limits, n_cells / bulks, -np.inf).argmax()] += 1
    return bulks


def cut(places: np.ndarray, groups: np.ndarray, bulks: np.ndarray, seed: int) -> np.ndarray:
    """Order each group's cells by Ward's tree and cut the row into pieces as equal as possible.

    Parameters
    ----------
    places
        Embedding of n cells, array (n, d); looked at where ``groups`` is not negative.
    groups
        Group of each cell, int array (n,), negative for none.
    bulks
        Bulks of each group, int array (g,); 0 only for groups without a cell.
    seed
        Seed of :func:`~scminnet.graph.ward.ward_order`.

    Returns
    -------
    Bulk of each cell, int64 array (n,), -1 for none. Bulks are numbered along the groups, and within a group along the row.
    """
    bulk_of = np.full(len(groups), -1, dtype=np.int64)
    first = np.cumsum(bulks) - bulks
    n_grouped = int((groups >= 0).sum())
    for group in track(np.flatnonzero(bulks), description="Mini-bulks", disable=n_grouped < SHOW_PROGRESS_FROM):
        members = np.flatnonzero(groups == group)
        row = members[ward_order(places[members], seed=seed)]
        for i, piece in enumerate(np.array_split(row, bulks[group])):
            bulk_of[piece] = first[group] + i
    return bulk_of


def sum_cells(values: sparse.spmatrix | np.ndarray, bulk_of: np.ndarray, n_bulks: int) -> sparse.csr_matrix:
    """Sum the rows of a matrix over the bulks.

    Parameters
    ----------
    values
        Cells x features, sparse or dense.
    bulk_of
        Bulk of each row, int array, negative for none.
    n_bulks
        Number of bulks.

    Returns
    -------
    float32 matrix, bulks x features.
    """
    cells = np.flatnonzero(bulk_of >= 0)
    one = np.ones(len(cells), dtype=np.float32)
    member = sparse.csr_matrix((one, (bulk_of[cells], cells)), shape=(n_bulks, len(bulk_of)))
    sums = sparse.csr_matrix(member @ values, dtype=np.float32)
    sums.sort_indices()
    return sums
