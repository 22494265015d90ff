"""scvi-tools' search for good settings, on a MuData; runs where its own requirements are installed."""

from __future__ import annotations

import pytest
from mudata import MuData

from scminnet import MinNet

from ..conftest import setup


def test_autotune_finds_the_better_setting(reference: MuData, tmp_path, monkeypatch) -> None:
    # on a busy machine ray takes longer to start than it allows itself
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    for needed in ("ray", "hyperopt", "scib_metrics"):
        pytest.importorskip(needed)
    from ray import tune
    from scvi.autotune import run_autotune

    experiment = run_autotune(
        MinNet,
        setup(reference),
        metrics="validation_loss",
        mode="min",
        search_space={
            "model_params": {"n_hidden": 16, "n_components": 10, "n_canonical": 5},
            "train_params": {
                "max_epochs": 3,
                "batch_size": 64,
                "accelerator": "cpu",
                # at a rate of 1e-9 nothing is learnt
                "plan_kwargs": {"lr": tune.grid_search([1e-9, 1e-2])},
            },
        },
        num_samples=1,
        searcher="random",
        scheduler="fifo",
        resources={"cpu": 1},
        logging_dir=str(tmp_path),
        mudata_file_name="reference.h5mu",
        ignore_reinit_error=True,
    )
    assert len(experiment.result_grid) == 2
    assert not experiment.result_grid.errors
    best = experiment.result_grid.get_best_result("validation_loss", "min")
    assert best.config["train_params"]["plan_kwargs"]["lr"] == 1e-2
    assert best.metrics["validation_loss"] > 0
