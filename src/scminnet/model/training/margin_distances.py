"""Finds the margin graph of a training, or builds it, and indexes its distances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mudata import MuData
from scipy import sparse

from scminnet._core.keys import MARGIN_GRAPH_KEY
from scminnet._core.logging import logger
from scminnet._core.matrices import read_rows
from scminnet._core.mdata import layer_matrix
from scminnet._core.sparse_structure import check_sparse
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model.data.cell_index import rows_in_modalities
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.training.evidence import Evidence
from scminnet.model.training.training_data import TrainingData
from scminnet.pp.margin_graph import build_margin_graph


def margin_distances(
    mdata: MuData,
    data: TrainingData,
    layers: Mapping[str, str | None],
    key: str | None,
    evidence: Evidence,
    *,
    seed: int,
) -> tuple[GeodesicIndex, np.ndarray]:
    """Return the distances on the margin graph, and the node of each cell of the reference.

    Parameters
    ----------
    mdata
        The reference.
    data
        The reference's cells. The graph is built from the model's first modality if none is stored.
    layers
        By modality, layer of the values.
    key
        Key of a stored graph in ``uns``. ``None``: the default key, and a graph is built if it is not there.
    evidence
        Its coupled cells are in the built graph; other unpaired cells are not if cells are coupled.
    seed
        Seed of the graph and of the distances.

    Returns
    -------
    The distances, and by cell its node, -1 if the graph lacks it.

    Raises
    ------
    ValueError
        No graph is stored at ``key``, the reference lacks the first modality, or a batch has a single cell.
    """
    stored = stored_margin_graph(mdata, key)
    if stored is not None:
        modality, graph = stored
        logger.info("taking the margin graph stored as %r, of modality %r", key or MARGIN_GRAPH_KEY, modality)
        return GeodesicIndex(graph, seed=seed), rows_in_modalities(mdata, [modality])[:, 0]
    modality = data.modalities[0]
    if modality not in mdata.mod:
        raise ValueError(
            f"`mdata` lacks modality {modality!r}, from which the margin graph is built. "
            "Add it, or name a stored graph in `margin_graph`."
        )
    logger.info("building the margin graph from modality %r", modality)
    matrix = layer_matrix(mdata, modality, layers[modality])
    nodes = data.positions[:, 0].copy()
    if evidence.coupled:
        # an unpaired cell that is not coupled is in no pair, so it needs no distance
        kept = evidence.cells_in_training(data.positions) & (nodes >= 0)
        rows = np.sort(nodes[kept])
        matrix = read_rows(as_row_matrix(matrix), rows)
        nodes = np.where(kept, np.searchsorted(rows, nodes), -1)
    measured = nodes >= 0
    batches = np.empty(matrix.shape[0], dtype=object)
    batches[nodes[measured]] = data.batches[measured]
    graph = build_margin_graph(matrix, batches, seed=seed).distances
    return GeodesicIndex(graph, seed=seed), nodes


def stored_margin_graph(mdata: MuData, key: str | None) -> tuple[str, sparse.csr_matrix] | None:
    """Return modality and distances of the graph stored at ``key``, or ``None`` if the default key has none.

    Raises
    ------
    ValueError
        No graph is stored at ``key``, or it is damaged.
    """
    if key is not None and key not in mdata.uns:
        raise ValueError(
            f"`margin_graph` is {key!r}, which mdata.uns lacks. "
            f"Call `scminnet.pp.margin_graph(mdata, key_added={key!r})` first."
        )
    stored = key or MARGIN_GRAPH_KEY
    if stored not in mdata.uns:
        return None
    modality = mdata.uns[stored]["modality"]
    adata = mdata.mod[modality]
    graph = adata.obsp[adata.uns[stored]["distances_key"]]
    check_sparse(graph, f"the margin graph {stored!r}")
    return modality, graph
