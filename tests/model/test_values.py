"""Values that a model can not learn from, trainings that diverge, and weights that are not finite."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData
from scipy import sparse

from scminnet import MinNet
from scminnet.model.data.moments import feature_moments
from scminnet.model.network.canonical import fit_projections

from .conftest import QUIET, normalised, setup


@pytest.mark.parametrize("dense", [True, False])
def test_a_modality_without_variance_is_named_before_work_begins(reference: MuData, monkeypatch, dense: bool) -> None:
    ones = np.ones(reference["atac"].shape, dtype=np.float32)
    reference["atac"].X = ones if dense else sparse.csr_matrix(ones)
    monkeypatch.setattr("scminnet.model.training.train.margin_distances", lambda *_, **__: pytest.fail("work began"))
    with pytest.raises(ValueError, match="'atac' of `mdata` has no feature that varies"):
        MinNet(setup(reference)).train(**QUIET)


def test_a_modality_that_does_not_vary_among_the_training_cells_is_named() -> None:
    rng = np.random.default_rng(0)
    matrices = {"rna": rng.normal(size=(60, 8)).astype(np.float32), "atac": np.ones((60, 9), np.float32)}
    matrices["atac"][50:] = 2
    moments = {m: feature_moments(matrix) for m, matrix in matrices.items()}
    positions = np.repeat(np.arange(50)[:, None], 2, axis=1)
    peaks = {m: np.zeros(matrix.shape[1], bool) for m, matrix in matrices.items()}
    with pytest.raises(ValueError, match="'atac' of `mdata` does not vary among the 50 cells"):
        fit_projections(matrices, moments, peaks, positions, n_components=5, n_canonical=3, seed=0)


def test_a_training_that_diverges_is_an_error(reference: MuData) -> None:
    model = MinNet(setup(reference), n_components=10)
    with pytest.raises(ValueError, match=r"`plan_kwargs`: the training diverged, .*Lower `lr`"):
        model.train(max_epochs=20, plan_kwargs={"lr": 1e25}, **QUIET)
    assert not model.is_trained
    with pytest.raises(RuntimeError, match="not trained"):
        model.embed()


def test_weights_that_are_not_finite_predict_nothing(reference: MuData) -> None:
    model = MinNet(setup(reference), n_components=10, n_hidden=16)
    model.train(max_epochs=1, **QUIET)
    before = sorted(reference.obsm), list(reference.obs)
    with torch.no_grad():
        next(iter(model.module.parameters())).fill_(float("nan"))
    for action in (model.embed, model.predict, model.get_latent_representation, model.diagnose):
        with pytest.raises(ValueError, match=r"240 of 240 cells of modality 'rna' is not finite.*Train it again"):
            action()
    assert (sorted(reference.obsm), list(reference.obs)) == before


def test_numpys_numbers_are_taken_everywhere(reference: MuData) -> None:
    for number in (np.int64, np.array):
        model = MinNet(setup(reference), n_hidden=number(16), n_components=number(10), seed=number(1))
        model.train(max_epochs=number(1), batch_size=number(64), seed=number(2), **QUIET)
        model.get_latent_representation(batch_size=number(100))
        model.diagnose(seed=number(3))


@pytest.mark.parametrize("form", [int, float, str])
def test_clusters_of_other_types_are_the_same_types(form: type) -> None:
    mdata = normalised()
    codes = mdata.obs.pop("cell_type").cat.codes
    mdata["rna"].obs["cell_type"] = codes.astype(int)
    mdata["atac"].obs["cell_type"] = codes.astype(float if form is str else int).astype(form)
    model = MinNet(setup(mdata))
    assert model.labels.tolist() == ["0", "1", "2", "3"]
    mdata["atac"].obs["cell_type"] = pd.Categorical(mdata["atac"].obs["cell_type"])
    assert MinNet(setup(mdata)).labels.tolist() == ["0", "1", "2", "3"]


def test_labels_that_look_missing_are_named_once_and_can_be_given(reference: MuData) -> None:
    labels = reference.obs["cell_type"].astype(object)
    labels.iloc[:5], labels.iloc[5:12] = "nan", " unassigned"
    reference.obs["cell_type"] = labels
    with pytest.warns(UserWarning, match="look like missing") as caught:
        setup(reference)
    said = [str(w.message) for w in caught if "look like missing" in str(w.message)]
    assert len(said) == 1
    assert "' unassigned' (7 cells), 'nan' (5 cells)" in said[0]
    assert "unlabeled_category=['Unknown', ' unassigned', 'nan']" in said[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*look like missing")
        MinNet.setup_mudata(
            reference, ["rna", "atac"], labels_key="cell_type", unlabeled_category=["Unknown", " unassigned", "nan"]
        )
    model = MinNet(reference, n_components=10)
    assert len(model.labels) == 4
    model.train(max_epochs=1, **QUIET)
    assert (reference.obs["_minnet_labels"] == "Unknown").sum() == 12


def test_several_unlabelled_categories_survive_saving(reference: MuData, query: MuData, tmp_path) -> None:
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(object).mask(np.arange(240) < 5, "nan")
    MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type", unlabeled_category=["Unknown", "nan"])
    model = MinNet(reference, n_components=10)
    model.train(max_epochs=1, **QUIET)
    model.save(tmp_path / "model")
    query.obs["cell_type"] = "nan"
    loaded = MinNet.load_query_data(query, tmp_path / "model")
    assert loaded.labels.tolist() == model.labels.tolist()
    assert np.isfinite(loaded.get_latent_representation()).all()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda model, query: model.embed(query, label_added={}), "`label_added` is {}"),
        (lambda model, query: model.embed(query, key_added=[1]), r"`key_added` is \[1\]"),
        (lambda model, query: model.predict(query, soft="yes"), "`soft` is 'yes'"),
        (lambda model, query: model.diagnose(query, seed=[1]), r"`seed` is \[1\]"),
        (lambda model, query: model.save({}), "`dir_path` is {}"),
        (lambda model, query: MinNet.load([1]), r"`dir_path` is \[1\]"),
        (lambda model, query: model.train(seed=None), "`seed` is None"),
        (lambda model, query: model.train(checkpoint={}), "`checkpoint` is {}"),
        (lambda model, query: MinNet.load_query_data(query, model, accelerator=3), "`accelerator` is 3"),
        (lambda model, query: MinNet.prepare_query_mudata(query, model, inplace=2), "`inplace` is 2"),
    ],
)
def test_wrong_types_are_refused_by_name_and_change_nothing(trained: MinNet, query: MuData, action, words: str) -> None:
    before = query.obs.copy(), sorted(query.obsm), sorted(query.uns)
    with pytest.raises(TypeError, match=words):
        action(trained, query)
    assert query.obs.equals(before[0])
    assert (sorted(query.obsm), sorted(query.uns)) == before[1:]


@pytest.mark.parametrize("accelerator", ["", "abacus"])
def test_a_device_that_is_not_there_is_named(trained: MinNet, query: MuData, accelerator: str) -> None:
    with pytest.raises(ValueError, match=f"`accelerator` is '{accelerator}' and `device`"):
        MinNet.load_query_data(query, trained, accelerator=accelerator)
