"""Measured contacts and effects to compare links with: read, checked, and looked up for each link."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.text_files import name_without_gz, open_text, read_lines
from scminnet.genomics import INTERVAL_COLUMNS, overlaps, parse_intervals
from scminnet.genomics.annotation_formats import NOT_ROWS
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes
from scminnet.genomics.intervals import position_fault

ANCHOR_COLUMNS = ("chrom1", "start1", "end1", "chrom2", "start2", "end2")

_FLAGS = {"true": True, "t": True, "yes": True, "1": True, "1.0": True} | {
    "false": False,
    "f": False,
    "no": False,
    "0": False,
    "0.0": False,
}


def read_evidence(evidence: Any) -> pd.DataFrame:
    """Return the table of evidence, read from its file where a path is given."""
    if isinstance(evidence, pd.DataFrame):
        table = evidence
    elif isinstance(evidence, (str, os.PathLike)):
        table = _read_file(Path(evidence))
    else:
        raise TypeError(
            f"`evidence` is a {type(evidence).__name__}. Give a table, or the path of a BEDPE or text file."
        )
    if table.empty:
        raise ValueError("`evidence` has no rows. Give at least one.")
    return table.reset_index(drop=True)


def _read_file(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"`evidence`: there is no file {str(path)!r}. Give the path of a BEDPE or text file.")
    suffix = Path(name_without_gz(path)).suffix
    readable = (".bedpe", ".tsv", ".txt", ".csv")
    if suffix not in readable:
        raise ValueError(
            f"`evidence` is {path.name!r}. Give a file whose name ends in {shorten(readable)}, or that and '.gz'; "
            "or a table."
        )
    if suffix == ".bedpe":
        return _read_bedpe(path)
    try:
        with open_text(path, "evidence") as file:
            return pd.read_csv(file, sep="," if suffix == ".csv" else "\t", comment="#")
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"`evidence`: {path.name!r} can not be read as {suffix[1:].upper()}: {error}. "
            "Check the file, or read it yourself and give the table."
        ) from error


def _read_bedpe(path: Path) -> pd.DataFrame:
    rows = [(number, row[:6]) for number, row in read_lines(path, "evidence") if not row[0].startswith(NOT_ROWS)]
    # some programs write a header without #
    if rows and len(rows[0][1]) == 6 and not re.fullmatch(r"-?\d+", rows[0][1][1]):
        rows = rows[1:]
    short = [row for _, row in rows if len(row) < 6]
    if short:
        raise ValueError(
            f"`evidence`: {len(short):,} of {len(rows):,} lines of {path.name!r} have fewer than six fields separated "
            f"by tabs, e.g. {shorten([' '.join(row) for row in short], 3)}. Give BEDPE: {' '.join(ANCHOR_COLUMNS)}."
        )
    for number, row in rows:
        # an end of unknown position is marked by a dot, and has no numbers
        if "." not in (row[0], row[3]):
            for start, end in (row[1:3], row[4:6]):
                if fault := position_fault(start, end):
                    raise ValueError(f"`evidence`: line {number:,} of {path.name!r} {fault}")
    return pd.DataFrame([row for _, row in rows], columns=list(ANCHOR_COLUMNS), dtype=object)


def look_up(
    links: pd.DataFrame, evidence: pd.DataFrame, *, slack: int, gene_key: str, positive_key: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Tell of each link whether the evidence covers it, and whether the evidence supports it.

    Parameters
    ----------
    links
        ``gene``, ``chrom``, ``start``, ``end`` and ``tss``.
    evidence
        Anchors (``ANCHOR_COLUMNS``), or intervals with a gene.
    slack, gene_key, positive_key
        As in :func:`scminnet.tl.link_support`.

    Returns
    -------
    Two boolean arrays, one value a link: covered, and supported.
    """
    if set(ANCHOR_COLUMNS) <= set(evidence.columns):
        if positive_key is not None:
            raise ValueError(
                f"`positive_key` is {positive_key!r}, but `evidence` is of pairs of anchors, which has no tested "
                "negatives. Leave it out."
            )
        return _anchors(links, evidence, slack)
    interval = all(any(c in evidence.columns for c in spellings) for spellings in INTERVAL_COLUMNS)
    if not interval or gene_key not in evidence.columns:
        raise ValueError(
            f"`evidence` has the columns {shorten(evidence.columns, 20)}. Give pairs of anchors "
            f"({', '.join(ANCHOR_COLUMNS)}), or intervals (chrom, start, end) with the gene in a column that "
            f"`gene_key` names, now {gene_key!r}."
        )
    return _gene_intervals(links, evidence, gene_key, positive_key)


def _anchors(links: pd.DataFrame, evidence: pd.DataFrame, slack: int) -> tuple[np.ndarray, np.ndarray]:
    """Links whose peak overlaps one anchor, and whose start, widened by the slack, overlaps the other."""
    # BEDPE marks an end of unknown position by a dot
    evidence = evidence[(evidence["chrom1"] != ".") & (evidence["chrom2"] != ".")]
    anchors = [
        parse_intervals(evidence[list(names)].set_axis(["chrom", "start", "end"], axis=1), argument="evidence")
        for names in (ANCHOR_COLUMNS[:3], ANCHOR_COLUMNS[3:])
    ]
    _check_chromosomes(links["chrom"], pd.concat(anchors)["chrom"])
    peak, peaks = distinct(links[["chrom", "start", "end"]])
    window, windows = distinct(
        pd.DataFrame(
            {"chrom": links["chrom"], "start": (links["tss"] - slack).clip(lower=0), "end": links["tss"] + slack + 1}
        )
    )
    at_peak, at_start = ([incidence(places, side) for side in anchors] for places in (peaks, windows))
    known = (at_start[0] + at_start[1]).getnnz(axis=1)[window] > 0
    joined = (at_peak[0] @ at_start[1].T + at_peak[1] @ at_start[0].T).tocsr()
    return known, np.asarray(joined[peak, window]).ravel() > 0


def _gene_intervals(
    links: pd.DataFrame, evidence: pd.DataFrame, gene_key: str, positive_key: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Links whose peak overlaps an interval of their gene; of tested intervals, a positive one."""
    intervals = parse_intervals(evidence, argument="evidence")
    positive = np.ones(len(evidence), dtype=bool) if positive_key is None else _flags(evidence, positive_key)
    _check_chromosomes(links["chrom"], intervals["chrom"])
    genes = evidence[gene_key].astype(str).to_numpy()
    of_links = links["gene"]
    shared = of_links.isin(set(genes)).to_numpy()
    if not shared.any():
        raise ValueError(
            f"`evidence`: links and evidence have no gene in common. The links have {shorten(pd.unique(of_links))}, "
            f"the evidence {shorten(pd.unique(genes))}. Use one kind of name, symbols or ids, in both."
        )
    peak, peaks = distinct(links[["chrom", "start", "end"]])
    met, row = overlaps(peaks, intervals)
    pairs = pd.DataFrame({"peak": met, "gene": genes[row], "positive": positive[row]})
    # 1 or 0 where an interval of the gene is overlapped, missing elsewhere
    outcome = pairs.groupby(["peak", "gene"])["positive"].any().astype(float)
    outcome = outcome.reindex(pd.MultiIndex.from_arrays([peak, of_links])).to_numpy()
    return (shared if positive_key is None else ~np.isnan(outcome)), outcome == 1


def _flags(evidence: pd.DataFrame, positive_key: str) -> np.ndarray:
    if positive_key not in evidence.columns:
        raise ValueError(
            f"`positive_key` is {positive_key!r}, which `evidence` lacks; it has {shorten(evidence.columns, 20)}. "
            "Name its column of outcomes."
        )
    flags = evidence[positive_key].astype(str).str.lower().map(_FLAGS)
    if flags.isna().any():
        odd = pd.unique(evidence.loc[flags.isna(), positive_key].astype(str))
        raise ValueError(
            f"`positive_key`={positive_key!r}: {int(flags.isna().sum()):,} rows are neither true nor false, e.g. "
            f"{shorten(odd, 3)}. Give TRUE/FALSE or 1/0, or leave these rows out."
        )
    return flags.to_numpy(bool)


def distinct(places: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Return for each row the number of its interval, and the distinct intervals."""
    groups = places.groupby(list(places.columns), sort=False)
    return groups.ngroup().to_numpy(), places.drop_duplicates(ignore_index=True)


def incidence(places: pd.DataFrame, anchors: pd.DataFrame) -> sparse.csr_matrix:
    """Places x anchors: 1 where they share a base."""
    place, anchor = overlaps(places, anchors)
    return sparse.csr_matrix((np.ones(len(place), np.float32), (place, anchor)), shape=(len(places), len(anchors)))


def _check_chromosomes(ours: pd.Series, theirs: pd.Series) -> None:
    """Check that links and evidence name chromosomes alike."""
    sides = ByChromosome.of("links", "links", ours), ByChromosome.of("evidence", "evidence", theirs)
    check_chromosomes(*sides, argument="evidence")
