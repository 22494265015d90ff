"""Page of the results: verdicts beside damage, and all checks of each query."""

from __future__ import annotations

import numpy as np
import pandas as pd

CHECKS = ("features", "scale", "levels", "statistics", "signal", "near", "confidence", "mixing", "pairs")
DAMAGE = ("foscttm", "label transfer", "accuracy")

#: Checks that are shown as a multiple of the expected value. The others are shown as values.
RATIOS = ("scale", "signal", "mixing")

#: A query is damaged if its FOSCTTM is more than this multiple of the good query's of the same run, or if its accuracy
#: in a modality is lower by more than this.
DAMAGED_FOSCTTM, DAMAGED_ACCURACY = 1.5, 0.1

#: Good queries. The other queries of a reference are compared with the first of these that it has.
GOOD = ("known types", "as it is")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each query: verdict, checks and damage of both modalities, as means over seeds."""
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
    """Return a row for each run of a query: its verdict, and whether it is damaged, compared with the good query."""
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
    """Count how often each check is not inside, among undamaged and among damaged queries."""
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


PAGE = """\
# Queries inside and outside the reference's range

What `model.diagnose(query)` says, and the damage. Models of the training split, limits chosen on validation cells,
test cells here. Values are of the first modality / the second, means over seeds; `scale`, `signal` and `mixing` as
multiples of what is expected. The query's modalities are given as unpaired; `pairs`, where they are given as paired,
is the column `foscttm`. `accuracy` is that of `predict`, `label transfer` goes from RNA to the other modality (20
neighbours). Written by `python -m benchmarks.accuracy.diagnose`, which also says how the queries are made.

## Verdicts and damage

Damaged: FOSCTTM more than {foscttm} times, or accuracy in a modality {accuracy} less than, that of the good query (test
cells as they are, of types that the reference has). FOSCTTM among few types is greater without any fault. Runs of
queries with neither known pairs nor labels are not counted.

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


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
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
    return PAGE.format(
        foscttm=DAMAGED_FOSCTTM,
        accuracy=DAMAGED_ACCURACY,
        counts=counts.reset_index().to_markdown(index=False),
        moved=moved(table).to_markdown(index=False),
        passed=passed,
        alarms=alarms,
        tables="\n\n".join(parts),
        either=either.to_markdown(index=False, disable_numparse=True),
    )
