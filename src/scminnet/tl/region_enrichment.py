"""Whether linked peaks hold trait variants, or other regions, more often than other peaks near genes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from mudata import MuData
from scipy.stats import false_discovery_control

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_fraction, shorten
from scminnet._core.text_files import read_lines
from scminnet.genomics import overlaps, parse_intervals
from scminnet.genomics.annotation_formats import NOT_ROWS
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes
from scminnet.genomics.intervals import position_fault
from scminnet.genomics.link_table import link_strength, link_table, ranking
from scminnet.tl._evidence import distinct
from scminnet.tl._stratified import enrichment

_PLACE = ["chrom", "start", "end"]

Regions: TypeAlias = pd.DataFrame | str | os.PathLike[str]


@check_types
def region_enrichment(
    links: pd.DataFrame | MuData,
    regions: Regions | Mapping[str, Regions],
    *,
    n_top: int | None = None,
    max_fdr: float = 0.05,
    score: str | None = None,
    name_key: str | None = None,
    n_bins: int = 5,
) -> pd.DataFrame:
    """Test whether linked peaks overlap regions, such as trait variants, more often than other peaks.

    The other peaks of the table lie near genes as well. But linked peaks are nearer to a gene's start and more
    accessible, as many regions are. Peaks are therefore compared within bins of both.

    Parameters
    ----------
    links
        The MuData of bulks after ``cre_links``, or its table with all tested pairs.
    regions
        Path of a BED file (``.gz`` allowed), or a table of intervals as
        :func:`scminnet.genomics.parse_intervals` reads it. A mapping gives several sets a name each. Variants are
        intervals of one base. They must be of the peaks' genome build.
    n_top
        The peaks of this many best links are the linked ones. ``None``: those of links with ``fdr`` of at most
        ``max_fdr``. A peak counts once.
    max_fdr
        See ``n_top``.
    score
        Column by which the best links are found, as in :func:`link_support`. ``None``: ``"score"``, or ``"r"`` of a
        table without it.
    name_key
        Column of the table that names the set of each region, e.g. the trait; ``"name"``: the fourth field of a BED
        file. ``None``: all regions are one set.
    n_bins
        Bins of the distance to the nearest gene's start, and of the accessibility if the table has ``activity``, cut at
        quantiles of the linked peaks. 1: neither is taken into account.

    Returns
    -------
    A table, one row a set of regions, the smallest ``p`` first. Nothing is written into a MuData.

    ``regions``, ``n_regions``
        Name of the set, and number of its regions.
    ``n_linked``, ``n_background``
        Linked and other peaks.
    ``n_linked_with``, ``n_background_with``
        Those that overlap a region.
    ``expected``, ``fold``
        Linked peaks that would overlap one at the rates of all peaks of their bins; ``n_linked_with / expected``.
    ``p``, ``fdr``
        Probability of as many or more, if the linked peaks were drawn at random from the peaks of their bins. It is
        exact (hypergeometric). The false discovery rate is over the sets (Benjamini and Hochberg).
    ``genes``
        Genes of the linked peaks that overlap a region, up to ten, the best link first.

    Raises
    ------
    TypeError
        ``links`` is no table or MuData, or ``regions`` neither a table, a path nor a mapping of these.
    KeyError
        ``links`` is a MuData without links.
    FileNotFoundError
        ``regions`` is the path of no file.
    ValueError
        A table lacks columns or rows. Intervals do not parse. Links and regions have no chromosome in common. No peak
        is linked, or all are. ``fdr`` or a score is missing. A parameter is out of its range.

    Warns
    -----
    UserWarning
        Shared chromosomes hold less than half of the peaks and of the regions, or renaming them would help.

    Notes
    -----
    A region that is in linkage disequilibrium with the causal one is counted where it lies. Neighbouring peaks that
    overlap regions of one locus are not independent, which makes p too small if the loci are few.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.tl.region_enrichment(bulks, "gwas_variants.bed.gz", name_key="name", n_top=500)  # doctest: +SKIP
    """
    column = ranking(links, score)
    table = link_table(links, ["gene", "distance", *_PLACE, *([column] if n_top else ["fdr"])])
    check_count(n_bins, "n_bins")
    chosen = _chosen(table, n_top, max_fdr, column)
    sets = _sets(regions, name_key)
    places = parse_intervals(table[_PLACE], argument="links")
    number, peaks = distinct(places)
    found = pd.concat(sets.values(), ignore_index=True)
    check_chromosomes(
        ByChromosome.of("peaks", "links", peaks["chrom"]),
        ByChromosome.of("regions", "regions", found["chrom"]),
        argument="regions",
    )
    linked = np.bincount(number[chosen], minlength=len(peaks)) > 0
    if linked.all():
        raise ValueError(
            f"`links`: all {len(peaks):,} peaks are linked, so none is left to compare with. Give all tested pairs, or "
            "a smaller `n_top` or `max_fdr`."
        )
    strata = _strata(table, number, linked, n_bins)
    best = np.argsort(-_strength(table, column), kind="stable")
    best = best[chosen[best]]
    rows = []
    for name, places in sets.items():
        overlapping = np.zeros(len(peaks), dtype=bool)
        overlapping[overlaps(peaks, places)[0]] = True
        result = enrichment(overlapping, linked, strata)
        genes = table["gene"].to_numpy()[best[overlapping[number[best]]]]
        rows.append(
            {
                "regions": name,
                "n_regions": len(places),
                "n_linked": int(linked.sum()),
                "n_linked_with": result.found,
                "n_background": int((~linked).sum()),
                "n_background_with": int(overlapping.sum()) - result.found,
                "expected": result.expected,
                "fold": result.found / result.expected if result.expected > 0 else np.nan,
                "p": result.p,
                "genes": ", ".join(list(dict.fromkeys(genes))[:10]),
            }
        )
    made = pd.DataFrame(rows)
    made.insert(made.columns.get_loc("genes"), "fdr", false_discovery_control(made["p"]))
    return made.sort_values("p", kind="stable", ignore_index=True)


def _chosen(table: pd.DataFrame, n_top: int | None, max_fdr: float, column: str) -> np.ndarray:
    """Return which links are chosen."""
    if n_top is not None:
        check_count(n_top, "n_top")
        order = np.argsort(-link_strength(table, column), kind="stable")
        chosen = np.zeros(len(table), dtype=bool)
        chosen[order[:n_top]] = True
        return chosen
    check_fraction(max_fdr, "max_fdr", upper_open=False)
    chosen = table["fdr"].to_numpy(float, na_value=np.nan) <= max_fdr
    if not chosen.any():
        raise ValueError(
            f"`max_fdr` is {max_fdr}, which none of the {len(table):,} links reaches. Raise it, or give `n_top`, e.g. "
            "500, to take the best links by their score."
        )
    return chosen


def _strength(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return the links' strength by which genes are named, also where some have none."""
    known = column if column in table else "fdr"
    values = pd.to_numeric(table[known], errors="coerce").to_numpy(float, na_value=np.nan)
    return np.nan_to_num(-values if known in ("p", "fdr") else values, nan=-np.inf)


def _strata(table: pd.DataFrame, number: np.ndarray, linked: np.ndarray, n_bins: int) -> np.ndarray:
    """Return each peak's bin of distance and accessibility."""
    by_peak = table[["distance"]].abs().groupby(number).min()
    if "activity" in table:
        by_peak["activity"] = pd.to_numeric(table["activity"], errors="coerce").groupby(number).mean().fillna(0)
    strata = np.zeros(len(linked), dtype=np.int64)
    for column in by_peak:
        values = by_peak[column].to_numpy(float)
        edges = np.unique(np.quantile(values[linked], np.arange(1, n_bins) / n_bins))
        strata = strata * n_bins + np.searchsorted(edges, values, side="right")
    return strata


def _sets(regions: Any, name_key: str | None) -> dict[str, pd.DataFrame]:
    """Return the intervals of each set by its name."""
    if isinstance(regions, Mapping):
        if not regions:
            raise ValueError("`regions` is empty. Give at least one set of regions.")
        parts = {str(name): _table(value) for name, value in regions.items()}
    else:
        name = Path(regions).name if isinstance(regions, (str, os.PathLike)) else "regions"
        parts = {name: _table(regions)}
    if name_key is None:
        return {name: parse_intervals(table, argument="regions") for name, table in parts.items()}
    sets: dict[str, list[pd.DataFrame]] = {}
    for table in parts.values():
        if name_key not in table:
            raise ValueError(
                f"`name_key` is {name_key!r}, which `regions` lacks; it has {shorten(table.columns, 20)}. Name the "
                "column of the sets, or leave it out."
            )
        places = parse_intervals(table, argument="regions")
        for name, rows in places.groupby(table[name_key].astype(str).to_numpy(), sort=True):
            sets.setdefault(str(name), []).append(rows)
    return {name: pd.concat(rows, ignore_index=True) for name, rows in sets.items()}


def _table(regions: Any) -> pd.DataFrame:
    if isinstance(regions, pd.DataFrame):
        table = regions
    elif isinstance(regions, (str, os.PathLike)):
        table = _read_bed(Path(regions))
    else:
        raise TypeError(
            f"`regions` holds a {type(regions).__name__}. Give the path of a BED file, a table, or a mapping of these."
        )
    if table.empty:
        raise ValueError("`regions` has no rows. Give at least one region.")
    return table.reset_index(drop=True)


def _read_bed(path: Path) -> pd.DataFrame:
    """Read the first four fields of a BED file; a missing name is empty."""
    if not path.is_file():
        raise FileNotFoundError(f"`regions`: there is no file {str(path)!r}. Give the path of a BED file.")
    rows = []
    for number, fields in read_lines(path, "regions"):
        if fields[0].startswith(NOT_ROWS):
            continue
        fault = position_fault(*fields[1:3]) if len(fields) > 2 else "has fewer than three fields separated by tabs."
        if fault:
            raise ValueError(f"`regions`: line {number:,} of {path.name!r} {fault}")
        rows.append((fields[0], int(fields[1]), int(fields[2]), fields[3] if len(fields) > 3 else ""))
    return pd.DataFrame(rows, columns=[*_PLACE, "name"])
