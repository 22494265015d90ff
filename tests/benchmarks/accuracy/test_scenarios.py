from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy import scenarios
from benchmarks.peers.methods import rna_halves
from benchmarks.shared.development_sets import DevelopmentSet


def test_unpaired_cells_tell_neither_who_nor_what_they_are(data: DevelopmentSet) -> None:
    unpaired = scenarios.unpair(data, 0)
    true_names = set(data.test.obs_names)
    for modality, adata in unpaired.cells.items():
        assert not true_names & set(adata.obs_names)
        assert list(adata.obs) == ["batch"]
        assert not adata.uns
        assert not adata.obsm
        assert list(adata.var) == ["kind", "gene"]
        assert set(unpaired.identity[modality]) == true_names
    first, second = unpaired.identity.values()
    # of two independent orders about one cell stands at one place in both
    assert (first == second).mean() < 0.1
    assert (first == data.test.obs_names).mean() < 0.1


def test_revealed_cells_have_their_own_values(data: DevelopmentSet) -> None:
    unpaired = scenarios.unpair(data, 1)
    values = {m: adata.layers["counts"].toarray() for m, adata in unpaired.cells.items()}
    for modality, points in scenarios.reveal(unpaired, values).items():
        expected = data.test[modality].layers["counts"].toarray()
        np.testing.assert_array_equal(points.loc[data.test[modality].obs_names].to_numpy(), expected)
        batch = unpaired.cells[modality].obs["batch"].to_numpy()
        assert (batch == data.test.obs["donor"].loc[points.index].astype(str).to_numpy()).all()


def test_order_follows_the_seed(data: DevelopmentSet) -> None:
    first, again, other = (scenarios.unpair(data, seed).identity["rna"] for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_reference_keeps_pairs_types_and_batches(data: DevelopmentSet) -> None:
    rna, chromatin = scenarios.reference(data).values()
    assert rna.obs_names.equals(chromatin.obs_names)
    assert (rna.obs["label"] == data.train.obs["kind_of_cell"].astype(str)).all()
    assert (rna.obs["batch"] == data.train.obs["donor"].astype(str)).all()


def test_across_batches_no_cell_is_in_both_modalities(data: DevelopmentSet) -> None:
    test = scenarios.across_batches(data, 0).test
    assert not set(test["rna"].obs_names) & set(test["chromatin"].obs_names)
    assert set(test.obs["donor"].loc[test["rna"].obs_names]) == {"p"}
    assert set(test.obs["donor"].loc[test["chromatin"].obs_names]) == {"q"}


def test_across_batches_needs_two_batches(data: DevelopmentSet) -> None:
    one = data.test[(data.test.obs["donor"] == "p").to_numpy()].copy()
    for lacking in (data._replace(batch_key=None), data._replace(test=one)):
        with pytest.raises(scenarios.NotApplicableError, match="two batches"):
            scenarios.across_batches(lacking, 0)


def test_missing_type_is_in_the_test_only(data: DevelopmentSet) -> None:
    changed = scenarios.missing_type(data, 0)
    left = set(data.train.obs["kind_of_cell"]) - set(changed.train.obs["kind_of_cell"])
    assert left == {"B"}
    assert "B" not in changed.train.obs["kind_of_cell"].cat.categories
    assert changed.test is data.test
    assert "B" in set(data.train.obs["kind_of_cell"])


def test_imbalance_is_a_hundred_to_one(data: DevelopmentSet) -> None:
    before = data.train.obs["kind_of_cell"].value_counts()
    after = scenarios.imbalance(data, 0).train.obs["kind_of_cell"].value_counts()
    assert after["A"] == before["A"]
    assert after["B"] == after["C"] == max(2, before["A"] // 100)


def test_scenarios_leave_the_data_as_they_are(data: DevelopmentSet) -> None:
    before = [mdata.copy() for mdata in (data.train, data.test)]
    for scenario in [*scenarios.SCENARIOS.values(), rna_halves]:
        scenario(data, 0)
    for mdata, copy in zip((data.train, data.test), before, strict=True):
        assert mdata.obs.equals(copy.obs)
        for modality in data.modalities:
            assert (mdata[modality].X != copy[modality].X).nnz == 0


def test_fewer_cells(data: DevelopmentSet) -> None:
    assert scenarios.fewer_cells(data.test, 30, 0).n_obs == 30
    assert scenarios.fewer_cells(data.test, 1000, 0).n_obs == data.test.n_obs


def test_all_cells_are_to_embed_and_none_is_a_reference(data: DevelopmentSet) -> None:
    changed = scenarios.all_cells(data, 0)
    assert changed.train.n_obs == 0
    for m in data.modalities:
        assert set(changed.test[m].obs_names) == {*data.train[m].obs_names, *data.test[m].obs_names}
        names = data.train[m].obs_names[:5]
        np.testing.assert_array_equal(changed.test[m][names].X.toarray(), data.train[m][names].X.toarray())
        assert list(changed.test[m].var) == list(data.test[m].var)
    assert changed.test.obs[data.labels_key].loc[data.train.obs_names].equals(data.train.obs[data.labels_key])
    assert scenarios.unpair(changed, 0).cells["rna"].n_obs == data.train.n_obs + data.test.n_obs
