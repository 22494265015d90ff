"""scminnet among muon's functions, in the order of muon's tutorials on multiome and CITE-seq data."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import mudata as md
import muon as mu
import numpy as np
import pytest
import scanpy as sc
from mudata import MuData

import scminnet as mn

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file of counts, with labels and donors as columns of one modality, as annotated there."""
    mdata = mn.datasets.simulate_multiome(320, n_types=3, n_lineages=2, n_genes=80, n_peaks=200, n_proteins=10, seed=2)
    for column in ("cell_type", "batch"):
        mdata["rna"].obs[column] = mdata.obs[column]
    MuData({m: adata.copy() for m, adata in mdata.mod.items()}).write(tmp_path / "raw.h5mu")
    return tmp_path / "raw.h5mu"


def filtered(path: Path, modalities: list[str]) -> MuData:
    """Read, filter each modality by itself, and keep cells that all have, as the tutorials do."""
    mdata = mu.read_h5mu(path)
    mdata = MuData({m: mdata[m].copy() for m in modalities})
    for adata in mdata.mod.values():
        sc.pp.calculate_qc_metrics(adata, percent_top=None, log1p=False, inplace=True)
        mu.pp.filter_var(adata, "n_cells_by_counts", lambda n: n >= 3)
        mu.pp.filter_obs(adata, "total_counts", lambda n: (n > np.quantile(n, 0.02)) & (n < np.quantile(n, 0.99)))
        adata.layers["counts"] = adata.X.copy()
    mu.pp.intersect_obs(mdata)
    assert 250 < mdata.n_obs < 320
    return mdata


def train(mdata: MuData, modalities: list[str]) -> None:
    with warnings.catch_warnings():
        # values of the tutorials, unless scaled, are neither counts nor z-scores
        warnings.filterwarnings("error", message=".*(look like counts|z-scored)")
        mn.MinNet.setup_mudata(mdata, modalities=modalities, labels_key="cell_type", batch_key="batch")
    model = mn.MinNet(mdata, n_components=15, n_canonical=10)
    model.train(max_epochs=3, **QUIET)
    model.embed(mdata)


def test_multiome(raw: Path, tmp_path: Path) -> None:
    mdata = filtered(raw, ["rna", "atac"])
    rna, atac = mdata["rna"], mdata["atac"]
    sc.pp.normalize_total(rna, target_sum=1e4)
    sc.pp.log1p(rna)
    sc.pp.highly_variable_genes(rna, n_top_genes=60)
    sc.pp.pca(rna, n_comps=10)
    sc.pp.neighbors(rna)
    mu.atac.pp.tfidf(atac, scale_factor=1e4)
    mu.atac.tl.lsi(atac, n_comps=10)
    sc.pp.neighbors(atac, use_rep="X_lsi")
    mdata.update()

    train(mdata, ["rna", "atac"])
    for m in ("rna", "atac"):
        assert mdata[m].obsm["X_minnet"].shape == (mdata.n_obs, 32)
        sc.pp.neighbors(mdata[m], use_rep="X_minnet")
    # the joint embedding as one representation of all cells, and the two neighbourhoods weighed
    sc.pp.neighbors(mdata, use_rep="X_minnet", key_added="minnet")
    mu.pp.neighbors(mdata, key_added="wnn")
    mu.tl.umap(mdata, neighbors_key="wnn", random_state=0)
    assert mdata.obsm["X_umap"].shape == (mdata.n_obs, 2)
    sc.tl.leiden(mdata, neighbors_key="minnet", flavor="igraph", n_iterations=2, directed=False)
    assert mdata.obs["leiden"].nunique() > 1
    mdata.pull_obs("cell_type", mods=["rna"])  # mudata before 0.4 has done so
    mu.pl.embedding(mdata, basis="X_umap", color=["leiden", "rna:cell_type"], show=False)
    # another's layout of this name stays
    layout = mdata.obsm["X_umap"].copy()
    mn.pl.embedding(mdata, color="cell_type")
    plt.close("all")
    assert np.array_equal(mdata.obsm["X_umap"], layout)

    mu.tl.minnet_smooth(mdata, n_neighbors=5, layer="counts")
    bulks = mu.tl.minibulk(mdata, 20, groupby="cell_type", layer="smoothed")
    mu.tl.cre_links(bulks, rna.var.rename_axis("gene").reset_index(), n_background=30)
    assert bulks.uns["cre_links"]["gene"].isin(rna.var_names).all()

    mdata.write(tmp_path / "done.h5mu")
    again = md.read_h5mu(tmp_path / "done.h5mu")
    assert np.array_equal(again["atac"].obsm["X_minnet"], atac.obsm["X_minnet"])


def test_cite_seq(raw: Path) -> None:
    mdata = filtered(raw, ["rna", "adt"])
    mu.prot.pp.clr(mdata["adt"])
    sc.pp.normalize_total(mdata["rna"], target_sum=1e4)
    sc.pp.log1p(mdata["rna"])
    sc.pp.pca(mdata["rna"], n_comps=10)
    mdata.update()
    train(mdata, ["rna", "adt"])
    mn.tl.transfer_labels(mdata, "rna", "adt", "cell_type", unassigned=None)
    assert (mdata["adt"].obs["transferred_label"].astype(str) == mdata["rna"].obs["cell_type"].astype(str)).mean() > 0.6


def test_scaled_values_are_named(raw: Path) -> None:
    mdata = filtered(raw, ["rna", "atac"])
    # the tutorials scale before PCA; these values are taken, with a word
    sc.pp.log1p(mdata["rna"])
    sc.pp.scale(mdata["rna"], max_value=10)
    mu.atac.pp.tfidf(mdata["atac"], scale_factor=1e4)
    with pytest.warns(UserWarning, match="the features of 'rna' look z-scored"):
        mn.MinNet.setup_mudata(mdata, modalities=["rna", "atac"], labels_key="cell_type")
