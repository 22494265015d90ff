"""The default recipe on the real development sets reaches what a first prototype reached, on the test cells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import scminnet as mn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import development_sets

pytestmark = pytest.mark.real

#: Test cells of the standard splits: FOSCTTM at most, label transfer (RNA to the other), type silhouette and 1 - |modality
#: silhouette| at least. The prototype's figures, less the spread of one seed in label transfer.
BOUNDS = {
    "pbmc10k_citeseq": (0.064, 0.79, 0.32, 0.998),
    "snareseq_mouse_cortex": (0.120, 0.62, -0.02, 0.99),
}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", BOUNDS)
def test_default_recipe_on_test_cells(name: str, real_data: Path, one_thread: None) -> None:
    data = development_sets.load(name, real_data)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train)
    model.train(enable_progress_bar=False, accelerator="cpu")
    model.embed(data.test)
    report = mn.metrics.integration_report(data.test, modalities=data.modalities, labels_key=data.labels_key)
    values = report.set_index(["metric", "modalities"])["value"]
    rna_to_other = f"{data.modalities[0]} -> {data.modalities[1]}"
    foscttm, transfer, silhouette, mixing = BOUNDS[name]
    assert values["foscttm_mean"].item() <= foscttm
    assert values["label_transfer_accuracy", rna_to_other] >= transfer
    assert values["silhouette_label"].item() >= silhouette
    assert values["silhouette_modality"].item() >= mixing
