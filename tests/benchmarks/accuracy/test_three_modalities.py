"""The benchmark of three modalities on simulated cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scminnet as mn
from benchmarks.accuracy import three_modalities
from benchmarks.accuracy.three_modalities import LABELS, MODALITIES, PAIRS, SETTINGS


@pytest.fixture(scope="module")
def cells() -> MuData:
    simulated = mn.datasets.simulate_multiome(150, n_types=3, n_genes=60, n_peaks=100, n_proteins=12)
    mn.pp.normalize(simulated)
    named = three_modalities.together(
        {new: simulated[old].copy() for new, old in zip(MODALITIES, ("rna", "adt", "atac"), strict=True)}
    )
    named.obs[LABELS] = simulated.obs["cell_type"].loc[named.obs_names]
    return named


def test_cells_are_held_out_by_type_and_another_part_by_another_seed() -> None:
    types = pd.Series(np.repeat(["a", "b", "c", "d"], [60, 30, 6, 1]), index=[f"c{i}" for i in range(97)])
    train, test = three_modalities.split(types, 1 / 3, seed=0)
    assert sorted([*train, *test]) == sorted(types.index)
    assert types[test].value_counts()[["a", "b", "c"]].tolist() == pytest.approx([20, 10, 2], abs=1)
    assert set(test) != set(three_modalities.split(types, 1 / 3, seed=1)[1])
    assert list(test) == list(three_modalities.split(types, 1 / 3, seed=0)[1])


def test_each_cell_lacks_one_modality(cells: MuData) -> None:
    partly = three_modalities.without_one(cells, MODALITIES, seed=0)
    assert set(partly.obs_names) == set(cells.obs_names)
    measured = sum(partly.obs_names.isin(adata.obs_names).astype(int) for adata in partly.mod.values())
    assert (measured == 2).all()
    assert partly.obs[LABELS].equals(cells.obs[LABELS].loc[partly.obs_names])
    for pair in PAIRS:
        both = three_modalities.shared_cells(partly, pair)
        assert both.n_obs == cells.n_obs // 3
        assert [list(adata.obs_names) for adata in both.mod.values()] == [list(both.obs_names)] * 2
        np.testing.assert_array_equal(
            both[pair[0]].X.toarray(), cells[both.obs_names][pair[0]][both.obs_names].X.toarray()
        )


def test_tables_of_all_settings(cells: MuData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = mn.MinNet.train
    monkeypatch.setattr(mn.MinNet, "train", lambda self, **arguments: train(self, 1, **arguments))
    monkeypatch.setattr(three_modalities, "RESULTS", tmp_path)
    monkeypatch.setattr(three_modalities, "read_h5mu", lambda path: cells)
    monkeypatch.setattr("sys.argv", ["three_modalities", "--data", str(tmp_path), "--seeds", "1"])
    three_modalities.main()
    table = pd.read_csv(tmp_path / "three_modalities.csv")
    assert np.isfinite(table["value"]).all()
    n_methods = table.groupby(["setting", "modalities"])["method"].nunique().unstack()
    assert (n_methods.loc[["three", SETTINGS[2]]] == 4).all(axis=None)
    assert (n_methods.loc["two"] == 2).all()
    # the number of components is chosen among those listed, and only for the linear baseline
    is_linear = table["method"].str.startswith("cca")
    assert table.loc[is_linear, "n_components"].isin(three_modalities.N_COMPONENTS).all()
    assert (table.loc[~is_linear, "n_components"] == 0).all()

    shares = three_modalities.shares(table).set_index(["modalities", "setting", "method"])
    value = table[table["metric"] == "foscttm"].set_index(["modalities", "setting", "method"])["value"]
    for setting, pairs in (("two", "three"), (SETTINGS[2], SETTINGS[2])):
        found = shares.loc["rna, ephys", setting, "default"]
        own = value["rna, ephys", setting, "default"]
        assert float(found["/ cca"]) == pytest.approx(own / value["rna, ephys", pairs, "cca"], abs=0.006)
        assert float(found["/ three"]) == pytest.approx(own / value["rna, ephys", "three", "default"], abs=0.006)
    page = (tmp_path / "three_modalities.md").read_text()
    assert all(setting in page for setting in SETTINGS)
