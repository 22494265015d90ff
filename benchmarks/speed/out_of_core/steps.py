"""Steps of the benchmark. Each reads the files of the steps before it, and runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn
from benchmarks.speed.out_of_core.cells import embedded, opened, places, simulate, simulate_unpaired

N_BULKS = 500
SIMULATE = "simulate and write"
SIMULATE_UNPAIRED = "simulate unpaired"
INTEGRATE_UNPAIRED = "integrate unpaired"
#: File that a step simulates.
SIMULATED = {SIMULATE: "cells.h5mu", SIMULATE_UNPAIRED: "unpaired.h5mu"}
#: Steps that do not depend on the storage of the paired cells.
ONCE = {*SIMULATED, INTEGRATE_UNPAIRED}


def graph(folder: Path, storage: str) -> None:
    """Build the margin graph and write it."""
    mdata = opened(folder, storage)
    mn.pp.margin_graph(mdata, batch_key="batch")
    sparse.save_npz(folder / f"{storage}.graph.npz", mdata["rna"].obsp["margin_graph_distances"], compressed=False)


def train(folder: Path, storage: str) -> None:
    """Train the default recipe with the margin graph."""
    mdata = opened(folder, storage)
    mdata["rna"].obsp["distances"] = sparse.load_npz(folder / f"{storage}.graph.npz")
    mdata["rna"].uns["margin_graph"] = {"distances_key": "distances"}
    mdata.uns["margin_graph"] = {"modality": "rna"}
    mn.MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    model = mn.MinNet(mdata)
    model.train(accelerator="cpu", enable_progress_bar=False)
    model.save(str(folder / f"{storage}.model"), overwrite=True)


def embed(folder: Path, storage: str) -> None:
    """Embed all cells of either modality."""
    mdata = opened(folder, storage)
    model = mn.MinNet.load(folder / f"{storage}.model", adata=False)
    model.embed(mdata)
    for m, adata in mdata.mod.items():
        np.save(folder / f"{storage}.{m}.npy", adata.obsm["X_minnet"])


def bulk(folder: Path, storage: str) -> None:
    """Sum the counts of near cells."""
    mn.tl.minibulk(embedded(folder, storage), N_BULKS, groupby="cell_type", layer="counts")


def smooth_and_bulk(folder: Path, storage: str) -> None:
    """Smooth over 20 neighbours and sum near cells. For data on disk, the smoothed counts are never stored."""
    mdata = embedded(folder, storage)
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts")
    bulks = mn.tl.minibulk(mdata, N_BULKS, groupby="cell_type", layer="smoothed")
    bulks.write(folder / f"{storage}.bulks.h5mu")


def smooth_and_write(folder: Path, storage: str) -> None:
    """Smooth the counts of RNA over 20 neighbours, and write the sums."""
    mdata = embedded(folder, storage)
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts", modalities=["rna"])
    adata = mdata["rna"]
    AnnData(adata.layers["smoothed"], adata.obs, adata.var).write(folder / f"{storage}.smoothed.h5ad")


def link(folder: Path, storage: str) -> None:
    """Link the genes over the bulks."""
    import mudata

    bulks = mudata.read(folder / f"{storage}.bulks.h5mu")
    mn.tl.cre_links(bulks, places()["rna"].rename_axis("gene").reset_index())
    bulks.uns["cre_links"].to_csv(folder / f"{storage}.links.csv", index=False)


def link_cells(folder: Path, storage: str) -> None:
    """Link the genes over single cells."""
    mdata = opened(folder, storage)
    mn.tl.cre_links(mdata, places()["rna"].rename_axis("gene").reset_index(), method="pearson", null="theoretical")
    mdata.uns["cre_links"].to_csv(folder / f"{storage}.cell_links.csv", index=False)


def integrate_unpaired(folder: Path, storage: str) -> None:
    """Link features, couple the cells, train without a label, and embed all cells."""
    mdata = mn.read_lazy(folder / "unpaired.h5mu")
    genes = places()["rna"].rename_axis("gene").reset_index()
    bodies = genes.assign(start=genes["tss"], end=genes["tss"] + 90_000)
    mn.pp.feature_links(mdata, "rna", "atac", annotation=bodies)
    mn.MinNet.setup_mudata(mdata, ["rna", "atac"])
    model = mn.MinNet(mdata)
    model.train(accelerator="cpu", enable_progress_bar=False)
    model.embed(mdata)
    for m, adata in mdata.mod.items():
        np.save(folder / f"unpaired.{m}.npy", adata.obsm["X_minnet"])


STEPS: dict[str, Callable[[Path, str], None]] = {
    SIMULATE: lambda folder, storage: simulate(folder, int(folder.name)),
    "margin graph": graph,
    "train": train,
    "embed": embed,
    "bulk": bulk,
    "smooth and bulk": smooth_and_bulk,
    "smooth RNA and write the sums": smooth_and_write,
    "link bulks": link,
    "link cells": link_cells,
    SIMULATE_UNPAIRED: lambda folder, storage: simulate_unpaired(folder, int(folder.name)),
    INTEGRATE_UNPAIRED: integrate_unpaired,
}


def differences(folder: Path, storage: str) -> dict[str, float]:
    """Return the differences between the results of a storage and those in memory."""
    found = {}
    for m in ("rna", "atac"):
        ours, theirs = (np.load(folder / f"{s}.{m}.npy") for s in (storage, "memory"))
        found[f"embedding of {m}, median cosine"] = float(np.median(np.einsum("ij,ij->i", ours, theirs)))
    model = mn.MinNet.load(folder / "memory.model", adata=False)
    for m in ("rna", "atac"):
        ours, theirs = (model.get_latent_representation(opened(folder, s), modality=m) for s in (storage, "memory"))
        found[f"one model's embedding of {m}, largest difference"] = float(np.abs(ours - theirs).max())
    ours, theirs = (pd.read_csv(folder / f"{s}.cell_links.csv") for s in (storage, "memory"))
    found["links over cells, largest difference of r"] = float((ours["r"] - theirs["r"]).abs().max())
    # the same embedding, so that the bulks are of the same cells
    mdata = embedded(folder, "memory")
    expected = _bulk_sums(mdata)
    lazy = opened(folder, storage)
    for m, adata in lazy.mod.items():
        adata.obsm["X_minnet"] = mdata[m].obsm["X_minnet"]
    for m, sums in _bulk_sums(lazy).items():
        found[f"bulks of smoothed {m}, largest difference"] = float(abs(sums - expected[m]).max())
    return found


def _bulk_sums(mdata: MuData) -> dict[str, sparse.csr_matrix]:
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts")
    bulks = mn.tl.minibulk(mdata, N_BULKS, groupby="cell_type", layer="smoothed")
    return {m: bulks[m].layers["counts"] for m in bulks.mod}
