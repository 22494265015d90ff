"""The pairs of genes and peaks that may be linked: every peak in a window of a gene's transcript starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.feature_names import find_renaming
from scminnet._core.user_warnings import warn
from scminnet.genomics import overlaps, why_no_overlap, windows

#: A peak whose midpoint lies this many bases or fewer upstream of a start is its promoter (paper, "links").
PROMOTER = 2000


class Pairs(NamedTuple):
    """Pairs, sorted by gene and position, and why the other genes have none."""

    #: one row a pair: ``gene`` and ``peak`` (positions in the features), and as in the table of links ``chrom``,
    #: ``start``, ``end``, ``tss``, ``strand``, ``distance`` and ``promoter``
    table: pd.DataFrame
    #: reason of each gene without a pair
    left_out: dict[str, str]


def window_pairs(
    peaks: pd.DataFrame,
    starts: pd.DataFrame,
    features: pd.Index,
    genes: Sequence[str] | None,
    *,
    upstream: int,
    downstream: int,
    gene_body: bool,
    modality: str,
) -> Pairs:
    """Find the peaks whose midpoints lie in the windows of genes.

    Parameters
    ----------
    peaks
        ``chrom``, ``start`` and ``end``, one row a peak.
    starts
        A TSS table.
    features
        Names of the genes measured.
    genes
        Genes asked for; ``None``: all of ``features`` and of ``starts``.
    upstream, downstream, gene_body
        As in :func:`scminnet.tl.cre_links`.
    modality
        The genes' modality, for the texts.
    """
    extent = ["start", "end"] if gene_body else []
    named = starts.set_index("gene")[[column for column in ("gene_id",) if column in starts]]
    starts = starts[["gene", "chrom", "tss", "strand", *extent]].astype({"gene": str, "chrom": str, "strand": str})
    starts = starts.drop_duplicates(ignore_index=True)
    annotated = pd.unique(starts["gene"])
    wanted = pd.Index([*features, *annotated] if genes is None else list(genes), dtype=object).unique()
    usable = wanted[wanted.isin(features) & wanted.isin(annotated)]
    if usable.empty:
        raise ValueError(
            f"`{'tss' if genes is None else 'genes'}`: no gene is both a feature of modality {modality!r} "
            f"({shorten(features, 3)}) and in `tss` ({shorten(annotated, 3)})"
            + ("." if genes is None else f", of those asked for ({shorten(wanted, 3)}).")
            + " Give genes under the names of both, e.g. `tss.assign(gene=tss['gene_id'])` where the features are ids."
        )
    if genes is None:
        _warn_of_names(features, named, len(usable), modality)
    starts = starts[starts["gene"].isin(usable)]
    middle = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    points = pd.DataFrame({"chrom": peaks["chrom"].to_numpy(), "start": middle, "end": middle + 1})
    # a midpoint `downstream` bases beyond the start still belongs to the window
    around = windows(starts, upstream=upstream, downstream=downstream + 1, gene_body=gene_body)
    peak, row = overlaps(points, around)
    if not len(peak):
        raise ValueError(why_no_overlap(peaks["chrom"], starts))

    table = starts[["chrom", "tss", "strand"]].iloc[row].reset_index(drop=True)
    table["gene"] = features.get_indexer(starts["gene"])[row]
    table["peak"] = peak
    table["start"], table["end"] = peaks["start"].to_numpy()[peak], peaks["end"].to_numpy()[peak]
    table["distance"] = (middle[peak] - table["tss"]) * np.where(table["strand"] == "+", 1, -1)
    table["promoter"] = table["distance"].between(-PROMOTER, 0)
    table["away"] = table["distance"].abs()
    # of several starts the nearest, and the one downstream of the peak where two are equally near
    table = table.sort_values(["gene", "start", "end", "peak", "away", "distance", "tss", "strand"])
    table = table.drop_duplicates(["gene", "peak"], ignore_index=True).drop(columns="away")

    linked = set(features[table["gene"].unique()])
    left_out = {gene: "" for gene in wanted if gene not in linked}
    chroms, with_peaks = starts.groupby("gene")["chrom"].first(), set(peaks["chrom"])
    measured = set(features)
    for gene in left_out:
        if gene not in measured:
            left_out[gene] = f"no feature of modality {modality!r}"
        elif gene not in chroms.index:
            left_out[gene] = "no transcript start in `tss`"
        elif chroms[gene] not in with_peaks:
            left_out[gene] = f"no peak on its chromosome {chroms[gene]!r}"
        else:
            left_out[gene] = "no peak in its window"
    return Pairs(table, left_out)


def _warn_of_names(features: pd.Index, annotation: pd.DataFrame, n_usable: int, modality: str) -> None:
    """Warn if more genes would be annotated under names that are written otherwise; called by ``window_pairs``."""
    found = find_renaming(annotation, features)
    if found is None:
        return
    other, own = found.example
    where = f"in its column {found.column!r}" if found.column else "there"
    beyond = f" apart from {found.beyond}" if found.beyond else ""
    warn(
        f"`tss` has {n_usable:,} of the {len(features):,} genes of modality {modality!r}. {found.n_found:,} are "
        f"{where}{beyond}, e.g. {other!r} for {own!r}. Give genes under the names of both, e.g. "
        "`tss.assign(gene=tss['gene_id'])` where the features are ids."
    )
