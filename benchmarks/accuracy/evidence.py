"""Accuracy by what a lab has: no pairs, some pairs, feature links, cell types.

Run from the root of the repository::

    python -m benchmarks.accuracy.evidence --data FOLDER --seeds 5

It writes ``evidence.csv`` and ``evidence.md``. ``nothing given`` couples all cells, or the test cells alone, whose
modalities get other names and another order. ``pairs`` gives some training cells as pairs, and the test cells as an
unpaired query. ``linear`` is the canonical components of the same training. ``--settings`` runs a part of it: rows of
earlier runs stay in the tables. Test cells are measured, and their pairs and types serve only for this.
"""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData, read_h5mu

import scminnet as mn
from benchmarks.accuracy.trust import genes_of_peaks
from benchmarks.shared import command_line
from benchmarks.shared.development_sets import together
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation, merged
from scminnet.metrics import foscttm, label_transfer_accuracy, neighbor_mixing
from scminnet.model.data.moments import feature_moments
from scminnet.model.inference.forward_pass import project_rows

#: By file: second modality, column of the cell types.
SETS = {"pbmc10k_citeseq": ("adt", "Fine_RNA"), "snareseq_mouse_cortex": ("atac", "cell_type")}

#: Training cells given as pairs.
SIZES = (0, 50, 100, 200, 400, 1000, 4000)

RUN = ["data", "setting", "types", "pairs", "seed"]


class Setting(NamedTuple):
    """What is given beside the test cells, whose modalities are always unpaired."""

    pairs: tuple[int | None, ...]
    """Training cells given as pairs; ``None``: all."""
    links: bool
    rest: bool
    """Whether the other training cells are given, unpaired."""
    query: bool
    """Whether the test cells are given as a query; otherwise they are part of the training."""


SETTINGS = {
    "all cells": Setting((0,), links=True, rest=True, query=False),
    "test cells": Setting((0,), links=True, rest=False, query=False),
    "pairs, links and query": Setting((*SIZES[1:], None), links=True, rest=False, query=True),
    "pairs, links, query and rest": Setting(SIZES[1:], links=True, rest=True, query=True),
    "pairs and query": Setting((*SIZES[1:], None), links=False, rest=False, query=True),
}

TYPES = ("none", "rna", "both")


class Source(NamedTuple):
    """A data set with its standard split."""

    cells: MuData
    second: str
    types: pd.Series
    train: np.ndarray
    test: np.ndarray
    links: dict[str, Any]
    """Arguments of :func:`scminnet.pp.feature_links`."""


def load(name: str, folder: Path) -> Source:
    """Read and normalise a set."""
    second, column = SETS[name]
    cells = read_h5mu(folder / f"{name}.h5mu")
    train, test = (
        np.array((folder / "splits" / f"{name}.{part}.txt").read_text().split()) for part in ("train", "test")
    )
    types = cells.obs[column].astype(str)
    cells = cells[np.concatenate([train, test])].copy()
    mn.pp.normalize(cells, ["rna", second])
    links = {} if second == "adt" else genes_of_peaks(cells["rna"], cells[second])
    return Source(cells, second, types, train, test, links)


def unpaired(source: Source, paired: np.ndarray, others: np.ndarray, seed: int) -> MuData:
    """Return cells of which the first are paired, and the others have a name and a place of their own per modality."""
    rng = np.random.default_rng(seed)
    parts: dict[str, AnnData] = {}
    for m in ("rna", source.second):
        own = source.cells[m][rng.permutation(others)].copy()
        own.obs_names = [f"{name}, {m}" for name in own.obs_names]
        parts[m] = ad.concat([source.cells[m][paired].copy(), own], merge="same") if len(paired) else own
    result = together(parts)
    names = result.obs_names.str.replace(r", \w+$", "", regex=True)
    result.obs["cell"] = names.to_numpy()
    return result


def fit(source: Source, setting: Setting, n_pairs: int | None, types: str, seed: int) -> tuple[mn.MinNet, MuData]:
    """Train on what is given; return the model and the MuData that holds the test cells."""
    rng = np.random.default_rng(seed)
    paired = rng.permutation(source.train)[: len(source.train) if n_pairs is None else n_pairs]
    others = np.setdiff1d(source.train, paired) if setting.rest else np.array([], dtype=object)
    query = unpaired(source, paired[:0], source.test, seed) if setting.query else None
    training = unpaired(source, paired, others if setting.query else np.concatenate([others, source.test]), seed)
    if setting.links:
        mn.pp.feature_links(training, "rna", source.second, **source.links)
    truth = source.types.loc[training.obs["cell"]].to_numpy()
    has_type = training.obs_names.isin(training["rna"].obs_names) | (types == "both")
    training.obs["type"] = pd.Series(truth, index=training.obs_names).where(has_type)
    mn.MinNet.setup_mudata(training, ["rna", source.second], labels_key=None if types == "none" else "type")
    model = mn.MinNet(training, seed=seed)
    model.train(query=query, seed=seed, enable_progress_bar=False, accelerator="cpu")
    return model, training if query is None else query


class Embedded(NamedTuple):
    """Embeddings of RNA and of the second modality, indexed by the cells' true names."""

    rna: pd.DataFrame
    second: pd.DataFrame


def embed(model: mn.MinNet, cells: MuData, second: str) -> dict[str, Embedded]:
    """Embed unpaired cells by the model and by its canonical components."""
    found: dict[str, list[pd.DataFrame]] = {"model": [], "linear": []}
    for m in ("rna", second):
        matrix = cells[m].X
        components = project_rows(model.module, matrix, m, moments=feature_moments(matrix))
        values = {
            "model": model.get_latent_representation(cells, modality=m),
            "linear": components / np.maximum(np.linalg.norm(components, axis=1, keepdims=True), 1e-9),
        }
        names = [name.removesuffix(f", {m}") for name in cells[m].obs_names]
        for method, embedding in values.items():
            found[method].append(pd.DataFrame(embedding, index=names))
    return {method: Embedded(*both) for method, both in found.items()}


def measure(embedded: Embedded, names: np.ndarray, types: pd.Series) -> dict[str, float]:
    """Measure cells that both modalities have."""
    truth = types.loc[names].to_numpy()
    a, b = (embedding.loc[names].to_numpy() for embedding in embedded)
    transfer = [label_transfer_accuracy(x, truth, y, truth, n_neighbors=30).accuracy for x, y in ((a, b), (b, a))]
    mixing = neighbor_mixing(np.concatenate([a, b]), np.repeat(["first", "second"], len(a)))
    return {"foscttm": foscttm(a, b).mean, "transfer": float(np.mean(transfer)), "mixing": mixing}


def write(table: pd.DataFrame) -> None:
    """Write the tables."""
    table.to_csv(RESULTS / "evidence.csv", index=False)
    groups = ["data", "setting", "types", "pairs", "method"]
    wide = mean_and_deviation(table.groupby([*groups, "metric"], sort=False)["value"]).unstack("metric").fillna("")
    n_seeds = table.groupby(groups, sort=False)["seed"].nunique().rename("seeds")
    seconds = table.groupby(groups, sort=False)["seconds"].median().round().astype(int).rename("CPU s")
    page = wide.join(n_seeds).join(seconds).reset_index()
    text = (
        "# By what a lab has\n\n"
        "Test cells of the standard splits, whose modalities are unpaired. FOSCTTM (lower is better), accuracy of "
        "label transfer (mean of both directions, 30 neighbours), and mixing (share of the other modality among 30 "
        "neighbours, as a multiple of chance), mean ± standard deviation over seeds.\n\n"
        "Written by `python -m benchmarks.accuracy.evidence`.\n\n"
    )
    (RESULTS / "evidence.md").write_text(text + page.to_markdown(index=False) + "\n")


def main() -> None:
    """Run what the command line asks for."""
    parser = command_line.parser(__doc__, data="required", seeds=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--types", nargs="+", default=["none"], choices=TYPES)
    parser.add_argument("--pairs", nargs="+", help="numbers of pairs (default: those of the setting); all: every cell")
    arguments = parser.parse_args()
    command_line.quiet()
    torch.set_num_threads(1)
    path = RESULTS / "evidence.csv"
    for name in arguments.sets:
        source = load(name, arguments.data)
        for key in arguments.settings:
            sizes = SETTINGS[key].pairs
            wanted = arguments.pairs or [str(n or "all") for n in sizes]
            chosen = [n for n in sizes if n == 0 or str(n or "all") in wanted]
            for run in product(arguments.types, chosen, command_line.seeds_of(arguments)):
                new = _measured(source, name, key, *run)
                write(merged(new, _earlier(path), RUN))
                wide = new.pivot_table(index=RUN, columns=["method", "metric"], values="value")
                print(wide.to_string(float_format="{:.4f}".format), flush=True)


def _measured(source: Source, name: str, key: str, types: str, n_pairs: int | None, seed: int) -> pd.DataFrame:
    began = time.process_time()
    model, cells = fit(source, SETTINGS[key], n_pairs, types, seed)
    run = (name, key, types, "all" if n_pairs is None else str(n_pairs), seed)
    seconds = time.process_time() - began
    rows = [
        (*run, method, metric, value, seconds)
        for method, embedded in embed(model, cells, source.second).items()
        for metric, value in measure(embedded, source.test, source.types).items()
    ]
    return pd.DataFrame(rows, columns=[*RUN, "method", "metric", "value", "seconds"])


def _earlier(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    return pd.read_csv(path, dtype={"pairs": str, "types": str}, keep_default_na=False)


if __name__ == "__main__":
    main()
