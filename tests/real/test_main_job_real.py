"""The default recipe on the test cells of the real development sets stays near ``benchmarks/results/main_job.md``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scminnet as mn
from benchmarks.shared import development_sets

pytestmark = pytest.mark.real

#: Test cells of the standard splits: FOSCTTM at most, label transfer (RNA to the other), type silhouette and
#: 1 - |modality silhouette| at least. The benchmark's figures with room for other seeds and versions. ``True``: with
#: the peaks beside gene activity.
BOUNDS = {
    ("pbmc10k_citeseq", False): (0.043, 0.80, 0.315, 0.998),
    ("snareseq_mouse_cortex", False): (0.106, 0.63, 0.01, 0.995),
    ("snareseq_mouse_cortex", True): (0.069, 0.69, 0.03, 0.995),
}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "peaks"), BOUNDS)
def test_default_recipe_on_test_cells(name: str, peaks: bool, real_data: Path, one_thread: None) -> None:
    data = development_sets.load(name, real_data, peaks=peaks)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train)
    model.train(enable_progress_bar=False, accelerator="cpu")
    model.embed(data.test)
    report = mn.metrics.integration_report(data.test, modalities=data.modalities, labels_key=data.labels_key)
    values = report.set_index(["metric", "modalities"])["value"]
    rna_to_other = f"{data.modalities[0]} -> {data.modalities[1]}"
    foscttm, transfer, silhouette, mixing = BOUNDS[name, peaks]
    assert values["foscttm_mean"].item() <= foscttm
    assert values["label_transfer_accuracy", rna_to_other] >= transfer
    assert values["silhouette_label"].item() >= silhouette
    assert values["silhouette_modality"].item() >= mixing
