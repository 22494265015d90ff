"""Simulated cells with known links: a paired reference, and a query whose modalities are embedded as if unpaired."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scanpy as sc
import torch
from anndata import AnnData
from mudata import MuData

import scminnet as mn
from benchmarks.shared.development_sets import lognormalise, together
from scminnet.graph.neighbors import nearest_neighbors

#: Two of four batches each; fewer promoters than genes, so that some genes have no regulating peak.
SIZES = {"n_cells": 4000, "n_genes": 1000, "n_peaks": 1500}
REFERENCE, MODALITIES = ["batch_1", "batch_2"], ("rna", "atac")
#: Type of a query cell, of either modality, as the model predicts it.
TYPE = "predicted"


class Query(NamedTuple):
    """The query's raw counts with both modalities' embeddings and predicted types."""

    #: the same cells in both modalities
    paired: MuData
    #: the same counts, each cell with one modality
    unpaired: MuData
    #: transcription starts, one a gene
    tss: pd.DataFrame
    #: the regulating pairs
    regulation: pd.DataFrame


def simulate(seed: int, **arguments: Any) -> Query:
    """Simulate cells, train on the reference batches, and embed each modality of the others apart."""
    cells = mn.datasets.simulate_multiome(**SIZES | arguments, seed=seed)
    in_reference = cells.obs["batch"].isin(REFERENCE).to_numpy()
    reference, paired = cells[in_reference].copy(), cells[~in_reference].copy()
    for adata in reference.mod.values():
        lognormalise(adata)
    mn.MinNet.setup_mudata(reference, MODALITIES, labels_key="cell_type", batch_key="batch")
    mn.pp.margin_graph(reference, batch_key="batch")
    # after the first numba function, which sets torch's threads
    torch.set_num_threads(1)
    model = mn.MinNet(reference, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")

    unpaired = unpair(paired, {m: np.arange(paired.n_obs) for m in MODALITIES})
    normalised = unpaired.copy()
    for adata in normalised.mod.values():
        lognormalise(adata)
    model.embed(normalised)
    predicted = pd.Series(model.predict(normalised), index=normalised.obs_names).astype(str)
    for m in MODALITIES:
        embedding = normalised[m].obsm["X_minnet"]
        unpaired[m].obsm["X_minnet"], paired[m].obsm["X_minnet"] = embedding, embedding
    unpaired.obs[TYPE] = predicted.loc[unpaired.obs_names]
    # a cell with both modalities has the type predicted from its RNA
    paired.obs[TYPE] = predicted.loc[[f"{cell}-rna" for cell in paired.obs_names]].to_numpy()
    tss = cells["rna"].var.rename_axis("gene").reset_index()
    return Query(paired, unpaired, tss, cells.uns["regulation"])


def unpair(paired: MuData, rows: dict[str, np.ndarray]) -> MuData:
    """Take the given cells of each modality, and rename them by modality."""
    parts, columns = {}, []
    for modality, chosen in rows.items():
        adata = paired[modality][chosen].copy()
        columns.append(paired.obs.loc[adata.obs_names].rename(index=lambda cell, m=modality: f"{cell}-{m}"))
        adata.obs_names = [f"{cell}-{modality}" for cell in adata.obs_names]
        parts[modality] = adata
    result = together(parts)
    result.obs = pd.concat(columns).loc[result.obs_names]
    return result


def halves(query: Query, seed: int) -> tuple[MuData, MuData]:
    """Return RNA of one half of the cells with ATAC of the other half, and the first half paired."""
    order = np.random.default_rng(seed).permutation(query.paired.n_obs)
    first, second = np.array_split(order, 2)
    apart = unpair(query.paired, {"rna": first, "atac": second})
    predicted = query.unpaired.obs[TYPE]
    apart.obs[TYPE] = predicted.loc[apart.obs_names]
    return apart, query.paired[np.sort(first)].copy()


def single_cells(query: Query, *, matched: bool, seed: int = 0) -> MuData:
    """Log-normalised cells: each RNA cell with its own ATAC, or with that of the cell nearest in the embedding."""
    parts = {m: query.paired[m].copy() for m in MODALITIES}
    if matched:
        points = [parts[m].obsm["X_minnet"] for m in MODALITIES]
        nearest = nearest_neighbors(points[1], 1, query=points[0], seed=seed).indices[:, 0]
        parts["atac"] = AnnData(parts["atac"].X[nearest], obs=parts["rna"].obs[[]], var=parts["atac"].var)
    for adata in parts.values():
        lognormalise(adata)
    return together(parts)


def smoothed(cells: MuData, n_neighbors: int, *, within: str | None = None) -> MuData:
    """Put smoothed counts into ``layers["smoothed"]``, over all cells or within the levels of a column."""
    cells = cells.copy()
    if within is None:
        mn.tl.minnet_smooth(cells, n_neighbors=n_neighbors)
        return cells
    levels = cells.obs[within].unique()
    parts = [smoothed(cells[(cells.obs[within] == level).to_numpy()], n_neighbors) for level in levels]
    joined = together({m: sc.concat([part[m] for part in parts], merge="same") for m in MODALITIES})
    joined.obs = cells.obs.loc[joined.obs_names]
    return joined


def bulks(cells: MuData, n_bulks: int, *, n_neighbors: int = 0, within: str | None = None, **arguments: Any) -> MuData:
    """Make mini-bulks of predicted types, of counts or of counts smoothed over ``n_neighbors``."""
    cells = smoothed(cells, n_neighbors, within=within) if n_neighbors else cells.copy()
    layer = "smoothed" if n_neighbors else None
    return mn.tl.minibulk(cells, n_bulks, groupby=TYPE, modalities=list(MODALITIES), layer=layer, **arguments)
