"""The main job on real data: learn from the paired training cells, embed the test cells as if unpaired, measure.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/main_job.py --data FOLDER --seeds 3

writes ``benchmarks/results/main_job.csv`` (one row a method, data set, seed and measure) and ``main_job.md`` (means and standard
deviations). The linear baseline uses the same pairs as the network; both presets are reported at the same seeds.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import development_sets
import linear_baseline
import pandas as pd
import torch

import scminnet as mn

RESULTS = Path(__file__).parent / "results"

#: What the authors chose for RNA + protein, beside the preset's values for RNA + ATAC.
PAPER_PROTEIN = ({"activation": "sigmoid"}, {"strategy": "within", "max_epochs": 90})

METHODS = ("default", "paper", "cca", "cca, unit length")


def embed(method: str, data: development_sets.DevelopmentSet, seed: int) -> str:
    """Embed the test cells; return the key of the embedding."""
    if method.startswith("cca"):
        linear_baseline.embed(data, seed=seed, unit_length=method != "cca")
        return "X_cca"
    network, training = PAPER_PROTEIN if method == "paper" and "adt" in data.modalities else ({}, {})
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, preset=method, seed=seed, **network)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu", **training)
    model.embed(data.test)
    return "X_minnet"


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, methods side by side."""
    grouped = table.groupby(["data", "metric", "modalities", "method"], sort=False)["value"]
    text = grouped.mean().map("{:.3f}".format) + " ± " + grouped.std().fillna(0).map("{:.3f}".format)
    return text.unstack("method")[[m for m in METHODS if m in table["method"].unique()]].reset_index()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--sets", nargs="+", default=development_sets.NAMES, choices=development_sets.NAMES)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    rows = []
    for name in arguments.sets:
        data = development_sets.load(name, arguments.data)
        # after scanpy's first numba function, which sets torch's threads
        torch.set_num_threads(arguments.threads)
        for method in arguments.methods:
            for seed in range(arguments.seeds):
                start = time.perf_counter()
                key = embed(method, data, seed)
                seconds = time.perf_counter() - start
                report = mn.metrics.integration_report(
                    data.test,
                    modalities=data.modalities,
                    labels_key=data.labels_key,
                    batch_key=data.batch_key,
                    use_rep=key,
                    seed=seed,
                )
                rows.append(report.assign(data=name, method=method, seed=seed, seconds=round(seconds, 1)))
                print(f"{name}, {method}, seed {seed}: {seconds:.0f} s", flush=True)
    table = pd.concat(rows, ignore_index=True)
    table["value"] = table["value"].round(5)

    RESULTS.mkdir(exist_ok=True)
    table[["data", "method", "seed", "metric", "modalities", "value", "better", "seconds"]].to_csv(
        RESULTS / "main_job.csv", index=False
    )
    versions = ", ".join(f"{p} {version(p)}" for p in ("scminnet", "scvi-tools", "torch", "mudata", "scanpy"))
    seconds = table.groupby(["data", "method"], sort=False)["seconds"].mean().round(0).astype(int).unstack("method")
    (RESULTS / "main_job.md").write_text(
        "# The main job on the development sets\n\n"
        f"Test cells of the standard splits, {arguments.seeds} seeds, mean ± standard deviation; their modalities are "
        "embedded apart. Written by\n`python benchmarks/main_job.py` "
        f"(Python {platform.python_version()}, {versions}; {arguments.threads} thread).\n\n"
        + summary(table).to_markdown(index=False)
        + "\n\nSeconds from the prepared data to the embedded test cells (margin graph, fit and embedding):\n\n"
        + seconds.reset_index().to_markdown(index=False)
        + "\n"
    )


if __name__ == "__main__":
    main()
