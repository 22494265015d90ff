"""Smoothing: each cell's counts and those of its neighbours in the joint embedding, summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core import compat, matrices
from scminnet._core.arguments import check_count, check_fraction, shorten
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, layer_matrix, layer_names
from scminnet._core.obs import obs_column
from scminnet._core.values import check_values, warn_unless_counts
from scminnet.graph.neighbors import Neighbors, nearest_neighbors
from scminnet.tl._cells import cell_places, cell_rows, check_used_modalities


def smoothing_graph(neighbors: Neighbors, n_points: int, quantile: float, *, with_self: bool) -> sparse.csr_matrix:
    """Binary graph of near cells.

    Parameters
    ----------
    neighbors
        Neighbours of n cells among ``n_points``.
    n_points
        Number of cells that can be neighbours.
    quantile
        Edges longer than this quantile of all edges' lengths are dropped (paper, "smoothing": the 95 % percentile).
    with_self
        Join each cell to itself, as the published code does; the cells must be the points.

    Returns
    -------
    float32 matrix (n, n_points) of zeros and ones.
    """
    kept = neighbors.distances <= np.quantile(neighbors.distances, quantile)
    rows, ranks = np.nonzero(kept)
    columns = neighbors.indices[rows, ranks]
    n = len(neighbors.indices)
    graph = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n, n_points))
    return sparse.csr_matrix(graph + sparse.identity(n, dtype=np.float32, format="csr")) if with_self else graph


def minnet_smooth(
    mdata: MuData,
    *,
    n_neighbors: int = 20,
    quantile: float = 0.95,
    layer: str | Mapping[str, str | None] | None = None,
    modalities: Sequence[str] | None = None,
    across: bool = False,
    condition: str | None = None,
    use_rep: str = EMBEDDING_KEY,
    key_added: str = "smoothed",
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    """Sum each cell's values over itself and its neighbours in the joint embedding.

    Every modality is smoothed over its own cells. With ``across``, cells that lack a modality are given it: the sum over their neighbours
    among the cells that have it, e.g. the RNA of ATAC cells.

    A modality without an embedding, such as peaks beside the gene activity that was embedded, can be smoothed by name if another modality
    has the embedding of its cells, which are those of the same ``obs_names``. A cell that lacks a modality, or its embedding there, stands
    at the mean of its embeddings elsewhere.

    Memory is that of the sums: they have up to ``n_neighbors + 1`` times the non-zeros of the values. Of values on disk or in a dask array, sums
    are a dask array, of which nothing is computed before it is used: :func:`minibulk` sums it, and writing the MuData writes it, block by block.
    For bulks and links nothing need be stored. See :doc:`/scale`.

    Parameters
    ----------
    mdata
        MuData whose modalities hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space, whatever made it.
    n_neighbors
        Neighbours of a cell, itself not counted; the paper used 5, 10, 15 or 20.
    quantile
        Edges longer than this quantile of all edges of a graph are dropped, in [0, 1]; 0.95 as in the paper. A cell far from all
        others keeps fewer neighbours, and may keep none.
    layer
        Layer of raw counts, for all modalities or each its own; ``None``: ``X``. Sums are of use for counts: normalise them afterwards.
    modalities
        Modalities to smooth; ``None``: all that have the embedding.
    across
        Also give the modalities to cells that lack them.
    condition
        Column of ``mdata.obs`` or of modalities' ``obs``: neighbours are of the cell's own level only. Without it, smoothing mixes the conditions
        that are to be compared.
    use_rep
        Key of the embeddings in the modalities' ``obsm``.
    key_added
        Name of the result.
    seed
        Seed of the neighbour search, which is approximate on large data.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added`` and each modality ``m``:

    ``mdata[m].layers[key]``
        The sums, float32; CSR where the values are sparse. A dask array where the values are not in memory.
    ``mdata[m].obsp["{key}_connectivities"]``
        The graph, binary, each cell joined to itself.
    ``mdata.mod["{m}_{key}"]``
        With ``across``: all cells of the MuData that have an embedding x the features of ``m``, own sums where the cell has the modality
        and imputed ones elsewhere. ``obs["imputed"]`` tells which, ``obs["n_neighbors"]`` of how many cells the sum is; a cell without a
        near neighbour has 0 and zeros. Left out where no cell lacks the modality.
    ``mdata.uns[key]``
        ``modalities`` and ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or values are no numbers, or stored by columns on disk.
    ImportError
        Values are on disk, and dask is not installed.
    KeyError
        No modality has the embedding, or ``condition`` is no column.
    ValueError
        ``mdata`` is a view, or its ``obs`` lacks cells of a modality; a modality is unknown or empty, lacks the layer, has cells
        without an embedding, or no more cells than ``n_neighbors``, at some level of ``condition``; a cell has no level; embeddings or values are not finite, or values negative; embeddings
        differ in width; a parameter is out of its range; ``key_added`` is the layer smoothed; the MuData has a modality of the name
        to be added; or ``copy`` is set for data on disk.

    Warns
    -----
    UserWarning
        The values are no whole numbers, so they do not look like counts.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_count(n_neighbors, "n_neighbors")
    check_fraction(quantile, "quantile", upper_open=False)
    names = check_used_modalities(mdata, modalities, use_rep)
    layers = layer_names(layer, names, "layer")
    values = {m: layer_matrix(mdata, m, layers[m], "layer") for m in names}
    for m in names:
        if layers[m] == key_added:
            raise ValueError(f"`key_added` is {key_added!r}, as is the `layer` of modality {m!r}. Give another name.")
    rows = {m: cell_rows(mdata, m) for m in names}
    places = cell_places(mdata, names, use_rep)
    points = {m: _points(mdata, m, places[rows[m]], use_rep) for m in names}
    levels = _levels(mdata, condition, np.isfinite(places[:, 0]))
    for m in names:
        of_level = levels.iloc[rows[m]].value_counts()
        for level in levels[np.isfinite(places[:, 0])].unique() if across else of_level.index:
            if (n_cells := of_level.get(level, 0)) <= n_neighbors:
                where = "" if condition is None else f" of `condition` {level!r}"
                raise ValueError(
                    f"`n_neighbors` is {n_neighbors}, but modality {m!r} has {n_cells} cells{where}. Give fewer."
                )
        if across and f"{m}_{key_added}" in mdata.mod:
            raise ValueError(
                f"`key_added` is {key_added!r}, but mdata has a modality {m}_{key_added}. Remove it or give another name."
            )
    warn_unless_counts({m: check_values(values[m], m, stored=True) for m in names}, "Smoothing")

    graphs = {
        m: smoothing_graph(
            _near(points[m], levels.iloc[rows[m]], None, None, n_neighbors, seed),
            len(points[m]),
            quantile,
            with_self=True,
        )
        for m in names
    }
    values = {m: _float32(matrix) for m, matrix in values.items()}
    sums = {m: matrices.left_product(graph, values[m]) for m, graph in graphs.items()}
    imputed = {}
    if across:
        for m in names:
            lacking = np.isfinite(places[:, 0])
            lacking[rows[m]] = False
            if lacking.any():
                neighbors = _near(points[m], levels.iloc[rows[m]], places[lacking], levels[lacking], n_neighbors, seed)
                graph = smoothing_graph(neighbors, len(points[m]), quantile, with_self=False)
                imputed[f"{m}_{key_added}"] = _completed(
                    mdata.mod[m], sums[m], graphs[m], mdata.obs_names[lacking], graph, values[m]
                )

    if copy:
        with compat.mudata_0_4_behaviour():
            mdata = mdata.copy()
    for m in names:
        adata = mdata.mod[m]
        adata.layers[key_added] = sums[m]
        adata.obsp[f"{key_added}_connectivities"] = graphs[m]
    params = {
        "n_neighbors": n_neighbors,
        "quantile": quantile,
        "layer": {m: name for m, name in layers.items() if name is not None} or None,
        "across": across,
        "condition": condition,
        "use_rep": use_rep,
        "seed": seed,
    }
    # h5mu files hold no None
    params = {name: value for name, value in params.items() if value is not None}
    mdata.uns[key_added] = {"modalities": names, "params": params}
    if imputed:
        # that the imputed modalities have the features of the others is the aim
        with compat.mudata_0_4_behaviour():
            mdata.mod.update(imputed)
            mdata.update()
    return mdata if copy else None


def _points(mdata: MuData, modality: str, places: np.ndarray, use_rep: str) -> np.ndarray:
    """Return the embedding of a modality's cells, its own or, where it has none, the cells' places by other modalities."""
    if use_rep in mdata.mod[modality].obsm:
        return np.asarray(mdata.mod[modality].obsm[use_rep])
    without = int(np.isnan(places[:, 0]).sum())
    if without:
        raise ValueError(
            f"`modalities` names {modality!r}, {without:,} of whose {len(places):,} cells have no embedding {use_rep!r}, in this or another "
            "modality's obsm. Embed them, or leave them out."
        )
    return places


def _levels(mdata: MuData, condition: str | None, placed: np.ndarray) -> pd.Series:
    """Return the level of each cell of the MuData, raising where a cell with a place has none."""
    if condition is None:
        return pd.Series("all", index=mdata.obs_names, dtype=object)
    levels = obs_column(mdata, condition, list(mdata.mod), "condition").map(str, na_action="ignore")
    missing = levels.index[levels.isna() & placed]
    if len(missing):
        raise ValueError(
            f"`condition`={condition!r} has no value for {len(missing):,} cells, e.g. {shorten(missing, 3)}. "
            "Fill them, or leave these cells out."
        )
    return levels


def _near(
    points: np.ndarray,
    levels: pd.Series,
    query: np.ndarray | None,
    query_levels: pd.Series | None,
    n_neighbors: int,
    seed: int,
) -> Neighbors:
    """Find the nearest points of the same level, as :func:`nearest_neighbors` does those of all."""
    levels = levels.to_numpy()
    asked = levels if query_levels is None else query_levels.to_numpy()
    indices = np.empty((len(asked), n_neighbors), dtype=np.int64)
    distances = np.empty((len(asked), n_neighbors), dtype=np.float32)
    for level in pd.unique(asked):
        here, there = np.flatnonzero(levels == level), np.flatnonzero(asked == level)
        found = nearest_neighbors(points[here], n_neighbors, query=None if query is None else query[there], seed=seed)
        indices[there], distances[there] = here[found.indices], found.distances
    return Neighbors(indices, distances)


def _float32(values: Any) -> Any:
    if not matrices.in_memory(values):
        return values
    return sparse.csr_matrix(values, dtype=np.float32) if sparse.issparse(values) else np.asarray(values, np.float32)


def _completed(
    adata: AnnData, own: Any, own_graph: sparse.csr_matrix, lacking: pd.Index, graph: sparse.csr_matrix, values: Any
) -> AnnData:
    """Put a modality's own sums and the imputed ones of other cells into one AnnData."""
    result = AnnData(matrices.stack(own, matrices.left_product(graph, values)), var=adata.var.copy())
    result.obs_names = [*adata.obs_names, *lacking]
    result.obs["imputed"] = np.arange(result.n_obs) >= adata.n_obs
    result.obs["n_neighbors"] = np.concatenate([own_graph.getnnz(axis=1), graph.getnnz(axis=1)]).astype(np.int64)
    return result
