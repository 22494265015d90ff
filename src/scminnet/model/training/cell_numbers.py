"""Numbers the cells of a training, and finds partners and graph nodes by these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mudata import MuData

from scminnet.model.training.coupled_cells import CoupledCells


def partner_table(
    coupled: Mapping[tuple[int, int], CoupledCells], n_cells: int
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Return, by ordered pair of modalities, each training cell's row in the partners (-1: none), and the partners."""
    table = {}
    for (a, b), found in coupled.items():
        for side, pair in ((0, (a, b)), (1, (b, a))):
            row = np.full(n_cells, -1, dtype=np.int64)
            row[found.cells[side]] = np.arange(len(found.cells[side]))
            table[pair] = row, found.partners[side]
    return table


def join_query_names(mdata: MuData, query: MuData | None, modalities: Sequence[str]) -> np.ndarray:
    """Return the names of the training's cells by their numbers (:meth:`TrainingData.numbered`)."""
    names = mdata.obs_names.to_numpy(str)
    if query is None:
        return names
    return np.concatenate([names, *(query.mod[m].obs_names.to_numpy(str) for m in modalities if m in query.mod)])


def nodes_of_partners(
    nodes: np.ndarray, partners: Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Give each coupled cell without a node of the margin graph the node of a partner."""
    result = nodes.copy()
    for row_of, drawn in partners.values():
        cells = np.flatnonzero((row_of >= 0) & (nodes < 0))
        result[cells] = nodes[drawn[row_of[cells], 0]]
    return result


def labels_of_partners(
    labels: np.ndarray, partners: Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]], n_types: int
) -> np.ndarray:
    """Give each coupled cell without a label that of most of its drawn partners.

    If only one modality has labels, the network would otherwise not learn to predict those of the other.

    Parameters
    ----------
    labels
        Code of each cell's type, -1 if unlabelled.
    partners
        As :func:`partner_table` returns them.
    n_types
        Number of cell types.

    Returns
    -------
    A copy of ``labels``. A cell stays unlabelled if no type has at least half of its partners.
    """
    result = labels.copy()
    for row_of, drawn in partners.values():
        cells = np.flatnonzero((row_of >= 0) & (labels < 0))
        if not len(cells) or not n_types:
            continue
        found = labels[drawn[row_of[cells]]]
        votes = np.stack([(found == code).sum(axis=1) for code in range(n_types)], axis=1)
        agreed = votes.max(axis=1) >= drawn.shape[1] / 2
        result[cells[agreed]] = votes[agreed].argmax(axis=1)
    return result
