"""Gene activity that is registered without the peaks."""

from __future__ import annotations

import pytest
from mudata import MuData

import scminnet as mn

SAID = "peaks of the same cells"


@pytest.fixture
def multiome() -> MuData:
    cells = mn.datasets.simulate_multiome(200)
    mn.pp.gene_activity(cells, cells["rna"].var.rename_axis("gene").reset_index())
    mn.pp.normalize(cells)
    return cells


def setup(cells: MuData, modalities: list[str], caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level("INFO", logger="scminnet"):
        caplog.clear()
        mn.MinNet.setup_mudata(cells, modalities)
    return caplog.text


def test_peaks_that_are_left_out_are_named(multiome: MuData, caplog: pytest.LogCaptureFixture) -> None:
    said = setup(multiome, ["rna", "activity"], caplog)
    assert SAID in said
    assert "register 'atac'" in said


def test_nothing_is_said_if_there_are_none_to_register(multiome: MuData, caplog: pytest.LogCaptureFixture) -> None:
    assert SAID not in setup(multiome, ["rna", "atac"], caplog)
    mn.pp.join_modalities(multiome, ["activity", "atac"], key_added="chromatin")
    assert SAID not in setup(multiome, ["rna", "chromatin"], caplog)
    del multiome.mod["atac"]
    multiome.update()
    assert SAID not in setup(multiome, ["rna", "activity"], caplog)


def test_peaks_of_other_cells_are_no_advice(multiome: MuData, caplog: pytest.LogCaptureFixture) -> None:
    multiome.mod["atac"] = multiome["atac"][:100].copy()
    multiome.update()
    assert SAID not in setup(multiome, ["rna", "activity"], caplog)


def test_other_features_than_genes_are_no_advice(caplog: pytest.LogCaptureFixture) -> None:
    cells = mn.datasets.simulate_multiome(200)
    cells.mod["adt"] = cells["rna"][:, :20].copy()
    cells["adt"].var_names = [f"protein {i}" for i in range(20)]
    cells.update()
    assert SAID not in setup(cells, ["rna", "adt"], caplog)
