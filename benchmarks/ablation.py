"""What each part of the default recipe brings, on validation cells held out of the training split.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/ablation.py --data FOLDER --seeds 3

writes ``benchmarks/results/ablation.csv`` and ``ablation.md``. The test cells are not touched: of ``pbmc10k_citeseq`` a random fifth of
the training cells is held out, of ``snareseq_mouse_cortex`` the batches 09I and 09J.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

import development_sets
import numpy as np
import pandas as pd
import torch
from development_sets import DevelopmentSet
from over_seeds import mean_and_deviation

import scminnet as mn

RESULTS = Path(__file__).parent / "results"

#: Changes to the default: arguments of the model, and of its training.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "no InfoNCE": ({}, {"plan_kwargs": {"infonce_weight": 0.0}}),
    "no margin loss": ({}, {"plan_kwargs": {"contrastive_weight": 0.0}}),
    "no supervised contrast": ({}, {"plan_kwargs": {"supervised_weight": 0.0}}),
    "no classification": ({}, {"plan_kwargs": {"classification_weight": 0.0}}),
    "one hidden layer": ({"n_layers": 1}, {}),
    "no hidden dropout": ({"hidden_dropout": 0.0}, {}),
    "batch norm of training": ({"adapt_norm": False}, {}),
    "lengths kept": ({"normalise": False}, {}),
    "learned input layer": ({"input_layer": "learned", "input_dropout": 0.5}, {}),
    "sampled pairs": ({}, {"pairing": "sampled", "max_epochs": 40}),
}

METRICS = ("foscttm_mean", "label_transfer_accuracy", "silhouette_label", "silhouette_modality")


def validation_split(data: DevelopmentSet) -> DevelopmentSet:
    """Split the training cells again."""
    if data.batch_key is None:
        held_out = np.random.default_rng(0).random(data.train.n_obs) < 0.2
    else:
        held_out = data.train.obs[data.batch_key].isin(["09I", "09J"]).to_numpy()
    return data._replace(train=data.train[~held_out].copy(), test=data.train[held_out].copy())


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    rows = []
    for name in development_sets.NAMES:
        data = validation_split(development_sets.load(name, arguments.data))
        mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
        mn.pp.margin_graph(data.train, batch_key=data.batch_key)
        # after the first numba function, which sets torch's threads
        torch.set_num_threads(1)
        for variant in arguments.variants:
            network, training = VARIANTS[variant]
            for seed in range(arguments.seeds):
                start = time.perf_counter()
                model = mn.MinNet(data.train, seed=seed, **network)
                model.train(seed=seed, enable_progress_bar=False, accelerator="cpu", **training)
                model.embed(data.test)
                seconds = time.perf_counter() - start
                report = mn.metrics.integration_report(
                    data.test, modalities=data.modalities, labels_key=data.labels_key, seed=seed
                )
                rows.append(report.assign(data=name, variant=variant, seed=seed, seconds=round(seconds, 1)))
                print(f"{name}, {variant}, seed {seed}: {seconds:.0f} s", flush=True)
    table = pd.concat(rows, ignore_index=True)
    table["value"] = table["value"].round(5)
    RESULTS.mkdir(exist_ok=True)
    table[["data", "variant", "seed", "metric", "modalities", "value", "better", "seconds"]].to_csv(
        RESULTS / "ablation.csv", index=False
    )

    shown = table[table["metric"].isin(METRICS) & ~table["modalities"].str.endswith("-> rna")]
    grouped = shown.groupby(["data", "variant", "metric"], sort=False)["value"]
    text = mean_and_deviation(grouped)
    (RESULTS / "ablation.md").write_text(
        "# What each part of the recipe brings\n\n"
        f"Validation cells held out of the training split, {arguments.seeds} seed{'s' * (arguments.seeds > 1)}, mean ± standard deviation; label transfer is from RNA "
        "to the\nother modality. Written by `python benchmarks/ablation.py`.\n\n"
        + text.unstack("metric")[list(METRICS)].reset_index().to_markdown(index=False)
        + "\n"
    )


if __name__ == "__main__":
    main()
