from __future__ import annotations

import sys
import warnings

import mudata
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

import scminnet.pp as pp
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.pp.margin_graph import build_margin_graph

N_CELLS, N_GENES = 120, 60


def values(seed: int = 0, *, shape: float = 1, scale: float = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-normalised values of three types, in two batches with a gamma effect on each gene; types; batches."""
    rng = np.random.default_rng(seed)
    types = rng.integers(3, size=N_CELLS)
    batches = np.repeat(["one", "two"], N_CELLS // 2)
    rate = rng.gamma(2, 1, size=(3, N_GENES))[types]
    effect = np.where(batches[:, None] == "two", rng.gamma(shape, scale, size=N_GENES), 1)
    return np.log1p(rng.poisson(rate * effect)).astype(np.float32), types, batches


def make_mdata() -> mudata.MuData:
    X, types, batches = values()
    rna = AnnData(sparse.csr_matrix(X))
    rna.obs_names = [f"cell{i}" for i in range(N_CELLS)]
    rna.var_names = [f"gene{i}" for i in range(N_GENES)]
    rna.obs["batch"] = batches
    rna.layers["log"] = rna.X.copy()
    # the other modality has the cells in another order, and one more
    adt = AnnData(np.ones((N_CELLS + 1, 2), dtype=np.float32))
    adt.obs_names = ["more", *rna.obs_names[::-1]]
    adt.var_names = ["p0", "p1"]
    mdata = mudata.MuData({"adt": adt, "rna": rna})
    mdata.obs["donor"] = "d"
    return mdata


@pytest.fixture
def mdata() -> mudata.MuData:
    return make_mdata()


def mixing(connectivities: sparse.csr_matrix, groups: np.ndarray) -> float:
    """Share of edges between cells of different groups."""
    edges = connectivities.tocoo()
    return float((groups[edges.row] != groups[edges.col]).mean())


def test_edges_are_as_long_as_their_connectivity_says():
    X, _, batches = values()
    pca, connectivities, distances = build_margin_graph(X, batches, n_neighbors=8, n_pcs=10)
    assert pca.shape == (N_CELLS, 10)
    assert {pca.dtype, connectivities.dtype, distances.dtype} == {np.dtype(np.float32)}
    for matrix in (connectivities, distances):
        assert isinstance(matrix, sparse.csr_matrix)
        assert abs(matrix - matrix.T).max() == 0
        assert matrix.diagonal().max() == 0
    np.testing.assert_array_equal(connectivities.indices, distances.indices)
    np.testing.assert_allclose(connectivities.data + distances.data, 1.01, rtol=1e-6)
    assert distances.data.min() >= 0.00999
    assert (np.diff(connectivities.indptr) >= 8).all()


def test_without_batches_the_components_are_those_of_the_scaled_values():
    X, _, _ = values()
    pca = build_margin_graph(X, n_pcs=5).pca
    scaled = np.clip((X - X.mean(axis=0)) / X.std(axis=0, ddof=1), -10, 10)
    expected = PCA(5, svd_solver="full").fit_transform(scaled)
    np.testing.assert_allclose(np.abs(pca), np.abs(expected), atol=1e-3)


def test_combat_mixes_batches_and_keeps_types():
    X, types, batches = values()
    corrected = build_margin_graph(X, batches).connectivities
    plain = build_margin_graph(X, batches, batch_correction=None).connectivities
    assert mixing(plain, batches) < 0.1 < 0.3 < mixing(corrected, batches)
    assert mixing(corrected, types) < 0.3
    alone = build_margin_graph(X).connectivities
    assert (alone != plain).nnz == 0
    assert (build_margin_graph(X, ["same"] * N_CELLS).connectivities != alone).nnz == 0


def test_harmony_mixes_batches_and_keeps_types():
    pytest.importorskip("harmonypy")
    # batches nearer than types: Harmony mixes within clusters, and finds these first
    X, types, batches = values(shape=3, scale=1 / 3)
    found = [build_margin_graph(X, batches, batch_correction="harmony", n_pcs=10, seed=seed) for seed in (1, 1)]
    plain = build_margin_graph(X, batches, batch_correction=None, n_pcs=10)
    assert mixing(plain.connectivities, batches) < 0.3 < 0.4 < mixing(found[0].connectivities, batches)
    assert mixing(found[0].connectivities, types) < 0.3
    assert found[0].pca.shape == (N_CELLS, 10)
    assert found[0].pca.dtype == np.float32
    np.testing.assert_array_equal(found[0].pca, found[1].pca)
    one_batch = build_margin_graph(X, ["same"] * N_CELLS, batch_correction="harmony", n_pcs=10)
    np.testing.assert_array_equal(one_batch.pca, build_margin_graph(X, n_pcs=10).pca)
    # few cells, one of them alone in its batch
    assert np.isfinite(
        build_margin_graph(X[:12], ["a"] + ["b"] * 11, batch_correction="harmony", n_neighbors=3).pca
    ).all()


def test_harmony_tells_what_to_install(monkeypatch, mdata):
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(ImportError, match=r"`batch_correction` is 'harmony'.*pip install 'scminnet\[harmony\]'"):
        pp.margin_graph(mdata, batch_key="batch", batch_correction="harmony")
    assert not mdata.uns


def test_sparse_and_dense_agree_and_are_not_changed():
    X, _, batches = values()
    dense, compressed = X.copy(), sparse.csr_matrix(X)
    expected = build_margin_graph(dense, batches, n_top_genes=30)
    np.testing.assert_array_equal(dense, X)
    # each value in two halves
    halves = sparse.csr_matrix(
        (np.repeat(compressed.data / 2, 2), np.repeat(compressed.indices, 2), compressed.indptr * 2), X.shape
    )
    for matrix in (compressed, halves, sparse.csc_matrix(X), sparse.csr_array(X)):
        found = build_margin_graph(matrix, batches, n_top_genes=30)
        np.testing.assert_allclose(found.pca, expected.pca, atol=1e-4)
    np.testing.assert_array_equal(compressed.toarray(), X)


def test_the_features_that_vary_most_within_batches_are_used():
    rng = np.random.default_rng(0)
    batches = np.repeat(["a", "b"], 50)
    X = np.zeros((100, 4))
    X[:, 0] = np.where(batches == "a", 0.1, 9.7)  # only tells batches apart
    X[:, 1] = 3.3  # constant
    X[:, 2] = rng.uniform(0, 2, 100)
    X[:, 3] = rng.uniform(0, 1, 100)
    assert build_margin_graph(X, batches).pca.shape[1] == 2
    with pytest.raises(ValueError, match="`batch_correction`: ComBat found no finite correction from 1 features"):
        build_margin_graph(X, batches, n_top_genes=1)
    one = build_margin_graph(X[:, 1:], n_top_genes=1).pca
    assert abs(np.corrcoef(one[:, 0], X[:, 2])[0, 1]) > 0.95


def test_batches_weigh_by_their_number_of_cells_when_features_are_chosen():
    rng = np.random.default_rng(0)
    batches = np.repeat(["small", "large"], [20, 180])
    X = 9 + rng.normal(size=(200, 3))
    # feature 0 varies most in the small batch, and least over all cells
    X[:, 0] = 9 + rng.normal(size=200) * np.where(batches == "small", 2.5, 0.1)
    within = np.array([X[batches == batch].var(axis=0) for batch in ("small", "large")])
    assert within.sum(axis=0).argmax() == 0
    pca = build_margin_graph(X, batches, n_top_genes=2).pca
    centred = X - np.where(batches[:, None] == "small", X[:20].mean(axis=0), X[20:].mean(axis=0))
    explained = [LinearRegression().fit(pca, values).score(pca, values) for values in centred.T]
    assert explained[0] < 0.2 < 0.9 < min(explained[1:])


@pytest.mark.parametrize(("cells", "genes", "expected"), [(120, 60, 50), (120, 7, 7), (30, 60, 29)])
def test_number_of_components(cells, genes, expected):
    assert build_margin_graph(values()[0][:cells, :genes]).pca.shape == (cells, expected)


def test_no_warning_that_nobody_can_act_on():
    X, _, batches = values()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning, module="anndata")
        build_margin_graph(X, batches)


def test_writes_what_scanpy_and_files_understand(mdata, tmp_path):
    assert pp.margin_graph(mdata, batch_key="batch", n_neighbors=10, seed=4) is None
    rna = mdata["rna"]
    params = rna.uns["margin_graph"]["params"]
    assert params["n_neighbors"] == 10
    assert params["batch_correction"] == "combat"
    assert params["random_state"] == 4
    assert "layer" not in params
    assert rna.uns["margin_graph"]["distances_key"] == "margin_graph_distances"
    assert mdata.uns["margin_graph"] == {"modality": "rna", "params": params}
    sc.tl.umap(rna, neighbors_key="margin_graph", maxiter=2)
    assert rna.obsm["X_umap"].shape == (N_CELLS, 2)
    assert GeodesicIndex(rna.obsp["margin_graph_distances"]).n == N_CELLS

    mdata.write_h5mu(tmp_path / "graph.h5mu")
    read = mudata.read_h5mu(tmp_path / "graph.h5mu")
    assert read.uns["margin_graph"]["modality"] == "rna"
    assert (read["rna"].obsp["margin_graph_distances"] != rna.obsp["margin_graph_distances"]).nnz == 0
    np.testing.assert_array_equal(read["rna"].obsm["X_margin_graph_pca"], rna.obsm["X_margin_graph_pca"])


def test_it_is_the_graph_of_the_modalitys_own_rows(mdata):
    X, _, batches = values()
    expected = build_margin_graph(X, batches).distances
    mdata.obs["where"] = mdata["rna"].obs["batch"].reindex(mdata.obs_names)  # missing for the cell without RNA
    for arguments in ({"batch_key": "batch"}, {"batch_key": "where"}, {"batch_key": "batch", "layer": "log"}):
        pp.margin_graph(mdata, **arguments)
        assert abs(mdata["rna"].obsp["margin_graph_distances"] - expected).max() < 1e-3


def test_copy_and_key(mdata):
    copied = pp.margin_graph(mdata, key_added="g", copy=True)
    assert "g" not in mdata.uns
    assert not mdata["rna"].obsp
    assert not mdata["rna"].obsm
    assert {"g_connectivities", "g_distances"} == set(copied["rna"].obsp)
    assert "X_g_pca" in copied["rna"].obsm
    assert copied.uns["g"]["modality"] == "rna"


def test_the_same_seed_gives_the_same_graph(mdata):
    first, second = (pp.margin_graph(mdata, batch_key="batch", copy=True)["rna"] for _ in range(2))
    np.testing.assert_array_equal(first.obsm["X_margin_graph_pca"], second.obsm["X_margin_graph_pca"])
    assert (first.obsp["margin_graph_distances"] != second.obsp["margin_graph_distances"]).nnz == 0


def test_counts_are_warned_about_once(mdata):
    mdata["rna"].layers["counts"] = mdata["rna"].X.expm1().rint()
    with pytest.warns(UserWarning, match="raw counts") as caught:
        pp.margin_graph(mdata, layer="counts")
    assert sum("raw counts" in str(warning.message) for warning in caught) == 1
    assert caught[0].filename == __file__


def with_nan(mdata):
    mdata["rna"].X[0, 0] = np.nan


def with_missing_batch(mdata):
    mdata["rna"].obs["batch"] = mdata["rna"].obs["batch"].where(np.arange(N_CELLS) > 3)


def with_single(mdata):
    mdata["rna"].obs["batch"] = ["lonely"] + ["one"] * (N_CELLS - 1)


def with_constants(mdata):
    mdata["rna"].X = np.full((N_CELLS, N_GENES), 1.7, dtype=np.float32)


def with_large(mdata):
    mdata["rna"].X = mdata["rna"].X.copy()
    mdata["rna"].X[0, 0] = 1e20


@pytest.mark.parametrize(
    ("spoil", "arguments", "error", "match"),
    [
        (None, {"modality": "atac"}, ValueError, "`modality` names 'atac'"),
        (None, {"layer": "none"}, ValueError, "layers"),
        (None, {"batch_key": "none"}, KeyError, "`batch_key` is 'none'"),
        (None, {"batch_correction": "mnn"}, ValueError, "`batch_correction` is 'mnn'"),
        (None, {"n_pcs": 0}, ValueError, "`n_pcs`"),
        (None, {"n_neighbors": 2.5}, ValueError, "`n_neighbors`"),
        (None, {"n_neighbors": N_CELLS}, ValueError, "`n_neighbors` is 120, but there are 120 cells"),
        (None, {"n_top_genes": -1}, ValueError, "`n_top_genes`"),
        (with_nan, {}, ValueError, "1 NaN values"),
        (with_large, {}, ValueError, "1 too large values"),
        (with_missing_batch, {"batch_key": "batch"}, ValueError, "`batch_key`='batch' has no value for 4 cells"),
        (with_missing_batch, {"batch_key": "batch", "batch_correction": "harmony"}, ValueError, "no value for 4 cells"),
        (with_single, {"batch_key": "batch"}, ValueError, "'lonely' has only one.*batch_correction=None"),
        (with_constants, {}, ValueError, "`matrix` holds no feature that varies"),
    ],
)
def test_wrong_input_leaves_the_data_as_they_were(mdata, spoil, arguments, error, match):
    if spoil is not None:
        spoil(mdata)
    obs = mdata["rna"].obs.copy()
    with pytest.raises(error, match=match):
        pp.margin_graph(mdata, **arguments)
    assert not mdata.uns
    assert not mdata["rna"].uns
    assert not mdata["rna"].obsp
    assert not mdata["rna"].obsm
    assert obs.equals(mdata["rna"].obs)


def test_a_batch_of_one_cell_is_fine_without_combat(mdata):
    with_single(mdata)
    pp.margin_graph(mdata, batch_key="batch", batch_correction=None)


def test_wrong_objects(mdata):
    with pytest.raises(TypeError, match="`mdata` must be a MuData"):
        pp.margin_graph(mdata["rna"])
    with pytest.raises(ValueError, match="`mdata` is a view"):
        pp.margin_graph(mdata[:60])


def test_batches_must_fit_the_matrix():
    X, _, batches = values()
    with pytest.raises(ValueError, match="`batches` has 119 values for 120 cells"):
        build_margin_graph(X, batches[1:])
    with pytest.raises(ValueError, match="`batches` lacks a value for 1 cells"):
        build_margin_graph(X, [None, *batches[1:]])
