"""Page of ``link_truth``: means and standard deviations over seeds."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from benchmarks.shared.tables import mean_and_deviation

CALLS = {
    "called": "called",
    "false share": "not regulating",
    "null genes' share": "of null genes",
    "power": "power",
    "lenient false share": "at 20 %: not regulating",
    "lenient power": "at 20 %: power",
    "p < 0.05, null genes": "p < 0.05: null genes",
    "p < 0.05, not regulating": "p < 0.05: others not regulating",
}
KINDS = ("lost", "flipped", "same link, gene changed", "no link, gene changed", "same link", "no link")
#: Measures that are numbers of pairs.
COUNTS = ("called", "pairs")

INTRODUCTION = """# Links against the truth

Simulated cells, half of whose batches are the paired reference; the others are the query, {seeds} seeds, mean ±
standard deviation. Written by `python -m benchmarks.downstream.link_truth`. Bulks are of the query's cells, whose
modalities were embedded apart and taken for cells of their own, unless "paired". In "no cell twice", RNA is of one
half of the cells and ATAC of the other. Where a seed had no calls, its shares are left out.

Null genes are those without any regulating peak.
"""


class Section(NamedTuple):
    """A heading, what to know, and the columns of the table: measures and their short names."""

    heading: str
    note: str
    part: str
    columns: dict[str, str]


SECTIONS = (
    Section(
        "Ranking: area under the precision-recall curve",
        """Pairs of a gene and a peak up to 150 kb upstream; positive are those in which the peak regulates the gene.
Nearly all peaks in the promoter window regulate, so only distal pairs are a test. r is the correlation, z the place
in the matched background of the correlation given the gene's other peaks. The first row is that of a random order.""",
        "links",
        {
            f"AUPRC of {name}, {part}": f"{name}, {part}"
            for name in ("r", "z")
            for part in ("all", "distal", "promoter")
        },
    ),
    Section(
        "Correlations",
        "Mean r of regulating pairs and of the others, and its standard deviation over pairs that do not regulate.",
        "links",
        {
            "mean r, promoter": "mean, promoter",
            "mean r, distal": "mean, distal",
            "mean r, not regulating": "mean, not regulating",
            "sd of r, not regulating": "sd, not regulating",
            "sd of r, null genes": "sd, null genes",
        },
    ),
    Section(
        'Calls at a nominal false discovery rate of 5 %, `null="theoretical"`',
        """The hypothesis is that of no correlation at all, which holds for null genes: 5 % of their p should be below
0.05. Other pairs that do not regulate may share programmes, and then do correlate.""",
        "links",
        {f"theoretical: {measure}": short for measure, short in CALLS.items()},
    ),
    Section(
        'Calls at a nominal false discovery rate of 5 %, `null="matched"`',
        """The hypothesis is that the peak tells as much of the gene as those of other chromosomes would, which holds
for nearly all peaks that do not regulate: 5 % of p should be below 0.05, and 5 % of those called not regulating.""",
        "links",
        {f"matched: {measure}": short for measure, short in CALLS.items()},
    ),
    Section(
        "Differences between conditions: share called at a nominal false discovery rate of 5 %",
        """Of the regulating pairs, 15 % are lost and 15 % flipped in the second condition; half of the bulks are of
either. A gene is changed if any of its links is, and then all its correlations may change. "Links of either" are
pairs that are significant (`null="theoretical"`) in either condition, "links of both together" those that are over
all bulks; shares are of the pairs tested.""",
        "differences",
        {f"called, {kind}": kind for kind in KINDS},
    ),
    Section(
        "Differences between conditions: what is called",
        """Lost and flipped links that were called, as a share of all, tested or not. Of those called, the share in
which the link, or the whole gene, is unchanged; of pairs of unchanged genes, the share with p < 0.05; and of flipped
links that were called, those whose correlation changed its sign.""",
        "differences",
        {
            "pairs": "pairs",
            "called": "called",
            "changed links found": "changed links found",
            "link unchanged": "link unchanged",
            "gene unchanged": "gene unchanged",
            "p < 0.05, gene unchanged": "p < 0.05: gene unchanged",
            "sign_flip of called flipped": "flipped: sign_flip",
        },
    ),
)


def page(table: pd.DataFrame) -> str:
    """Write the page of a table with a row a part, seed, setting and measure."""
    sections = (
        f"## {section.heading}\n\n{section.note}\n\n{_summary(table[table['part'] == section.part], section.columns)}\n"
        for section in SECTIONS
    )
    return "\n".join([INTRODUCTION.format(seeds=table["seed"].nunique()), *sections])


def _summary(table: pd.DataFrame, columns: dict[str, str]) -> str:
    shown = table[table["measure"].isin(columns)]
    counts = shown["measure"].str.endswith(COUNTS)
    texts = [
        mean_and_deviation(part.groupby(["setting", "measure"], sort=False)["value"], digits)
        for part, digits in ((shown[~counts], 3), (shown[counts], 0))
    ]
    wide = pd.concat(texts).unstack().reindex(index=shown["setting"].drop_duplicates(), columns=list(columns))
    return wide.fillna("").rename(columns=columns).rename_axis("setting").reset_index().to_markdown(index=False)
