"""Accuracy by the number of pairs, up to those of the largest paired references, on simulated cells.

Run from the root of the repository::

    python -m benchmarks.accuracy.many_pairs --seeds 3

It writes ``many_pairs.csv`` and ``many_pairs.md``. Real references of more than ten thousand pairs can not be shared
here. The cells have 12 hidden programmes, in 20 types and continuous within them. Each modality sees them through units
of its own, which bend: 64 hyperbolic tangents of mixed programmes, steeper for peaks. So the modalities have more in
common than linear components show. 2,000 genes and 2,000 peaks, one of 20 and one of 40 of which is not zero. 3,000
cells more are embedded as unpaired, and measured.

The question is whether the default's fixed sizes (100 principal components, 30 canonical ones, 400 steps) hold it back
when there are many pairs. ``linear`` is the default's input layer alone.
"""

from __future__ import annotations

import time
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn
from benchmarks.accuracy import evidence
from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS, versions
from benchmarks.shared.tables import mean_and_deviation, merged

SIZES = (1_000, 10_000, 40_000, 70_000)
N_TEST, N_TYPES, N_PROGRAMMES, N_UNITS, N_FEATURES = 3_000, 20, 12, 64, 2_000

#: By modality: one of so many neighbouring features is not zero; steepness of its units.
MODALITIES = {"rna": (20, 1.0), "atac": (40, 2.0)}

RUN = ["pairs", "setting", "seed"]


class Setting(NamedTuple):
    """Arguments of the model and of its training."""

    model: dict[str, Any]
    train: dict[str, Any]


SETTINGS = {
    "default": Setting({}, {}),
    "100 canonical components": Setting({"n_components": 150, "n_canonical": 100}, {}),
    "4 times the steps": Setting({}, {"plan_kwargs": {"max_steps": 1600}}),
    "400 steps": Setting({}, {"plan_kwargs": {"max_steps": 400}}),
    "twice the width": Setting({"n_hidden": 512, "n_latent": 64}, {}),
    "learned input layer": Setting({"input_layer": "learned"}, {}),
    "100 components, 4 times the steps": Setting(
        {"n_components": 150, "n_canonical": 100}, {"plan_kwargs": {"max_steps": 1600}}
    ),
}


def simulate(n_cells: int, seed: int) -> MuData:
    """Return paired cells with their types in ``obs``, log-normalised."""
    rng = np.random.default_rng(seed)
    types = rng.integers(N_TYPES, size=n_cells)
    centres = np.random.default_rng(1).normal(size=(N_TYPES, N_PROGRAMMES))
    hidden = (0.7 * centres[types] + 0.7 * rng.standard_normal((n_cells, N_PROGRAMMES))).astype(np.float32)
    names = [f"cell_{i}" for i in range(n_cells)]
    parts = {}
    for number, (modality, (stretch, steepness)) in enumerate(MODALITIES.items()):
        own = np.random.default_rng((2, number))
        mixing = own.normal(size=(N_PROGRAMMES, N_UNITS)).astype(np.float32) / np.sqrt(N_PROGRAMMES)
        shift = own.normal(size=N_UNITS).astype(np.float32)
        weights = own.normal(size=(N_UNITS, N_FEATURES)).astype(np.float32) / np.sqrt(N_UNITS)
        units = np.tanh(steepness * (hidden @ mixing + shift))
        counts = _counts(1.5 * units @ weights, stretch, np.random.default_rng((seed, number)))
        parts[modality] = AnnData(
            counts, pd.DataFrame(index=names), pd.DataFrame(index=[f"{modality}_{i}" for i in range(N_FEATURES)])
        )
    mdata = MuData(parts)
    mdata.obs["type"] = pd.Categorical.from_codes(types, [f"type {i}" for i in range(N_TYPES)])
    mn.pp.normalize(mdata, list(parts))
    return mdata


def _counts(favour: np.ndarray, stretch: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw counts: in each stretch of features one is not zero, by its favour."""
    blocks = []
    for start in range(0, len(favour), 10_000):
        part = favour[start : start + 10_000]
        noise = -np.log(rng.standard_exponential(part.shape, dtype=np.float32))
        columns = (part + noise).reshape(len(part), -1, stretch).argmax(axis=2)
        columns += stretch * np.arange(columns.shape[1])
        values = (1 + rng.poisson(0.7, columns.shape)).astype(np.float32)
        offsets = np.arange(len(part) + 1) * columns.shape[1]
        blocks.append(sparse.csr_matrix((values.ravel(), columns.ravel(), offsets), shape=(len(part), N_FEATURES)))
    return sparse.vstack(blocks, format="csr")


def measure(model: mn.MinNet, test: MuData) -> list[tuple[str, str, float]]:
    """Measure the test cells: method, measure and value."""
    types, names = test.obs["type"].astype(str), test.obs_names.to_numpy()
    return [
        (method, metric, value)
        for method, embedded in evidence.embed(model, test, "atac").items()
        # a learned input layer has no components of its own
        if method == "model" or model.recipe_["input_layer"] != "learned"
        for metric, value in evidence.measure(embedded, names, types).items()
    ]


def write(table: pd.DataFrame) -> None:
    """Write the tables."""
    table.to_csv(RESULTS / "many_pairs.csv", index=False)
    groups = ["pairs", "setting", "method"]
    wide = mean_and_deviation(table.groupby([*groups, "metric"], sort=False)["value"], 4).unstack("metric").fillna("")
    n_seeds = table.groupby(groups, sort=False)["seed"].nunique().rename("seeds")
    seconds = table.groupby(groups, sort=False)["seconds"].median().round().astype(int).rename("CPU s")
    page = wide.join(n_seeds).join(seconds).reset_index()
    order = {name: i for i, name in enumerate(SETTINGS)}
    page = page.sort_values(["pairs", "setting"], key=lambda c: c.map(order) if c.name == "setting" else c)
    text = (
        "# Many pairs\n\n"
        f"Simulated cells whose modalities see {N_PROGRAMMES} programmes through bent units of their own; "
        f"{N_TEST:,} test cells, embedded as unpaired. FOSCTTM (lower is better), accuracy of label transfer, and "
        "mixing (share of the other modality among 30 neighbours, as a multiple of chance), mean ± standard deviation "
        "over seeds.\n\n"
        f"Written by `python -m benchmarks.accuracy.many_pairs` with {versions('scminnet')}.\n\n"
    )
    (RESULTS / "many_pairs.md").write_text(text + page.to_markdown(index=False) + "\n")


def main() -> None:
    """Run what the command line asks for."""
    parser = command_line.parser(__doc__, seeds=3)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = parser.parse_args()
    command_line.quiet()
    torch.set_num_threads(1)
    path = RESULTS / "many_pairs.csv"
    for seed, size in product(command_line.seeds_of(arguments), arguments.sizes):
        train, test = simulate(size, 2 * seed), simulate(N_TEST, 2 * seed + 1)
        for name in arguments.settings:
            began = time.process_time()
            mn.MinNet.setup_mudata(train, list(MODALITIES), labels_key="type")
            model = mn.MinNet(train, seed=seed, **SETTINGS[name].model)
            model.train(seed=seed, enable_progress_bar=False, accelerator="cpu", **SETTINGS[name].train)
            seconds = time.process_time() - began
            rows = [(size, name, seed, *found, seconds) for found in measure(model, test)]
            new = pd.DataFrame(rows, columns=[*RUN, "method", "metric", "value", "seconds"])
            print(
                size, name, seed, [(m, k, round(v, 4)) for m, k, v in measure(model, test)], round(seconds), flush=True
            )
            write(merged(new, pd.read_csv(path) if path.is_file() else None, RUN))


if __name__ == "__main__":
    main()
