"""Margin graph: the graph of cells whose shortest paths set the margins.

It is built from a PCA without batch effects, its nearest neighbours, and edge lengths.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core import matrices
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count, shorten
from scminnet._core.keys import MARGIN_GRAPH_KEY
from scminnet._core.mdata import check_copyable, check_modalities, check_mudata, check_not_view, copied, layer_matrix
from scminnet._core.obs import modality_column
from scminnet._core.user_warnings import warn
from scminnet._core.values import check_values, look_scaled
from scminnet.graph.neighbors import connectivities, nearest_neighbors
from scminnet.pp.combat import LinearCorrection, Moments, batch_moments, combat
from scminnet.pp.scaled_pca import scaled_pca

#: Batch corrections: ComBat of the values before PCA, or Harmony of the principal components after it.
BATCH_CORRECTIONS = ("combat", "harmony", None)

#: An edge of connectivity c has this minus c as its length, so that the strongest edge has a length (paper, margin).
_LONGEST = 1.01

#: Scaled values are clipped at this many standard deviations (paper, margin).
_MAX_SCALED = 10


class MarginGraph(NamedTuple):
    """A graph of n cells: ``pca`` (n, PCs) float32, ``connectivities`` and ``distances`` (n, n) float32, symmetric."""

    pca: np.ndarray
    connectivities: sparse.csr_matrix
    distances: sparse.csr_matrix


@check_types
def margin_graph(
    mdata: MuData,
    *,
    modality: str = "rna",
    layer: str | None = None,
    batch_key: str | None = None,
    batch_correction: str | None = "combat",
    n_pcs: int = 50,
    n_neighbors: int = 20,
    n_top_genes: int = 2000,
    seed: int = 0,
    key_added: str = MARGIN_GRAPH_KEY,
    copy: bool = False,
) -> MuData | None:
    """Build the graph of cells whose shortest paths set the margins of training.

    The most variable features of one modality are corrected for batch effects (ComBat), scaled, clipped at 10 standard
    deviations and reduced by PCA. Each cell is connected to its nearest neighbours. An edge with UMAP connectivity c
    has length 1.01 - c.

    No dense matrix of cells x features is made. Memory holds the input, its non-zeros of the used features once more,
    cells x ``n_pcs`` and batches x features. Matrices on disk and dask arrays are read three times in blocks of cells.
    Memory then holds the covariances of the used features instead of their non-zeros.

    Parameters
    ----------
    mdata
        Annotated data.
    modality
        Modality whose values define the graph. Cells that lack it are not in the graph.
    layer
        Layer of log-normalised values, cells x features. ``None``: ``X``.
    batch_key
        Column of ``mdata.obs`` or of the modality's ``obs`` with the batches. ``None``: all cells are one batch.
    batch_correction
        - ``"combat"`` (the paper's): ComBat of the used features, before scaling. As :func:`scanpy.pp.combat`, but from
          each batch's moments.
        - ``"harmony"``: Harmony of the principal components, with the defaults of harmonypy. Needs
          ``pip install "scminnet[harmony]"``.
        - ``None``: no correction.
    n_pcs
        Principal components, 50 in the paper. At most the number of used features, and the number of cells minus 1.
    n_neighbors
        Neighbours per cell, without the cell itself. 20 in the paper.
    n_top_genes
        Number of features to use: those that vary most within their batches.
    seed
        Seed of PCA, Harmony and the neighbour search. The same seed gives the same graph. Above 50,000 cells this also
        needs the same number of numba threads.
    key_added
        Name of the result.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[modality].obsm["X_{key}_pca"]``
        Principal components, float32 (cells, PCs). With Harmony, the corrected ones.
    ``mdata[modality].obsp["{key}_connectivities"]``
        UMAP connectivities in (0, 1], symmetric and sparse.
    ``mdata[modality].obsp["{key}_distances"]``
        Lengths of the same edges, in [0.01, 1.01).
    ``mdata[modality].uns[key]``
        Keys and parameters in scanpy's format: ``sc.tl.umap(mdata["rna"], neighbors_key=key)`` works.
    ``mdata.uns[key]``
        ``modality`` and ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, or its values are not numbers or are stored by columns on disk.
    ImportError
        ``batch_correction`` is ``"harmony"`` and harmonypy is not installed.
    KeyError
        ``batch_key`` is not a column.
    ValueError
        A modality or layer is missing; a parameter is out of its range; values are NaN, infinite or too large; cells
        lack a batch; no feature varies in a batch, or it has a single cell (with ComBat); or there are too few cells
        for ``n_neighbors``.

    Warns
    -----
    UserWarning
        The values look like raw counts, or z-scored.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_modalities(mdata, [modality], "modality")
    matrix = layer_matrix(mdata, modality, layer)
    names = mdata.mod[modality].obs_names, mdata.mod[modality].var_names
    found = check_values(matrix, modality, names, stored=True)
    batches = None if batch_key is None else modality_column(mdata, batch_key, modality, "batch_key")
    if found.look_like_counts:
        warn(
            f"modality {modality!r} looks like raw counts. The margin graph expects log-normalised values: run "
            "`sc.pp.normalize_total` and `sc.pp.log1p` first, or name their `layer`."
        )
    if found.n_negative and _is_scaled(matrix):
        warn(
            f"the features of modality {modality!r} look z-scored (mean 0, variance 1), so those that vary most "
            "can not be told. Give the values before scaling, or name their `layer`."
        )
    graph = build_margin_graph(
        matrix,
        batches,
        batch_correction=batch_correction,
        n_pcs=n_pcs,
        n_neighbors=n_neighbors,
        n_top_genes=n_top_genes,
        seed=seed,
    )

    result = copied(mdata) if copy else mdata
    keys = {"connectivities_key": f"{key_added}_connectivities", "distances_key": f"{key_added}_distances"}
    params: dict[str, Any] = {
        "method": "umap",
        "metric": "euclidean",
        "use_rep": f"X_{key_added}_pca",
        "n_pcs": graph.pca.shape[1],
        "n_neighbors": n_neighbors,
        "n_top_genes": n_top_genes,
        "layer": layer,
        "batch_key": batch_key,
        "batch_correction": batch_correction,
        "random_state": seed,
    }
    # h5mu files can not store None
    params = {name: value for name, value in params.items() if value is not None}
    adata = result.mod[modality]
    adata.obsm[params["use_rep"]] = graph.pca
    adata.obsp[keys["connectivities_key"]] = graph.connectivities
    adata.obsp[keys["distances_key"]] = graph.distances
    adata.uns[key_added] = keys | {"params": dict(params)}
    result.uns[key_added] = {"modality": modality, "params": dict(params)}
    return result if copy else None


def build_margin_graph(
    matrix: Any,
    batches: Any = None,
    *,
    batch_correction: str | None = "combat",
    n_pcs: int = 50,
    n_neighbors: int = 20,
    n_top_genes: int = 2000,
    seed: int = 0,
) -> MarginGraph:
    """Build the graph of :func:`margin_graph` from a matrix.

    Parameters
    ----------
    matrix
        Log-normalised values, cells x features, sparse or dense, in memory, on disk or a dask array. Not changed.
    batches
        One batch per cell, none missing. ``None``: all cells are one batch.
    batch_correction, n_pcs, n_neighbors, n_top_genes, seed
        As in :func:`margin_graph`.

    Returns
    -------
    The graph.

    Raises
    ------
    ImportError, ValueError
        As :func:`margin_graph` raises them for parameters, batches and numbers of cells.
    """
    check_choice(batch_correction, BATCH_CORRECTIONS, "batch_correction")
    for value, argument in ((n_pcs, "n_pcs"), (n_neighbors, "n_neighbors"), (n_top_genes, "n_top_genes")):
        check_count(value, argument)
    n_cells = matrix.shape[0]
    if n_neighbors >= n_cells:
        raise ValueError(f"`n_neighbors` is {n_neighbors}, but there are {n_cells} cells. Give at most {n_cells - 1}.")
    codes, names = np.zeros(n_cells, dtype=np.int64), np.array(["all cells"], dtype=object)
    if batch_correction is not None and batches is not None:
        codes, names = _batch_codes(batches, n_cells, batch_correction)
    if batch_correction == "harmony":
        _import_harmonypy()

    matrix = _canonical_csr(matrix) if matrices.in_memory(matrix) else matrix
    moments = batch_moments(matrix, codes)
    # within batches, so that features with only a batch effect are not chosen
    variances = moments.sizes @ moments.variances
    varying = int((variances > 0).sum())
    constant = np.flatnonzero(~(moments.variances > 0).any(axis=1))
    if len(constant) and varying and batch_correction == "combat":
        raise ValueError(
            f"`batches`: no feature varies within {shorten(names[constant])}, so ComBat can not correct it. Leave "
            "these cells out, merge the batch with another, or build the graph with "
            "`scminnet.pp.margin_graph(..., batch_correction=None)` or `'harmony'`."
        )
    if varying == 0:
        raise ValueError("`matrix` holds no feature that varies within a batch. Give values that differ among cells.")
    # stable, and in the features' own order, so that ties do not depend on the sorting
    top = np.sort(np.argsort(-variances, kind="stable")[: min(n_top_genes, varying)])
    moments = Moments(moments.sizes, moments.means[:, top], moments.variances[:, top])
    unchanged = LinearCorrection(np.ones_like(moments.means), np.zeros_like(moments.means))
    correction = combat(moments) if batch_correction == "combat" and codes.any() else unchanged
    n_pcs = min(n_pcs, n_cells - 1, len(top))
    pca = scaled_pca(matrix, top, codes, moments, correction, n_pcs, limit=_MAX_SCALED, seed=seed)
    if batch_correction == "harmony" and codes.any():
        pca = _harmony(pca, codes, seed)
    weights = connectivities(nearest_neighbors(pca, n_neighbors, seed=seed), n_cells)
    lengths = weights.copy()
    lengths.data = np.float32(_LONGEST) - lengths.data
    return MarginGraph(pca, weights, lengths)


def _is_scaled(matrix: Any) -> bool:
    _, means, variances = batch_moments(matrix, np.zeros(matrix.shape[0], dtype=np.int64))
    return look_scaled(matrix, means[0], np.sqrt(variances[0]))


def _batch_codes(batches: Any, n_cells: int, batch_correction: str) -> tuple[np.ndarray, np.ndarray]:
    """Number the batches, and return their names.

    Raise if a cell lacks one, or if ComBat can not estimate a batch's variance.
    """
    if len(batches) != n_cells:
        raise ValueError(f"`batches` has {len(batches)} values for {n_cells} cells. Give one per cell.")
    codes, names = pd.factorize(np.asarray(batches, dtype=object), sort=False)
    if (codes < 0).any():
        raise ValueError(f"`batches` lacks a value for {int((codes < 0).sum()):,} cells. Give one per cell.")
    single = [names[b] for b in np.flatnonzero(np.bincount(codes) == 1)]
    if single and len(names) > 1 and batch_correction == "combat":
        raise ValueError(
            f"`batches`: ComBat needs two cells per batch, but {shorten(single)} has only one. "
            "Merge it with another batch, remove the cell, or build the graph with "
            "`scminnet.pp.margin_graph(..., batch_correction=None)` or `'harmony'`."
        )
    return codes, names


def _canonical_csr(matrix: Any) -> sparse.csr_matrix:
    """Return a matrix as CSR without duplicate entries, without a copy if it is that already."""
    rows = sparse.csr_matrix(matrix)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _harmony(pca: np.ndarray, codes: np.ndarray, seed: int) -> np.ndarray:
    """Return the principal components without batch effects."""
    harmonypy = _import_harmonypy()
    # harmonypy's default number of clusters, which is 0 below 15 cells
    n_clusters = max(1, min(round(len(codes) / 30), 100))
    batches = pd.DataFrame({"batch": codes.astype(str)})
    found = harmonypy.run_harmony(pca, batches, "batch", nclust=n_clusters, verbose=False, random_state=seed)
    # old versions return PCs x cells
    corrected = found.Z_corr if found.Z_corr.shape == pca.shape else found.Z_corr.T
    return np.ascontiguousarray(corrected, dtype=np.float32)


def _import_harmonypy() -> ModuleType:
    try:
        import harmonypy
    except ImportError as error:
        raise ImportError(
            "`batch_correction` is 'harmony', which needs the package harmonypy. "
            "Install it: `pip install 'scminnet[harmony]'`."
        ) from error
    return harmonypy
