"""Readers of annotation files, one per format. Each returns one row per transcript and one per gene.

The tables have ``gene``, ``chrom``, ``tss``, ``strand`` and, if the file has them, ``start`` and ``end`` of the gene
and ``gene_id``. Positions are 0-based, intervals half-open. A position that is none raises an error with its line.
Names and strands that a line lacks are missing; the caller reports them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd

from scminnet._core.text_files import read_lines
from scminnet.genomics.intervals import position_fault

#: ``key "value";`` A quote ends a value where the attribute ends, so a value may hold semicolons and quoted words. What
#: is possessive (``++``) and looks behind keeps the search linear.
_GTF_ATTRIBUTE = re.compile(
    r"""(?<![^\s;])([^\s;"']++)\s++(?:"([^"]*(?:"(?!\s*(?:;|$|[\w.]+\s+"))[^"]*)*)"|'([^']*)'|([^;]*))""", re.ASCII
)
_GTF_GENE_ID = re.compile(r'\s*gene_id\s+"([^"]*)"')

#: Attributes that name a gene. In GTF those of a transcript, too.
_GTF_NAMES = ("gene_id", "transcript_id", "gene_name", "gene")
_GFF3_NAMES = ("ID", "Parent", "gene_name", "Name", "gene", "gene_id")

#: Parts of transcripts. Some pseudogenes have them without a transcript.
_PARTS = r"exon|intron|CDS|UTR|.*_UTR|.*_codon|.*selenocysteine.*"

#: First words of lines that are no rows of a BED or BEDPE file.
NOT_ROWS = ("#", "track", "browser")


class _Line(NamedTuple):
    """A line of GTF or GFF3. ``start`` is 0-based."""

    chrom: str
    feature: str
    start: int
    end: int
    strand: str
    attributes: str


class _Exons(NamedTuple):
    """What the exons of one transcript have in common."""

    chrom: str
    strand: str
    names: tuple[str | None, ...]


def read_bed(path: Path, argument: str) -> pd.DataFrame:
    """Read BED6: transcript starts if every row is one base long, otherwise genes."""
    rows = []
    for number, fields in read_lines(path, argument):
        if fields[0].startswith(NOT_ROWS):
            continue
        if len(fields) >= 3 and (fault := position_fault(fields[1], fields[2])):
            raise ValueError(f"`{argument}`: line {number:,} of {path.name!r} {fault}")
        rows.append((fields + [None] * 7)[:7])
    lines = pd.DataFrame(rows, columns=range(7), dtype=object)
    table = pd.DataFrame({"gene": lines[3], "chrom": lines[0], "strand": lines[5]})
    start, end = (pd.to_numeric(lines[i], errors="coerce") for i in (1, 2))
    table.insert(2, "tss", _first_base(start, end, lines[5]))
    if not (end - start == 1).all():
        table = table.assign(start=start, end=end)
    if all(re.match(r"ENS[A-Z]*G\d{11}", name or "") for name in lines[6]):
        table["gene_id"] = lines[6]
    return table


def read_gtf(path: Path, argument: str) -> pd.DataFrame:
    """Read the transcripts and genes of a GTF, and the exons of genes without transcripts."""
    rows: list[tuple[object, ...]] = []
    exons: dict[_Exons, tuple[int, int]] = {}
    # one id may have copies on several chromosomes or strands
    with_transcripts: set[tuple[str, str, str | None]] = set()
    for line in _read_features(path, argument, r"gene|transcript|exon"):
        if line.feature == "exon":
            # most exons are those of a gene that is known already
            first = _GTF_GENE_ID.match(line.attributes)
            if first and (line.chrom, line.strand, first[1]) in with_transcripts:
                continue
        names = _gtf_names(line.attributes)
        if line.feature == "exon":
            key = _Exons(line.chrom, line.strand, names)
            start, end = exons.get(key, (line.start, line.end))
            exons[key] = min(start, line.start), max(end, line.end)
            continue
        if line.feature == "transcript":
            with_transcripts.add((line.chrom, line.strand, names[0]))
        rows.append((*line[:5], *names))
    # old files hold nothing but exons, nor do genes that users add, such as GFP
    rows += [
        (of.chrom, "transcript", *extent, of.strand, *of.names)
        for of, extent in exons.items()
        if of.names[0] and (of.chrom, of.strand, of.names[0]) not in with_transcripts
    ]
    lines = _as_table(rows, _GTF_NAMES)
    lines["gene"] = lines["gene_name"].fillna(lines["gene"]).fillna(lines["gene_id"])
    return _transcript_starts(lines)


def read_gff3(path: Path, argument: str) -> pd.DataFrame:
    """Read the genes of a GFF3, and their direct children except exons and similar parts."""
    features = _read_features(path, argument, rf"(?!(?:{_PARTS})$).*")
    lines = _as_table([(*line[:5], *_gff3_names(line.attributes)) for line in features], _GFF3_NAMES)
    genes = lines[lines["feature"].str.endswith("gene") & lines["ID"].notna()].drop_duplicates("ID").set_index("ID")
    ids = genes["gene_id"].fillna(genes.index.to_series().str.replace(r"^gene[:-]", "", regex=True))
    symbols = genes["gene_name"].fillna(genes["Name"]).fillna(genes["gene"]).fillna(ids).map(unquote)
    is_gene = lines["ID"].isin(genes.index)
    owner = lines["ID"].where(is_gene, lines["Parent"].str.split(",").str[0])
    lines = lines.assign(gene=owner.map(symbols), gene_id=owner.map(ids))
    return _transcript_starts(lines[owner.isin(genes.index)])


def _read_features(path: Path, argument: str, wanted: str) -> Iterator[_Line]:
    """Yield the lines whose feature matches ``wanted``."""
    is_wanted = re.compile(wanted).fullmatch
    for number, fields in read_lines(path, argument):
        # comments and sequences have fewer fields
        if len(fields) == 9 and is_wanted(fields[2]):
            chrom, _, feature, start, end, _, strand, _, attributes = fields
            if fault := position_fault(start, end, first=1):
                raise ValueError(f"`{argument}`: line {number:,} of {path.name!r} {fault}")
            yield _Line(chrom, feature, int(start) - 1, int(end), strand, attributes)


def _gtf_names(attributes: str) -> tuple[str | None, ...]:
    found: dict[str, str] = {}
    for key, *values in _GTF_ATTRIBUTE.findall(attributes):
        # RefSeq gives some keys several times, and some genes an empty name
        if value := "".join(values).strip():
            found.setdefault(key, value)
    return tuple(found.get(name) for name in _GTF_NAMES)


def _gff3_names(attributes: str) -> tuple[str | None, ...]:
    pairs = (part.strip().partition("=") for part in attributes.split(";"))
    found = {key: value for key, _, value in pairs if value}
    return tuple(found.get(name) for name in _GFF3_NAMES)


def _as_table(rows: Sequence[tuple[object, ...]], names: Sequence[str]) -> pd.DataFrame:
    lines = pd.DataFrame(rows, columns=["chrom", "feature", "start", "end", "strand", *names], dtype=object)
    return lines.astype({"start": np.int64, "end": np.int64})


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
