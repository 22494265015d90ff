"""Real-valued modalities of the same cells: expression, electrophysiology and morphology (Patch-seq)."""

from __future__ import annotations

import warnings
from pathlib import Path

import mudata
import numpy as np
import pytest

import scminnet as mn

pytestmark = pytest.mark.real


def test_three_modalities_from_training_to_transferred_labels(real_data: Path) -> None:
    mdata = mudata.read_h5mu(real_data / "patchseq_trimodal.h5mu")
    cells = np.random.default_rng(0).permutation(mdata.n_obs)
    reference, query = mdata[cells[:300]].copy(), mdata[cells[300:]].copy()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(negative|whole numbers|z-scored)")
        mn.MinNet.setup_mudata(reference, ["rna", "ephys", "morph"], labels_key="cell_type")
        model = mn.MinNet(reference)
        model.train(enable_progress_bar=False, accelerator="cpu")
        model.embed(query, label_added="predicted")
    assert np.isfinite(query.obsm["X_minnet"]).all()
    report = mn.metrics.integration_report(query, modalities=["rna", "ephys", "morph"], labels_key="cell_type")
    values = report.set_index(["metric", "modalities"])["value"]
    # chance is 0.5
    assert values["foscttm_mean"].max() < 0.3
    mn.tl.transfer_labels(query, "rna", "ephys", "cell_type", unassigned=None)
    right = query["ephys"].obs["transferred_label"].astype(str) == query.obs["cell_type"].astype(str)
    assert right.mean() > 0.6
