"""Intervals and gene annotation: where peaks lie and where transcription starts, in one convention.

All positions are 0-based and all intervals half-open, as in BED: the first base of a chromosome is [0, 1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd

from scminnet._annotation import read_bed, read_gff3, read_gtf
from scminnet._compat import without_warning
from scminnet._sequence import gc_content, sequences
from scminnet._validate import shorten

__all__ = [
    "INTERVAL_COLUMNS",
    "TSS_COLUMNS",
    "check_annotation",
    "gc_content",
    "overlaps",
    "parse_intervals",
    "read_annotation",
    "sequences",
    "why_no_overlap",
    "windows",
]

#: Columns that every TSS table has.
TSS_COLUMNS = ("gene", "chrom", "tss", "strand")

#: Names under which tables keep the chromosome, start and end of an interval.
INTERVAL_COLUMNS = (
    ("chrom", "chr", "chromosome", "seqnames", "seqname"),
    ("start", "chromStart", "chrom_start"),
    ("end", "chromEnd", "chrom_end", "stop"),
)

#: chr1:1-2, chr1-1-2, chr1_1_2 and mixtures. The first part is greedy: what comes before the last two numbers is the
#: chromosome, whatever separators its name has (chr1_KI270706v1_random, HLA-A*01:01:01:01).
_INTERVAL_NAME = re.compile(r"^(.+)[:_-]([\d,]+)[_-]([\d,]+)$", re.MULTILINE)

#: Only Ensembl's own ids have versions: AC011043.1 and RP11-34P13.7 are names.
_VERSION = re.compile(r"^(ENS[A-Z]*\d{11})\.\d+")


def parse_intervals(peaks: Iterable[str] | pd.DataFrame, *, argument: str = "peaks") -> pd.DataFrame:
    """Read where peaks lie, from their names or from interval columns.

    Parameters
    ----------
    peaks
        Names such as ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200`` (thousands separators allowed, chromosomes may have
        ``_``, ``-`` and ``:`` in their names); or a table, e.g. ``mdata["atac"].var``. A table with columns for chromosome,
        start and end (any spelling in ``INTERVAL_COLUMNS``: ``chrom``/``start``/``end``, ``chromStart``, ...) is read from these,
        another one from its index.
    argument
        What the error text calls the peaks.

    Returns
    -------
    A table of ``chrom`` (str), ``start`` and ``end`` (int64, 0-based, half-open), one row a peak in the same order, with the
    table's own index or the names as index.

    Raises
    ------
    ValueError
        Some peaks do not parse, or are empty or reversed intervals; they are counted and the first three shown.

    Examples
    --------
    >>> from scminnet.genomics import parse_intervals
    >>> parse_intervals(["chr1:10-20", "chr1_KI270706v1_random-10-20"])["chrom"].tolist()
    ['chr1', 'chr1_KI270706v1_random']
    """
    table = peaks if isinstance(peaks, pd.DataFrame) else pd.DataFrame(index=pd.Index(list(peaks), dtype=object))
    found = [next((c for c in spellings if c in table.columns), None) for spellings in INTERVAL_COLUMNS]
    if None in found:
        names = table.index.astype(str)
        parts = _split(names)
        given = pd.DataFrame({"name": names})
        where = "names"
    else:
        parts = table[found].set_axis(range(3), axis=1)
        given = parts
        where = f"columns {shorten(found)}"
    start, end = (pd.to_numeric(parts[i], errors="coerce").to_numpy(float, na_value=np.nan) for i in (1, 2))
    with np.errstate(invalid="ignore"):
        good = parts[0].notna().to_numpy() & (start >= 0) & (end > start) & (start % 1 == 0) & (end % 1 == 0)
    if not good.all():
        shown = [" ".join(map(str, row)) for row in given[~good].head(3).to_numpy(object)]
        raise ValueError(
            f"`{argument}`: {int((~good).sum()):,} of {len(good):,} {where} are no intervals, e.g. "
            f"{shorten(shown)}. Give intervals such as 'chr1:100-200' with 0 <= start < end, or leave these out."
        )
    chrom = parts[0].astype(str).to_numpy()
    return pd.DataFrame(
        {"chrom": chrom, "start": start.astype(np.int64), "end": end.astype(np.int64)}, index=table.index
    )


def _split(names: pd.Index) -> pd.DataFrame:
    """Take names apart into chromosome, start and end, as text; missing where a name does not look like an interval."""
    text = "\n".join(names)
    # one search of all names together takes a fraction of the time of one a name
    rows = _INTERVAL_NAME.findall(text)
    if len(rows) != len(names) or text.count("\n") != max(len(names) - 1, 0):
        matches = [_INTERVAL_NAME.fullmatch(name) for name in names]
        rows = [m.groups() if m else (None, None, None) for m in matches]
    parts = pd.DataFrame(rows, columns=range(3), dtype=object)
    if "," in text:
        parts[1], parts[2] = parts[1].str.replace(",", ""), parts[2].str.replace(",", "")
    return parts


def overlaps(intervals: pd.DataFrame, others: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find which intervals share a base.

    Parameters
    ----------
    intervals, others
        Tables with ``chrom``, ``start`` and ``end`` (0-based, half-open).

    Returns
    -------
    Row numbers in ``intervals`` and in ``others``, one of each an overlapping pair. Empty intervals overlap nothing.
    """
    columns = ["chrom", "start", "end"]
    tables = []
    for table in (intervals, others):
        table = table[columns].astype({"chrom": str}).reset_index(drop=True)
        # bioframe takes an empty interval for a point
        tables.append(table[table["end"] > table["start"]])
    with without_warning("The inplace keyword"):  # of pandas, to bioframe
        pairs = bioframe.overlap(*tables, how="inner", return_index=True, return_input=False)
    return pairs["index"].to_numpy(np.int64), pairs["index_"].to_numpy(np.int64)


def windows(starts: pd.DataFrame, *, upstream: int, downstream: int, gene_body: bool) -> pd.DataFrame:
    """Lay a window around each transcript start, in the direction of transcription.

    Parameters
    ----------
    starts
        A TSS table.
    upstream
        Bases before the transcript start.
    downstream
        Bases from the transcript start on, the first base transcribed being the first.
    gene_body
        Whether windows reach to the end of the gene, ``start`` or ``end`` in ``starts``, if that is further.

    Returns
    -------
    ``chrom``, ``start`` and ``end`` (0-based, half-open), one row a row of ``starts``; may begin below 0.
    """
    forward = (starts["strand"] == "+").to_numpy()
    first = starts["tss"].to_numpy()
    # on - the window is mirrored at the first base transcribed, not at its left edge
    start = np.where(forward, first - upstream, first + 1 - downstream)
    end = np.where(forward, first + downstream, first + 1 + upstream)
    if gene_body:
        start = np.where(forward, start, np.minimum(start, starts["start"]))
        end = np.where(forward, np.maximum(end, starts["end"]), end)
    return pd.DataFrame({"chrom": starts["chrom"].to_numpy(), "start": start, "end": end})


def why_no_overlap(peaks: pd.DataFrame, starts: pd.DataFrame) -> str:
    """Tell why no gene of ``starts`` has one of ``peaks`` in its windows, as the text of an error."""
    ours, theirs = (pd.unique(table["chrom"].astype(str)) for table in (peaks, starts))
    if not set(ours) & set(theirs):
        return (
            f"`tss`: peaks and annotation have no chromosome name in common. The peaks lie on {shorten(ours)}, the genes on "
            f"{shorten(theirs)}. Rename one of them, or take an annotation of the peaks' genome."
        )
    return (
        f"`tss`: none of its {starts['gene'].nunique():,} genes has one of the {len(peaks):,} peaks in its windows. Check that the "
        "annotation is of the peaks' genome build, or widen `upstream` and `downstream`."
    )


def read_annotation(path: str | os.PathLike[str], *, strip_version: bool = True) -> pd.DataFrame:
    """Read the transcription start sites of genes from a GTF, GFF3 or BED file.

    Parameters
    ----------
    path
        File whose name ends in ``.gtf``, ``.gff``, ``.gff3`` or ``.bed``, plain or with ``.gz``.

        - GTF: ``transcript`` lines (made from ``exon`` lines where there are none) and ``gene`` lines.
        - GFF3: genes (types that end in ``gene``) and their direct children other than exons and the like.
        - BED of six columns or more (chrom, start, end, gene, score, strand). Where every row is one base long, a row is a
          transcript start; otherwise a row is a gene, transcribed from ``start`` on + and from ``end - 1`` on -. A seventh column of
          Ensembl ids is taken for ``gene_id``.
    strip_version
        Whether ``ENSG00000237613.2`` becomes ``ENSG00000237613``. Names that are no Ensembl ids stay as they are.

    Returns
    -------
    One row a distinct transcript start of a gene, in the order of the file; a gene with several transcripts has several rows.

    ``gene``
        Symbol, or the gene's id where it has none. To work with ids: ``table.assign(gene=table["gene_id"])``.
    ``chrom``, ``strand``
        As in the file; ``"+"`` or ``"-"``.
    ``tss``
        0-based position of the first base transcribed.
    ``start``, ``end``
        The gene's extent over all its transcripts, 0-based, half-open. Only where the file tells, so not for a BED of starts.
    ``gene_id``
        Only where the file tells.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file's name or content is none of these formats, holds no gene, or some rows lack a strand or position; they are
        counted and the first three shown.

    Examples
    --------
    >>> import scminnet as mn
    >>> tss = mn.genomics.read_annotation("gencode.v44.annotation.gtf.gz")  # doctest: +SKIP
    """
    path = Path(path)
    readers = {".gtf": read_gtf, ".gff": read_gff3, ".gff3": read_gff3, ".bed": read_bed}
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in readers:
        raise ValueError(
            f"`path` is {path.name!r}. Give a file whose name ends in {shorten(readers)}, or that and '.gz'."
        )
    if not path.is_file():
        raise FileNotFoundError(f"`path`: there is no file {str(path)!r}. Give the path of an annotation.")
    table = readers[suffix](path)
    if table.empty:
        raise ValueError(
            f"`path`: {path.name!r} holds no gene. Give a tab-separated {suffix[1:].upper()} file of genes."
        )
    if strip_version:
        for column in table.columns.intersection(["gene", "gene_id"]):
            table[column] = table[column].str.replace(_VERSION, r"\1", regex=True)
    return check_annotation(table.drop_duplicates(ignore_index=True), argument="path")


def check_annotation(
    tss: pd.DataFrame | str | os.PathLike[str], *, body: bool = False, argument: str = "tss"
) -> pd.DataFrame:
    """Return a TSS table, read from its file where a path is given, raising unless it is whole.

    Parameters
    ----------
    tss
        A table as :func:`read_annotation` returns it, or the path of a file that it reads.
    body
        Whether the extent of the genes, ``start`` and ``end``, is needed.
    argument
        What the error text calls the table.

    Returns
    -------
    A table with at least the columns ``gene``, ``chrom``, ``tss``, ``strand`` (with ``body``, also ``start`` and ``end``); ``tss`` as int64.

    Raises
    ------
    TypeError
        ``tss`` is neither table nor path.
    ValueError
        A column is missing, there is no row, or rows lack a gene, position or strand.
    """
    if isinstance(tss, (str, os.PathLike)):
        tss = read_annotation(tss)
    if not isinstance(tss, pd.DataFrame):
        raise TypeError(
            f"`{argument}` is a {type(tss).__name__}. Give a table of `scminnet.genomics.read_annotation`, or a file's path."
        )
    extent = ["start", "end"] if body else []
    needed = [*TSS_COLUMNS, *extent]
    missing = [column for column in needed if column not in tss.columns]
    if missing:
        raise ValueError(
            f"`{argument}` lacks the columns {shorten(missing)}; it has {shorten(tss.columns, 10)}. "
            "Read it with `scminnet.genomics.read_annotation`"
            + (", from a file that holds genes and not only transcript starts." if body else ".")
        )
    if tss.empty:
        raise ValueError(f"`{argument}` has no rows. Give the annotation of some genes.")
    numbers = ["tss", *extent]
    values = {c: pd.to_numeric(tss[c], errors="coerce").to_numpy(float, na_value=np.nan) for c in numbers}
    good = tss[needed].notna().all(axis=1).to_numpy() & tss["strand"].isin(["+", "-"]).to_numpy()
    for column in numbers:
        good &= values[column] >= 0
    if not good.all():
        shown = [" ".join(map(str, row)) for row in tss.loc[~good, needed].head(3).to_numpy(object)]
        raise ValueError(
            f"`{argument}`: {int((~good).sum()):,} of {len(tss):,} rows lack a gene, chromosome, position or strand ('+' or '-'), "
            f"e.g. {shorten(shown)}. Fill them or leave them out."
        )
    return tss.assign(**{c: values[c].astype(np.int64) for c in numbers})
