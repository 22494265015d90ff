from __future__ import annotations

import warnings

import mudata
import muon as mu
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import scminnet as mn

K = 4


def modality(n_features: int, names: list[str], seed: int) -> AnnData:
    rng = np.random.default_rng(seed)
    adata = AnnData(
        sparse.csr_matrix(rng.poisson(0.7, (len(names), n_features)).astype(np.float32)), obs=pd.DataFrame(index=names)
    )
    adata.var_names = [f"{n_features}_{i}" for i in range(n_features)]
    adata.obsm["X_minnet"] = rng.normal(size=(len(names), 3)).astype(np.float32)
    return adata


def make() -> MuData:
    """RNA of cells 0 to 39, ATAC of cells 30 to 69 in reverse order."""
    rna = modality(6, [f"c{i}" for i in range(40)], 0)
    atac = modality(9, [f"c{i}" for i in range(69, 29, -1)], 1)
    return MuData({"rna": rna, "atac": atac})


def naive_graph(query: np.ndarray, points: np.ndarray, k: int, quantile: float, *, own: bool) -> np.ndarray:
    distances = np.linalg.norm(query[:, None].astype(float) - points[None], axis=2)
    if own:
        np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :k]
    lengths = np.take_along_axis(distances, nearest, axis=1)
    limit = np.quantile(lengths, quantile)
    graph = np.zeros((len(query), len(points)))
    for i in range(len(query)):
        for j, length in zip(nearest[i], lengths[i], strict=True):
            if length <= limit + 1e-6:
                graph[i, j] = 1
        if own:
            graph[i, i] = 1
    return graph


@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 8),
    # no edge's length is such a quantile itself, so that rounding decides nothing
    quantile=st.sampled_from([0.517, 0.951, 1.0]),
    kind=st.sampled_from([sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asarray]),
    dtype=st.sampled_from([np.int64, np.float32, np.float64]),
)
@settings(max_examples=25, deadline=None)
def test_equals_dense_loops(seed: int, k: int, quantile: float, kind, dtype) -> None:
    rng = np.random.default_rng(seed)
    raw, mod = {}, {}
    cells = {"rna": rng.permutation(30)[:20], "atac": rng.permutation(30)[:12], "adt": rng.permutation(30)[:14]}
    for i, (m, own) in enumerate(cells.items()):
        mod[m] = modality(5 + i, [f"c{cell}" for cell in own], seed + i)
        raw[m] = mod[m].X.toarray()
        mod[m].X = kind(raw[m].astype(dtype))
    mdata = MuData(mod)
    mn.tl.minnet_smooth(mdata, n_neighbors=k, quantile=quantile, across=True)
    for m, adata in mdata.mod.items():
        if m not in raw:
            continue
        points = adata.obsm["X_minnet"]
        graph = naive_graph(points, points, k, quantile, own=True)
        result = adata.layers["smoothed"]
        assert result.dtype == np.float32
        assert sparse.issparse(result) == (kind is not np.asarray)
        np.testing.assert_array_equal(
            np.asarray(result.todense() if sparse.issparse(result) else result), graph @ raw[m]
        )
        np.testing.assert_array_equal(adata.to_df().to_numpy(), raw[m])
        lacking = [cell for cell in mdata.obs_names if cell not in adata.obs_names]
        places = []
        for cell in lacking:
            found = [a.obsm["X_minnet"][a.obs_names.get_loc(cell)] for a in mod.values() if cell in a.obs_names]
            places.append(np.mean(found, axis=0))
        expected = naive_graph(np.stack(places), points, k, quantile, own=False)
        completed = mdata[f"{m}_smoothed"]
        assert list(completed.obs_names) == [*adata.obs_names, *lacking]
        np.testing.assert_array_equal(completed[lacking].to_df().to_numpy(), expected @ raw[m])
        np.testing.assert_array_equal(completed[lacking].obs["n_neighbors"], expected.sum(axis=1))


def test_across_gives_cells_the_modality_they_lack() -> None:
    mdata = make()
    mn.tl.minnet_smooth(mdata, n_neighbors=K, quantile=0.9, across=True)
    assert set(mdata.mod) == {"rna", "atac", "rna_smoothed", "atac_smoothed"}
    rna, atac, completed = mdata["rna"], mdata["atac"], mdata["rna_smoothed"]
    assert completed.shape == (70, 6)
    assert list(completed.var_names) == list(rna.var_names)
    assert completed.obs["imputed"].sum() == 30
    np.testing.assert_array_equal(completed[rna.obs_names].X.toarray(), rna.layers["smoothed"].toarray())
    lacking = completed.obs_names[completed.obs["imputed"]]
    assert set(lacking) == {f"c{i}" for i in range(40, 70)}
    graph = naive_graph(atac[lacking].obsm["X_minnet"], rna.obsm["X_minnet"], K, 0.9, own=False)
    np.testing.assert_allclose(completed[lacking].X.toarray(), graph @ rna.X.toarray(), rtol=1e-5)
    np.testing.assert_array_equal(completed.obs.loc[lacking, "n_neighbors"], graph.sum(axis=1))
    assert mdata.n_obs == 70


def test_across_adds_nothing_where_no_cell_lacks_the_modality() -> None:
    mdata = make()
    both = MuData({"rna": mdata["rna"][30:].copy(), "atac": mdata["atac"][30:].copy()})
    mn.tl.minnet_smooth(both, n_neighbors=3, across=True)
    assert set(both.mod) == {"rna", "atac"}


def test_only_named_modalities_and_their_layer_are_smoothed() -> None:
    mdata = make()
    mdata["rna"].layers["raw"] = mdata["rna"].X * 2
    mn.tl.minnet_smooth(mdata, n_neighbors=K, modalities=["rna"], layer="raw", across=True, key_added="near")
    assert set(mdata.mod) == {"rna", "atac", "rna_near"}
    assert "near" not in mdata["atac"].layers
    graph = mdata["rna"].obsp["near_connectivities"]
    np.testing.assert_allclose(mdata["rna"].layers["near"].toarray(), (graph @ mdata["rna"].layers["raw"]).toarray())


def test_dense_values_stay_dense_and_copies_leave_the_input() -> None:
    mdata = make()
    mdata["rna"].X = mdata["rna"].X.toarray()
    result = mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True, copy=True)
    assert isinstance(result["rna"].layers["smoothed"], np.ndarray)
    assert set(mdata.mod) == {"rna", "atac"}
    assert "smoothed" not in mdata["rna"].layers
    again = mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True, copy=True)
    np.testing.assert_array_equal(result["rna_smoothed"].X, again["rna_smoothed"].X)


def test_peaks_without_an_embedding_are_smoothed_where_their_cells_are() -> None:
    atac = make()["atac"]
    alone = MuData({"atac": atac.copy()})
    mn.tl.minnet_smooth(alone, n_neighbors=K)
    activity = modality(5, list(atac.obs_names[::-1]), 5)
    activity.obsm["X_minnet"] = atac.obsm["X_minnet"][::-1]
    del atac.obsm["X_minnet"]
    mdata = MuData({"activity": activity, "atac": atac})
    mn.tl.minnet_smooth(mdata, n_neighbors=K)
    assert "smoothed" not in mdata["atac"].layers
    mn.tl.minnet_smooth(mdata, n_neighbors=K, modalities=["atac"])
    np.testing.assert_array_equal(
        mdata["atac"].layers["smoothed"].toarray(), alone["atac"].layers["smoothed"].toarray()
    )
    fewer = MuData({"activity": activity[:25].copy(), "atac": atac})
    with pytest.raises(ValueError, match="`modalities` names 'atac', 15 of whose 40 cells have no embedding"):
        mn.tl.minnet_smooth(fewer, n_neighbors=K, modalities=["atac"])


def test_no_warning_that_nobody_can_act_on() -> None:
    mdata = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning, module="anndata")
        mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True, copy=True)
        mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True)


def test_layers_may_differ_and_what_is_no_count_is_warned_about() -> None:
    mdata = make()
    mdata["rna"].layers["raw"] = mdata["rna"].X.copy()
    expected = mn.tl.minnet_smooth(mdata, n_neighbors=K, copy=True)
    mdata["rna"].X = mdata["rna"].X.log1p()
    with pytest.warns(UserWarning, match="'rna': values are not whole numbers.*Smoothing expects counts"):
        mn.tl.minnet_smooth(mdata, n_neighbors=K, copy=True)
    mn.tl.minnet_smooth(mdata, n_neighbors=K, layer={"rna": "raw"})
    for m in mdata.mod:
        np.testing.assert_array_equal(mdata[m].layers["smoothed"].toarray(), expected[m].layers["smoothed"].toarray())
    assert mdata.uns["smoothed"]["params"]["layer"] == {"rna": "raw"}


def test_result_survives_a_file(tmp_path) -> None:
    mdata = make()
    mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True)
    mdata.write(tmp_path / "m.h5mu")
    back = mudata.read_h5mu(tmp_path / "m.h5mu")
    np.testing.assert_array_equal(back["rna_smoothed"].X.toarray(), mdata["rna_smoothed"].X.toarray())
    assert back.uns["smoothed"]["params"]["quantile"] == 0.95


def test_muon_and_accessor_have_it() -> None:
    assert mu.tl.minnet_smooth is mn.tl.minnet_smooth
    assert mu.tl.minibulk is mn.tl.minibulk
    assert mu.tl.cre_links is mn.tl.cre_links
    mdata = make()
    mdata.minnet.smooth(n_neighbors=K)
    assert "smoothed" in mdata["atac"].layers


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_neighbors": 40}, ValueError, "`n_neighbors` is 40.*40 cells"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors`"),
        ({"modalities": "rna"}, TypeError, "`modalities` is the text 'rna'"),
        ({"modalities": []}, ValueError, "`modalities` is empty"),
        ({"layer": "raw"}, ValueError, "`layer` names 'raw' for modality 'rna'"),
        ({"layer": {"adt": None}}, ValueError, "`layer` names the modalities 'adt'"),
        ({"layer": "nan"}, ValueError, "modality 'rna' holds 1 NaN"),
        ({"layer": "large"}, ValueError, "modality 'rna' holds 1 too large"),
        ({"layer": "counts", "key_added": "counts"}, ValueError, "`key_added` is 'counts', as is the `layer`"),
        ({"use_rep": "X_wide"}, ValueError, "`use_rep`='X_wide' has a different number"),
    ],
)
def test_bad_input(arguments: dict, error: type[Exception], words: str) -> None:
    mdata = make()
    for i, adata in enumerate(mdata.mod.values()):
        adata.obsm["X_wide"] = np.ones((adata.n_obs, 2 + i))
        for name, value in (("counts", 1), ("nan", np.nan), ("large", 1e20)):
            adata.layers[name] = adata.X.copy()
            adata.layers[name].data[0] = value
    with pytest.raises(error, match=words):
        mn.tl.minnet_smooth(mdata, **arguments)
    assert not mdata.uns
    assert not any("smoothed" in a.layers or len(a.obsp) for a in mdata.mod.values())
    assert mdata["rna"].layers["counts"].data[0] == 1


def test_a_modality_of_the_name_is_not_replaced() -> None:
    mdata = make()
    mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True)
    with pytest.raises(ValueError, match="`key_added` is 'smoothed'.*rna_smoothed"):
        mn.tl.minnet_smooth(mdata, n_neighbors=K, across=True, modalities=["rna"])


def test_neighbours_are_of_the_cells_own_condition() -> None:
    mdata = make()
    mdata.obs["severity"] = ["mild" if i % 2 else "severe" for i in range(70)]
    whole = mn.tl.minnet_smooth(mdata, n_neighbors=K, quantile=1, across=True, condition="severity", copy=True)
    for level in ("mild", "severe"):
        part = mdata[(mdata.obs["severity"] == level).to_numpy()].copy()
        mn.tl.minnet_smooth(part, n_neighbors=K, quantile=1, across=True)
        for m in ("rna_smoothed", "atac_smoothed"):
            np.testing.assert_array_equal(whole[m][part[m].obs_names].X.toarray(), part[m].X.toarray())
    graph = whole["rna"].obsp["smoothed_connectivities"].tocoo()
    severity = mdata.obs["severity"].loc[mdata["rna"].obs_names].to_numpy()
    assert (severity[graph.row] == severity[graph.col]).all()
    assert whole.uns["smoothed"]["params"]["condition"] == "severity"


def test_every_condition_needs_neighbours_enough_and_every_cell_a_condition() -> None:
    mdata = make()
    mdata.obs["severity"] = ["mild"] * 67 + ["severe"] * 3
    with pytest.raises(ValueError, match="`n_neighbors` is 4, but modality 'atac' has 3 cells of `condition` 'severe'"):
        mn.tl.minnet_smooth(mdata, n_neighbors=K, condition="severity")
    mdata.obs["severity"] = [None] * 3 + ["mild"] * 67
    with pytest.raises(ValueError, match="`condition`='severity' has no value for 3 cells"):
        mn.tl.minnet_smooth(mdata, n_neighbors=K, condition="severity")
    with pytest.raises(KeyError, match="`condition` is 'no'"):
        mn.tl.minnet_smooth(mdata, n_neighbors=K, condition="no")
    assert "smoothed" not in mdata.uns
