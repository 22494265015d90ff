"""Gene annotation: transcription start sites from GTF, GFF3, BED or a table.

Positions are 0-based, as in :mod:`scminnet.genomics.intervals`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet._core.logging import logger
from scminnet._core.text_files import name_without_gz
from scminnet.genomics.annotation_formats import read_bed, read_gff3, read_gtf
from scminnet.genomics.intervals import LONGEST, parse_intervals
from scminnet.genomics.peak_annotation import infer_tss

#: Columns of every TSS table.
TSS_COLUMNS = ("gene", "chrom", "tss", "strand")

#: Only Ensembl ids have versions. AC011043.1 and RP11-34P13.7 are names.
_VERSION = re.compile(r"^(ENS[A-Z]*\d{11})\.\d+")


@check_types
def read_annotation(source: str | os.PathLike[str] | pd.DataFrame, *, strip_version: bool = False) -> pd.DataFrame:
    """Read the transcription start sites of genes from a GTF, GFF3 or BED file, or from muon's peak annotation.

    Parameters
    ----------
    source
        File whose name ends in ``.gtf``, ``.gff``, ``.gff3`` or ``.bed``, optionally with ``.gz`` or ``.bgz``. It may
        be compressed whatever its name. Or a table.

        - GTF: ``transcript`` lines (``exon`` lines of genes without any) and ``gene`` lines.
        - GFF3: genes (types that end in ``gene``) and their direct children, except exons and similar parts.
        - BED with at least six columns (chrom, start, end, gene, score, strand). If every row is one base long, each is
          a transcript start. Otherwise each is a gene, transcribed from ``start`` on + and from ``end - 1`` on -. A
          seventh column of Ensembl ids becomes ``gene_id``.
        - A table that ``muon.atac.tl.add_peak_annotation`` stores in
          ``mdata["atac"].uns["atac"]["peak_annotation"]``, made from Cell Ranger's ``atac_peak_annotation.tsv``. It
          only holds distances. A start and its strand are inferred if several peaks of a gene agree on them. Other
          starts are left out, and genes without a start, such as those with a single peak. Use the GTF if you have it.
    strip_version
        Whether ``ENSG00000237613.2`` becomes ``ENSG00000237613``. Other names do not change.

    Returns
    -------
    One row per distinct transcript start of a gene, in the order of the file. A gene with several transcripts has
    several rows. Genes without a strand have no start. They are left out, and their number is logged.

    ``gene``
        Symbol, or the gene's id if it has no symbol. To use ids: ``table.assign(gene=table["gene_id"])``.
    ``chrom``, ``strand``
        As in the file. The strand is ``"+"`` or ``"-"``.
    ``tss``
        0-based position of the first transcribed base.
    ``start``, ``end``
        Extent of the gene over all its transcripts, 0-based, half-open. Missing for a BED of starts and for a peak
        annotation.
    ``gene_id``
        Only if the file has it.

    Raises
    ------
    TypeError
        ``source`` is neither a path nor a table.
    FileNotFoundError
        There is no such file.
    ValueError
        The name or content has none of these formats, or holds no gene. The file is cut, damaged, not UTF-8, or
        expands beyond all measure. A line has no start and end of an interval. Rows lack a name: their number and the
        first three are shown. A peak annotation yields no start.

    Examples
    --------
    >>> import scminnet as mn
    >>> tss = mn.genomics.read_annotation("gencode.v44.annotation.gtf.gz")  # doctest: +SKIP
    """
    if not isinstance(source, (str, os.PathLike, pd.DataFrame)):
        raise TypeError(f"`source` is a {type(source).__name__}. Give the path of an annotation file.")
    table = _read(source, "source")
    if strip_version:
        for column in table.columns.intersection(["gene", "gene_id"]):
            table[column] = table[column].str.replace(_VERSION, r"\1", regex=True)
    return check_annotation(table.drop_duplicates(ignore_index=True), argument="source")


def _read(source: str | os.PathLike[str] | pd.DataFrame, argument: str) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return _read_peak_annotation(source, argument)
    return _read_file(Path(source), argument)


def _read_file(path: Path, argument: str) -> pd.DataFrame:
    """Read an annotation file in the format of its name."""
    readers = {".gtf": read_gtf, ".gff": read_gff3, ".gff3": read_gff3, ".bed": read_bed}
    suffix = Path(name_without_gz(path)).suffix
    if suffix not in readers:
        raise ValueError(
            f"`{argument}` is {path.name!r}. Give a file whose name ends in {shorten(readers)}, optionally with '.gz'."
        )
    if not path.is_file():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}. Give the path of an annotation.")
    table = readers[suffix](path, argument)
    if table.empty:
        raise ValueError(
            f"`{argument}`: {path.name!r} holds no gene. Give a tab-separated {suffix[1:].upper()} file of genes."
        )
    has_strand = table["strand"].isin(["+", "-"])
    if not has_strand.any() or table["gene"].isna().all():
        lacking = "gene" if has_strand.any() else "strand"
        raise ValueError(
            f"`{argument}`: no row of {path.name!r} has a {lacking}. Give the tab-separated columns of "
            f'{suffix[1:].upper()}: at least six in BED, attributes such as gene_id "A" in GTF or ID=gene:A in GFF3.'
        )
    without = table.loc[~table["gene"].isin(table.loc[has_strand, "gene"]), "gene"].dropna().unique()
    if len(without):
        # a gene of unknown strand has no start; RefSeq has some, and mitochondria and chloroplasts more
        text = "%s: %d genes have no strand ('+' or '-'), so no start, and are left out, e.g. %s"
        logger.info(text, path.name, len(without), shorten(without, 3))
    return table[has_strand]


def _is_peak_annotation(table: pd.DataFrame) -> bool:
    return {"distance", "peak_type"} <= set(table.columns)


def _read_peak_annotation(table: pd.DataFrame, argument: str) -> pd.DataFrame:
    """Read the starts on which the peaks of muon's table agree."""
    if not _is_peak_annotation(table):
        raise ValueError(
            f"`{argument}` is a table with the columns {shorten(table.columns, 10)}. Give a peak annotation, with "
            "'peak', 'distance' and 'peak_type', or the path of a file. A TSS table can be used as it is."
        )
    gene = (table["gene"] if "gene" in table.columns else table.index.to_series()).to_numpy(object)
    distance = pd.to_numeric(table["distance"], errors="coerce").to_numpy(float, na_value=np.nan)
    # peaks between genes have neither
    known = pd.notna(gene) & (gene != "") & np.isfinite(distance)
    table = table[known]
    peaks = parse_intervals(table["peak"] if "peak" in table.columns else table, argument=argument)
    pairs = peaks.reset_index(drop=True).assign(
        gene=gene[known].astype(str),
        distance=distance[known].astype(np.int64),
        peak_type=table["peak_type"].to_numpy(object),
    )
    starts = infer_tss(pairs)
    n_genes, n_placed = pairs["gene"].nunique(), starts["gene"].nunique()
    if starts.empty:
        raise ValueError(
            f"`{argument}`: peaks agree on no start of the {n_genes:,} genes. "
            "Give the annotation of all peaks, or a GTF file."
        )
    logger.info("%d of %d genes of the peak annotation have a start on which peaks agree", n_placed, n_genes)
    return starts


@check_types
def check_annotation(
    tss: pd.DataFrame | str | os.PathLike[str], *, body: bool = False, argument: str = "tss"
) -> pd.DataFrame:
    """Return a complete TSS table. Read it first if it is not a table.

    Parameters
    ----------
    tss
        A table as :func:`read_annotation` returns it, or what that function reads.
    body
        Whether the extent of the genes, ``start`` and ``end``, is needed.
    argument
        Name of the argument in error messages.

    Returns
    -------
    A table with at least the columns ``gene``, ``chrom``, ``tss``, ``strand`` (with ``body``, also ``start`` and
    ``end``). ``tss`` is int64.

    Raises
    ------
    TypeError
        ``tss`` is neither a table nor a path.
    ValueError
        A column is missing, there are no rows, or rows lack a gene, position or strand or end before they start.
    """
    if isinstance(tss, (str, os.PathLike)) or (isinstance(tss, pd.DataFrame) and _is_peak_annotation(tss)):
        tss = _read(tss, argument).drop_duplicates(ignore_index=True)
    if not isinstance(tss, pd.DataFrame):
        raise TypeError(
            f"`{argument}` is a {type(tss).__name__}. "
            "Give a table of `scminnet.genomics.read_annotation`, or the path of a file."
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
    named = tss[["gene", "chrom"]].notna().all(axis=1) & (tss[["gene", "chrom"]].astype(str) != "").all(axis=1)
    good = named.to_numpy() & tss["strand"].isin(["+", "-"]).to_numpy()
    with np.errstate(invalid="ignore"):
        for column in numbers:
            good &= (values[column] >= 0) & (values[column] <= LONGEST) & (values[column] % 1 == 0)
        if body:
            good &= values["start"] < values["end"]
    if not good.all():
        shown = [" ".join(map(str, row)) for row in tss.loc[~good, needed].head(3).to_numpy(object)]
        raise ValueError(
            f"`{argument}`: {int((~good).sum()):,} of {len(tss):,} rows lack a gene, a chromosome, a strand ('+' or "
            f"'-') or a position (a whole number of at least 0{', start before end' if body else ''}), "
            f"e.g. {shorten(shown)}. Correct or remove them."
        )
    return tss.assign(**{c: values[c].astype(np.int64) for c in numbers})
