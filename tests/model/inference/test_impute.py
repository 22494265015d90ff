from __future__ import annotations

import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

from scminnet import MinNet

from ..conftest import QUIET, normalised, setup
from ..unpaired import SMALL, simulated, split


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


@pytest.fixture(scope="module")
def model() -> MinNet:
    """A model with enough held-out cells for intervals."""
    model = MinNet(setup(normalised()), n_hidden=32, n_components=20, n_canonical=10)
    model.train(max_epochs=30, batch_size=64, train_size=0.7, **QUIET)
    return model


def test_imputed_rna_follows_the_measured(model: MinNet, query_source: MuData) -> None:
    found = model.impute(MuData({"atac": query_source["atac"].copy()}), "rna", interval=0.9)
    measured = dense(query_source["rna"].X)
    assert list(found.obs_names) == list(query_source.obs_names)
    assert list(found.var_names) == list(query_source["rna"].var_names)
    inside = found.obs["in_range"].to_numpy()
    assert inside.mean() > 0.8
    types = query_source.obs["cell_type"].to_numpy()[inside]

    def of_types(values: np.ndarray) -> np.ndarray:
        return np.array([values[types == t].mean(axis=0) for t in np.unique(types)])

    truth, guess = of_types(measured[inside]), of_types(found.X[inside])
    marked = np.argsort(truth.var(axis=0))[-20:]
    assert np.mean([np.corrcoef(truth[:, j], guess[:, j])[0, 1] for j in marked]) > 0.5
    lower, upper = found.layers["lower"][inside], found.layers["upper"][inside]
    assert (lower <= found.X[inside]).all()
    assert (upper >= found.X[inside]).all()
    assert lower.min() >= 0
    within = ((measured[inside] >= lower) & (measured[inside] <= upper)).mean()
    assert 0.84 < within < 0.96
    assert 0.8 < found.uns["impute"]["coverage"] < 1
    assert np.isnan(found.layers["upper"][~inside]).all()


def test_an_unpaired_query_is_imputed_where_it_lacks_the_modality(model: MinNet, query: MuData) -> None:
    found = model.impute(query, "rna", features=list(query["rna"].var_names[:3]))
    assert list(found.obs_names) == list(query["atac"].obs_names)
    assert found.shape[1] == 3
    again = model.impute(query, "rna", features=list(query["rna"].var_names[:3]))
    np.testing.assert_array_equal(found.X, again.X)


def test_counts_are_on_the_references_depth(model: MinNet, query: MuData) -> None:
    counts = np.expm1(dense(model.adata["rna"].X))
    model.adata["rna"].layers["raw"] = counts
    try:
        found = model.impute(query, "rna", counts_layer="raw")
    finally:
        del model.adata["rna"].layers["raw"]
    assert 0.7 < np.nanmean(found.X) / counts.mean() < 1.4


def test_coupled_cells_without_a_pair() -> None:
    mdata = split(simulated())
    MinNet.setup_mudata(mdata, ["rna", "adt"])
    model = MinNet(mdata, **SMALL)
    model.train(max_epochs=3, **QUIET)
    found = model.impute(None, "rna")
    assert list(found.obs_names) == [n for n in mdata.obs_names if n in set(mdata["adt"].obs_names)]
    assert np.isfinite(found.X[found.obs["in_range"]]).all()
    with pytest.raises(ValueError, match="needs 20 cells with both modalities"):
        model.impute(None, "rna", interval=0.9)


def test_a_model_without_data_takes_a_reference(model: MinNet, query: MuData, tmp_path) -> None:
    model.save(str(tmp_path / "m"), overwrite=True)
    loaded = MinNet.load(str(tmp_path / "m"), adata=False)
    with pytest.raises(ValueError, match="`reference` is missing"):
        loaded.impute(query, "rna")
    found = loaded.impute(query, "rna", reference=model.adata)
    np.testing.assert_allclose(found.X, model.impute(query, "rna").X, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="those of `reference` are unknown"):
        loaded.impute(query, "rna", reference=model.adata, interval=0.9)
    with_data = MinNet.load(str(tmp_path / "m"), model.adata)
    assert "coverage" in with_data.impute(query, "rna", interval=0.9).uns["impute"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"modality": "adt"}, ValueError, "`modality` is 'adt'"),
        ({"interval": 1.0}, ValueError, "`interval` is 1.0"),
        ({"interval": 0.0}, ValueError, "`interval` is 0.0"),
        ({"features": ["no"]}, KeyError, "`features` names 'no'"),
        ({"counts_layer": "no"}, ValueError, "`counts_layer` names 'no'"),
        ({"mdata": "cells.h5mu"}, TypeError, "`mdata` must be a MuData"),
        ({"reference": "cells.h5mu"}, TypeError, "`reference` must be a MuData"),
    ],
)
def test_bad_arguments(model: MinNet, query: MuData, change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model.impute(**{"mdata": query, "modality": "rna"} | change)


def test_cells_that_have_it_and_cells_of_no_other_modality(model: MinNet, query: MuData, query_source: MuData) -> None:
    with pytest.raises(ValueError, match="which every cell of `mdata` has"):
        model.impute(query_source, "rna")
    with pytest.raises(ValueError, match="none of the model's modalities but 'rna'"):
        model.impute(MuData({"rna": query["rna"]}), "rna")
