"""Accuracy without pairs and types, if the modalities' cells differ or few features are linked.

Run from the root of the repository::

    python -m benchmarks.accuracy.evidence_scenarios --data FOLDER --seeds 3

It writes ``evidence_scenarios.csv`` and ``evidence_scenarios.md``. Each scenario removes cells of one modality, or
links. It is measured on the cells that are still in both modalities, beside the balanced case on the same cells. If a
type is missing in the second modality, its RNA cells should be flagged. Bone marrow is measured as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from mudata import MuData, read_h5mu
from pandas.core.groupby import DataFrameGroupBy

import scminnet as mn
from benchmarks.accuracy.evidence import SETS, Embedded, Source, embed, load, measure, unpaired
from benchmarks.shared import command_line
from benchmarks.shared.development_sets import MARROW, MARROW_MULTIOME, together
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation, merged

#: Types that the second modality lacks: large ones, distinct and with relatives.
MISSING = {
    "pbmc10k_citeseq": ("Monocytes", "CD4+ T-cells", "NK cells", "CD8+ Tem"),
    "snareseq_mouse_cortex": ("L4/5", "L6", "Astro", "Oligo"),
}

#: By file: second modality. Both sets have few cells and no standard split.
MARROWS = {MARROW: "adt", MARROW_MULTIOME: "atac"}

#: Ways in which RNA cells are flagged.
WAYS = ("without partner", "unassigned", "without match")

FLAGS = [name for way in WAYS for name in (way, f"others {way}")] + ["diagnose warns"]

TEXT = (
    "# Without pairs, if cells or links differ\n\n"
    "Nothing is given but feature links. `of cells`: the test cells of the standard split, or all cells. Bone marrow "
    "has no split. Cells that both modalities have are measured: FOSCTTM (lower is better), accuracy of label transfer "
    "(mean of both directions, 30 neighbours), and both in the balanced case on the same cells. `ratio`: FOSCTTM "
    "divided by that of the balanced case. `mixing`: share of the other modality among 30 neighbours, as a multiple of "
    "chance. Mean ± standard deviation over seeds.\n\n"
    "Written by `python -m benchmarks.accuracy.evidence_scenarios`.\n\n"
)

FLAG_TEXT = (
    "Shares of RNA cells that are flagged. `without partner`: by `model.unmatched_cells()`. `unassigned`: by "
    "`tl.transfer_labels` from the second modality. `without match`: by `tl.match_cells`. The columns without `others` "
    "are of the missing type, those with it of all other cells. `diagnose warns`: share of seeds in which "
    "`model.diagnose()` says that RNA cells lack a partner, or that the coupling fails.\n\n"
)

RUN = ["data", "of cells", "scenario", "seed"]


class Given(NamedTuple):
    """What a scenario leaves."""

    cells: dict[str, np.ndarray]
    """By modality, names of the cells."""
    links: float = 1.0
    """Share of the links."""
    missing: str | None = None
    """Type that the second modality lacks."""


#: A function of the data set, the cells and a generator.
Scenario = Callable[[Source, np.ndarray, np.random.Generator], Given]

BALANCED = "balanced"


def balanced(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
    """Keep all cells."""
    return Given({"rna": cells, source.second: cells})


def without_type(missing: str) -> Scenario:
    """Return the scenario in which the second modality lacks a type."""

    def scenario(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
        kept = cells[(source.types.loc[cells] != missing).to_numpy()]
        return Given({"rna": cells, source.second: kept}, missing=missing)

    return scenario


def thinned_types(thin: str) -> Scenario:
    """Return the scenario in which one side has a tenth of the cells of every second type, from the second largest."""

    def scenario(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
        types = source.types.loc[cells].to_numpy()
        rare = pd.Series(types).value_counts().index[1::2]
        kept = ~np.isin(types, rare)
        for name in rare:
            of_type = np.flatnonzero(types == name)
            kept[rng.permutation(of_type)[: max(1, round(len(of_type) / 10))]] = True
        return Given(_one_side(source, thin, cells, cells[kept]))

    return scenario


def fewer_cells(thin: str) -> Scenario:
    """Return the scenario in which one side has a twentieth of the cells."""

    def scenario(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
        return Given(_one_side(source, thin, cells, rng.permutation(cells)[: len(cells) // 20]))

    return scenario


def fewer_of_both(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
    """Keep a twentieth of the cells. It shows what so few cells tell, if the other side has no more."""
    kept = rng.permutation(cells)[: len(cells) // 20]
    return Given({"rna": kept, source.second: kept})


def fewer_links(source: Source, cells: np.ndarray, rng: np.random.Generator) -> Given:
    """Keep a random third of the links."""
    return Given({"rna": cells, source.second: cells}, links=1 / 3)


def scenarios(name: str) -> dict[str, dict[str, Scenario]]:
    """Return the scenarios of a set, by the cells that they take from. The balanced case comes first."""
    if name in MARROWS:
        return {"test": {BALANCED: balanced}}
    second = SETS[name][0]
    return {
        "test": {
            BALANCED: balanced,
            **{f"no {missing}": without_type(missing) for missing in MISSING[name]},
            "types 1:10, fewer of RNA": thinned_types("rna"),
            f"types 1:10, fewer of {second}": thinned_types(second),
            "a third of the links": fewer_links,
        },
        # a twentieth of the test cells would be too few to couple
        "all": {
            BALANCED: balanced,
            "cells 1:20, fewer of RNA": fewer_cells("rna"),
            f"cells 1:20, fewer of {second}": fewer_cells(second),
            "a twentieth of both": fewer_of_both,
        },
    }


def _one_side(source: Source, thin: str, cells: np.ndarray, kept: np.ndarray) -> dict[str, np.ndarray]:
    return {m: kept if m == thin else cells for m in ("rna", source.second)}


def load_any(name: str, folder: Path) -> Source:
    """Read and normalise a set. All cells of bone marrow are test cells."""
    if name in SETS:
        return load(name, folder)
    cells, second = read_h5mu(folder / f"{name}.h5mu"), MARROWS[name]
    mn.pp.normalize(cells, ["rna", second])
    links = {} if second == "adt" else {"annotation": folder / "genes_hg38.bed"}
    test = cells.obs_names.to_numpy()
    return Source(cells, second, cells.obs["cell_type"].astype(str), test[:0], test, links)


def fit(source: Source, given: Given, seed: int) -> tuple[mn.MinNet, MuData]:
    """Train on what is given, without pairs and types."""
    both = unpaired(source, source.train[:0], np.union1d(*given.cells.values()), seed)
    kept = {m: both.obs["cell"].loc[both[m].obs_names].isin(names).to_numpy() for m, names in given.cells.items()}
    cells = together({m: both[m][kept[m]].copy() for m in given.cells})
    mn.pp.feature_links(cells, "rna", source.second, **source.links)
    table = cells.uns["feature_links"]
    cells.uns["feature_links"] = table.sample(frac=given.links, random_state=seed) if given.links < 1 else table
    mn.MinNet.setup_mudata(cells, ["rna", source.second])
    model = mn.MinNet(cells, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    return model, cells


def flagged(model: mn.MinNet, cells: MuData, source: Source, missing: str | None) -> dict[str, float]:
    """Return the shares of RNA cells that are flagged: of the missing type, and falsely of all others."""
    names = cells["rna"].obs_names
    truth = source.types.loc[names.str.removesuffix(", rna")].to_numpy()
    model.embed()
    second = cells[source.second].obs_names
    known = source.types.loc[second.str.removesuffix(f", {source.second}")].set_axis(second)
    cells.obs["known"] = known.reindex(cells.obs_names)
    mn.tl.transfer_labels(cells, source.second, "rna", "known")
    mn.tl.match_cells(cells, "rna", source.second)
    flags = (
        names.isin(model.unmatched_cells().query("modality == 'rna' and unmatched").index),
        (cells["rna"].obs["transferred_label"] == "unassigned").to_numpy(),
        ~names.isin(cells.uns["match"]["matches"]["source"]),
    )
    by = dict(zip(WAYS, flags, strict=True))
    found = {f"others {name}": float(flag[truth != missing].mean()) for name, flag in by.items()}
    if missing is not None:
        found |= {name: float(flag[truth == missing].mean()) for name, flag in by.items()}
    partners = model.diagnose().table.query("check == 'partners' and modality == 'rna'")
    # a coupling that fails has no such row
    found["diagnose warns"] = float((partners["verdict"] != "inside").all())
    return found


def run(
    source: Source, scenario: Scenario, cells: np.ndarray, seed: int, beside: dict[str, Embedded] | None
) -> tuple[pd.DataFrame, dict[str, Embedded]]:
    """Measure a scenario.

    Parameters
    ----------
    source
        The data set.
    scenario
        What is given.
    cells
        Names of the cells that it takes from.
    seed
        Seed of the scenario and of the training.
    beside
        Embeddings of the balanced case of the same cells. ``None``: this is the balanced case.

    Returns
    -------
    Rows of method, metric and value, and the embeddings.
    """
    given = scenario(source, cells, np.random.default_rng((seed, 1)))
    began = time.process_time()
    model, trained_on = fit(source, given, seed)
    seconds = time.process_time() - began
    embedded = embed(model, trained_on, source.second)
    common = np.intersect1d(*given.cells.values())
    rows: list[tuple[str, str, float]] = []
    for method, own in embedded.items():
        rows += [(method, *found) for found in measure(own, common, source.types).items()]
        if beside is not None:
            found = measure(beside[method], common, source.types)
            rows += [(method, f"balanced {metric}", value) for metric, value in found.items()]
    others = {"cells": len(common), "CPU s": seconds} | flagged(model, trained_on, source, given.missing)
    rows += [("model", *found) for found in others.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value"]), embedded


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    keys = [*RUN[:3], "method"]
    wide = table.pivot_table(index=[*keys, "seed"], columns="metric", values="value", sort=False)
    wide = wide.reindex(columns=wide.columns.union(["balanced foscttm", "balanced transfer", "mixing", *FLAGS]))
    wide["ratio"] = wide["foscttm"] / wide["balanced foscttm"]
    wide["cells"] = wide.groupby(RUN, sort=False)["cells"].transform("max")
    columns = ["cells", "foscttm", "balanced foscttm", "ratio", "transfer", "balanced transfer", "mixing"]
    accuracy = _summary(wide.groupby(keys, sort=False), columns, {"cells": 0, "ratio": 2})
    flags = wide.xs("model", level="method")
    flags = _summary(flags.groupby(RUN[:3], sort=False), FLAGS, dict.fromkeys(FLAGS, 2))
    return TEXT + accuracy + "\n\n" + FLAG_TEXT + flags + "\n"


def _summary(by: DataFrameGroupBy, columns: list[str], digits: dict[str, int]) -> str:
    found = pd.DataFrame({c: mean_and_deviation(by[c], digits.get(c, 3)) for c in columns})
    return found.assign(seeds=by.size()).reset_index().to_markdown(index=False, disable_numparse=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    names = [*SETS, *MARROWS]
    parser.add_argument("--sets", nargs="+", default=names, choices=names)
    parser.add_argument("--only", default="", help="only scenarios with this in their name, beside the balanced cases")
    arguments = parser.parse_args()
    command_line.quiet()
    torch.set_num_threads(1)
    path = RESULTS / "evidence_scenarios.csv"
    for name in arguments.sets:
        source = load_any(name, arguments.data)
        for seed, (kind, chosen) in product(command_line.seeds_of(arguments), scenarios(name).items()):
            cells = np.concatenate([source.train, source.test]) if kind == "all" else source.test
            wanted = [key for key in chosen if arguments.only in key]
            beside: dict[str, Embedded] | None = None
            for key in dict.fromkeys([BALANCED, *wanted]) if wanted else ():
                rows, embedded = run(source, chosen[key], cells, seed, beside)
                beside = beside or embedded
                new = rows.assign(**dict(zip(RUN, (name, kind, key, seed), strict=True)))
                new = new[[*RUN, "method", "metric", "value"]]
                table = merged(new, pd.read_csv(path) if path.exists() else None, RUN).round(5)
                table.to_csv(path, index=False)
                path.with_suffix(".md").write_text(page(table))
                print(new.to_string(index=False, header=False), flush=True)


if __name__ == "__main__":
    main()
