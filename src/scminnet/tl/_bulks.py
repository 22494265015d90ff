"""The arithmetic of mini-bulks: how many a group gets, which cells make one, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from scminnet._core.keys import SHOW_PROGRESS_FROM
from scminnet._core.matrices import group_sums
from scminnet.graph.ward import ward_order


@dataclass(frozen=True, eq=False)
class Parts:
    """The n cells in parts: in groups, or in bulks.

    Attributes
    ----------
    of
        Part of each cell, int array (n,), negative for none.
    n_cells
        Cells of each modality in each part, int64 array (parts, modalities). Cells left out later are counted.
    reasons
        Why a cell is in no part, text array (n,); "" where it is in one.
    """

    of: np.ndarray
    n_cells: np.ndarray
    reasons: np.ndarray

    def have(self, min_cells: int) -> np.ndarray:
        """Tell which parts have ``min_cells`` cells of every modality."""
        return np.all(self.n_cells >= min_cells, axis=1)


def at_least(min_cells: int) -> str:
    """Write the number of cells that a bulk needs."""
    return "a cell" if min_cells == 1 else f"{min_cells} cells"


def parts(
    of: np.ndarray, names: Sequence[str], rows: dict[str, np.ndarray], reasons: np.ndarray, min_cells: int
) -> Parts:
    """Count the cells of each part, and leave out those of parts with too few of a modality.

    Parameters
    ----------
    of
        Part of each cell, int array (n,), negative for none.
    names
        What each part is called in the reasons.
    rows
        The cells of each modality.
    reasons
        Why a cell is in none, text array (n,).
    min_cells
        Fewest cells of every modality.
    """
    n_parts, few = len(names), "no cell" if min_cells == 1 else f"fewer than {min_cells} cells"
    found = [of[of_modality] for of_modality in rows.values()]
    n_cells = np.stack([np.bincount(f[f >= 0], minlength=n_parts) for f in found], axis=1)
    of, reasons = of.copy(), reasons.copy()
    for i, modality in enumerate(rows):
        for part in np.flatnonzero(n_cells[:, i] < min_cells).tolist():
            lacking = of == part
            of[lacking], reasons[lacking] = -1, f"{names[part]} has {few} of {modality}"
    return Parts(of, n_cells, reasons)


def plan(groups: Parts, n_bulks: int, min_cells: int) -> np.ndarray:
    """Share out bulks among the groups that can make one.

    Parameters
    ----------
    groups
        The cells in groups.
    n_bulks
        Number of bulks.
    min_cells
        Cells of every modality that a bulk needs.

    Returns
    -------
    Bulks of each group, int64 array; 0 where it can make none.

    Raises
    ------
    ValueError
        No group can make a bulk. Or ``n_bulks`` is less than the number of groups that can, or more than they allow.
    """
    limits = groups.n_cells.min(axis=1) // min_cells
    usable = np.flatnonzero(limits)
    each = f"{at_least(min_cells)} of each modality"
    if not len(usable):
        raise ValueError(
            f"`groupby`: none of the {len(limits)} groups has {each}. "
            "Check the labels of each modality's cells, or lower `min_cells`."
        )
    if n_bulks < len(usable):
        raise ValueError(
            f"`n_bulks` is {n_bulks}, but {len(usable)} groups have one bulk or more. Give at least {len(usable)}."
        )
    if n_bulks > limits.sum():
        raise ValueError(
            f"`n_bulks` is {n_bulks}, but the {len(usable)} groups allow {limits.sum()}: a bulk needs {each}. "
            f"Give at most {limits.sum()}."
        )
    planned = np.zeros(len(limits), dtype=np.int64)
    sizes = np.bincount(groups.of[groups.of >= 0], minlength=len(limits))
    planned[usable] = allot(sizes[usable], limits[usable], n_bulks)
    return planned


def allot(n_cells: np.ndarray, limits: np.ndarray, n_bulks: int) -> np.ndarray:
    """Share out bulks among groups of cells: one each, then one at a time to the group whose bulks are largest.

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


def cut(points: np.ndarray, groups: np.ndarray, bulks: np.ndarray, seed: int) -> np.ndarray:
    """Order each group's cells by Ward's tree, and cut the row into pieces as equal as possible.

    Parameters
    ----------
    points
        Embedding of n cells, array (n, d); read where ``groups`` is not negative.
    groups
        Group of each cell, int array (n,), negative for none.
    bulks
        Bulks of each group, int array (g,); 0 only for groups without a cell.
    seed
        Seed of :func:`~scminnet.graph.ward.ward_order`.

    Returns
    -------
    Bulk of each cell, int64 array (n,), -1 for none. Bulks are numbered along the groups, and then along the row.
    """
    bulk_of = np.full(len(groups), -1, dtype=np.int64)
    first = np.cumsum(bulks) - bulks
    n_grouped = int((groups >= 0).sum())
    for group in tqdm(np.flatnonzero(bulks), desc="Mini-bulks", disable=n_grouped < SHOW_PROGRESS_FROM):
        members = np.flatnonzero(groups == group)
        row = members[ward_order(points[members], seed=seed)]
        for i, piece in enumerate(np.array_split(row, bulks[group])):
            bulk_of[piece] = first[group] + i
    return bulk_of


def sum_cells(values: Any, bulk_of: np.ndarray, n_bulks: int) -> sparse.csr_matrix:
    """Sum the rows of a matrix over the bulks.

    Parameters
    ----------
    values
        Cells x features, sparse or dense, in memory, on disk or a dask array.
    bulk_of
        Bulk of each row, int array, negative for none.
    n_bulks
        Number of bulks.

    Returns
    -------
    float32 matrix, bulks x features.
    """
    sums = sparse.csr_matrix(group_sums(values, bulk_of, n_bulks, np.float32))
    sums.sort_indices()
    return sums
