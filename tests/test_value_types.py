"""Values of every kind in every function that reads a matrix: types of numbers, forms of matrices, and real values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet._core.matrices import computable


def float16(matrix: Any) -> Any:
    matrix = sparse.csr_matrix(matrix)
    matrix.data = matrix.data.astype(np.float16)
    return matrix


FORMS: dict[str, Callable[[Any], Any]] = {
    "dense float64": lambda x: x.toarray().astype(np.float64),
    "sparse float16": float16,
    "dense float16": lambda x: x.toarray().astype(np.float16),
    "dense long double": lambda x: x.toarray().astype(np.longdouble),
    "big-endian": lambda x: x.toarray().astype(">f4"),
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
    "by columns": lambda x: x.tocsc(),
    "sparse array": sparse.csr_array,
}


@pytest.fixture(scope="module")
def counts() -> MuData:
    return mn.datasets.simulate_multiome(120, n_types=3, n_lineages=2, n_batches=2, n_genes=40, n_peaks=90, seed=1)


def in_form(counts: MuData, form: Callable[[Any], Any]) -> MuData:
    mdata = counts.copy()
    for adata in mdata.mod.values():
        adata.X = form(sparse.csr_matrix(adata.X))
        adata.layers["counts"] = form(sparse.csr_matrix(adata.X, dtype=np.float32))
    return mdata


def everything(mdata: MuData) -> dict[str, np.ndarray]:
    """What the functions make of counts."""
    tss = mdata["rna"].var.rename_axis("gene").reset_index()
    done = {
        "filter": mn.pp.filter_cells(mdata, {"rna": {"n_features": (1, 1e6)}}, copy=True)["rna"].obs_names,
        "activity": mn.pp.gene_activity(mdata, tss, copy=True)["activity"].X,
        "joined": mn.pp.join_modalities(mdata, ["rna", "atac"], copy=True)["chromatin"].X,
    }
    mn.pp.normalize(mdata, counts_layer="kept")
    done |= {"normalized": mdata["rna"].X, "tfidf": mdata["atac"].X}
    selected = mn.pp.select_features(mdata, ["rna", "atac"], n_top_genes=20, n_top_peaks=40, copy=True)
    done |= {"selected": selected["rna"].var_names, "peaks": selected["atac"].var_names}
    mn.pp.margin_graph(mdata, layer="counts", n_pcs=5, n_neighbors=5)
    done["graph"] = mdata["rna"].obsm["X_margin_graph_pca"]
    mn.MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", layers="counts")
    model = mn.MinNet(mdata, n_components=5, n_hidden=8)
    model.train(max_epochs=1, enable_progress_bar=False)
    model.embed()
    done["embedding"] = mdata.obsm["X_minnet"]
    query = mn.MinNet.prepare_query_mudata(mdata, model, inplace=False)
    done["query"] = model.embed(query, copy=True).obsm["X_minnet"]
    done["bulks"] = mn.tl.minibulk(mdata, 20, groupby="cell_type", layer="counts")["rna"].X
    mn.tl.minnet_smooth(mdata, n_neighbors=5, layer="counts")
    done["smoothed"] = mdata["atac"].layers["smoothed"]
    mn.tl.cre_links(mdata, tss, layer="counts", n_background=30)
    done["links"] = mdata.uns["cre_links"]["r"].to_numpy()
    return {name: x.toarray() if sparse.issparse(x) else np.asarray(x) for name, x in done.items()}


@pytest.fixture(scope="module")
def expected(counts: MuData) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return everything(in_form(counts, lambda x: x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_all_types_and_forms_give_the_same(counts: MuData, expected: dict[str, np.ndarray], form: str) -> None:
    found = everything(in_form(counts, FORMS[form]))
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            assert found[name].tolist() == values.tolist(), name


def test_types_that_compute_are_not_copied() -> None:
    for matrix in (
        np.ones((2, 2)),
        np.ones((2, 2), np.uint8),
        sparse.csr_matrix(np.eye(2)),
        sparse.csc_matrix(np.eye(2)),
    ):
        assert computable(matrix) is matrix
    assert computable(np.ones((2, 2), bool)).dtype == np.float32


# --- real values ------------------------------------------------------------------------------------------------------


@pytest.fixture
def signed() -> MuData:
    """RNA, and proteins as DSB or a textbook CLR leaves them: centred, with negative values."""
    mdata = mn.datasets.simulate_multiome(200, n_types=3, n_genes=60, n_peaks=90, n_proteins=12, n_batches=2, seed=2)
    del mdata.mod["atac"]
    mdata.update()
    mn.pp.normalize(mdata)
    log = np.log1p(mdata["adt"].layers["counts"].toarray())
    mdata["adt"].X = (log - log.mean(axis=1, keepdims=True)).astype(np.float32)
    return mdata


def test_real_values_go_all_the_way(signed: MuData) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(negative|z-scored|whole numbers)")
        mn.MinNet.setup_mudata(signed, ["adt", "rna"], labels_key="cell_type", batch_key="batch")
        model = mn.MinNet(signed, n_hidden=32)
        # the margin graph is that of the proteins
        model.train(max_epochs=15, enable_progress_bar=False)
        model.embed(label_added="predicted")
    assert np.isfinite(signed.obsm["X_minnet"]).all()
    assert (signed.obs["predicted"] == signed.obs["cell_type"].astype(str)).mean() > 0.5
    mn.tl.transfer_labels(signed, "rna", "adt", "cell_type")
    diagnosis = model.diagnose()
    # a level has a multiple only where no mean is negative
    scales = diagnosis.table.query("check == 'scale'")["modality"].tolist()
    assert scales == ["rna"]
    mn.pp.select_features(signed, ["adt"])
    assert mn.pp.join_modalities(signed, ["rna", "adt"], key_added="both", copy=True)["both"].X.min() < 0


def test_real_values_are_averaged_where_counts_are_summed(signed: MuData) -> None:
    for adata in signed.mod.values():
        adata.obsm["X_minnet"] = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    with pytest.warns(UserWarning, match="'adt': some values are negative.* mean over the cells"):
        bulks = mn.tl.minibulk(signed, 10, groupby="lineage", layer={"rna": "counts"})
    for i, bulk in enumerate(bulks.obs_names):
        rows = (signed.obs["minibulk"] == bulk).to_numpy()
        np.testing.assert_allclose(
            bulks["adt"].X.toarray()[i], signed["adt"].X[rows].mean(axis=0), rtol=1e-4, atol=1e-5
        )
    with pytest.warns(UserWarning, match="'adt': some values are negative.* means over neighbours"):
        mn.tl.minnet_smooth(signed, n_neighbors=5, layer={"rna": "counts"})
    graph = signed["adt"].obsp["smoothed_connectivities"]
    means = (graph @ signed["adt"].X) / np.asarray(graph.sum(axis=1))
    np.testing.assert_allclose(signed["adt"].layers["smoothed"], means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "arguments", "what"),
    [
        (mn.pp.select_features, {"modalities": ["rna"]}, "Selecting genes"),
        (mn.pp.normalize, {"modalities": ["rna"]}, "Normalisation"),
        (mn.pp.filter_cells, {"thresholds": {"rna": {"n_features": (0, 9)}}}, "Filtering"),
        (
            mn.pp.gene_activity,
            {"tss": pd.DataFrame({"gene": ["g"], "chrom": ["chr1"], "tss": [1], "strand": ["+"]}), "atac": "rna"},
            "Gene activity",
        ),
    ],
)
def test_what_needs_counts_refuses_negative_values_and_says_why(signed, function, arguments, what) -> None:
    signed["rna"].uns.clear()
    signed["rna"].layers.clear()
    signed["rna"].X = signed["rna"].X.toarray()
    signed["rna"].X[5, 7] = -2
    with pytest.raises(
        ValueError, match=rf"'rna' holds 1 negative .*'cell_5', feature 'gene_7'.* {what}.* needs counts"
    ):
        function(signed, **arguments)


def scaled(mdata: MuData, limit: float | None = None) -> np.ndarray:
    x = mdata["rna"].X.toarray()
    z = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0, ddof=1), 1e-6)
    return (z if limit is None else np.clip(z, None, limit)).astype(np.float32)


@pytest.mark.parametrize("limit", [None, 3])
def test_z_scores_are_warned_of_with_the_remedy(signed: MuData, limit: float | None) -> None:
    signed["rna"].X = scaled(signed, limit)
    with pytest.warns(UserWarning, match=r"'rna' look z-scored .*before\s+scaling") as caught:
        mn.MinNet.setup_mudata(signed, ["rna", "adt"], labels_key="cell_type")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="'rna' look z-scored.*vary most"):
        mn.pp.margin_graph(signed, n_pcs=5)


def test_residuals_and_centred_values_are_no_z_scores(signed: MuData) -> None:
    counts = signed["rna"].layers["counts"].toarray()
    mean = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    residuals = np.clip((counts - mean) / np.sqrt(mean + mean**2 / 100), None, 200**0.5)
    for values in (residuals, scaled(signed) * 2, scaled(signed) + 1):
        signed["rna"].X = values.astype(np.float32)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*z-scored")
            mn.MinNet.setup_mudata(signed, ["rna", "adt"], labels_key="cell_type")


def test_signed_whole_numbers_are_no_counts(signed: MuData) -> None:
    signed["adt"].X = np.round(signed["adt"].X * 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*whole numbers")
        mn.MinNet.setup_mudata(signed, ["rna", "adt"], labels_key="cell_type")


def test_a_batch_without_counts_is_named(counts: MuData) -> None:
    mdata = counts.copy()
    mn.pp.normalize(mdata)
    empty = (mdata.obs["batch"] == "batch_1").to_numpy()
    mdata["rna"].X = sparse.csr_matrix(mdata["rna"].X.multiply(~empty[:, None]), dtype=np.float32)
    with pytest.raises(ValueError, match="of batch 'batch_1' have no counts"):
        mn.pp.select_features(mdata, ["rna"], batch_key="batch")
    with pytest.raises(ValueError, match=r"no feature varies within 'batch_1'.*Leave these cells"):
        mn.pp.margin_graph(mdata, batch_key="batch")
    mn.pp.margin_graph(mdata, batch_key="batch", batch_correction=None, n_pcs=5)
    # a category without a cell is no batch
    kept = mdata[~empty].copy()
    assert "batch_1" in kept.obs["batch"].cat.categories
    mn.pp.select_features(kept, ["rna"], batch_key="batch", min_batches=1)
