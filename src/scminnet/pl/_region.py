"""The part of the genome that the links of a gene are shown on: the links with their colours, the gene, the window."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet.genomics import check_annotation
from scminnet.genomics.link_table import link_table

#: Columns of the link table that the figure shows.
NEEDED = ("gene", "peak", "chrom", "start", "end", "tss", "strand", "r", "fdr", "group")

#: Room beside the outermost peaks, as share of the window.
PADDING = 0.07

#: Narrower windows than this, in bases, are widened.
NARROWEST = 2_000

#: Colours of links by the sign of r, and of those that are not significant. They are none of the groups' colours.
POSITIVE, NEGATIVE, NOT_SIGNIFICANT = "#A50F15", "#253494", "#B4B4B4"


class Region(NamedTuple):
    """What is shown: a gene's links, where it lies, and the window, 0-based and half-open."""

    links: pd.DataFrame
    colours: pd.Series
    """Colour of each link."""
    body: tuple[int, int] | None
    start: float
    end: float

    @property
    def chrom(self) -> str:
        """Chromosome."""
        return str(self.links["chrom"].iloc[0])

    @property
    def width(self) -> float:
        """Bases shown."""
        return self.end - self.start


def links_of(bulks: MuData, gene: str, group: str | None, key: str) -> pd.DataFrame:
    """Return the rows of one gene and group."""
    table = link_table(bulks, NEEDED, "bulks", key=key)
    found = table[(table["gene"].astype(str) == gene) & table["r"].notna()]
    if found.empty:
        left_out = bulks.uns.get(f"{key}_info", {}).get("genes_left_out")
        reasons = [] if left_out is None else left_out.loc[left_out["gene"].astype(str) == gene, "reason"].tolist()
        why = (
            f"It was left out: {shorten(dict.fromkeys(reasons))}."
            if reasons
            else "It was not among the genes that links were sought for."
        )
        raise KeyError(f"`gene` is {gene!r}, which has no link in `bulks`.uns[{key!r}]. {why} Name another gene.")
    groups = found["group"].astype(str).unique()
    if group is None and len(groups) > 1:
        raise ValueError(
            f"`group` is None, but {gene!r} has links in the groups {shorten(groups, 10)}. "
            f"Name one, e.g. `group={groups[0]!r}`."
        )
    if group is not None and group not in groups:
        raise ValueError(f"`group` is {group!r}, in which {gene!r} has no link. It has some in {shorten(groups, 10)}.")
    found = found[found["group"].astype(str) == (groups[0] if group is None else group)]
    chromosomes = found["chrom"].astype(str).unique()
    if len(chromosomes) > 1:
        raise ValueError(
            f"`gene` {gene!r} has links on {shorten(chromosomes)}. Keep those on one in `bulks`.uns[{key!r}]."
        )
    return found


def region_of(
    table: pd.DataFrame,
    gene: str,
    tss: pd.DataFrame | str | os.PathLike[str] | None,
    known: pd.DataFrame | None,
    max_fdr: float,
) -> Region:
    """Choose the window: links with their colours, starts, and the body, where the user or ``known`` gives it."""
    body = None
    annotation = known if tss is None else check_annotation(tss, body=True)
    if annotation is not None:
        own = annotation[(annotation["gene"].astype(str) == gene) & annotation["chrom"].isin(table["chrom"])]
        if own.empty and tss is not None:
            there = annotation.loc[annotation["gene"].astype(str) == gene, "chrom"].unique()
            where = f"; it has that gene on {shorten(there)}" if len(there) else ""
            raise ValueError(
                f"`tss` lacks {gene!r} on {table['chrom'].iloc[0]!r}{where}. "
                "Give the annotation of the links, with the same names of genes and chromosomes."
            )
        if len(own):
            body = int(own["start"].min()), int(own["end"].max())
    if body is not None and body[1] - body[0] <= 1:
        # an annotation of transcription starts
        body = None
    # the best are drawn last, and those that are not significant beneath all
    significant = (table["fdr"] <= max_fdr).to_numpy() | table["fdr"].isna().all()
    best = "score" if is_scored(table) else "r"
    table = table.assign(significant=significant).sort_values(["significant", best], key=lambda values: values.abs())
    of_sign = np.where(table["r"] < 0, NEGATIVE, POSITIVE)
    colours = pd.Series(np.where(table["significant"], of_sign, NOT_SIGNIFICANT), index=table.index)
    extent = [table["start"].min(), table["end"].max(), table["tss"].min(), table["tss"].max(), *(body or ())]
    start, end = float(min(extent)), float(max(extent))
    padding = max(PADDING * (end - start), (NARROWEST - (end - start)) / 2)
    return Region(table, colours, body, start - padding, end + padding)


def is_scored(table: pd.DataFrame) -> bool:
    """Tell whether all links have a score."""
    return "score" in table and bool(table["score"].notna().all())
