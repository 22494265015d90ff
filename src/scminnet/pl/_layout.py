"""The joint UMAP of all modalities' cells: computed once, kept in the MuData, and checked before it is used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from mudata import MuData

from scminnet._core.embeddings import joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.logging import logger
from scminnet._core.mdata import check_modalities, check_mudata

#: Stands for the MuData itself beside its modalities.
JOINT = "_joint"


def joint_umap(
    mdata: MuData, modalities: Sequence[str], *, use_rep: str = EMBEDDING_KEY, n_neighbors: int = 15, seed: int = 0
) -> pd.DataFrame:
    """Lay out all modalities' cells together by UMAP.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``.
    modalities
        Modalities to show.
    use_rep
        Key of the embeddings.
    n_neighbors
        Neighbours of the graph that UMAP lays out (scanpy's default).
    seed
        Seed of neighbours and layout.

    Returns
    -------
    One row a cell and modality, indexed by ``obs_names``, with ``modality``, ``x`` and ``y``.

    Raises
    ------
    KeyError
        A modality lacks the embedding.
    ValueError
        Embeddings are not finite, or differ in width.
    """
    check_mudata(mdata)
    check_modalities(mdata, modalities)
    parts = joint_embeddings(mdata, modalities, use_rep)
    cells = ad.AnnData(np.concatenate(parts))
    sc.pp.neighbors(cells, n_neighbors=n_neighbors, use_rep="X", random_state=seed)
    sc.tl.umap(cells, random_state=seed)
    return _table(mdata, modalities, np.split(cells.obsm["X_umap"], np.cumsum([len(p) for p in parts])[:-1]))


def kept_umap(
    mdata: MuData,
    modalities: Sequence[str],
    *,
    use_rep: str,
    basis: str,
    n_neighbors: int,
    seed: int,
    recompute: bool,
) -> pd.DataFrame:
    """Return the joint UMAP that ``obsm[basis]`` holds. Compute and keep it if it is not that of the embedding.

    Arguments and result are as in :func:`joint_umap`. ``basis`` is the key in ``obsm`` of the MuData and of its
    modalities. A layout there that was not made here stays, unless ``recompute`` is set. Nothing is kept in a view.
    """
    params: dict[str, Any] = {"use_rep": use_rep, "n_neighbors": n_neighbors, "seed": seed}
    embeddings = dict(zip(modalities, joint_embeddings(mdata, modalities, use_rep), strict=True))
    if not recompute and _is_valid(mdata, embeddings, basis, params):
        return _table(mdata, modalities, [np.asarray(mdata.mod[m].obsm[basis]) for m in modalities])
    layout = joint_umap(mdata, modalities, **params)
    made_elsewhere = _made_elsewhere(mdata, basis)
    if made_elsewhere and not recompute:
        logger.info(
            "the joint UMAP is not kept: obsm[%r] of %s was made by another function. Give another `basis` to keep it, "
            "or `recompute=True` to replace that one.",
            basis,
            " and ".join(made_elsewhere),
        )
    elif not mdata.is_view:
        _keep(mdata, embeddings, layout, basis, params)
    return layout


def _table(mdata: MuData, modalities: Sequence[str], places: Sequence[np.ndarray]) -> pd.DataFrame:
    """Put the places of each modality's cells into one table."""
    layout = pd.DataFrame(np.concatenate(places), columns=["x", "y"])
    layout.insert(0, "modality", np.repeat(list(modalities), [len(p) for p in places]))
    return layout.set_index(np.concatenate([mdata.mod[m].obs_names for m in modalities]))


def row_hashes(*tables: np.ndarray) -> np.ndarray:
    """Return a number for each row of tables that lie side by side, uint64 array (rows,): equal rows, equal numbers."""
    rows = np.concatenate([np.ascontiguousarray(t, dtype=np.float32).view(np.uint32) for t in tables], axis=1)
    factors = np.random.default_rng(0).integers(1, 2**63, size=rows.shape[1], dtype=np.uint64) * 2 + 1
    # overflow wraps around, which is wanted
    return (rows.astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)


def _entry(mdata: MuData, basis: str) -> Mapping[str, Any]:
    """Return what ``uns`` says of the layout. Empty if there is none, or another function's."""
    entry = mdata.uns.get(basis)
    return entry if isinstance(entry, Mapping) and {"params", "cells", "places"} <= set(entry) else {}


def _is_valid(mdata: MuData, embeddings: Mapping[str, np.ndarray], basis: str, params: Mapping[str, Any]) -> bool:
    """Tell whether each cell's kept place belongs to the embedding that it has now, also in a part of the data."""
    entry = _entry(mdata, basis)
    if not entry or dict(entry["params"]) != dict(params):
        return False
    for m, embedding in embeddings.items():
        places = mdata.mod[m].obsm.get(basis)
        if m not in entry["cells"] or places is None or np.shape(places)[1:] != (2,):
            return False
        if not np.isin(row_hashes(embedding, np.asarray(places)), entry["cells"][m]).all():
            return False
    return True


def _made_elsewhere(mdata: MuData, basis: str) -> list[str]:
    """Name the objects whose ``obsm`` holds a layout that was not made here."""
    own = _entry(mdata, basis).get("places", {})
    found = []
    for m, table in {JOINT: mdata, **mdata.mod}.items():
        places = table.obsm.get(basis)
        if places is not None and not np.isin(row_hashes(np.asarray(places)), own.get(m, [])).all():
            found.append("mdata" if m == JOINT else f"mdata[{m!r}]")
    return found


def _keep(
    mdata: MuData, embeddings: Mapping[str, np.ndarray], layout: pd.DataFrame, basis: str, params: Mapping[str, Any]
) -> None:
    """Write the layout into ``obsm``, and what it was made of into ``uns``."""
    # a modality that is not part of this layout would else keep a place in an older one
    for table in mdata.mod.values():
        if basis in table.obsm:
            del table.obsm[basis]
    cells, places = {}, {}
    for m, embedding in embeddings.items():
        own = layout.loc[(layout["modality"] == m).to_numpy(), ["x", "y"]].to_numpy(np.float32)
        mdata.mod[m].obsm[basis] = own
        cells[m], places[m] = row_hashes(embedding, own), row_hashes(own)
    # a cell of several modalities lies at the mean of its places
    joint = layout.groupby(level=0)[["x", "y"]].mean().reindex(mdata.obs_names).to_numpy(np.float32)
    mdata.obsm[basis] = joint
    mdata.uns[basis] = {"params": dict(params), "cells": cells, "places": {**places, JOINT: row_hashes(joint)}}
