"""Accuracy on real data: train on the paired training cells, embed the test cells as if unpaired, measure.

Run from the root of the repository::

    python -m benchmarks.accuracy.main_job --data FOLDER --seeds 5

It writes ``main_job.csv`` (one row a method, data set, reference size, seed and measure) and ``main_job.md``.
``--sets``, ``--sizes`` and ``--methods`` select a part. New runs replace their older rows, and the other rows stay.

The linear baseline uses the same pairs as the network. A smaller reference is a random part of the training cells,
drawn anew for each seed. The sets of bone marrow are a few hundred cells of each of two donors. Nothing was chosen on
them, and only the network depends on the seed there.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import scminnet as mn
from benchmarks.accuracy import linear_baseline
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import DevelopmentSet
from benchmarks.shared.pages import RESULTS, versions
from benchmarks.shared.tables import mean_and_deviation, merged, ordered
from scminnet.model import Recipe

TABLE = RESULTS / "main_job.csv"

#: Data sets by their names in the tables. Chromatin of cortex is gene activity, with or without the peaks; that of
#: marrow is the peaks.
SETS: dict[str, Callable[[Path], DevelopmentSet]] = {
    "pbmc10k_citeseq": partial(development_sets.load, "pbmc10k_citeseq"),
    "snareseq_mouse_cortex": partial(development_sets.load, "snareseq_mouse_cortex"),
    "snareseq_mouse_cortex, peaks": partial(development_sets.load, "snareseq_mouse_cortex", peaks=True),
} | {
    f"{name}, from {donor}": partial(development_sets.between_donors, name, reference=donor)
    for name in ("bmmc_citeseq", "bmmc_multiome")
    for donor in ("s1d1", "s1d2")
}

#: Cells of the reference.
SIZES = ("400", "1000", "4000", "all")

#: Values of the authors for RNA + protein. The preset holds those for RNA + ATAC.
PAPER_PROTEIN = ({"activation": "sigmoid"}, {"pair_strategy": "within", "max_epochs": 90})

#: Methods ``with query`` are trained with the query (semi-supervised): unpaired test cells without types.
#: ``no types`` can be added to a recipe of the network, and is measured by ``compare``.
METHODS = (
    "default",
    "default, with query",
    "paper",
    "cca",
    "cca, unit length",
    "cca, unit length, with query",
)

#: Principal components of the linear baseline with the query. The network uses as many.
N_COMPONENTS_WITH_QUERY = Recipe().components(with_query=True)
#: Columns that identify a run, and the order of their values.
RUN = ["data", "reference", "method", "seed"]
RANKS = {"data": list(SETS), "reference": SIZES, "method": METHODS}
COLUMNS = [*RUN, "metric", "modalities", "value", "better", "seconds"]


def drawn(data: DevelopmentSet, size: str, seed: int) -> DevelopmentSet:
    """Take a random part of the training cells."""
    if size == "all":
        return data
    chosen = np.random.default_rng(seed).choice(data.train.n_obs, int(size), replace=False)
    return data._replace(train=data.train[np.sort(chosen)].copy())


def embed(method: str, data: DevelopmentSet, seed: int) -> str:
    """Embed the test cells; return the key of the embedding."""
    preset, *words = method.split(", ")
    with_query = "with query" in words
    if preset == "cca":
        components = {"n_components": N_COMPONENTS_WITH_QUERY} if with_query else {}
        linear_baseline.embed(data, seed=seed, unit_length="unit length" in words, with_query=with_query, **components)
        return "X_cca"
    network, training = PAPER_PROTEIN if method == "paper" and "adt" in data.modalities else ({}, {})
    labels_key = None if "no types" in words else data.labels_key
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, preset=preset, seed=seed, **network)
    query = data.test if with_query else None
    model.train(query=query, seed=seed, enable_progress_bar=False, accelerator="cpu", **training)
    model.embed(data.test)
    return "X_minnet"


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, methods side by side."""
    grouped = table.groupby(["data", "reference", "metric", "modalities", "method"], sort=False)["value"]
    return _side_by_side(mean_and_deviation(grouped))


def _side_by_side(column: pd.Series) -> pd.DataFrame:
    wide = column.unstack("method")
    return wide[[m for m in METHODS if m in wide]].fillna("").reset_index()


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """FOSCTTM of the default recipe, with and without the query, as a share of each baseline's."""
    found = table[table["metric"] == "foscttm_mean"].groupby(["data", "reference", "method"], sort=False)["value"]
    means = found.mean().unstack()
    columns = {
        f"{ours} / {other}": means[ours] / means[other]
        for ours in ("default, with query", "default")
        for other in METHODS
        if not other.startswith("default") and (ours.endswith("with query") or not other.endswith("with query"))
    }
    return pd.DataFrame(columns).map("{:.2f}".format).replace("nan", "").reset_index()


def main() -> None:
    """Measure the methods that the command line selects."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES, help="cells of the reference")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args()
    command_line.quiet()

    for name in arguments.sets:
        data = SETS[name](arguments.data)
        # after scanpy's first numba function, which sets torch's threads
        torch.set_num_threads(arguments.threads)
        for size in [size for size in arguments.sizes if size == "all" or int(size) < data.train.n_obs]:
            for seed in command_line.seeds_of(arguments):
                rows = []
                part = drawn(data, size, seed)
                for method in arguments.methods:
                    start = time.perf_counter()
                    key = embed(method, part, seed)
                    seconds = time.perf_counter() - start
                    report = mn.metrics.integration_report(
                        part.test,
                        modalities=part.modalities,
                        labels_key=part.labels_key,
                        batch_key=part.batch_key,
                        use_rep=key,
                        seed=seed,
                    )
                    rows.append(
                        report.assign(data=name, reference=size, method=method, seed=seed, seconds=round(seconds, 1))
                    )
                    print(f"{name}, {size} cells, {method}, seed {seed}: {seconds:.0f} s", flush=True)
                # after each seed, so that an interruption loses one
                table = pd.concat(rows, ignore_index=True)[COLUMNS]
                table["value"] = table["value"].round(5)
                old = pd.read_csv(TABLE, dtype={"reference": str}) if TABLE.is_file() else None
                write(ordered(merged(table, old, RUN), RUN, RANKS), arguments.threads)


def write(table: pd.DataFrame, threads: int) -> None:
    """Write both tables."""
    table.to_csv(TABLE, index=False)
    used = versions("scminnet", "scvi-tools", "torch", "mudata", "scanpy")
    n_seeds = table.groupby(["data", "reference", "method"], sort=False)["seed"].nunique()
    seeds = " to ".join(str(n) for n in sorted({n_seeds.min(), n_seeds.max()}))
    seconds = table.groupby(["data", "reference", "method"], sort=False)["seconds"].mean().map("{:.0f}".format)
    (RESULTS / "main_job.md").write_text(
        "# The main job on real data\n\n"
        f"Test cells of the standard splits, and of bone marrow those of the other donor, {seeds} seeds, mean ± "
        "standard deviation; their modalities are embedded apart. `reference`: cells that were learnt from. "
        "Written by\n"
        "`python -m benchmarks.accuracy.main_job` "
        f"(Python {platform.python_version()}, {used}; {threads} thread).\n\n"
        + summary(table).to_markdown(index=False)
        + "\n\nFOSCTTM, mean of both directions and over seeds, as a share of the baselines':\n\n"
        + shares(table).to_markdown(index=False, disable_numparse=True)
        + "\n\nSeconds from the prepared data to the embedded test cells (margin graph, fit and embedding):\n\n"
        + _side_by_side(seconds).to_markdown(index=False)
        + "\n"
    )


if __name__ == "__main__":
    main()
