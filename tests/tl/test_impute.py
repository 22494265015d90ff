from __future__ import annotations

import logging

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scminnet as mn

N = 240


def cells(seed: int = 0, shared: int = 0) -> mudata.MuData:
    """RNA and ATAC cells on a line of three groups; a gene follows the place, another only the group."""
    rng = np.random.default_rng(seed)
    parts = {}
    for m in ("rna", "atac"):
        place = np.sort(rng.uniform(0, 9, N))
        noise = 0.05 * rng.normal(size=(N, 2))
        points = np.column_stack([place, np.sin(place)]) + noise
        clean = np.column_stack([place, np.floor(place / 3), np.full(N, 2.0)])
        values = clean + 0.2 * rng.normal(size=clean.shape) * [1, 1, 0]
        adata = AnnData(
            values.astype(np.float32),
            obs=pd.DataFrame({"place": place}, index=[f"{m}{i}" for i in range(N)]),
            var=pd.DataFrame({"chrom": list("abc")}, index=[f"{m}_{g}" for g in ("slope", "step", "flat")]),
        )
        adata.obsm["X_minnet"] = points.astype(np.float32)
        adata.layers["counts"] = rng.poisson(np.exp(clean / 4)).astype(np.float32)
        parts[m] = adata
    parts["atac"].obs_names = [*parts["rna"].obs_names[:shared], *parts["atac"].obs_names[shared:]]
    return mudata.MuData(parts)


def test_values_follow_the_truth_and_the_data_stay_as_they_were() -> None:
    mdata = cells()
    before = {m: (list(a.obs), list(a.layers), list(a.obsm)) for m, a in mdata.mod.items()}
    found = mn.tl.impute(mdata, "rna")
    assert list(found.obs_names) == list(mdata["atac"].obs_names)
    assert list(found.var_names) == list(mdata["rna"].var_names)
    assert list(found.var["chrom"]) == list("abc")
    assert found.X.dtype == np.float32
    place = mdata["atac"].obs["place"].to_numpy()
    inside = found.obs["in_range"].to_numpy()
    assert inside.mean() > 0.9
    assert np.isnan(found.X[~inside]).all()
    assert np.abs(found.X[inside, 0] - place[inside]).mean() < 0.3
    np.testing.assert_allclose(found.X[inside, 2], 2, atol=1e-4)
    assert {m: (list(a.obs), list(a.layers), list(a.obsm)) for m, a in mdata.mod.items()} == before


def test_the_linear_model_helps_where_few_cells_were_measured() -> None:
    mdata = cells()
    few = mudata.MuData({"rna": mdata["rna"][::8].copy(), "atac": mdata["atac"]})
    found = mn.tl.impute(few, "rna", n_neighbors=10, quantile=1.0)
    near = mn.tl.minnet_smooth(few, n_neighbors=10, modalities=["rna", "atac"], across=True, copy=True)
    truth = few["atac"].obs["place"].to_numpy()
    neighbours = near["rna_smoothed"][few["atac"].obs_names]
    means = np.asarray(neighbours.X)[:, 0] / np.maximum(neighbours.obs["n_neighbors"].to_numpy(), 1)
    assert np.nanmean(np.abs(found.X[:, 0] - truth)) < np.mean(np.abs(means - truth))


def test_cells_far_from_all_measured_ones_are_nan(caplog: pytest.LogCaptureFixture) -> None:
    mdata = cells()
    mdata["atac"].obsm["X_minnet"][-30:] += 50
    with caplog.at_level(logging.INFO):
        found = mn.tl.impute(mdata, "rna")
    assert not found.obs["in_range"].to_numpy()[-30:].any()
    assert np.isnan(found.X[-30:]).all()
    assert found.obs["in_range"].to_numpy()[:-30].mean() > 0.9
    assert "their values are NaN" in caplog.text
    assert found.uns["impute"]["max_distance"] < 20


def test_only_cells_that_lack_the_modality_are_imputed() -> None:
    mdata = cells(shared=50)
    found = mn.tl.impute(mdata, "rna", features=["rna_step"])
    assert list(found.obs_names) == list(mdata["atac"].obs_names[50:])
    assert found.shape == (N - 50, 1)
    everyone = cells(shared=N)
    with pytest.raises(ValueError, match="which every cell with an embedding 'X_minnet' has"):
        mn.tl.impute(everyone, "rna")


def test_paired_cells_teach_the_linear_model_the_others_embedding() -> None:
    def error(*, paired: bool) -> float:
        mdata = cells()
        rna = mdata["rna"]
        other = AnnData(obs=rna.obs[::2].copy(), var=mdata["atac"].var, X=mdata["atac"].X[::2])
        # the other modality's embedding is stretched
        other.obsm["X_minnet"] = rna.obsm["X_minnet"][::2] * [1.3, 1]
        new = mdata["atac"].copy()
        new.obsm["X_minnet"] = new.obsm["X_minnet"] * [1.3, 1]
        other.obs_names = other.obs_names if paired else [f"{name}-atac" for name in other.obs_names]
        both = mudata.MuData({"rna": rna, "atac": ad.concat([other, new])})
        found = mn.tl.impute(both, "rna", quantile=1.0)[new.obs_names]
        return float(np.nanmean(np.abs(found.X[:, 0] - new.obs["place"].to_numpy())))

    assert error(paired=True) < 0.8 * error(paired=False)


def test_counts_are_expected_counts() -> None:
    mdata = cells()
    found = mn.tl.impute(mdata, "rna", counts_layer="counts", quantile=1.0)
    expected = np.exp(mdata["atac"].obs["place"].to_numpy() / 4)
    inside = found.obs["in_range"].to_numpy()
    assert np.abs(found.X[inside, 0] / expected[inside] - 1).mean() < 0.2
    assert found.X[inside].min() >= 0
    mdata["rna"].layers["counts"][0, 0] = -1
    with pytest.raises(ValueError, match="Imputing counts needs counts"):
        mn.tl.impute(mdata, "rna", counts_layer="counts")


def test_lazy_values_are_the_same_and_go_to_a_file(tmp_path) -> None:
    pytest.importorskip("dask")
    mdata = cells()
    lazy, memory = mn.tl.impute(mdata, "rna", lazy=True), mn.tl.impute(mdata, "rna")
    assert not isinstance(lazy.X, np.ndarray)
    np.testing.assert_array_equal(lazy.X.compute(), memory.X)
    lazy.write_h5ad(tmp_path / "imputed.h5ad")


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mn.tl.impute(cells(), "rna").X
    monkeypatch.setattr("scminnet.imputation.impute.BLOCK_VALUES", 3)
    np.testing.assert_allclose(mn.tl.impute(cells(), "rna").X, whole, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"modality": "adt"}, ValueError, "`modality` names 'adt'"),
        ({"features": ["no"]}, KeyError, "`features` names 'no', which modality 'rna' lacks"),
        ({"features": []}, ValueError, "`features` is empty"),
        ({"features": "rna_step"}, TypeError, "Give a list of texts"),
        ({"layer": "no"}, ValueError, "`layer` names 'no'"),
        ({"counts_layer": "no"}, ValueError, "`counts_layer` names 'no'"),
        ({"layer": "counts", "counts_layer": "counts"}, ValueError, "both given"),
        ({"n_neighbors": N}, ValueError, "`n_neighbors` is 240, but modality 'rna' has 240 cells"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` is 0"),
        ({"quantile": 1.2}, ValueError, "`quantile` is 1.2"),
        ({"use_rep": "X_pca"}, KeyError, "X_pca"),
    ],
)
def test_bad_arguments(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mn.tl.impute(cells(), **{"modality": "rna"} | change)


def test_too_few_cells_too_many_values_and_no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    mdata = cells()
    small = mudata.MuData({"rna": mdata["rna"][:19].copy(), "atac": mdata["atac"]})
    with pytest.raises(ValueError, match="measured in 19 cells to learn from"):
        mn.tl.impute(small, "rna")
    del small["rna"].obsm["X_minnet"]
    with pytest.raises(ValueError, match="has no embedding 'X_minnet' in its obsm"):
        mn.tl.impute(small, "rna")
    monkeypatch.setattr("scminnet.imputation.impute.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="asks for 3 values of each of 240 cells"):
        mn.tl.impute(mdata, "rna")
