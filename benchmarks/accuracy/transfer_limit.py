"""How the limits of label transfer were chosen: what each rule loses of known cells, and finds of unseen types.

Run from the root of the repository::

    python -m benchmarks.accuracy.transfer_limit --data FOLDER

It writes ``transfer_limit.csv`` and ``transfer_limit.md``. No test cell is used. With a paired reference, the cells are
the validation cells of ``ablation``. Without pairs, they are training cells. Models and held-out types are those of
``unseen_types``, which measures the chosen rule on test cells. Each seed trains the models again. Without pairs, it
also draws other cells.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from mudata import MuData

from benchmarks.accuracy.unseen_types import DEFAULT, HELD_OUT, KNOWN, QUANTILES, embed, embed_unpaired
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import validation_split
from benchmarks.shared.pages import RESULTS, versions
from benchmarks.shared.tables import mean_and_deviation, merged
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.graph.vote import vote

#: Neighbours that vote, the default of ``tl.transfer_labels``.
N_NEIGHBORS = 20

#: Largest share of known cells that may be unassigned though their vote was right.
MOST_LOST = 0.05


class Election(NamedTuple):
    """The vote on cells: what the limits look at."""

    winners: np.ndarray
    """Label of each cell, text."""
    shares: np.ndarray
    """Share of the vote that the label has."""
    distances: np.ndarray
    """Mean distance to the neighbours that voted."""


def elections(cells: MuData, source: str, target: str) -> tuple[Election, Election]:
    """Let labelled source cells vote on each other, and on the target's cells."""
    labels = cells.obs[KNOWN].loc[cells[source].obs_names].to_numpy()
    points = np.asarray(cells[source].obsm["X_minnet"])[pd.notna(labels)]
    codes, types = pd.factorize(labels[pd.notna(labels)], sort=True)
    found = []
    for query in (None, np.asarray(cells[target].obsm["X_minnet"])):
        neighbors = nearest_neighbors(points, N_NEIGHBORS, query=query, seed=0)
        elected = vote(codes, neighbors, len(types))
        found.append(Election(types[elected.winners].astype(str), elected.shares, neighbors.distances.mean(axis=1)))
    return found[0], found[1]


def gap(own: Election, target: Election, quantile: float) -> float:
    """Return by what factor the target's cells lie farther from the source than it from itself, at least 1."""
    return max(1.0, float(np.quantile(target.distances, quantile) / np.quantile(own.distances, quantile)))


def beyond(own: Election, target: Election, quantile: float, factor: float = 1.0) -> np.ndarray:
    """Tell which of the target's cells are beyond the source's own quantiles of distance or agreement."""
    far = target.distances > factor * np.quantile(own.distances, quantile)
    return far | (target.shares < np.quantile(own.shares, 1 - quantile))


def beyond_by_type(own: Election, target: Election, quantile: float, factor: float) -> np.ndarray:
    """Tell the same by limits of each type's own cells."""
    result = np.zeros(len(target.winners), dtype=bool)
    for name in np.unique(target.winners):
        mine, theirs = (e.winners == name for e in (own, target))
        if not mine.any():
            mine = np.ones(len(own.winners), dtype=bool)
        parts = (Election(*(values[rows] for values in e)) for e, rows in ((own, mine), (target, theirs)))
        result[theirs] = beyond(*parts, quantile, factor)
    return result


#: Rules by name. The first is that of ``tl.transfer_labels``.
RULES: dict[str, Callable[[Election, Election, float], np.ndarray]] = {
    "gap of lower quartiles": lambda own, target, quantile: beyond(own, target, quantile, gap(own, target, 0.25)),
    "gap of medians": lambda own, target, quantile: beyond(own, target, quantile, gap(own, target, 0.5)),
    "by type, gap of lower quartiles": lambda own, target, quantile: beyond_by_type(
        own, target, quantile, gap(own, target, 0.25)
    ),
    "no gap": beyond,
}


def measure(cells: MuData, source: str, target: str, held_out: str | None) -> pd.DataFrame:
    """Return shares of cells by rule and quantile."""
    own, votes = elections(cells, source, target)
    truth = cells.obs["truth"].loc[cells[target].obs_names].to_numpy(str)
    is_new, right = truth == (held_out or ""), votes.winners == truth
    rows = []
    for (name, rule), quantile in product(RULES.items(), QUANTILES):
        unassigned = rule(own, votes, quantile)
        row = {
            "rule": name,
            "quantile": quantile,
            "unseen cells": int(is_new.sum()),
            "unseen found": unassigned[is_new].mean() if is_new.any() else np.nan,
            "known cells": int((~is_new).sum()),
            "right but unassigned": (unassigned & right)[~is_new].mean(),
            "wrong and unassigned": (unassigned & ~right)[~is_new].mean(),
            "accuracy of all": right[~is_new].mean(),
            "accuracy of assigned": right[~is_new & ~unassigned].mean(),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Measure all rules."""
    arguments = command_line.parser(__doc__, data="required", seeds=2).parse_args()
    command_line.quiet()
    path = RESULTS / "transfer_limit.csv"
    sets = {name: development_sets.load(name, arguments.data) for name in HELD_OUT}
    # after scanpy's first numba function, which sets torch's threads
    torch.set_num_threads(1)
    for seed, (name, data) in product(command_line.seeds_of(arguments), sets.items()):
        # without pairs, the model is trained on the cells that are measured
        splits = {
            "paired reference": (embed, validation_split(data)),
            "no pairs": (embed_unpaired, data._replace(test=data.train)),
        }
        for (evidence, (run, split)), held_out in product(splits.items(), HELD_OUT[name]):
            cells, _ = run(split, held_out, seed)
            found = measure(cells, *data.modalities, held_out).round(4)
            start = {"evidence": evidence, "data": name, "held out": held_out or "none", "seed": seed}
            rows = pd.concat([pd.DataFrame([start] * len(found)), found], axis=1)
            old = pd.read_csv(path) if path.exists() else None
            merged(rows, old, list(start)).to_csv(path, index=False)
            print(f"{evidence}, {name}, {held_out}, seed {seed}: done", flush=True)
    (RESULTS / "transfer_limit.md").write_text(page(pd.read_csv(path)))


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    by = ["rule", "quantile", "evidence", "data"]
    # a seed's mean over the held-out types first, so that the deviation is that of the seeds
    shares = ["unseen found", "right but unassigned", "wrong and unassigned", "accuracy of assigned"]
    by_seed = table.groupby([*by, "seed"], sort=False)[shares].mean().groupby(by, sort=False)
    spread = pd.DataFrame({name: mean_and_deviation(by_seed[name]) for name in shares})
    spread.insert(2, "at most", table.groupby(by, sort=False)["right but unassigned"].max().map("{:.3f}".format))
    most = table.groupby(["rule", "quantile"], sort=False)["right but unassigned"].max().unstack("quantile")
    found = table.groupby(["rule", "quantile"], sort=False)["unseen found"].mean().unstack("quantile")
    named = table[(table["rule"] == next(iter(RULES))) & (table["quantile"] == DEFAULT) & (table["held out"] != "none")]
    of_type = named.groupby(["evidence", "data", "held out"], sort=False)
    types = pd.DataFrame({name: mean_and_deviation(of_type[name]) for name in shares[:2]})
    best_rule, best_quantile = found.where(most <= MOST_LOST).stack().idxmax()
    seeds = ", ".join(map(str, sorted(table["seed"].unique())))
    neighbours = [f"{q:g}" for q in QUANTILES]
    return (
        "# How the limits of label transfer were chosen\n\n"
        "Validation cells with a paired reference, training cells with no pairs; no test cell was used. RNA labels the "
        f"other modality. Seeds {seeds}, each with every type\nknown and with four types left out in turn. "
        "`right but unassigned`: share of the cells of known types that the rule leaves unassigned though their vote "
        "was right.\n`wrong and unassigned`: the same for wrong votes. `unseen found`: share of the left-out type's "
        "cells that are unassigned. Mean ± standard deviation over\nseeds. Written by "
        "`python -m benchmarks.accuracy.transfer_limit` with "
        f"{versions('scminnet', 'scvi-tools', 'torch')}.\n\n"
        f"The rule of `tl.transfer_labels` is `{next(iter(RULES))}` at {DEFAULT}. Of all rules and quantiles with at "
        f"most {MOST_LOST} `right but unassigned` in\nevery run, `{best_rule}` at {best_quantile} finds most unseen "
        "cells.\n\n"
        "Largest `right but unassigned` of all runs, by quantile:\n\n"
        + most.reset_index().to_markdown(index=False, headers=["rule", *neighbours], floatfmt=".3f")
        + "\n\nMean `unseen found` of all runs, by quantile:\n\n"
        + found.reset_index().to_markdown(index=False, headers=["rule", *neighbours], floatfmt=".3f")
        + "\n\nThe default by left-out type:\n\n"
        + types.reset_index().to_markdown(index=False, disable_numparse=True)
        + "\n\nAll rules. `at most`: the largest `right but unassigned` of a run.\n\n"
        + spread.reset_index().to_markdown(index=False, disable_numparse=True)
        + "\n"
    )


if __name__ == "__main__":
    main()
