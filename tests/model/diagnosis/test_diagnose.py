from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import torch
from mudata import MuData
from scipy import sparse

from scminnet import MinNet
from scminnet.datasets import simulate_multiome
from scminnet.metrics import foscttm
from scminnet.model.diagnosis.checks import CHECKS
from scminnet.model.diagnosis.reference_range import MIN_HELD_OUT
from scminnet.model.diagnosis.verdict import COLUMNS, Finding, judge, summarise

from ..conftest import QUIET, setup


@pytest.fixture(scope="module")
def cells() -> MuData:
    mdata = simulate_multiome(900, n_types=5, n_lineages=2, n_batches=3, n_genes=200, n_peaks=600)
    for adata in mdata.mod.values():
        sc.pp.normalize_total(adata, target_sum=1e3)
        sc.pp.log1p(adata)
    return mdata


@pytest.fixture(scope="module")
def model(cells: MuData) -> MinNet:
    """A model that tells types apart, of two of three batches."""
    model = MinNet(setup(cells[(cells.obs["batch"] != "batch_3").to_numpy()].copy()), n_hidden=64)
    model.train(max_epochs=25, **QUIET)
    return model


@pytest.fixture
def third(cells: MuData) -> MuData:
    """The batch that the model did not see; paired, and not registered."""
    return cells[(cells.obs["batch"] == "batch_3").to_numpy()].copy()


def changed(mdata: MuData, modality: str, change) -> MuData:
    """Change a modality's dense values."""
    mdata = mdata.copy()
    mdata[modality].X = sparse.csr_matrix(change(mdata[modality].X.toarray()).astype(np.float32))
    return mdata


def row(diagnosis, check: str, modality: str = "rna"):
    table = diagnosis.table.set_index(["check", "modality"])
    return table.loc[(check, modality)]


# ---- good and bad queries


def test_another_batch_of_the_same_tissue_is_inside(model: MinNet, third: MuData) -> None:
    found = model.diagnose(third)
    assert found.verdict == "inside", found
    assert set(found.table["verdict"]) == {"inside"}
    assert list(found.table.columns) == COLUMNS
    # the others are of the model's own coupling
    assert set(found.table["check"]) == set(CHECKS) - {"links", "neighbor_mixing", "partners"}
    assert found.n_cells == {"rna": 300, "atac": 300}
    assert (found.table["advice"].str.len() > 0).all()


def test_shuffled_features_are_outside(model: MinNet, third: MuData, rng: np.random.Generator) -> None:
    def shuffle(x: np.ndarray) -> np.ndarray:
        return x[:, rng.permutation(x.shape[1])]

    found = model.diagnose(changed(changed(third, "rna", shuffle), "atac", shuffle))
    assert found.verdict == "outside"
    good = model.diagnose(third)
    for m in ("rna", "atac"):
        assert row(found, "levels", m)["verdict"] == "outside"
        assert "statistics" not in set(found.table.query("modality == @m")["check"])
        for check in ("signal", "near", "confidence"):
            assert row(found, check, m)["value"] < row(good, check, m)["value"] - 0.03, check
    assert row(found, "pairs", "rna, atac")["value"] > 0.4
    only_atac = model.diagnose(changed(third, "atac", shuffle))
    assert row(only_atac, "levels", "rna")["verdict"] == "inside"


def test_cells_without_structure_have_no_signal(model: MinNet, third: MuData, rng: np.random.Generator) -> None:
    found = model.diagnose(changed(third, "rna", lambda x: rng.permuted(x, axis=0)))
    good = model.diagnose(third)
    assert row(found, "levels")["value"] == pytest.approx(row(good, "levels")["value"], abs=1e-5)
    for check in ("signal", "near", "confidence"):
        assert row(found, check)["value"] < row(good, check)["value"] - 0.1, check
    assert found.verdict != "inside"


def test_missing_features_are_told(model: MinNet, third: MuData) -> None:
    lacking = MuData({"rna": third["rna"][:, :80].copy(), "atac": third["atac"].copy()})
    MinNet.prepare_query_mudata(lacking, model)
    found = row(model.diagnose(lacking), "features")
    assert found["verdict"] == "outside"
    weights = model.module.encoder("rna").input.weight.numpy()
    assert found["value"] == pytest.approx((weights[:80] ** 2).sum() / (weights**2).sum(), abs=0.01)


@pytest.mark.parametrize(
    ("change", "verdict"), [(np.expm1, "outside"), (lambda x: 2 * x, "borderline"), (lambda x: x / 2, "borderline")]
)
def test_another_scale_is_told(model: MinNet, third: MuData, change, verdict: str) -> None:
    found = model.diagnose(changed(third, "rna", change))
    assert row(found, "scale")["verdict"] == verdict
    assert row(found, "scale", "atac")["verdict"] == "inside"
    assert found.verdict == "borderline"  # harmless while the query is standardised by its own statistics
    if change is np.expm1:
        assert model.diagnose(changed(third, "rna", change), statistics="reference").verdict != "inside"


def test_a_single_type_is_better_standardised_by_the_reference(model: MinNet, third: MuData) -> None:
    labels = third.obs["cell_type"]
    single = third[(labels == labels.value_counts().index[0]).to_numpy()].copy()
    found = model.diagnose(single)
    assert found.verdict != "inside"
    assert row(found, "statistics")["verdict"] == "borderline"
    assert "statistics='reference'" in row(found, "statistics")["advice"]
    other = model.diagnose(single, statistics="reference")
    assert row(other, "statistics")["verdict"] == "inside"
    assert row(other, "near")["value"] == row(found, "statistics")["value"]
    assert row(other, "near")["value"] > row(found, "near")["value"]


def test_wrong_pairs_are_told_by_pairs_alone(model: MinNet, third: MuData) -> None:
    """Each cell has the name of a cell of another type in the other modality; both modalities are good ones."""
    order = third.obs["cell_type"].astype(str).argsort().to_numpy()
    wrong = third.copy()
    wrong["atac"].X = third["atac"].X[np.roll(order, 100)[np.argsort(order)]]
    found = model.diagnose(wrong)
    assert row(found, "pairs", "rna, atac")["value"] > 0.4
    assert set(found.table.query("check != 'pairs'")["verdict"]) == {"inside"}


def test_pairs_are_told_only_where_there_are_some(model: MinNet, third: MuData, monkeypatch) -> None:
    half = third.n_obs // 2
    unpaired = MuData({"rna": third["rna"][:half].copy(), "atac": third["atac"][half:].copy()})
    found = model.diagnose(unpaired)
    assert "pairs" not in set(found.table["check"])
    assert row(found, "mixing", "rna, atac")["value"] > 0
    few = MuData({"rna": third["rna"][: half + MIN_HELD_OUT - 1].copy(), "atac": third["atac"][half:].copy()})
    assert "pairs" not in set(model.diagnose(few).table["check"])
    # diagnosed as the network was trained, without batch norm of the query
    monkeypatch.setattr(model.module, "adapt_norm", False)
    embedded = model.embed(third, copy=True)
    expected = foscttm(embedded["rna"].obsm["X_minnet"], embedded["atac"].obsm["X_minnet"]).mean
    assert row(model.diagnose(third), "pairs", "rna, atac")["value"] == pytest.approx(expected, abs=1e-6)


def test_mixing_is_expected_of_different_cells(model: MinNet, third: MuData, monkeypatch) -> None:
    """A held-out cell that stood in both modalities would be its own neighbour."""
    given = []
    monkeypatch.setattr("scminnet.model.diagnosis.diagnose.modality_mixing", lambda *groups, seed: given.extend(groups))
    found = model.diagnose(third)
    assert row(found, "mixing", "rna, atac")["verdict"] == "unknown"
    held_out = model.reference_range_["held_out"]
    for group, m, half in zip(given[2:], ("rna", "atac"), (0, 1), strict=True):
        of_half = held_out[m]["half"] == half
        np.testing.assert_array_equal(group.embedding, held_out[m]["embedding"][of_half])
        np.testing.assert_array_equal(group.types, held_out[m]["types"][of_half])


def test_one_modality_is_enough(model: MinNet, third: MuData) -> None:
    found = model.diagnose(MuData({"rna": third["rna"].copy()}))
    assert found.verdict == "inside"
    assert set(found.table["modality"]) == {"rna"}
    assert not {"mixing", "pairs"} & set(found.table["check"])


def test_a_handful_of_cells_by_the_reference_s_statistics(model: MinNet, third: MuData) -> None:
    found = model.diagnose(third[:5].copy(), statistics="reference")
    assert {"near", "confidence"} <= set(found.table["check"])
    assert not {"features", "scale", "levels", "statistics", "signal"} & set(found.table["check"])
    with pytest.raises(ValueError, match="statistics='reference'"):
        model.diagnose(third[:5].copy())


# ---- what is kept of the reference


def test_limits_come_from_held_out_cells(model: MinNet) -> None:
    kept = model.reference_range_
    data, held_out = model.adata, model.validation_indices_
    for m in ("rna", "atac"):
        embedding = model.get_latent_representation(modality=m, statistics="reference")
        expected = embedding[data[m].obs_names.get_indexer(data.obs_names[held_out])]
        found = kept["held_out"][m]["embedding"]
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-5)
        landmarks = kept["landmarks"][m]
        assert len(landmarks) == len(model.train_indices_)
        nearest = np.sort(np.linalg.norm(expected[:, None] - landmarks[None], axis=2), axis=1)[:, :10].mean(axis=1)
        assert kept["held_out"][m]["max_distance"] == pytest.approx(np.quantile(nearest, 0.95), rel=1e-4)
    a, b = (kept["held_out"][m] for m in ("rna", "atac"))
    np.testing.assert_array_equal(a["half"], b["half"])
    assert kept["foscttm"]["rna"]["atac"] == pytest.approx(foscttm(a["embedding"], b["embedding"]).mean)


def test_levels_are_expected_from_the_reference_s_batches(model: MinNet) -> None:
    data = model.adata
    means = [data["rna"][(data.obs["batch"] == b).to_numpy()].X.mean(axis=0).A1 for b in ("batch_1", "batch_2")]
    assert model.reference_range_["levels"]["rna"] == pytest.approx(np.corrcoef(*means)[0, 1], abs=1e-4)


def test_halves_are_of_cells_where_modalities_hold_others(cells: MuData) -> None:
    mdata = MuData({"rna": cells["rna"][:600].copy(), "atac": cells["atac"][200:].copy()})
    mdata.obs = cells.obs.loc[mdata.obs_names]
    model = MinNet(setup(mdata), n_hidden=16)
    model.train(max_epochs=1, train_size=0.5, **QUIET)
    held_out = model.reference_range_["held_out"]
    halves = {}
    for m in ("rna", "atac"):
        own = model.get_latent_representation(modality=m, statistics="reference")
        for embedding, half in zip(held_out[m]["embedding"], held_out[m]["half"], strict=True):
            cell = mdata[m].obs_names[np.abs(own - embedding).sum(axis=1).argmin()]
            assert halves.setdefault(cell, half) == half
    assert 200 < len(halves) <= len(model.validation_indices_)


def test_without_held_out_cells_nothing_is_judged_by_them(reference: MuData) -> None:
    model = MinNet(setup(reference), n_hidden=16)
    model.train(max_epochs=1, train_size=1.0, **QUIET)
    found = model.diagnose()
    assert found.verdict == "unknown"
    assert set(found.table.query("check in ['features', 'signal', 'near', 'mixing']")["verdict"]) == {"unknown"}
    assert row(found, "scale")["verdict"] == "inside"
    assert "can not be judged" in repr(found)
    assert "train_size" in repr(found)


def test_the_paper_s_recipe_is_diagnosed_alike(reference: MuData) -> None:
    model = MinNet(setup(reference), preset="paper")
    model.train(max_epochs=1, **QUIET)
    found = model.diagnose().table
    # an epoch is not enough to tell types apart, within which modalities mix
    assert np.isfinite(found.loc[found["check"] != "mixing", ["value", "expected"]]).all(axis=None)


# ---- saving, seeds, errors


def test_saved_and_loaded_models_diagnose_alike(trained: MinNet, query: MuData, tmp_path) -> None:
    expected = trained.diagnose(query)
    trained.save(str(tmp_path / "model"))
    # plain arrays and numbers, which no later version can fail to read
    saved = torch.load(tmp_path / "model" / "model.pt", weights_only=False)["attr_dict"]["reference_range_"]
    assert type(saved) is dict
    loaded = MinNet.load(tmp_path / "model", adata=False)
    assert loaded.diagnose(query).table.equals(expected.table)
    of_query = MinNet.load_query_data(query, tmp_path / "model")
    assert of_query.diagnose().table.equals(expected.table)
    assert MinNet.load_query_data(query, trained).diagnose().table.equals(expected.table)


def test_the_same_twice_and_nothing_changed(model: MinNet, third: MuData, monkeypatch) -> None:
    monkeypatch.setattr("scminnet.model.diagnosis.diagnose.MAX_CELLS", 150)
    before = third.copy()
    first, second, other = (model.diagnose(third, seed=seed) for seed in (3, 3, 4))
    assert first.table.equals(second.table)
    assert not first.table.equals(other.table)
    assert list(third.obs.columns) == list(before.obs.columns)
    assert list(third.uns) == list(before.uns)
    for m in third.mod:
        np.testing.assert_array_equal(third[m].X.toarray(), before[m].X.toarray())
        assert list(third[m].obsm) == list(before[m].obsm)


def test_a_sample_of_cells_says_nearly_the_same(model: MinNet, third: MuData, monkeypatch) -> None:
    whole = model.diagnose(third).table
    monkeypatch.setattr("scminnet.model.diagnosis.diagnose.MAX_CELLS", 200)
    sample = model.diagnose(third).table
    np.testing.assert_allclose(sample["value"], whole["value"], atol=0.1)
    # features are looked at in all cells
    is_of_features = whole["check"].isin(["features", "scale", "levels"])
    np.testing.assert_array_equal(sample.loc[is_of_features, "value"], whole.loc[is_of_features, "value"])


def test_cells_in_any_order(model: MinNet, third: MuData) -> None:
    straight = model.diagnose(third).table
    parts = {"rna": third["rna"].copy(), "atac": third["atac"][::-1].copy()}
    turned = model.diagnose(MuData(parts)).table
    np.testing.assert_allclose(turned["value"], straight["value"], atol=0.05)
    assert turned.query("check == 'pairs'")["value"].item() == pytest.approx(
        straight.query("check == 'pairs'")["value"].item(), abs=1e-3
    )


def test_an_untrained_model_and_a_checkpoint_are_refused(trained: MinNet, reference: MuData, query: MuData) -> None:
    with pytest.raises(RuntimeError, match="not trained"):
        MinNet(setup(reference)).diagnose()
    older = MinNet.load_query_data(query, trained)
    older.reference_range_ = None
    with pytest.raises(ValueError, match=r"nothing of its reference.*train again"):
        older.diagnose()


def test_training_again_forgets_what_was_kept(reference: MuData, monkeypatch) -> None:
    model = MinNet(setup(reference), n_hidden=16)
    model.train(max_epochs=1, **QUIET)
    first = model.reference_range_
    kept = []
    monkeypatch.setattr(
        "scminnet.model.training.train.UnsupervisedTrainingMixin.train",
        lambda self, **_: kept.append(self.reference_range_),
    )
    model.train(max_epochs=1, **QUIET)
    assert kept == [None]  # as a checkpoint would hold it
    monkeypatch.undo()
    model.train(max_epochs=1, **QUIET)
    assert not np.array_equal(model.reference_range_["landmarks"]["rna"], first["landmarks"]["rna"])


def test_bad_arguments(trained: MinNet, query: MuData) -> None:
    with pytest.raises(ValueError, match="`statistics`"):
        trained.diagnose(query, statistics="own")
    with pytest.raises(TypeError, match="MuData"):
        trained.diagnose(query["rna"])
    with pytest.raises(ValueError, match="none in common"):
        trained.diagnose(MuData({"other": query["rna"].copy()}))
    counts = query.copy()
    counts["rna"].X = np.round(counts["rna"].X.toarray())
    with pytest.warns(UserWarning, match="raw counts") as caught:
        trained.diagnose(counts)
    assert caught[0].filename == __file__


def test_the_accessor_diagnoses(trained: MinNet, query: MuData) -> None:
    assert query.minnet.diagnose(trained).table.equals(trained.diagnose(query).table)


# ---- judging and printing


@pytest.mark.parametrize(
    ("check", "value", "expected", "verdict"),
    [
        ("near", 0.95, 0.95, "inside"),
        ("near", 0.75, 0.95, "borderline"),
        ("near", 0.3, 0.95, "outside"),
        ("near", None, 0.95, "unknown"),
        ("near", 0.95, None, "unknown"),
        ("scale", 1.4, 1.0, "inside"),
        ("scale", 2.0, 1.0, "borderline"),
        ("scale", 0.5, 1.0, "borderline"),
        ("scale", 4.0, 1.0, "outside"),
        ("scale", 0.0, 1.0, "outside"),
        ("pairs", 0.0, 0.04, "inside"),
        ("pairs", 0.05, 0.04, "inside"),
        ("pairs", 0.1, 0.04, "borderline"),
        ("pairs", 0.4, 0.04, "outside"),
        ("statistics", 0.9, 0.95, "inside"),
        ("statistics", 0.9, 0.2, "borderline"),
        ("levels", -0.3, 0.9, "outside"),
        ("levels", 0.5, 0.0, "unknown"),
        ("levels", 0.5, -0.86, "unknown"),
    ],
)
def test_judge(check: str, value: float | None, expected: float | None, verdict: str) -> None:
    assert judge(check, value, expected) == verdict


def overall(*findings: tuple[str, float], statistics: str = "query") -> str:
    found = [Finding(check, "rna", value, 1.0) for check, value in findings]
    return summarise(found, {"rna": 100}, statistics).verdict


def test_causes_alone_make_a_query_borderline_at_most() -> None:
    assert overall(("features", 1.0), ("near", 1.0)) == "inside"
    assert overall(("features", 0.1), ("near", 1.0)) == "borderline"
    assert overall(("features", 1.0), ("near", 0.8)) == "borderline"
    assert overall(("features", 1.0), ("near", 0.1)) == "outside"
    assert overall(("levels", 0.1), ("near", 1.0)) == "outside"
    assert overall(("levels", 0.1), ("near", 1.0), statistics="reference") == "borderline"


def test_printing_has_one_line_of_advice_for_what_is_not_inside() -> None:
    found = summarise([Finding("near", "rna", 0.2, 0.95), Finding("scale", "rna", 1.0, 1.0)], {"rna": 1234}, "query")
    assert list(found.table["check"]) == ["scale", "near"]
    text = repr(found)
    assert text.startswith("The query (1,234 cells of rna) lies outside the reference's range.")
    assert f"near (rna): {CHECKS['near'].advice}" in text
    assert CHECKS["scale"].fine not in text
    page = found._repr_html_()
    assert "<table" in page
    assert CHECKS["scale"].fine in page
