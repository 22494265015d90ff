"""Readers of annotation files, one per format. Each returns one row per transcript and one per gene.

The tables have ``gene``, ``chrom``, ``tss``, ``strand`` and, if the file has them, ``start`` and ``end`` of the gene
and ``gene_id``. Positions are 0-based, intervals half-open. Values that can not be parsed are missing; the caller
reports them.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

_GTF_ATTRIBUTE = r"""(?:^|;)\s*{} (?:"([^"]+)"|'([^']+)'|([^"';\s]+))"""
_GFF3_ATTRIBUTE = r"(?:^|;)\s*{}=([^;]+)"

#: Parts of transcripts. Some pseudogenes have them without a transcript.
_PARTS = r"exon|intron|CDS|UTR|.*_UTR|.*_codon|.*selenocysteine.*"


def read_bed(path: Path) -> pd.DataFrame:
    """Read BED6: transcript starts if every row is one base long, otherwise genes."""
    rows = [
        (fields + [None] * 7)[:7] for fields in read_lines(path) if not fields[0].startswith(("#", "track", "browser"))
    ]
    lines = pd.DataFrame(rows, columns=range(7), dtype=object)
    table = pd.DataFrame({"gene": lines[3], "chrom": lines[0], "strand": lines[5]})
    start, end = (pd.to_numeric(lines[i], errors="coerce") for i in (1, 2))
    table.insert(2, "tss", _first_base(start, end, lines[5]))
    if not (end - start == 1).all():
        table = table.assign(start=start, end=end)
    if all(re.match(r"ENS[A-Z]*G\d{11}", name or "") for name in lines[6]):
        table["gene_id"] = lines[6]
    return table


def read_gtf(path: Path) -> pd.DataFrame:
    """Read the transcripts and genes of a GTF."""
    names = ("gene_id", "transcript_id", "gene_name", "gene")
    lines = _features(path, r"gene|transcript", _GTF_ATTRIBUTE, names)
    if not (lines["feature"] == "transcript").any():
        # old files only hold exons
        exons = _features(path, r"exon", _GTF_ATTRIBUTE, names)
        by = ["chrom", "strand", "gene_id", "transcript_id"]
        rest = {name: (name, "first") for name in ("gene_name", "gene")}
        exons = exons.groupby(by, sort=False, as_index=False).agg(start=("start", "min"), end=("end", "max"), **rest)
        lines = pd.concat([lines, exons.assign(feature="transcript")], ignore_index=True)
    lines["gene"] = lines["gene_name"].fillna(lines["gene"]).fillna(lines["gene_id"])
    return _transcript_starts(lines)


def read_gff3(path: Path) -> pd.DataFrame:
    """Read the genes of a GFF3, and their direct children except exons and similar parts."""
    names = ("ID", "Parent", "gene_name", "Name", "gene", "gene_id")
    lines = _features(path, rf"(?!(?:{_PARTS})$).*", _GFF3_ATTRIBUTE, names)
    genes = lines[lines["feature"].str.endswith("gene") & lines["ID"].notna()].drop_duplicates("ID").set_index("ID")
    ids = genes["gene_id"].fillna(genes.index.to_series().str.replace(r"^gene[:-]", "", regex=True))
    symbols = genes["gene_name"].fillna(genes["Name"]).fillna(genes["gene"]).fillna(ids).map(unquote)
    is_gene = lines["ID"].isin(genes.index)
    owner = lines["ID"].where(is_gene, lines["Parent"].str.split(",").str[0])
    lines = lines.assign(gene=owner.map(symbols), gene_id=owner.map(ids))
    return _transcript_starts(lines[owner.isin(genes.index)])


def read_lines(path: Path) -> Iterator[list[str]]:
    """Yield the tab-separated fields of every non-empty line."""
    # utf-8-sig removes the byte order mark that some editors write
    opened = (
        gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix.lower() == ".gz" else path.open(encoding="utf-8-sig")
    )
    with opened as file:
        for line in file:
            if text := line.rstrip():
                yield text.split("\t")


def _features(path: Path, wanted: str, attribute: str, names: Sequence[str]) -> pd.DataFrame:
    """Return the lines whose feature matches ``wanted``, with the attributes ``names`` as columns."""
    is_wanted = re.compile(wanted).fullmatch
    find = [re.compile(attribute.format(name)).search for name in names]
    rows = []
    for fields in read_lines(path):
        # comments and sequences have fewer fields
        if len(fields) == 9 and is_wanted(fields[2]):
            chrom, _, feature, start, end, _, strand, _, attributes = fields
            found = (search(attributes) for search in find)
            rows.append(
                (chrom, feature, start, end, strand, *(match and match[match.lastindex or 0] for match in found))
            )
    lines = pd.DataFrame(rows, columns=["chrom", "feature", "start", "end", "strand", *names], dtype=object)
    start, end = (pd.to_numeric(lines[column], errors="coerce") for column in ("start", "end"))
    return lines.assign(start=start - 1, end=end)


def _transcript_starts(lines: pd.DataFrame) -> pd.DataFrame:
    """Turn lines of genes and transcripts into transcript starts and the genes' extents."""
    # one id may have copies on several chromosomes or strands
    copy = [lines[column] for column in ("gene_id", "chrom", "strand")]
    # a gene starts with its outermost transcript, so the line of a gene with transcripts adds no start
    return lines[["gene", "chrom"]].assign(
        tss=_first_base(lines["start"], lines["end"], lines["strand"]),
        strand=lines["strand"],
        start=lines["start"].groupby(copy, dropna=False).transform("min"),
        end=lines["end"].groupby(copy, dropna=False).transform("max"),
        gene_id=lines["gene_id"],
    )


def _first_base(start: pd.Series, end: pd.Series, strand: pd.Series) -> np.ndarray:
    """Return the first transcribed base of [start, end)."""
    return np.where(strand == "-", end - 1, start)
