from __future__ import annotations

import os
import subprocess
import sys

import mudata
import muon as mu
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

import scminnet as mn
from scminnet._core import compat


@pytest.fixture
def mdata() -> mudata.MuData:
    mdata = mn.datasets.simulate_multiome(60, n_genes=40, n_peaks=80)
    adt = mdata["rna"][:, :7].copy()
    adt.var_names = [f"p{i}" for i in range(7)]
    with compat.mudata_0_4_behaviour():
        return mudata.MuData({"rna": mdata["rna"].copy(), "atac": mdata["atac"].copy(), "adt": adt})


def test_each_kind_is_normalised_as_its_own_formula_says(mdata: mudata.MuData) -> None:
    counts = {m: a.X.toarray().astype(float) for m, a in mdata.mod.items()}
    mn.pp.normalize(mdata)
    x = counts["rna"]
    np.testing.assert_allclose(mdata["rna"].X.toarray(), np.log1p(1e4 * x / x.sum(1, keepdims=True)), rtol=1e-5)
    x = counts["adt"]
    np.testing.assert_allclose(mdata["adt"].X.toarray(), np.log1p(x / np.exp(np.log1p(x).mean(0))), rtol=1e-5)
    x = counts["atac"]
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log1p(1e4 * x / x.sum(1, keepdims=True)) * np.log1p(len(x) / x.sum(0))
    np.testing.assert_allclose(mdata["atac"].X.toarray(), np.nan_to_num(expected), rtol=1e-5)
    for m, adata in mdata.mod.items():
        assert sparse.isspmatrix_csr(adata.X)
        assert adata.X.dtype == np.float32
        np.testing.assert_array_equal(adata.layers["counts"].toarray(), counts[m])


def test_dense_counts_give_the_same_values(mdata: mudata.MuData) -> None:
    dense = mdata.copy()
    for adata in dense.mod.values():
        adata.X = adata.X.toarray()
    mn.pp.normalize(dense)
    mn.pp.normalize(mdata)
    for m in mdata.mod:
        values = dense[m].X
        values = values.toarray() if sparse.issparse(values) else values
        np.testing.assert_allclose(values, mdata[m].X.toarray(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dense", [False, True])
def test_a_layer_that_holds_what_x_holds_is_no_hindrance(mdata: mudata.MuData, dense: bool) -> None:
    mdata["rna"].layers["counts"] = mdata["rna"].X.toarray() if dense else mdata["rna"].X.copy()
    other = mn.pp.normalize(mdata, counts_layer="other", copy=True)
    mn.pp.normalize(mdata)
    assert (mdata["rna"].X != other["rna"].X).nnz == 0


def test_methods_may_be_named_and_modalities_chosen(mdata: mudata.MuData) -> None:
    other = mdata.copy()
    mn.pp.normalize(mdata, ["atac"], methods={"atac": "log"}, target_sum=100)
    sc.pp.normalize_total(other["atac"], target_sum=100)
    sc.pp.log1p(other["atac"])
    np.testing.assert_allclose(mdata["atac"].X.toarray(), other["atac"].X.toarray(), rtol=1e-6)
    assert mdata["atac"].uns["normalize"] == {"method": "log", "counts_layer": "counts", "target_sum": 100}
    assert "normalize" not in mdata["rna"].uns


def test_kinds_come_from_the_user_then_from_feature_types(mdata: mudata.MuData) -> None:
    renamed = mudata.MuData({"x": mdata["rna"], "y": mdata["adt"]})
    with pytest.raises(ValueError, match="`kinds`: the kind of modality 'x', 'y' is not known.*kinds="):
        mn.pp.normalize(renamed)
    renamed["y"].var["feature_types"] = "Antibody Capture"
    mn.pp.normalize(renamed, kinds={"x": "genes"})
    assert renamed["y"].uns["normalize"]["method"] == "clr"
    assert renamed["x"].uns["normalize"]["method"] == "log"


def test_result_survives_a_file_and_says_that_it_is_normalised(mdata: mudata.MuData, tmp_path) -> None:
    copied = mn.pp.normalize(mdata, copy=True)
    assert "normalize" not in mdata["rna"].uns
    copied.write(tmp_path / "m.h5mu")
    back = mudata.read_h5mu(tmp_path / "m.h5mu")
    with pytest.raises(ValueError, match="'rna' is already normalised.*'log'"):
        mn.pp.normalize(back)
    back["rna"].X = back["rna"].layers.pop("counts")
    del back["rna"].uns["normalize"]
    mn.pp.normalize(back, ["rna"])
    np.testing.assert_array_equal(back["rna"].X.toarray(), copied["rna"].X.toarray())


def test_cells_without_counts_stay_zero(mdata: mudata.MuData) -> None:
    for m in ("rna", "atac"):
        counts = mdata[m].X.tolil()
        counts[3] = 0
        mdata[m].X = counts.tocsr()
    mn.pp.normalize(mdata)
    assert mdata["rna"].X[3].nnz == 0
    assert mdata["atac"].X[3].toarray().sum() == 0
    assert np.isfinite(mdata["atac"].X.data).all()


def _log(m: mudata.MuData) -> None:
    sc.pp.log1p(m["rna"])


def _layer(m: mudata.MuData) -> None:
    m["rna"].layers["counts"] = m["rna"].X + m["rna"].X


def _clr(m: mudata.MuData) -> None:
    mu.prot.pp.clr(m["adt"])


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (_log, {}, "'rna' holds values that are not whole numbers"),
        (_clr, {}, "'adt' holds values that are not whole numbers"),
        (_layer, {}, "`counts_layer` is 'counts'"),
        (None, {"modalities": ["no"]}, "`modalities` names 'no'"),
        (None, {"methods": {"rna": "sqrt"}}, "`methods` is 'sqrt'"),
        (None, {"methods": {"no": "log"}}, "`methods` names 'no'"),
        (None, {"kinds": {"rna": "cells"}}, "`kinds` is"),
        (None, {"target_sum": 0}, "`target_sum` is 0"),
    ],
)
def test_bad_input_changes_nothing(mdata: mudata.MuData, change, arguments: dict, words: str) -> None:
    if change:
        change(mdata)
    before = {m: a.X.copy() for m, a in mdata.mod.items()}
    with pytest.raises(ValueError, match=words):
        mn.pp.normalize(mdata, **arguments)
    for m, adata in mdata.mod.items():
        assert (adata.X != before[m]).nnz == 0
        assert "normalize" not in adata.uns


THREADS = """
import torch
import scminnet as mn

mdata = mn.datasets.simulate_multiome(60, n_genes=40, n_peaks=80)
mn.pp.normalize(mdata)
print(torch.get_num_threads())
"""


def test_torch_keeps_its_number_of_threads() -> None:
    # scanpy's first parallel numba function sets the threads of all OpenMP code of the process
    few = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", THREADS],
        env=os.environ | few,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
