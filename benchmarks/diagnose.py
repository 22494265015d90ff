"""What each check of ``MinNet.diagnose`` says of good and of bad queries, beside the damage that these suffer.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/diagnose.py --data FOLDER --seeds 3

writes ``benchmarks/results/diagnose.csv`` (one row a reference, query, seed, check and modality) and ``diagnose.md`` (means over seeds). Models
are trained on the training split; queries are the test cells, whole, spoilt in known ways, or cells of other tissues. ``diagnose`` is given the query's
modalities as unpaired (the cells of the second renamed), save for the check ``pairs``; the true pairs and the labels serve to measure the damage. With
``--split validation`` the same is done on cells held out of the training split (as in ``ablation.py``), on which limits may be chosen; nothing is then
written but the tables on the screen. ``--references`` and ``--first-seed`` run a part: what was run before stays in the tables, and what is run again takes
its place.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import development_sets
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from ablation import validation_split
from anndata import AnnData
from development_sets import MARROW, DevelopmentSet, between_donors, gene_activity, marrow, renamed, with_features_of
from mudata import MuData, read_h5mu
from scipy import sparse

import scminnet as mn

RESULTS = Path(__file__).parent / "results"

PBMC, CORTEX = "pbmc10k_citeseq", "snareseq_mouse_cortex"

#: Types that queries are made of, alone.
SINGLE = {PBMC: ("Monocytes", "NK cells", "naive B-cells"), CORTEX: ("L2/3", "Astro", "Oligo")}

#: Types that leave the reference.
HELD_OUT = {PBMC: ("Monocytes", "NK cells"), CORTEX: ("L4/5", "Astro")}

CHECKS = ("features", "scale", "levels", "statistics", "signal", "near", "confidence", "mixing", "pairs")
DAMAGE = ("foscttm", "label transfer", "accuracy")
COLUMNS = ["reference", "query", "seed", "check", "modality", "value", "expected", "verdict"]


class Case(NamedTuple):
    """A query with what is known of its cells."""

    name: str
    query: MuData
    labels: pd.Series | None


def mudata(parts: dict[str, AnnData], obs: pd.DataFrame) -> MuData:
    """Put modalities together, over the table of all cells."""
    mdata = MuData(parts)
    mdata.obs = obs.loc[mdata.obs_names]
    return mdata


def counts_of(name: str, folder: Path, cells: pd.Index) -> dict[str, AnnData]:
    """Raw counts of some cells, as the modalities of the development set."""
    source = read_h5mu(folder / f"{name}.h5mu")
    second = {"adt": source["adt"]} if name == PBMC else {"activity": gene_activity(source["atac"])}
    return {m: a[cells].copy() for m, a in ({"rna": source["rna"]} | second).items()}


def spoilt(name: str, data: DevelopmentSet, folder: Path, seed: int) -> Iterator[Case]:
    """Yield the test cells as they are, and what may go wrong with them."""
    cells, (first, second) = data.test, data.modalities
    labels = cells.obs[data.labels_key].astype(str)
    rng = np.random.default_rng(seed)

    def replaced(**parts: AnnData) -> MuData:
        return mudata({m: parts.get(m, cells[m]).copy() for m in data.modalities}, cells.obs)

    def lacking(share: float, *modalities: str) -> MuData:
        return replaced(**{m: _lacking(cells[m], share, rng) for m in modalities})

    def shuffled(*modalities: str) -> MuData:
        return replaced(**{m: renamed(cells[m], rng.permutation(cells[m].var_names)) for m in modalities})

    yield Case("as it is", cells, labels)
    drawn = rng.permutation(cells.n_obs)
    for n in (300, 100, 30):
        yield Case(f"{n} cells", cells[np.sort(drawn[:n])].copy(), labels)

    for share in (0.25, 0.5, 0.75):
        yield Case(f"{share:.0%} of all features missing", lacking(share, first, second), labels)
    yield Case(f"half of the features missing: {first}", lacking(0.5, first), labels)
    yield Case(f"half of the features missing: {second}", lacking(0.5, second), labels)
    yield Case(f"90% of the features missing: {first}", lacking(0.9, first), labels)

    yield Case("names of features shuffled", shuffled(first, second), labels)
    yield Case(f"names of features shuffled: {first}", shuffled(first), labels)
    yield Case(f"names of features shuffled: {second}", shuffled(second), labels)
    yield Case("values permuted over cells", replaced(**{m: _permuted(cells[m], rng) for m in data.modalities}), labels)

    counts = counts_of(name, folder, cells.obs_names)
    yield Case("raw counts", replaced(**counts), labels)
    yield Case(f"not logarithmic: {first}", replaced(rna=_scaled(counts[first], 1e4, log=False)), labels)
    yield Case(f"to a million counts: {first}", replaced(rna=_scaled(counts[first], 1e6, log=True)), labels)
    yield Case(f"a fifth of the counts: {first}", replaced(rna=_scaled(_thinned(counts[first], 0.2, rng), 1e4)), labels)

    for label in SINGLE[name]:
        yield Case(f"{label} only", cells[(labels == label).to_numpy()].copy(), labels)
    common = labels.value_counts().index
    two = labels.isin(common[:2]).to_numpy()
    yield Case("two types", cells[two].copy(), labels)
    weight = np.where(labels == common[0], 20.0, 1.0)
    dominated = rng.choice(cells.n_obs, cells.n_obs // 3, replace=False, p=weight / weight.sum())
    yield Case("one type dominant", cells[np.sort(dominated)].copy(), labels)
    apart = MuData({first: cells[first][two].copy(), second: cells[second][~two].copy()})
    yield Case("modalities of other types", apart, labels)


def _lacking(adata: AnnData, share: float, rng: np.random.Generator) -> AnnData:
    kept = rng.choice(adata.n_vars, max(1, round(adata.n_vars * (1 - share))), replace=False)
    return adata[:, np.sort(kept)].copy()


def _permuted(adata: AnnData, rng: np.random.Generator) -> AnnData:
    dense = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    adata = adata.copy()
    adata.X = sparse.csr_matrix(rng.permuted(dense, axis=0))
    return adata


def _thinned(adata: AnnData, share: float, rng: np.random.Generator) -> AnnData:
    adata = adata.copy()
    adata.X = sparse.csr_matrix(adata.X)
    adata.X.data = rng.binomial(adata.X.data.astype(np.int64), share).astype(np.float32)
    adata.X.eliminate_zeros()
    return adata


def _scaled(adata: AnnData, total: float, *, log: bool = True) -> AnnData:
    adata = adata.copy()
    sc.pp.normalize_total(adata, target_sum=total)
    if log:
        sc.pp.log1p(adata)
    return adata


def other_species(name: str, folder: Path, data: DevelopmentSet) -> MuData:
    """RNA of the other development set's test cells, its genes spelt as this one's."""
    other = development_sets.load(CORTEX if name == PBMC else PBMC, folder).test["rna"]
    names = other.var_names.str.upper() if name == PBMC else other.var_names.str.capitalize()
    return MuData({"rna": renamed(other, names)})


def restricted(data: DevelopmentSet, query: MuData) -> DevelopmentSet:
    """Leave the reference the features that a query has, so that none is missing."""
    return data._replace(train=with_features_of(data.train, query), test=with_features_of(data.test, query))


def references(
    folder: Path, prepared: Callable[[DevelopmentSet], DevelopmentSet]
) -> dict[str, Callable[[int], tuple[DevelopmentSet, Iterator[Case]]]]:
    """By name, what makes a reference and its queries from a seed."""

    def load(name: str) -> DevelopmentSet:
        return prepared(development_sets.load(name, folder))

    def whole(name: str, seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = load(name)

        def cases() -> Iterator[Case]:
            yield from spoilt(name, data, folder, seed)
            yield Case("other species and tissue, its genes renamed", other_species(name, folder, data), None)
            if name == PBMC:
                yield Case("bone marrow, few genes shared", marrow(folder), None)

        return data, cases()

    def without(name: str, label: str, seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = load(name)
        train = data.train[(data.train.obs[data.labels_key] != label).to_numpy()].copy()
        train.obs[data.labels_key] = train.obs[data.labels_key].astype(str)
        labels = data.test.obs[data.labels_key].astype(str)
        known = data.test[(labels != label).to_numpy()].copy()
        new = data.test[(labels == label).to_numpy()].copy()
        cases = (
            Case("as it is", data.test, labels),
            Case("known types", known, labels),
            Case("the type alone", new, None),
        )
        return data._replace(train=train), iter(cases)

    def shared(name: str, query: MuData, title: str) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = restricted(load(name), query)
        labels = data.test.obs[data.labels_key].astype(str)
        return data, iter((Case("as it is", data.test, labels), Case(title, query, None)))

    def from_marrow(seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        blood = load(PBMC).test
        data = restricted(between_donors("bmmc_citeseq", folder, reference="s1d1"), blood)
        labels = data.test.obs[data.labels_key].astype(str)
        return data, iter((Case("as it is", data.test, labels), Case("blood", blood, None)))

    found: dict[str, Callable[[int], tuple[DevelopmentSet, Iterator[Case]]]] = {}
    for name in development_sets.NAMES:
        found[name] = lambda seed, name=name: whole(name, seed)
        for label in HELD_OUT[name]:
            found[f"{name}, without {label}"] = lambda seed, name=name, label=label: without(name, label, seed)
        found[f"{name}, genes shared with the other species"] = lambda seed, name=name: shared(
            name, other_species(name, folder, load(name)), "other species and tissue, its genes renamed"
        )
    found[f"{PBMC}, features shared with bone marrow"] = lambda seed: shared(PBMC, marrow(folder), "bone marrow")
    found[f"{MARROW}, one donor, features shared with blood"] = from_marrow
    return found


def unpaired(query: MuData) -> MuData:
    """Rename the cells of the second modality, as if they were others."""
    parts = {m: a.copy() for m, a in query.mod.items()}
    for m in list(parts)[1:]:
        parts[m].obs_names = parts[m].obs_names + f"_{m}"
    return MuData(parts)


def damage(model: mn.MinNet, case: Case, query: MuData) -> Iterator[tuple[str, str, float]]:
    """Measure how well the query is embedded and named, either way of standardising."""
    modalities = list(query.mod)
    cells = {m: query[m].obs_names for m in modalities}
    for statistics in ("query", "reference"):
        suffix = "" if statistics == "query" else ", reference statistics"
        if len(modalities) == 2:
            names = list(cells.values())
            embeddings = [model.get_latent_representation(query, modality=m, statistics=statistics) for m in modalities]
            both = names[0].intersection(names[1])
            if len(both) > 1:
                a, b = (e[n.get_indexer(both)] for e, n in zip(embeddings, names, strict=True))
                yield "foscttm" + suffix, ", ".join(modalities), mn.metrics.foscttm(a, b).mean
        if case.labels is None:
            continue
        truth = {m: case.labels.loc[names].to_numpy() for m, names in cells.items()}
        if len(modalities) == 2:
            (a, b), (first, second) = embeddings, modalities
            transfer = mn.metrics.label_transfer_accuracy(a, truth[first], b, truth[second], n_neighbors=20)
            yield "label transfer" + suffix, f"{first} -> {second}", transfer.accuracy
        for m in modalities:
            named = model.predict(query, modality=m, statistics=statistics)
            yield "accuracy" + suffix, m, float(np.mean(named == truth[m]))


def measure(model: mn.MinNet, case: Case) -> pd.DataFrame:
    """Diagnose a query and measure the damage."""
    query = mn.MinNet.prepare_query_mudata(case.query, model, inplace=False)
    query = MuData({m: query[m] for m in model.modalities if m in query.mod})
    start = time.perf_counter()
    found = model.diagnose(unpaired(query))
    seconds = time.perf_counter() - start
    table = found.table.drop(columns="advice")
    if len(query.mod) == 2:
        paired = model.diagnose(query).table
        table = pd.concat([table, paired.loc[paired["check"] == "pairs", table.columns]])
    rows = [{"check": "verdict", "modality": "", "verdict": found.verdict}]
    rows.append({"check": "seconds", "modality": "", "value": seconds})
    rows += [{"check": c, "modality": m, "value": v} for c, m, v in damage(model, case, query)]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True).assign(query=case.name)


def run(name: str, make: Callable[[int], tuple[DevelopmentSet, Iterator[Case]]], seed: int) -> pd.DataFrame:
    """Train on a reference and measure all of its queries."""
    data, cases = make(seed)
    # after scanpy's first numba function, which sets torch's threads
    torch.set_num_threads(1)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    table = pd.concat([measure(model, case) for case in cases], ignore_index=True)
    return table.assign(reference=name, seed=seed)


#: Checks shown as a multiple of what is expected; of the others the value says more.
RATIOS = ("scale", "signal", "mixing")

#: What counts as damaged in the count of right and wrong verdicts: FOSCTTM so many times that of the good query of the same run, or so
#: much less accuracy in a modality.
DAMAGED_FOSCTTM, DAMAGED_ACCURACY = 1.5, 0.1

#: Queries to which the others of their reference are compared, the first that there is.
GOOD = ("known types", "as it is")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a query: verdict, checks and damage, first modality / second; means over seeds."""
    shown = table["value"].where(~table["check"].isin(RATIOS), table["value"] / table["expected"].fillna(1.0))
    rows = []
    for (reference, query), part in table.assign(shown=shown).groupby(["reference", "query"], sort=False):
        counts = part.loc[part["check"] == "verdict", "verdict"].value_counts()
        row = {"reference": reference, "query": query}
        row["verdict"] = counts.index[0] if len(counts) == 1 else ", ".join(f"{n} {v}" for v, n in counts.items())
        for check in (*CHECKS, *DAMAGE, *(f"{d}, reference statistics" for d in DAMAGE)):
            means = part[part["check"] == check].groupby("modality", sort=False)["shown"].mean()
            digits = 3 if check.startswith(("foscttm", "pairs")) else 2
            row[check] = " / ".join("-" if np.isnan(v) else f"{v:.{digits}f}" for v in means)
        rows.append(row)
    return pd.DataFrame(rows)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run of a query: its verdict, the damage, and whether that is more than of the good query of the run."""
    rows = []
    for (reference, seed), run in table.groupby(["reference", "seed"], sort=False):
        good = run[run["query"] == next(name for name in GOOD if name in set(run["query"]))]
        known = good.set_index(["check", "modality"])["value"]
        for query, part in run.groupby("query", sort=False):
            found = part.set_index(["check", "modality"])
            damaged = None
            if "foscttm" in set(part["check"]):
                damaged = bool((found["value"]["foscttm"] > DAMAGED_FOSCTTM * known["foscttm"]).any())
            if "accuracy" in set(part["check"]):
                lost = (known["accuracy"] - found["value"]["accuracy"]).max() > DAMAGED_ACCURACY
                damaged = bool(damaged or lost)
            verdict = part.loc[part["check"] == "verdict", "verdict"].item()
            rows.append({"reference": reference, "seed": seed, "query": query, "verdict": verdict, "damaged": damaged})
    return pd.DataFrame(rows)


def moved(table: pd.DataFrame) -> pd.DataFrame:
    """How often each check is not inside: among queries that are not damaged, and among those that are."""
    runs = ["reference", "seed", "query"]
    damaged = judged(table).set_index(runs)["damaged"]
    checks = table[table["check"].isin(CHECKS)]
    worse = (checks["verdict"] != "inside").groupby([checks[c] for c in (*runs, "check")]).any().unstack("check")
    of = {"not damaged": damaged == False, "damaged": damaged == True}  # noqa: E712
    rows = {}
    for check in CHECKS:
        told = worse[check].dropna()
        parts = {name: told[which.reindex(told.index)] for name, which in of.items()}
        rows[check] = {name: f"{int(part.sum())} of {len(part)}" for name, part in parts.items()}
    return pd.DataFrame(rows).T.rename_axis("check").reset_index()


def merged(new: pd.DataFrame, path: Path, order: list[str]) -> pd.DataFrame:
    """Put new rows in the place of older ones of the same run."""
    run = ["reference", "seed"]
    if path.is_file():
        old = pd.read_csv(path)
        kept = ~pd.MultiIndex.from_frame(old[run]).isin(pd.MultiIndex.from_frame(new[run]))
        new = pd.concat([old[kept], new], ignore_index=True)
    rank = new["reference"].map(order.index) * 1000 + new["seed"]
    return new.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--references", nargs="+", help="names of references to run (all)")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("scminnet").setLevel(logging.WARNING)
    # raw counts are given on purpose
    warnings.filterwarnings("ignore", message="the values of .* are whole numbers")

    found = references(arguments.data, validation_split if arguments.split == "validation" else lambda data: data)
    unknown = set(arguments.references or []) - set(found)
    if unknown:
        parser.error(f"no reference {sorted(unknown)}; there are {list(found)}")
    parts = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name in arguments.references or found:
            start = time.perf_counter()
            parts.append(run(name, found[name], seed))
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            table = pd.concat(parts, ignore_index=True)[COLUMNS].round(4)
            if arguments.split == "validation":
                print(summary(parts[-1]).to_string(index=False), flush=True)
                continue
            # after each run, so that an interruption loses one
            RESULTS.mkdir(exist_ok=True)
            table = merged(table, RESULTS / "diagnose.csv", list(found))
            table.to_csv(RESULTS / "diagnose.csv", index=False)
            write_page(table, RESULTS / "diagnose.md")


def write_page(table: pd.DataFrame, path: Path) -> None:
    """Write the tables as a page."""
    verdicts = judged(table)
    counts = pd.crosstab(verdicts["damaged"].map({False: "no", True: "yes"}), verdicts["verdict"])
    counts = counts[[v for v in ("inside", "borderline", "outside") if v in counts]]

    def listed(which: pd.Series) -> str:
        found = verdicts[which].groupby(["reference", "query"], sort=False)["seed"].nunique()
        return "\n".join(f"- {r}: {q} ({n} of {runs[r]} seeds)" for (r, q), n in found.items()) or "- none"

    runs = table.groupby("reference")["seed"].nunique()
    passed = listed((verdicts["damaged"] == True) & (verdicts["verdict"] == "inside"))  # noqa: E712
    alarms = listed((verdicts["damaged"] == False) & (verdicts["verdict"] == "outside"))  # noqa: E712
    rows = summary(table)
    of_own = rows.drop(columns=[c for c in rows if c.endswith("reference statistics") or c == "pairs"])
    parts = []
    for reference, part in of_own.groupby("reference", sort=False):
        text = part.drop(columns="reference").to_markdown(index=False, disable_numparse=True)
        parts.append(f"## Reference: {reference}\n\nSeeds: {runs[reference]}.\n\n{text}")
    has_both = rows["accuracy, reference statistics"] != ""
    chosen = has_both & (rows["query"].str.contains(" only|two types|dominant|as it is|million|logarithmic|shuffled$"))
    columns = ["reference", "query", "near", "statistics", "foscttm", "foscttm, reference statistics", "accuracy"]
    either = rows.loc[chosen, [*columns, "accuracy, reference statistics"]]
    either = either.rename(columns={"statistics": "near, reference statistics"})
    path.write_text(
        PAGE.format(
            foscttm=DAMAGED_FOSCTTM,
            accuracy=DAMAGED_ACCURACY,
            counts=counts.reset_index().to_markdown(index=False),
            moved=moved(table).to_markdown(index=False),
            passed=passed,
            alarms=alarms,
            tables="\n\n".join(parts),
            either=either.to_markdown(index=False, disable_numparse=True),
        )
    )


PAGE = """\
# Queries inside and outside the reference's range

What `model.diagnose(query)` says, and the damage. Models of the training split, limits chosen on validation cells, test cells here. Values are of the first modality / the
second, means over seeds; `scale`, `signal` and `mixing` as multiples of what is expected. The query's modalities are given as unpaired; `pairs`, where they are given as
paired, is the column `foscttm`. `accuracy` is that of `predict`, `label transfer` goes from RNA to the other modality (20 neighbours). Written by
`python benchmarks/diagnose.py`, which also says how the queries are made.

## Verdicts and damage

Damaged: FOSCTTM more than {foscttm} times, or accuracy in a modality {accuracy} less than, that of the good query (test cells as they are, of types that the reference has). FOSCTTM
among few types is greater without any fault. Runs of queries with neither known pairs nor labels are not counted.

{counts}

How often each check is not "inside", of the runs that it can be told in:

{moved}

Damaged, but "inside":

{passed}

Not damaged, but "outside":

{alarms}

{tables}

## Either way of standardising

`near`, FOSCTTM and accuracy by the query's own statistics, and by the reference's.

{either}
"""


if __name__ == "__main__":
    main()
