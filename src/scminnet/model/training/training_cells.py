"""Makes the data set of a training: the reference's cells, and the query's too if cells are coupled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scminnet._core.matrices import read_rows
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model.inference.forward_pass import project_rows
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe
from scminnet.model.training.cell_numbers import (
    labels_of_partners,
    nodes_of_partners,
    partner_table,
)
from scminnet.model.training.coupled_cells import CoupledCells
from scminnet.model.training.evidence import ModalityPair
from scminnet.model.training.pair_data import PairDataModule, PairDataset
from scminnet.model.training.training_data import TrainingData


def set_training_cells(
    datamodule: PairDataModule,
    module: SiameseModule,
    data: TrainingData,
    recipe: Recipe,
    coupled: Mapping[ModalityPair, CoupledCells],
    geodesics: GeodesicIndex,
    nodes: np.ndarray,
) -> None:
    """Give the data module its data set and, if cells are coupled, their partners.

    With the canonical input layer, the cells are projected through it once, before training.

    Parameters
    ----------
    datamodule
        Its ``dataset`` is set.
    module
        The network, whose input layers are fitted.
    data
        The cells. Those of the query take part only if cells are coupled.
    recipe
        The hyperparameters.
    coupled
        By pair of modalities, the coupled cells.
    geodesics, nodes
        Distances on the margin graph, and the node of each cell.
    """
    projected = recipe.input_layer == "canonical"
    if not coupled:
        rows = {m: project_rows(module, x, m) if projected else x for m, x in data.matrices.items()}
        datamodule.dataset = PairDataset(rows, data.positions, data.labels, geodesics, nodes, projected=projected)
        return
    names = list(data.modalities)
    cells = data.numbered()
    index = {(a, b): (names.index(a), names.index(b)) for a, b in coupled}
    partners = partner_table({index[pair]: found for pair, found in coupled.items()}, len(cells))
    pairs_share = max(found.coupling.pairs_share for found in coupled.values())
    datamodule.couple(cells >= 0, partners, pairs_share)
    of_query = np.full(len(cells) - len(data.positions), -1)
    nodes = nodes_of_partners(np.concatenate([nodes, of_query]), partners)
    needed = np.union1d(datamodule.train_cells, datamodule.val_cells)
    rows, cells = _project_needed(module, data, cells, needed)
    datamodule.dataset = PairDataset(
        rows,
        cells,
        labels_of_partners(np.concatenate([data.labels, of_query]), partners, module.n_labels),
        geodesics,
        nodes,
        projected=True,
        coupled=coupled,
    )


def _project_needed(
    module: SiameseModule, data: TrainingData, cells: np.ndarray, needed: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Project the needed cells through the input layers; return their rows and the positions of all cells in these."""
    rows, positions = {}, np.full_like(cells, -1)
    for i, (m, matrix) in enumerate(data.matrices.items()):
        at = cells[needed, i]
        own, beyond = (at >= 0) & (at < matrix.shape[0]), at >= matrix.shape[0]
        parts = [project_rows(module, read_rows(matrix, at[own]), m)]
        if beyond.any():
            of_query = read_rows(data.query[m].matrix, at[beyond] - matrix.shape[0])
            parts.append(project_rows(module, of_query, m, moments=data.query[m].moments))
        rows[m] = np.concatenate(parts)
        positions[needed[own], i] = np.arange(own.sum())
        positions[needed[beyond], i] = own.sum() + np.arange(beyond.sum())
    return rows, positions
