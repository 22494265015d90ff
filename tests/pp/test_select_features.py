from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData

import scminnet as mn
from scminnet._core import compat


@pytest.fixture(scope="module")
def base() -> mudata.MuData:
    """RNA, activity of half of its genes in another order and of genes of its own, peaks and proteins; four batches."""
    mdata = mn.datasets.simulate_multiome(400, n_genes=300, n_peaks=500)
    activity = mdata["rna"][:, 299:149:-1].copy()
    activity.var_names = [*activity.var_names[:-1], "own"]
    adt = mdata["rna"][:, :5].copy()
    adt.var_names = [f"p{i}" for i in range(5)]
    adt.X[:, 2] = 3
    with compat.mudata_0_4_behaviour():
        result = mudata.MuData({"rna": mdata["rna"], "activity": activity, "atac": mdata["atac"], "adt": adt})
    result.obs = mdata.obs.loc[result.obs_names]
    mn.pp.normalize(result)
    return result


ALL = ["rna", "activity", "atac", "adt"]


def test_genes_vary_in_several_batches_and_are_the_same_in_both_modalities(base: mudata.MuData) -> None:
    mdata = mn.pp.select_features(
        base, ALL, batch_key="batch", min_batches=3, n_top_genes=60, n_top_peaks=99, copy=True
    )
    shared = base["rna"].var_names[150:]
    shared = shared[shared != base["rna"].var_names[150]]
    n_batches = pd.Series(0, index=shared)
    for batch in base.obs["batch"].unique():
        part = base["rna"][(base.obs["batch"] == batch).to_numpy(), shared].copy()
        part = part[:, np.asarray((part.X > 0).sum(axis=0)).ravel() > 0].copy()
        sc.pp.highly_variable_genes(part, n_top_genes=60, flavor="cell_ranger")
        n_batches[part.var_names[part.var["highly_variable"]]] += 1
    expected = set(n_batches.index[n_batches >= 3])
    assert 10 < len(expected) < 140
    for m in ("rna", "activity"):
        assert set(mdata[m].var_names) == expected
        assert (mdata[m].var["selected_n_batches"] == n_batches[mdata[m].var_names]).all()
    # each modality in its own order
    assert list(mdata["activity"].var_names) == [g for g in base["activity"].var_names if g in expected]
    assert "selected" not in base["rna"].var
    assert base["rna"].n_vars == 300


def test_peaks_are_chosen_by_coverage_and_proteins_if_they_vary(base: mudata.MuData) -> None:
    mdata = mn.pp.select_features(base, ["atac", "adt"], n_top_peaks=99, copy=True)
    n_cells = np.asarray((base["atac"].X > 0).sum(axis=0)).ravel()
    order = sorted(range(500), key=lambda i: (-n_cells[i], i))[:99]
    assert list(mdata["atac"].var_names) == list(base["atac"].var_names[sorted(order)])
    assert mdata["atac"].var["selected_n_cells"].min() == n_cells[order].min()
    assert mdata["rna"].n_vars == 300
    constant = base.copy()
    constant["adt"].X[:, 2] = 1.5
    chosen = mn.pp.select_features(constant, ["adt"], copy=True)
    assert list(chosen["adt"].var_names) == ["p0", "p1", "p3", "p4"]


def test_named_features_are_kept_and_marks_need_not_subset(base: mudata.MuData, tmp_path) -> None:
    low = base["rna"].var_names[[160, 5]].to_list()
    mdata = base.copy()
    mn.pp.select_features(
        mdata, ["rna", "activity"], n_top_genes=20, keep=[*low, "none"], subset=False, key_added="used"
    )
    assert mdata["rna"].n_vars == 300
    assert mdata["rna"].var.loc[low[0], "used"]
    assert mdata["activity"].var.loc[low[0], "used"]
    # the activity lacks it
    assert not mdata["rna"].var.loc[low[1], "used"]
    assert set(mdata.uns["used"]["keep_not_found"]) == {low[1], "none"}
    assert mdata["rna"].var["used"].sum() in (20, 21)
    mdata.write(tmp_path / "m.h5mu")
    assert mudata.read_h5mu(tmp_path / "m.h5mu").uns["used"]["params"]["n_top_genes"] == 20


def _counts(m: mudata.MuData) -> None:
    m["rna"].X = m["rna"].layers["counts"].copy()


def _no_shared(m: mudata.MuData) -> None:
    m["activity"].var_names = [f"x{i}" for i in range(m["activity"].n_vars)]


def _no_batch(m: mudata.MuData) -> None:
    m.obs["batch"] = m.obs["batch"].astype(object).where(np.arange(m.n_obs) > 3)


def _one_cell(m: mudata.MuData) -> None:
    m.obs["batch"] = np.where(np.arange(m.n_obs) == 0, "single", "all")


@pytest.mark.parametrize(
    ("change", "arguments", "error", "words"),
    [
        (_counts, {}, ValueError, "'rna' holds counts.*normalize"),
        (_no_shared, {}, ValueError, "no gene in common.*gene_"),
        (_no_batch, {}, ValueError, "`batch_key`='batch' has no value for 4 cells of modality 'rna'"),
        (_one_cell, {}, ValueError, "'single' has a single cell"),
        (None, {"min_batches": 5}, ValueError, "`min_batches` is 5.*at most 4"),
        (None, {"batch_key": "no"}, KeyError, "`batch_key` is 'no'"),
        (None, {"flavor": "seurat_v3"}, ValueError, "`flavor` is 'seurat_v3'"),
        (None, {"keep": "CD4"}, TypeError, "`keep` is the text 'CD4'. Give a list"),
        (None, {"n_top_genes": 0}, ValueError, "`n_top_genes` is 0"),
        (None, {"modalities": ["rna", "no"]}, ValueError, "`modalities` names 'no'"),
        (
            None,
            {"min_batches": 4, "n_top_genes": 1},
            ValueError,
            "no feature of modality 'rna' is selected.*`min_batches`",
        ),
    ],
)
def test_bad_input_changes_nothing(base: mudata.MuData, change, arguments: dict, error, words: str) -> None:
    mdata = base.copy()
    if change:
        change(mdata)
    with pytest.raises(error, match=words):
        mn.pp.select_features(mdata, **{"batch_key": "batch"} | arguments)
    assert mdata["rna"].n_vars == 300
    assert "selected" not in mdata["rna"].var
    assert "selected" not in mdata.uns


def test_a_single_modality_of_genes_needs_no_activity() -> None:
    rng = np.random.default_rng(0)
    rna = AnnData(np.log1p(rng.poisson(2, (50, 30))).astype(np.float32))
    adt = AnnData(rng.random((50, 3)).astype(np.float32))
    adt.var_names = ["a", "b", "c"]
    mdata = mudata.MuData({"rna": rna, "adt": adt})
    mn.pp.select_features(mdata, ["rna", "adt"], n_top_genes=10, flavor="seurat")
    assert mdata["rna"].n_vars == 10
    assert mdata["adt"].n_vars == 3
