"""Scores that need no single cells, against CRISPRi-tested pairs of elements and genes.

Run from the root of the repository::

    python -m benchmarks.downstream.crispri --data FOLDER
    python -m benchmarks.downstream.crispri --table FILE --genes GENES.bed

``--table`` is a table of EngreitzLab's CRISPR benchmark, of any cell types
(https://github.com/EngreitzLab/CRISPR_comparison). By default it is that of K562 in ``--data``. ``--genes`` is a BED of
gene bounds (chrom, start, end, name, score, strand, Ensembl id), by default ``genes_hg38.bed`` in ``--data`` or beside
the table. Without it, an element's contacts are shared among the genes of the table only.

Prints one JSON line a score. ``auprc`` is the area under the precision-recall curve with the 95 % interval of a
bootstrap over genes, of all pairs, by distance, and by cell type where there are several. ``above_distance`` is the
difference to distance alone over the same bootstraps. With ``--page`` it also writes ``crispri.csv`` and
``crispri.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.downstream.crispri_table import FormatError, read_genes, read_table
from benchmarks.shared import command_line
from benchmarks.shared.bootstrap import average_precision, cluster_weights, interval
from benchmarks.shared.pages import RESULTS
from scminnet.tl._activity_contact import REACH, contact_total, link_score, power_law

TABLE, GENES = "EPCrisprBenchmark_training_K562.tsv.gz", "genes_hg38.bed"
#: Upper ends of the bins of distance, in bases.
BINS = {"0-10 kb": (0, 10_000), "10-100 kb": (10_000, 100_000), "> 100 kb": (100_000, np.inf)}
DISTANCE, SCORE = "distance", "score of cre_links without correlation"
#: Chromosomes are divided into this many parts, each predicted from the others.
FOLDS = 10


def contact_shares(pairs: pd.DataFrame, genes: pd.DataFrame) -> np.ndarray:
    """Share of each pair's gene in the contacts of its element, by the power law.

    The gene itself counts with the table's distance, and the others with their starts in ``genes``.
    """
    own = np.zeros(len(pairs))
    middle = ((pairs["start"] + pairs["end"]) // 2).to_numpy()
    for identifier in ("gene_id", "gene"):
        starts = genes.drop_duplicates(identifier).set_index(identifier).reindex(pairs[identifier])
        away = np.abs(starts["tss"].to_numpy() - middle)
        counted = (starts["chrom"].to_numpy() == pairs["chrom"].to_numpy()) & (away <= REACH) & (own == 0)
        own[counted] = power_law(away[counted])
    contact = power_law(pairs["distance"].to_numpy())
    return contact / (contact + np.maximum(contact_total(pairs, genes) - own, 0))


def scores(pairs: pd.DataFrame, genes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the scores of every pair, by name; larger means regulated."""
    contact = power_law(pairs["distance"].to_numpy())
    activity = (pairs["dhs"] / pairs.groupby("cell_type")["dhs"].transform("mean")).to_numpy()
    found = {
        DISTANCE: -pairs["distance"].to_numpy(),
        "DHS": activity,
        "DHS x power law": activity * contact,
    }
    if "h3k27ac" in pairs and pairs["h3k27ac"].notna().all():
        of_histone = pairs["h3k27ac"] / pairs.groupby("cell_type")["h3k27ac"].transform("mean")
        found["sqrt(DHS x H3K27ac) x power law"] = np.sqrt(activity * of_histone.to_numpy()) * contact
    share = contact_shares(pairs, genes)
    found["power law x share"] = contact * share
    found["DHS x power law x share"] = activity * contact * share
    found[SCORE] = link_score(activity, contact, share)
    found["logistic regression, chromosomes held out"] = held_out(pairs, activity, contact, share)
    return found


def held_out(pairs: pd.DataFrame, activity: np.ndarray, contact: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Fit exponents of activity, contact and share, and predict chromosomes that were left out."""
    features = np.log(np.column_stack([np.maximum(activity, 0.01), contact, share]))
    outcome, predicted = pairs["regulated"].to_numpy(), np.zeros(len(pairs))
    n_folds = min(FOLDS, pairs["chrom"].nunique())
    if n_folds < 2:
        return np.full(len(pairs), np.nan)
    for fit, apply in GroupKFold(n_folds).split(features, outcome, pairs["chrom"]):
        if outcome[fit].any() and not outcome[fit].all():
            model = LogisticRegression(C=1e6).fit(features[fit], outcome[fit])
            predicted[apply] = model.decision_function(features[apply])
    return predicted


def measure(name: str, values: np.ndarray, pairs: pd.DataFrame, weights: np.ndarray) -> dict[str, Any]:
    """Return AUPRC and intervals of a score, of all pairs and of parts."""
    outcome = pairs["regulated"].to_numpy()
    distance = pairs["distance"].to_numpy()
    areas = average_precision(outcome, values, weights)
    line = {"score": name, "pairs": len(pairs), "regulated": int(outcome.sum())} | interval(areas)
    if name != DISTANCE:
        line["above_distance"] = interval(areas - average_precision(outcome, -distance, weights), key="difference")

    def part(rows: np.ndarray) -> dict[str, Any]:
        counts = {"pairs": int(rows.sum()), "regulated": int(outcome[rows].sum())}
        # not defined without both outcomes
        if not 0 < counts["regulated"] < counts["pairs"]:
            return counts | {"auprc": None, "interval": None}
        return counts | interval(average_precision(outcome[rows], values[rows], weights[:, rows]))

    line["distance"] = {name: part((distance >= low) & (distance < high)) for name, (low, high) in BINS.items()}
    cell_types = pairs["cell_type"].unique()
    if len(cell_types) > 1:
        line["cell_types"] = {str(t): part((pairs["cell_type"] == t).to_numpy()) for t in cell_types}
    return line


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = command_line.parser(__doc__, data="optional")
    made.add_argument("--table", type=Path, help=f"tested pairs (default: {TABLE} in --data)")
    made.add_argument("--genes", type=Path, help=f"BED of genes (default: {GENES} in --data, or beside the table)")
    made.add_argument("--bootstraps", type=int, default=1000, help="resamples of genes (default: 1000)")
    made.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    made.add_argument("--page", action="store_true", help="write the page of results, too")
    return made


def main() -> None:
    """Print a line a score."""
    made = parser()
    given = made.parse_args()
    if given.table is None and given.data is None:
        made.error("give --table, or --data with the table of K562")
    if given.bootstraps < 1:
        made.error("--bootstraps is less than 1")
    table = given.table or given.data / TABLE
    folders = [folder for folder in (given.data, table.parent) if folder is not None]
    genes = given.genes or next((folder / GENES for folder in folders if (folder / GENES).is_file()), None)
    try:
        read = read_table(table)
        starts = read.genes if genes is None else read_genes(genes)
    except FormatError as error:
        made.error(str(error))
    if genes is None:
        print("no --genes: contacts are shared among the genes of the table", file=sys.stderr)
    pairs = read.pairs
    weights = cluster_weights(pairs["gene_id"].to_numpy(), given.bootstraps, given.seed)
    lines = []
    for name, values in scores(pairs, starts).items():
        if not np.isfinite(values).all():
            print(f"{name} is left out: it is not defined for these pairs", file=sys.stderr)
            continue
        lines.append({"table": table.name, "left_out": read.left_out} | measure(name, values, pairs, weights))
        print(json.dumps(lines[-1]), flush=True)
    if given.page:
        write_page(lines, given.bootstraps)


def write_page(lines: list[dict[str, Any]], n_bootstraps: int) -> None:
    """Write ``crispri.csv`` and ``crispri.md``."""
    rows = []
    for line in lines:
        parts = {"all": line, **line["distance"], **line.get("cell_types", {})}
        for part, values in parts.items():
            low, high = values["interval"] or (None, None)
            columns = {key: values[key] for key in ("pairs", "regulated", "auprc")}
            rows.append({"score": line["score"], "part": part} | columns | {"low": low, "high": high})
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "crispri.csv", index=False)
    table["shown"] = [
        f"{row.auprc:.3f} ({row.low:.3f} to {row.high:.3f})" if pd.notna(row.auprc) else ""
        for row in table.itertuples()
    ]
    shown = table.pivot(index="score", columns="part", values="shown")
    shown = shown.loc[[line["score"] for line in lines], table["part"].unique()]
    (RESULTS / "crispri.md").write_text(
        PAGE.format(table=lines[0]["table"], n=n_bootstraps) + shown.to_markdown() + "\n"
    )


PAGE = """# Scores against CRISPRi screens

Area under the precision-recall curve with the 95 % interval of {n:,} bootstraps over genes. Pairs are of
`{table}`: elements that were silenced, and the genes that were measured. Written by
`python -m benchmarks.downstream.crispri` with `--data FOLDER --page`, which says what the columns of such a table are.

- *distance*: the nearest pair first, by the table's own distance.
- *DHS x power law*: activity x contact, with the exponent of the ABC model and no contact nearer than 5 kb. The table
  lists tested elements only, so no score is divided by the sum over a gene's elements.
- *share*: the gene's contact as a share of the element's contacts with all genes within 1 Mb (`genes_hg38.bed`).
- *score of cre_links without correlation*: the same with the exponent of activity that `tl.cre_links` uses.
- *logistic regression*: exponents of DHS, power law and share fitted to other chromosomes, ten parts.

"""


if __name__ == "__main__":
    main()
