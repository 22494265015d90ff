"""Precision of links, and of their differences between conditions, on simulated data with known regulating peaks.

Run from the root of the repository::

    python -m benchmarks.downstream.link_truth --seeds 3

It writes ``link_truth.csv`` (one row a seed, setting and measure) and ``link_truth.md``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from mudata import MuData
from sklearn.metrics import average_precision_score

import scminnet as mn
from benchmarks.downstream import simulated_query
from benchmarks.downstream.link_truth_page import page
from benchmarks.downstream.simulated_query import Query
from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS

#: Bulks of the query and neighbours of the smoothing (0: none) as in the paper, and other numbers of bulks.
N_BULKS, NEIGHBORS, OTHER_N_BULKS = 100, (0, 5, 10, 20), (25, 50, 200)
#: Nominal false discovery rates, and shuffles of the condition.
FDR, LENIENT_FDR, N_PERMUTATIONS = 0.05, 0.2, 1000
#: Share of the regulating pairs that the second condition changes.
CONDITION_SPECIFIC = 0.3


def sources(query: Query, seed: int) -> Iterator[tuple[str, MuData]]:
    """Yield the single cells and bulks over which links are computed, with their names."""
    yield "single cells, paired", simulated_query.single_cells(query, matched=False)
    yield "single cells, nearest neighbour", simulated_query.single_cells(query, matched=True, seed=seed)
    for n in NEIGHBORS:
        smoothing = f", smoothed over {n}" if n else ""
        yield f"{N_BULKS} bulks{smoothing}", simulated_query.bulks(query.unpaired, N_BULKS, n_neighbors=n)
        yield f"{N_BULKS} paired bulks{smoothing}", simulated_query.bulks(query.paired, N_BULKS, n_neighbors=n)
    for n_bulks in OTHER_N_BULKS:
        yield f"{n_bulks} bulks", simulated_query.bulks(query.unpaired, n_bulks)
    apart, half = simulated_query.halves(query, seed)
    yield f"{N_BULKS // 2} bulks of half the cells, no cell twice", simulated_query.bulks(apart, N_BULKS // 2)
    yield f"{N_BULKS // 2} paired bulks of half the cells", simulated_query.bulks(half, N_BULKS // 2)


def with_truth(table: pd.DataFrame, regulation: pd.DataFrame) -> pd.DataFrame:
    """Add whether the peak regulates the gene, and whether any peak does."""
    pairs = pd.MultiIndex.from_frame(table[["gene", "peak"]].astype(str))
    truth = pd.MultiIndex.from_frame(regulation[["gene", "peak"]].astype(str))
    return table.assign(regulates=pairs.isin(truth), null_gene=~table["gene"].isin(regulation["gene"]))


def parts_of(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the pairs of each part: all, distal and promoter."""
    return {"all": table["r"].notna(), "distal": ~table["promoter"], "promoter": table["promoter"]}


def precision(table: pd.DataFrame, score: pd.Series, name: str) -> dict[str, float]:
    """Area under the precision-recall curve of a score."""
    return {
        f"AUPRC of {name}, {part}": average_precision_score(table["regulates"][rows], score[rows])
        for part, rows in parts_of(table).items()
    }


def levels(table: pd.DataFrame) -> dict[str, float]:
    """Return the mean correlations, which the paper compared, and the spread of those without regulation."""
    regulates, promoter, r = table["regulates"], table["promoter"], table["r"]
    return {
        "mean r, promoter": r[regulates & promoter].mean(),
        "mean r, distal": r[regulates & ~promoter].mean(),
        "mean r, not regulating": r[~regulates].mean(),
        "sd of r, not regulating": r[~regulates & ~table["null_gene"]].std(),
        "sd of r, null genes": r[table["null_gene"]].std(),
    }


def calls(table: pd.DataFrame, null: str) -> dict[str, float]:
    """Return the calls at the nominal rate, and the share of small p among pairs without regulation."""
    called, lenient = table["fdr"] <= FDR, table["fdr"] <= LENIENT_FDR
    measures = {
        "called": called.sum(),
        "false share": (~table["regulates"])[called].mean(),
        "null genes' share": table["null_gene"][called].mean(),
        "power": called[table["regulates"]].mean(),
        "lenient false share": (~table["regulates"])[lenient].mean(),
        "lenient power": lenient[table["regulates"]].mean(),
        "p < 0.05, null genes": (table["p"] < 0.05)[table["null_gene"]].mean(),
        "p < 0.05, not regulating": (table["p"] < 0.05)[~table["regulates"] & ~table["null_gene"]].mean(),
    }
    return {f"{null}: {measure}": value for measure, value in measures.items()}


def link_measures(seed: int) -> Iterator[dict[str, object]]:
    """Yield the precision of links for each source."""
    query = simulated_query.simulate(seed)
    for number, (source, values) in enumerate(sources(query, seed)):
        tables = {}
        for null in ("matched", "theoretical"):
            mn.tl.cre_links(values, query.tss, null=null, seed=seed)
            tables[null] = with_truth(values.uns["cre_links"], query.regulation)
        table = tables["matched"]
        if number == 0:
            # mean area of a random order
            shares = {f"AUPRC of r, {part}": table["regulates"][rows].mean() for part, rows in parts_of(table).items()}
            yield {"setting": "random order", **shares}
            yield {"setting": "distance alone", **precision(table, -table["distance"].abs(), "r")}
        measures = levels(table) | precision(table, table["r"], "r") | precision(table, table["z"], "z")
        for null in tables:
            measures |= calls(tables[null], null)
        yield {"setting": source, **measures}


def changed_kinds(table: pd.DataFrame, regulation: pd.DataFrame) -> pd.Series:
    """Return how the second condition changes each pair, and whether it changes another link of the gene."""
    kinds = regulation.set_index(["gene", "peak"])["kind"]
    kind = kinds.reindex(pd.MultiIndex.from_frame(table[["gene", "peak"]])).fillna("none").to_numpy().astype(object)
    changed = table["gene"].isin(regulation["gene"][regulation["kind"] != "same"]).to_numpy()
    names = {"same": "same link", "none": "no link"}
    return pd.Series(
        [names[k] + (", gene changed" if c else "") if k in names else k for k, c in zip(kind, changed, strict=True)],
        index=table.index,
    )


def differential_measures(seed: int) -> Iterator[dict[str, object]]:
    """Yield how well changed links are found, by Fisher's transformation and by permutation."""
    query = simulated_query.simulate(seed, n_conditions=2, condition_specific=CONDITION_SPECIFIC)
    smoothings = {
        "not smoothed": {},
        "smoothed over 20": {"n_neighbors": 20},
        "smoothed over 20 within conditions": {"n_neighbors": 20, "within": "condition"},
    }
    for smoothing, arguments in smoothings.items():
        values = simulated_query.bulks(query.unpaired, N_BULKS, condition="condition", **arguments)
        mn.tl.cre_links(values, query.tss, groupby="condition", null="theoretical", key_added="by_condition")
        mn.tl.cre_links(values, query.tss, null="theoretical")
        every = values.uns["by_condition"]
        selections = {
            "all pairs": every,
            "links of either": every[every["fdr"] <= FDR],
            "links of both together": values.uns["cre_links"].query("fdr <= @FDR"),
        }
        changed_pairs = with_truth(every, query.regulation.query("kind != 'same'")).query("regulates")
        n_changed = len(changed_pairs[["gene", "peak"]].drop_duplicates())
        for chosen, links in selections.items():
            # permutations are slow: all pairs for unsmoothed bulks only, and none if smoothing leaves nothing to find
            shuffled = {"all pairs": not arguments, "links of either": "within" in arguments or not arguments}
            tests = {"Fisher": 0} | ({"permutation": N_PERMUTATIONS} if shuffled.get(chosen) else {})
            for test, n_permutations in tests.items():
                mn.tl.differential_links(
                    values, "condition", "control", links=links, n_permutations=n_permutations, seed=seed
                )
                table = values.uns["differential_links"]
                kind, called = changed_kinds(table, query.regulation), table["fdr"] <= FDR
                unchanged = kind.isin(["same link", "no link"])
                measures = {"pairs": len(table), "called": called.sum()}
                measures |= {f"called, {name}": rate for name, rate in called.groupby(kind).mean().items()}
                measures |= {
                    "changed links found": called[kind.isin(["lost", "flipped"])].sum() / n_changed,
                    "link unchanged": (~kind[called].isin(["lost", "flipped"])).mean(),
                    "gene unchanged": unchanged[called].mean(),
                    "p < 0.05, gene unchanged": (table["p"] < 0.05)[unchanged].mean(),
                    "sign_flip of called flipped": table["sign_flip"][called & (kind == "flipped")].mean(),
                }
                yield {"setting": f"{smoothing}; {chosen}; {test}", **measures}


def main() -> None:
    """Measure links and differences."""
    parser = command_line.parser(__doc__, seeds=3)
    arguments = parser.parse_args()
    command_line.quiet()
    logging.getLogger("scminnet").setLevel(logging.ERROR)

    rows = []
    for part, measured in (("links", link_measures), ("differences", differential_measures)):
        for seed in command_line.seeds_of(arguments):
            start = time.perf_counter()
            rows += [{"part": part, "seed": seed} | measures for measures in measured(seed)]
            print(f"{part}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows).melt(["part", "seed", "setting"], var_name="measure").dropna(subset="value")
    table["value"] = table["value"].astype(np.float64).round(5)
    table.to_csv(RESULTS / "link_truth.csv", index=False)
    (RESULTS / "link_truth.md").write_text(page(table))


if __name__ == "__main__":
    main()
