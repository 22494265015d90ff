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
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_fraction, shorten
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, copied
from scminnet._core.obs import obs_column
from scminnet._core.params import recorded
from scminnet._core.values import warn_unless_counts
from scminnet.graph.neighbors import Neighbors, nearest_neighbors
from scminnet.tl._cells import Cells, read_cells, used_modalities


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


@check_types
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

    Every modality is smoothed over its own cells. With ``across``, cells that lack a modality are given it as well: the
    sum over their neighbours among the cells that have it, e.g. the RNA of ATAC cells.

    A modality without an embedding can be smoothed by name if another modality has the embedding of the same cells. An
    example is peaks, where gene activity was embedded. A cell that lacks a modality, or its embedding there, takes the
    mean of its embeddings elsewhere.

    Memory is that of the sums, which have up to ``n_neighbors + 1`` times the non-zeros of the values. If the values
    are on disk or a dask array, the sums are a dask array. It is computed block by block when it is used: when
    :func:`minibulk` sums it, or when the MuData is written. Mini-bulks and links need no stored sums. See
    :doc:`/scale`.

    Parameters
    ----------
    mdata
        MuData whose modalities hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space. Any method may
        have made it.
    n_neighbors
        Neighbours of a cell, itself not counted; the paper used 5, 10, 15 or 20.
    quantile
        Edges longer than this quantile of all edges of a graph are dropped, in [0, 1]; 0.95 as in the paper. A cell far
        from all others keeps fewer neighbours, and may keep none.
    layer
        Layer of raw counts, for all modalities or each its own; ``None``: ``X``. Normalise the sums afterwards.
    modalities
        Modalities to smooth; ``None``: all that have the embedding.
    across
        Also impute the modalities for cells that lack them.
    condition
        Column of ``mdata.obs`` or of modalities' ``obs``. Neighbours are then of the cell's own level only. Give it
        where conditions are compared, because smoothing would mix them.
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
        The sums, float32; CSR where the values are sparse. A dask array where the values are not in memory. Where a
        modality has negative values, such as DSB-normalised proteins, their means instead.
    ``mdata[m].obsp["{key}_connectivities"]``
        The graph, binary, each cell joined to itself.
    ``mdata.mod["{m}_{key}"]``
        With ``across``: all cells of the MuData that have an embedding x the features of ``m``. Values are own sums
        where the cell has the modality, and imputed ones elsewhere. ``obs["imputed"]`` says which.
        ``obs["n_neighbors"]`` is the number of cells in the sum. A cell without a near neighbour has 0, and zeros as
        values. This modality is not added where no cell lacks ``m``.
    ``mdata.uns[key]``
        ``modalities`` and ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData. Values are not numeric, or stored by columns on disk.
    ImportError
        Values are on disk, and dask is not installed.
    KeyError
        No modality has the embedding, or ``condition`` is no column.
    ValueError
        ``mdata`` is a view, or its ``obs`` lacks cells of a modality. A modality is unknown or empty, lacks the layer,
        has cells without an embedding, or no more cells than ``n_neighbors``, at some level of ``condition``. A cell
        has no level. Embeddings or values are not finite or too large. Embeddings differ in width. A
        parameter is out of its range. ``key_added`` is the layer that is smoothed. The MuData has a modality of the
        name to be added. ``copy`` is set for data on disk.

    Warns
    -----
    UserWarning
        The values are no whole numbers, or negative, so they do not look like counts.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_count(n_neighbors, "n_neighbors")
    check_fraction(quantile, "quantile", upper_open=False)
    names = used_modalities(mdata, modalities, use_rep)
    cells = read_cells(mdata, names, use_rep, layer=layer, labels=_read_levels(mdata, condition))
    _check_names(mdata, cells, key_added, across=across)
    levels = _check_levels(cells, condition)
    _check_sizes(cells, levels, condition, n_neighbors, across=across)
    points = {m: _points(cells, m, use_rep) for m in names}
    found = cells.check_values()
    warn_unless_counts(found, "Smoothing", "their means over neighbours take the place of sums")

    def graph_of(modality: str, query: np.ndarray | None) -> sparse.csr_matrix:
        """Join the cells ``query``, or the modality's own, with near cells of the modality."""
        own = levels[cells.rows[modality]]
        if query is None:
            near = _near(points[modality], own, None, own, n_neighbors, seed)
        else:
            near = _near(points[modality], own, cells.points[query], levels[query], n_neighbors, seed)
        return smoothing_graph(near, len(own), quantile, with_self=query is None)

    values = {m: _float32(measured.matrix) for m, measured in cells.measured.items()}
    graphs = {m: graph_of(m, None) for m in names}
    # sums over different numbers of neighbours can be normalised afterwards if they are counts only
    averaged = {m: found[m].n_negative > 0 for m in names}
    sums = {m: _over_neighbors(graphs[m], values[m], average=averaged[m]) for m in names}
    completed = {}
    for m in names if across else ():
        lacking = cells.has_point.copy()
        lacking[cells.rows[m]] = False
        if lacking.any():
            graph = graph_of(m, lacking)
            imputed = _over_neighbors(graph, values[m], average=averaged[m])
            completed[f"{m}_{key_added}"] = _complete(cells, m, lacking, (graphs[m], sums[m]), (graph, imputed))

    params = {
        "n_neighbors": n_neighbors,
        "quantile": quantile,
        "layer": cells.layers or None,
        "across": across,
        "condition": condition,
        "use_rep": use_rep,
        "seed": seed,
    }
    if copy:
        with compat.mudata_0_4_behaviour():
            mdata = copied(mdata)
    for m in names:
        adata = mdata.mod[m]
        adata.layers[key_added] = sums[m]
        adata.obsp[f"{key_added}_connectivities"] = graphs[m]
    mdata.uns[key_added] = {"modalities": names, "params": recorded(params)}
    if completed:
        # imputed modalities share the features of the others on purpose
        with compat.mudata_0_4_behaviour():
            mdata.mod.update(completed)
            mdata.update()
    return mdata if copy else None


def _read_levels(mdata: MuData, condition: str | None) -> pd.DataFrame:
    """Read the level of each of the n cells: no column without a condition."""
    if condition is None:
        return pd.DataFrame(index=mdata.obs_names)
    return pd.DataFrame({condition: obs_column(mdata, condition, list(mdata.mod), "condition")})


def _check_names(mdata: MuData, cells: Cells, key_added: str, *, across: bool) -> None:
    """Raise when a layer that is read, or a modality that is there, would be replaced."""
    for m in cells.modalities:
        if cells.layers.get(m) == key_added:
            raise ValueError(f"`key_added` is {key_added!r}, as is the `layer` of modality {m!r}. Give another name.")
        if across and f"{m}_{key_added}" in mdata.mod:
            raise ValueError(
                f"`key_added` is {key_added!r}, but mdata has a modality {m}_{key_added}. "
                "Remove it or give another name."
            )


def _check_levels(cells: Cells, condition: str | None) -> np.ndarray:
    """Return the level of each of the n cells, raising where a cell with an embedding has none."""
    if condition is None:
        return np.full(len(cells.names), "all", dtype=object)
    levels = cells.labels[condition]
    missing = cells.names[levels.isna() & cells.has_point]
    if len(missing):
        raise ValueError(
            f"`condition`={condition!r} has no value for {len(missing):,} cells, e.g. {shorten(missing, 3)}. "
            "Fill them, or leave these cells out."
        )
    return levels.to_numpy()


def _check_sizes(cells: Cells, levels: np.ndarray, condition: str | None, n_neighbors: int, *, across: bool) -> None:
    """Raise unless each modality has more than ``n_neighbors`` cells of every level that is smoothed."""
    for m, rows in cells.rows.items():
        n_cells = pd.Series(levels[rows]).value_counts()
        for level in pd.unique(levels[cells.has_point]) if across else n_cells.index:
            if n_cells.get(level, 0) <= n_neighbors:
                where = "" if condition is None else f" of `condition` {level!r}"
                raise ValueError(
                    f"`n_neighbors` is {n_neighbors}, but modality {m!r} has {n_cells.get(level, 0)} cells{where}. "
                    "Give fewer."
                )


def _points(cells: Cells, modality: str, use_rep: str) -> np.ndarray:
    """Return the embedding of a modality's cells: its own, or the mean over other modalities where it has none."""
    if modality in cells.embedded:
        return cells.embedded[modality]
    rows = cells.rows[modality]
    without = int((~cells.has_point[rows]).sum())
    if without:
        raise ValueError(
            f"`modalities` names {modality!r}, {without:,} of whose {len(rows):,} cells have no embedding {use_rep!r}, "
            "in this or another modality's obsm. Embed them, or leave them out."
        )
    return cells.points[rows]


def _near(
    points: np.ndarray,
    levels: np.ndarray,
    query: np.ndarray | None,
    query_levels: np.ndarray,
    n_neighbors: int,
    seed: int,
) -> Neighbors:
    """Find the nearest points of the same level for each cell of ``query``, or for each point, itself not counted."""
    indices = np.empty((len(query_levels), n_neighbors), dtype=np.int64)
    distances = np.empty((len(query_levels), n_neighbors), dtype=np.float32)
    for level in pd.unique(query_levels):
        here, there = np.flatnonzero(levels == level), np.flatnonzero(query_levels == level)
        found = nearest_neighbors(points[here], n_neighbors, query=None if query is None else query[there], seed=seed)
        indices[there], distances[there] = here[found.indices], found.distances
    return Neighbors(indices, distances)


def _float32(values: Any) -> Any:
    if not matrices.in_memory(values):
        return values
    return sparse.csr_matrix(values, dtype=np.float32) if sparse.issparse(values) else np.asarray(values, np.float32)


def _over_neighbors(graph: sparse.csr_matrix, values: Any, *, average: bool) -> Any:
    """Sum or average the values over each cell's neighbours. A cell without a neighbour has zeros."""
    if average:
        n_neighbors = np.maximum(graph.getnnz(axis=1), 1).astype(np.float32)
        graph = sparse.diags(1 / n_neighbors, format="csr") @ graph
    return matrices.left_product(sparse.csr_matrix(graph, dtype=np.float32), values)


def _complete(
    cells: Cells,
    modality: str,
    lacking: np.ndarray,
    own: tuple[sparse.csr_matrix, Any],
    imputed: tuple[sparse.csr_matrix, Any],
) -> AnnData:
    """Put a modality's own graph and sums above those of the cells that lack it, in one AnnData."""
    (own_graph, own_sums), (graph, sums) = own, imputed
    result = AnnData(matrices.stack(own_sums, sums), var=cells.measured[modality].var.copy())
    names = cells.names_of[modality]
    result.obs_names = [*names, *cells.names[lacking]]
    result.obs["imputed"] = np.arange(result.n_obs) >= len(names)
    result.obs["n_neighbors"] = np.concatenate([own_graph.getnnz(axis=1), graph.getnnz(axis=1)]).astype(np.int64)
    return result
