from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import scenarios
from benchmarks.peers import exchange
from benchmarks.shared.development_sets import DevelopmentSet


def test_a_task_comes_back_as_it_was_written(data: DevelopmentSet, tmp_path: Path) -> None:
    unpaired, pairs = scenarios.unpair(data, 0), scenarios.reference(data)
    exchange.write_task(tmp_path / "task", unpaired.cells, pairs)
    task = exchange.read_task(tmp_path / "task")
    assert task.second == "chromatin"
    for written, found in ((unpaired.cells, task.cells), (pairs, task.pairs)):
        for modality, adata in written.items():
            assert list(found[modality].obs_names) == list(adata.obs_names)
            assert list(found[modality].var["gene"]) == list(adata.var["gene"])
            assert (found[modality].X != adata.X).nnz == 0
            assert (found[modality].layers["counts"] != adata.layers["counts"]).nnz == 0
            assert (found[modality].obs["batch"] == adata.obs["batch"]).all()
    assert (task.pairs["rna"].obs["label"] == pairs["rna"].obs["label"]).all()


def test_no_pairs_are_in_the_folder_of_a_method_without_pairs(data: DevelopmentSet, tmp_path: Path) -> None:
    exchange.write_task(tmp_path / "task", scenarios.unpair(data, 0).cells, {})
    assert exchange.read_task(tmp_path / "task").pairs == {}
    assert not list((tmp_path / "task").glob("pairs/*"))


def test_features_of_one_kind(data: DevelopmentSet, tmp_path: Path) -> None:
    exchange.write_task(tmp_path / "task", scenarios.unpair(data, 0).cells, {})
    task = exchange.read_task(tmp_path / "task")
    assert list(task.of_kind("peak").var_names) == ["peak3", "peak4", "peak5"]
    with pytest.raises(ValueError, match="protein"):
        task.of_kind("protein")


def test_shared_features_are_of_one_gene_and_no_peaks(data: DevelopmentSet) -> None:
    rna, other = exchange.shared_features(data.test["rna"], data.test["chromatin"])
    assert list(rna.var_names) == list(other.var_names) == ["c", "a"]
    np.testing.assert_array_equal(rna.X.toarray(), data.test["rna"][:, ["c", "a"]].X.toarray())
    np.testing.assert_array_equal(other.X.toarray(), data.test["chromatin"][:, ["activity0", "activity1"]].X.toarray())


def test_an_embedding_comes_back(data: DevelopmentSet, tmp_path: Path) -> None:
    points = {m: np.random.default_rng(0).normal(size=(120, 3)) for m in data.modalities}
    exchange.write_embedding(tmp_path, points, data.test.mod, "numpy")
    found, versions = exchange.read_embedding(tmp_path)
    for modality in data.modalities:
        np.testing.assert_allclose(found[modality], points[modality], rtol=1e-6)
    assert versions == {"numpy": np.__version__}


def test_an_embedding_that_lacks_cells_is_refused(data: DevelopmentSet, tmp_path: Path) -> None:
    points = {"rna": np.zeros((120, 3)), "chromatin": np.zeros((119, 3))}
    with pytest.raises(ValueError, match="119 embedded cells of chromatin, there are 120"):
        exchange.write_embedding(tmp_path, points, data.test.mod)


def test_an_embedding_as_r_writes_it(tmp_path: Path) -> None:
    (tmp_path / "rna.csv").write_text("1,2\n3,4\n")
    (tmp_path / "adt.csv").write_text("5,6\n")
    (tmp_path / "versions.json").write_text(json.dumps({"R": "4.2"}))
    found, versions = exchange.read_embedding(tmp_path)
    np.testing.assert_array_equal(found["rna"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(found["adt"], [[5, 6]])
    assert versions == {"R": "4.2"}


def test_no_embedding(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no embedding"):
        exchange.read_embedding(tmp_path)


def test_pairs_lie_above_the_cells_to_embed(data: DevelopmentSet, tmp_path: Path) -> None:
    unpaired, pairs = scenarios.unpair(data, 0), scenarios.reference(data)
    exchange.write_task(tmp_path / "task", unpaired.cells, pairs)
    cells = exchange.read_task(tmp_path / "task").with_pairs()
    assert list(cells["chromatin"].var_names) == ["peak3", "peak4", "peak5"]
    for modality, adata in cells.items():
        parts = pairs[modality], unpaired.cells[modality]
        assert list(adata.obs_names) == [name for part in parts for name in part.obs_names]
        expected = np.concatenate([part[:, adata.var_names].layers["counts"].toarray() for part in parts])
        np.testing.assert_array_equal(adata.layers["counts"].toarray(), expected)
