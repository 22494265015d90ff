from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

import scminnet as mn
from scminnet.tl.match_cells import _largest_matching

METHODS = ["mutual", "nearest", "assignment"]


def modality(embedding: np.ndarray, names: list[str], n_vars: int) -> AnnData:
    adata = AnnData(np.ones((len(names), n_vars), dtype=np.float32), obs=pd.DataFrame(index=names))
    adata.var_names = [f"{n_vars}_{i}" for i in range(n_vars)]
    adata.obsm["X_minnet"] = embedding.astype(np.float32)
    return adata


def make(seed: int = 0, n_source: int = 40, n_target: int = 50, shared: int = 10) -> mudata.MuData:
    """Random points; the last cells of the RNA are the first of the ATAC."""
    rng = np.random.default_rng(seed)
    rna = modality(rng.normal(size=(n_source, 3)), [f"c{i}" for i in range(n_source)], 2)
    first = n_source - shared
    atac = modality(rng.normal(size=(n_target, 3)), [f"c{i}" for i in range(first, first + n_target)], 3)
    return mudata.MuData({"rna": rna, "atac": atac})


def pairs(mdata: mudata.MuData, key: str = "match") -> set[tuple[str, str]]:
    table = mdata.uns[key]["matches"]
    return set(zip(table["source"], table["target"], strict=True))


def distances(mdata: mudata.MuData) -> pd.DataFrame:
    rna, atac = mdata["rna"], mdata["atac"]
    return pd.DataFrame(cdist(rna.obsm["X_minnet"], atac.obsm["X_minnet"]), index=rna.obs_names, columns=atac.obs_names)


@given(seed=st.integers(0, 1000), k=st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_mutual_and_nearest_equal_loops(seed: int, k: int) -> None:
    mdata = make(seed)
    d = distances(mdata)
    ahead = {(i, j) for i in d.index for j in d.loc[i].nsmallest(k).index}
    back = {(i, j) for j in d.columns for i in d[j].nsmallest(k).index}
    mn.tl.match_cells(mdata, "rna", "atac", n_neighbors=k)
    assert pairs(mdata) == ahead & back
    mn.tl.match_cells(mdata, "rna", "atac", method="nearest", n_neighbors=k, key_added="near")
    assert pairs(mdata, "near") == ahead
    found = mdata.uns["near"]["matches"]
    np.testing.assert_allclose(
        found["distance"], [d.loc[i, j] for i, j in zip(found["source"], found["target"], strict=True)], rtol=1e-5
    )


@given(seed=st.integers(0, 1000), sizes=st.sampled_from([(20, 20), (15, 25), (25, 15)]))
@settings(max_examples=15, deadline=None)
def test_assignment_over_all_pairs_equals_the_dense_solution(seed: int, sizes: tuple[int, int]) -> None:
    mdata = make(seed, *sizes, shared=5)
    d = distances(mdata)
    mn.tl.match_cells(mdata, "rna", "atac", method="assignment", n_neighbors=min(sizes))
    rows, columns = linear_sum_assignment(d)
    table = mdata.uns["match"]["matches"]
    assert table["distance"].sum() == pytest.approx(d.to_numpy()[rows, columns].sum(), rel=1e-5)
    assert len(table) == min(sizes)
    assert table["source"].is_unique
    assert table["target"].is_unique
    n_unmatched = mdata.uns["match"]["n_unmatched"]
    assert (n_unmatched["rna"], n_unmatched["atac"]) == (sizes[0] - min(sizes), sizes[1] - min(sizes))


@given(seed=st.integers(0, 10_000), shape=st.sampled_from([(6, 6), (5, 8), (9, 6)]))
@settings(max_examples=40, deadline=None)
def test_the_largest_matching_of_a_sparse_graph_is_the_cheapest_of_its_size(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.uniform(1, 2, size=shape) * (rng.random(shape) < 0.25)
    if not dense.any():
        return
    rows, columns = _largest_matching(csr_matrix(dense))
    # dense: what is no edge costs more than all edges together
    costs = np.where(dense > 0, dense, 1000.0)
    best = linear_sum_assignment(costs)
    real = dense[best] > 0
    assert len(rows) == real.sum()
    assert dense[rows, columns].sum() == pytest.approx(dense[best][real].sum())
    assert (dense[rows, columns] > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_permutation_is_found(method: str) -> None:
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(300, 8))
    order = rng.permutation(300)
    mdata = mudata.MuData(
        {
            "rna": modality(cells, [f"r{i}" for i in range(300)], 2),
            "atac": modality(cells[order] + 0.01 * rng.normal(size=(300, 8)), [f"a{i}" for i in order], 3),
        }
    )
    mn.tl.match_cells(mdata, "rna", "atac", method=method, n_neighbors=20 if method == "assignment" else 1)
    assert pairs(mdata) == {(f"r{i}", f"a{i}") for i in range(300)}
    assert mdata.uns["match"]["n_unmatched"] == {"rna": 0, "atac": 0}


def test_more_cells_of_a_type_stay_unmatched_rather_than_go_to_another_type() -> None:
    rng = np.random.default_rng(0)
    a = np.vstack([rng.normal(size=(30, 2)), 100 + rng.normal(size=(10, 2))])
    b = np.vstack([rng.normal(size=(20, 2)), 100 + rng.normal(size=(25, 2))])
    mdata = mudata.MuData(
        {"rna": modality(a, [f"r{i}" for i in range(40)], 2), "atac": modality(b, [f"a{i}" for i in range(45)], 3)}
    )
    mn.tl.match_cells(mdata, "rna", "atac", method="assignment", n_neighbors=8)
    table = mdata.uns["match"]["matches"]
    assert len(table) == 20 + 10
    assert table["distance"].max() < 10
    assert mdata.uns["match"]["n_unmatched"] == {"rna": 10, "atac": 15}


@pytest.mark.parametrize("method", METHODS)
def test_matrix_holds_the_table_and_survives_a_file(tmp_path, method: str) -> None:
    mdata = make()
    copied = mn.tl.match_cells(mdata, "rna", "atac", method=method, n_neighbors=7, key_added="m", copy=True)
    assert "m" not in mdata.obsp
    assert "m" not in mdata.uns
    assert mn.tl.match_cells(mdata, "rna", "atac", method=method, n_neighbors=7, key_added="m") is None
    table, graph = mdata.uns["m"]["matches"], mdata.obsp["m"]
    pd.testing.assert_frame_equal(table, copied.uns["m"]["matches"])
    assert graph.shape == (80, 80)
    assert graph.nnz == len(table)
    assert graph.dtype == np.float32
    dense = pd.DataFrame(graph.toarray(), index=mdata.obs_names, columns=mdata.obs_names)
    for row in table.itertuples():
        assert dense.loc[row.source, row.target] == row.score
    nearest = distances(mdata).min(axis=1).median()
    np.testing.assert_allclose(table["score"], 1 / (1 + (table["distance"] / nearest) ** 2), rtol=1e-4)
    assert table["score"].between(0, 1, inclusive="right").all()

    mdata.write(tmp_path / "m.h5mu")
    again = mudata.read_h5mu(tmp_path / "m.h5mu")
    assert (again.obsp["m"] != graph).nnz == 0
    stored = again.uns["m"]["matches"]
    assert list(stored["source"]) == list(table["source"])
    assert list(stored["target"]) == list(table["target"])
    np.testing.assert_array_equal(stored["score"], table["score"])
    assert again.uns["m"]["n_unmatched"]["rna"] == mdata.uns["m"]["n_unmatched"]["rna"]
    assert again.uns["m"]["params"]["method"] == method


def test_cells_in_one_place_have_score_one() -> None:
    mdata = make(n_source=30, n_target=30, shared=30)
    mdata["atac"].obsm["X_minnet"] = mdata["rna"].obsm["X_minnet"].copy()
    mn.tl.match_cells(mdata, "rna", "atac", method="assignment", n_neighbors=5)
    assert (mdata.uns["match"]["matches"]["score"] == 1).all()
    np.testing.assert_array_equal(mdata.obsp["match"].toarray(), np.eye(30))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"source": "adt"}, ValueError, "`source` names 'adt'"),
        ({"target": "rna"}, ValueError, "`target` is 'rna', as is `source`"),
        ({"method": "best"}, ValueError, "`method` is 'best'. Choose one of 'mutual'"),
        ({"n_neighbors": 41}, ValueError, "`n_neighbors` is 41, but modality 'rna' has 40 cells. Give at most 40"),
        ({"use_rep": "X_wide"}, ValueError, "`use_rep`='X_wide' has a different number"),
    ],
)
def test_bad_input_changes_nothing(change: dict, error: type[Exception], words: str) -> None:
    mdata = make()
    for i, adata in enumerate(mdata.mod.values()):
        adata.obsm["X_wide"] = np.ones((adata.n_obs, 2 + i))
    with pytest.raises(error, match=words):
        mn.tl.match_cells(mdata, **({"source": "rna", "target": "atac"} | change))
    assert not mdata.uns
    assert "match" not in mdata.obsp
