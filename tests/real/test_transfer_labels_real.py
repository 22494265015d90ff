"""Types that the reference and the source lack stay unassigned where they are kinds of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scminnet as mn
from benchmarks.shared import development_sets

pytestmark = pytest.mark.real


def test_nk_cells_held_out(real_data: Path) -> None:
    data = development_sets.load("pbmc10k_citeseq", real_data)
    known = (data.train.obs[data.labels_key] != "NK cells").to_numpy()
    train = data.train[known].copy()
    train.obs[data.labels_key] = train.obs[data.labels_key].astype(str)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mn.MinNet.setup_mudata(train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(train)
    model.train(enable_progress_bar=False, accelerator="cpu")
    torch.set_num_threads(threads)
    model.embed(data.test)

    source, target = data.modalities
    truth = data.test.obs[data.labels_key].astype(object)
    data.test.obs["known"] = truth.where(truth != "NK cells")
    mn.tl.transfer_labels(data.test, source, target, "known")
    found = data.test[target].obs["transferred_label"] == "unassigned"
    is_new = truth.loc[found.index] == "NK cells"
    # measured: 0.97 and 0.08
    assert found[is_new].mean() > 0.6
    assert found[~is_new].mean() < 0.2
