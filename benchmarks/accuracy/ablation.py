"""What each part of the default recipe contributes, on validation cells held out of the training split.

Run from the root of the repository::

    python -m benchmarks.accuracy.ablation --data FOLDER --seeds 5

It writes ``ablation.csv`` and ``ablation.md``. The test cells are not used. The validation cells are a random fifth of
the training cells of ``pbmc10k_citeseq``, and the batches 09I and 09J of ``snareseq_mouse_cortex``.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import torch

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import validation_split
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation

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


def main() -> None:
    """Measure the variants that the command line selects."""
    parser = command_line.parser(__doc__, data="required", seeds=5)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_args()
    command_line.quiet()

    rows = []
    for name in development_sets.NAMES:
        data = validation_split(development_sets.load(name, arguments.data))
        mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
        mn.pp.margin_graph(data.train, batch_key=data.batch_key)
        # after the first numba function, which sets torch's threads
        torch.set_num_threads(1)
        for variant in arguments.variants:
            network, training = VARIANTS[variant]
            for seed in command_line.seeds_of(arguments):
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
    table = table[["data", "variant", "seed", "metric", "modalities", "value", "better", "seconds"]]
    table.to_csv(RESULTS / "ablation.csv", index=False)
    (RESULTS / "ablation.md").write_text(page(table))


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    n_seeds = table["seed"].nunique()
    shown = table[table["metric"].isin(METRICS) & ~table["modalities"].str.endswith("-> rna")]
    grouped = shown.groupby(["data", "variant", "metric"], sort=False)["value"]
    text = mean_and_deviation(grouped)
    return (
        "# What each part of the recipe brings\n\n"
        f"Validation cells held out of the training split, {n_seeds} seed{'s' * (n_seeds > 1)}, mean ± standard "
        "deviation; label transfer is from RNA to the\nother modality. Written by `python -m "
        "benchmarks.accuracy.ablation`.\n\n"
        + text.unstack("metric")[list(METRICS)].reset_index().to_markdown(index=False)
        + "\n"
    )


if __name__ == "__main__":
    main()
