"""Genomic intervals: parsing, overlaps, and windows around transcript starts.

All positions are 0-based and all intervals half-open, as in BED: the first base of a chromosome is [0, 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import bioframe
import numpy as np
import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.compat import without_warning
from scminnet._core.feature_names import INTERVAL_NAME

#: Longest sequence that SAM and BAM files allow, so no read, fragment or peak lies beyond.
LONGEST = 2**31 - 1

#: Accepted column names for the chromosome, start and end of an interval.
INTERVAL_COLUMNS = (
    ("chrom", "chr", "chromosome", "seqnames", "seqname"),
    ("start", "chromStart", "chrom_start"),
    ("end", "chromEnd", "chrom_end", "stop"),
)

#: A whole number that is short enough to convert.
_WHOLE = re.compile(r"[+-]?[0-9]{1,25}")

#: Characters before the start and before the end in a peak's name, and the digits that 64 bits hold.
_BEFORE_START, _BEFORE_END = list(b":-_"), list(b"-_")
_MAX_DIGITS = 18


def parse_intervals(peaks: Iterable[str] | pd.DataFrame, *, argument: str = "peaks") -> pd.DataFrame:
    """Read the positions of peaks, from their names or from interval columns.

    Parameters
    ----------
    peaks
        Names such as ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``. Thousands separators are allowed, and
        names of chromosomes may contain ``_``, ``-`` and ``:``. Or a table, e.g. ``mdata["atac"].var``. A table with
        columns for chromosome, start and end (any spelling in ``INTERVAL_COLUMNS``: ``chrom``/``start``/``end``,
        ``chromStart``, ...) is read from these, otherwise from its index.
    argument
        Name of the argument in error messages.

    Returns
    -------
    A table of ``chrom`` (str), ``start`` and ``end`` (int64, 0-based, half-open), one row per peak in the same order.
    Its index is that of the table, or the names.

    Raises
    ------
    TypeError
        ``peaks`` is a single text, or not iterable.
    ValueError
        Some peaks can not be parsed, or are empty or reversed intervals. Their number and the first three are shown.

    Examples
    --------
    >>> from scminnet.genomics import parse_intervals
    >>> parse_intervals(["chr1:10-20", "chr1_KI270706v1_random-10-20"])["chrom"].tolist()
    ['chr1', 'chr1_KI270706v1_random']
    """
    if isinstance(peaks, str) or not isinstance(peaks, Iterable):
        raise TypeError(f"`{argument}` is {peaks!r}. Give a table, or a list of names such as ['chr1:100-200'].")
    table = peaks if isinstance(peaks, pd.DataFrame) else pd.DataFrame(index=pd.Index(list(peaks), dtype=object))
    table = table.loc[:, ~table.columns.duplicated()]
    found = [next((c for c in spellings if c in table.columns), None) for spellings in INTERVAL_COLUMNS]
    if None in found:
        names = table.index.astype(str)
        parts = _split(names.tolist())
        given = pd.DataFrame({"name": names})
        where = "names"
    else:
        parts = table[found].set_axis(range(3), axis=1)
        given = parts
        where = f"columns {shorten(found)}"
    start, end = (pd.to_numeric(parts[i], errors="coerce").to_numpy(float, na_value=np.nan) for i in (1, 2))
    chrom = parts[0].astype(str).to_numpy()
    with np.errstate(invalid="ignore"):
        good = (
            parts[0].notna().to_numpy()
            & (chrom != "")
            & (start >= 0)
            & (end > start)
            & (end <= LONGEST)
            & (start % 1 == 0)
            & (end % 1 == 0)
        )
    if not good.all():
        shown = [" ".join(map(str, row)) for row in given[~good].head(3).to_numpy(object)]
        raise ValueError(
            f"`{argument}`: {int((~good).sum()):,} of {len(good):,} {where} are not intervals, e.g. "
            f"{shorten(shown)}, the first in row {int(np.argmin(good)) + 1:,}. Give intervals such as 'chr1:100-200' "
            f"with 0 <= start < end <= {LONGEST:,}, or remove these."
        )
    return pd.DataFrame(
        {"chrom": chrom, "start": start.astype(np.int64), "end": end.astype(np.int64)}, index=table.index
    )


def interval_names(
    peaks: Iterable[str] | pd.DataFrame, separators: tuple[str, str] = (":", "-"), *, argument: str = "peaks"
) -> pd.Index:
    """Name peaks by their positions, as another tool spells them.

    Parameters
    ----------
    peaks
        Names of peaks or a table, as :func:`parse_intervals` reads them, e.g. ``mdata["atac"].var``.
    separators
        What stands behind the chromosome and behind the start. ``(":", "-")`` is the spelling of 10x, SCENIC+ and UCSC,
        ``("-", "-")`` that of Signac, ``("_", "_")`` that of CellOracle.
    argument
        Name of the argument in error messages.

    Returns
    -------
    A name for each peak, in their order; the same for peaks of the same position. Positions are those of
    :func:`parse_intervals`: 0-based, half-open.

    Raises
    ------
    TypeError
        ``peaks`` is a single text, or not iterable.
    ValueError
        Some peaks can not be parsed.

    Examples
    --------
    >>> from scminnet.genomics import interval_names
    >>> interval_names(["chr1:10-20", "chrX-5-9"], ("_", "_")).tolist()
    ['chr1_10_20', 'chrX_5_9']
    """
    places = parse_intervals(peaks, argument=argument)
    behind_chrom, behind_start = separators
    return pd.Index(
        places["chrom"] + behind_chrom + places["start"].astype(str) + behind_start + places["end"].astype(str),
        dtype=object,
        name=None,
    )


def _split(names: list[str]) -> pd.DataFrame:
    """Split names into chromosome, start and end. Missing if a name does not look like an interval."""
    text = "\n".join(names)
    plain = _split_plain(names, text)
    if plain is not None:
        return plain
    # one search over all names is much faster than one per name
    rows = INTERVAL_NAME.findall(text)
    if len(rows) != len(names) or text.count("\n") != max(len(names) - 1, 0):
        matches = [INTERVAL_NAME.fullmatch(name) for name in names]
        rows = [m.groups() if m else (None, None, None) for m in matches]
    parts = pd.DataFrame(rows, columns=range(3), dtype=object)
    if "," in text:
        parts[1], parts[2] = parts[1].str.replace(",", ""), parts[2].str.replace(",", "")
    return parts


def position_fault(start: str, end: str, *, first: int = 0) -> str | None:
    """Say what is wrong with the start and end of an interval in a file, and what to do. ``None`` if nothing is.

    Parameters
    ----------
    start, end
        The two fields.
    first
        Number of a chromosome's first base: 0 in BED, whose intervals are half-open; 1 in GTF and GFF3, which include
        the end.
    """
    for name, text in (("start", start), ("end", end)):
        if not _WHOLE.fullmatch(text):
            return f"has the {name} {text[:30]!r}. Give a whole number."
    if first <= int(start) < int(end) + first and int(end) <= LONGEST:
        return None
    if int(start) < first:
        return f"has the start {start}, but chromosomes begin at {first}. Correct the line."
    if int(end) > LONGEST:
        return f"has the end {end}, beyond the longest chromosome of SAM files, {LONGEST:,}. Correct the line."
    return f"has the start {start} and the end {end}. Give an end after the start."


def _split_plain(names: list[str], text: str) -> pd.DataFrame | None:
    """Split ASCII names without thousands separators; ``None`` where some are others, or no intervals.

    ``text`` holds the names, one a line. All are read at once as an array of characters, which takes a tenth of the
    time of the search.
    """
    if not names or not text.isascii():
        return None
    line = np.frombuffer(f"\n{text}\n".encode("ascii"), dtype=np.uint8)
    # what is no digit separates numbers; the last of each line ends it
    others = np.flatnonzero((line < ord("0")) | (line > ord("9")))
    ends = np.flatnonzero(line[others] == ord("\n"))
    if len(ends) != len(names) + 1 or (np.diff(ends) < 3).any():
        return None
    begin, stop = others[ends[:-1]] + 1, others[ends[1:]]
    first, second = others[ends[1:] - 2], others[ends[1:] - 1]
    n_start, n_end = second - first - 1, stop - second - 1
    good = (
        np.isin(line[first], _BEFORE_START)
        & np.isin(line[second], _BEFORE_END)
        # a separator at the chromosome's end is a negative start, and an empty chromosome ends with that of the lines
        & ~np.isin(line[first - 1], [*_BEFORE_START, ord("\n")])
        & (np.minimum(n_start, n_end) > 0)
        & (np.maximum(n_start, n_end) <= _MAX_DIGITS)
    )
    if not good.all():
        return None
    chrom = [name[:length] for name, length in zip(names, (first - begin).tolist(), strict=True)]
    columns = {0: pd.Series(chrom, dtype=object), 1: _whole(line, second, n_start), 2: _whole(line, stop, n_end)}
    return pd.DataFrame(columns)


def _whole(line: np.ndarray, stop: np.ndarray, n_digits: np.ndarray) -> np.ndarray:
    """Read whole numbers of ``n_digits`` characters before ``stop``."""
    numbers = np.zeros(len(stop), dtype=np.int64)
    for place in range(int(n_digits.max())):
        digits = line[np.maximum(stop - 1 - place, 0)].astype(np.int64) - ord("0")
        numbers += np.where(place < n_digits, digits, 0) * 10**place
    return numbers


def overlaps(intervals: pd.DataFrame, others: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of intervals that share a base.

    Parameters
    ----------
    intervals, others
        Tables with ``chrom``, ``start`` and ``end`` (0-based, half-open).

    Returns
    -------
    Row numbers in ``intervals`` and in ``others``, one of each per overlapping pair. Empty intervals overlap nothing.
    """
    columns = ["chrom", "start", "end"]
    tables = []
    for table in (intervals, others):
        table = table[columns].astype({"chrom": str}).reset_index(drop=True)
        # bioframe treats an empty interval as a point
        tables.append(table[table["end"] > table["start"]])
    with without_warning("The inplace keyword"):  # of pandas, to bioframe
        pairs = bioframe.overlap(*tables, how="inner", return_index=True, return_input=False)
    return pairs["index"].to_numpy(np.int64), pairs["index_"].to_numpy(np.int64)


def windows(starts: pd.DataFrame, *, upstream: int, downstream: int, gene_body: bool) -> pd.DataFrame:
    """Place a window around each transcript start, in the direction of transcription.

    Parameters
    ----------
    starts
        A TSS table.
    upstream
        Bases before the transcript start.
    downstream
        Bases after the transcript start, including the first transcribed base.
    gene_body
        Whether windows extend to the end of the gene (``start`` or ``end`` in ``starts``), if that is further.

    Returns
    -------
    ``chrom``, ``start`` and ``end`` (0-based, half-open), one row per row of ``starts``. A window may begin below 0.
    """
    forward = (starts["strand"] == "+").to_numpy()
    first = starts["tss"].to_numpy()
    # on - the window is mirrored at the first transcribed base, not at its left edge
    start = np.where(forward, first - upstream, first + 1 - downstream)
    end = np.where(forward, first + downstream, first + 1 + upstream)
    if gene_body:
        start = np.where(forward, start, np.minimum(start, starts["start"]))
        end = np.where(forward, np.maximum(end, starts["end"]), end)
    return pd.DataFrame({"chrom": starts["chrom"].to_numpy(), "start": start, "end": end})


def why_no_overlap(chroms: Iterable[str], starts: pd.DataFrame, what: str = "peaks") -> str:
    """Return an error text for the case that no interval on ``chroms`` overlaps a window of the genes in ``starts``."""
    ours, theirs = pd.unique(pd.Series(list(chroms), dtype=object)), pd.unique(starts["chrom"].astype(str))
    if not set(ours) & set(theirs):
        return (
            f"`tss`: {what} and annotation have no chromosome name in common. The {what} lie on {shorten(ours)}, "
            f"the genes on {shorten(theirs)}. Rename one of them, or use an annotation of the {what}' genome."
        )
    return (
        f"`tss`: none of its {starts['gene'].nunique():,} genes has one of the {what} in its windows. Check that the "
        f"annotation has the {what}' genome build, or widen `upstream` and `downstream`."
    )
