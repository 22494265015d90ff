"""CRISPRi-tested pairs of elements and genes: the table of EngreitzLab's CRISPR benchmark, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

#: Columns in use. ``DHS.RPM`` is the accessibility of the element, ``Regulated`` the outcome.
PLACES = ("chrom", "chromStart", "chromEnd")
GENE = ("measuredGeneSymbol", "measuredGeneEnsemblId")
START = ("chrTSS", "startTSS", "endTSS")
NEEDED = (*PLACES, *START, *GENE, "CellType", "Regulated", "distanceToTSS", "DHS.RPM")
#: A pair is used where this column, if there, is true; elsewhere it says why the pair is none of regulation.
VALID = "ValidConnection"
_TRUTHS = {"TRUE": True, "1": True, "FALSE": False, "0": False}
#: What is written for a missing value.
_MISSING = ["", "NA", "NaN", "nan", "None"]


class CrisprTable(NamedTuple):
    """The pairs in use, and why others are not."""

    #: ``chrom``, ``start``, ``end``, ``gene``, ``gene_id``, ``cell_type``, ``regulated`` (bool), ``distance`` (bases,
    #: not negative), ``dhs``, and ``h3k27ac`` where the file has it
    pairs: pd.DataFrame
    #: the measured genes: ``gene``, ``gene_id``, ``chrom`` and ``tss``
    genes: pd.DataFrame
    #: number of pairs left out, by reason
    left_out: dict[str, int]


class FormatError(ValueError):
    """The file has not the form of the CRISPR benchmark."""


def read_table(path: Path) -> CrisprTable:
    """Read a table of tested pairs, tab-separated, plain or gzipped.

    Raises
    ------
    FormatError
        There is no such file, or it is no such table: it lacks columns, or values are none of their kind.
    """
    if not path.is_file():
        raise FormatError(f"there is no file {str(path)!r}")
    try:
        raw = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError) as error:
        raise FormatError(f"{path.name!r} can not be read as a tab-separated table: {error}") from error
    missing = [column for column in NEEDED if column not in raw]
    if missing:
        raise FormatError(f"{path.name!r} lacks the columns {missing}; it has {list(raw.columns)}")
    if raw.empty:
        raise FormatError(f"{path.name!r} has no rows")
    left_out: dict[str, int] = {}
    if VALID in raw:
        valid = raw[VALID].str.upper() == "TRUE"
        left_out = {reason: int(n) for reason, n in raw.loc[~valid, VALID].value_counts().items()}
        raw = raw[valid]
    start, end = (_numbers(raw, column, path) for column in PLACES[1:])
    pairs = pd.DataFrame(
        {
            "chrom": raw["chrom"],
            "start": start,
            "end": end,
            "gene": raw[GENE[0]],
            "gene_id": raw[GENE[1]],
            "cell_type": raw["CellType"],
            "regulated": _outcomes(raw, path),
            "distance": np.abs(_numbers(raw, "distanceToTSS", path)),
            "dhs": _numbers(raw, "DHS.RPM", path),
        }
    )
    if "H3K27ac.RPM" in raw:
        pairs["h3k27ac"] = _numbers(raw, "H3K27ac.RPM", path)
    bad = (pairs["start"] < 0) | (pairs["end"] <= pairs["start"]) | (pairs["dhs"] < 0)
    if bad.any():
        shown = raw.loc[bad, [*PLACES, "DHS.RPM"]].head(3).to_numpy().tolist()
        raise FormatError(f"{path.name!r}: {int(bad.sum()):,} rows have no element or a negative DHS.RPM, e.g. {shown}")
    for column, name in (
        ("start", "chromStart"),
        ("end", "chromEnd"),
        ("distance", "distanceToTSS"),
        ("dhs", "DHS.RPM"),
    ):
        unknown = pairs[column].isna()
        if unknown.any():
            left_out[f"no {name}"] = int(unknown.sum())
            pairs = pairs[~unknown]
    if pairs.empty or pairs["regulated"].nunique() < 2:
        raise FormatError(f"{path.name!r} has not both regulated and other pairs with all values; left out: {left_out}")
    first, last = (_numbers(raw, column, path).loc[pairs.index] for column in START[1:])
    genes = pairs[["gene", "gene_id"]].assign(chrom=raw["chrTSS"], tss=(first + last) // 2).dropna(subset="tss")
    genes = genes.astype({"tss": np.int64}).drop_duplicates("gene_id", ignore_index=True)
    pairs = pairs.astype({"start": np.int64, "end": np.int64}).reset_index(drop=True)
    return CrisprTable(pairs, genes, left_out)


def read_genes(path: Path) -> pd.DataFrame:
    """Read transcript starts from a BED of gene bounds: chrom, start, end, name, score, strand, and an Ensembl id.

    Raises
    ------
    FormatError
        The file has fewer than seven columns, or lacks strands.
    """
    try:
        table = pd.read_csv(path, sep="\t", header=None, comment="#")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError) as error:
        raise FormatError(f"{path.name!r} can not be read as BED: {error}") from error
    if table.shape[1] < 7 or not table[5].isin(["+", "-"]).all():
        raise FormatError(f"{path.name!r} is no BED of genes with strands and Ensembl ids in columns 6 and 7")
    tss = np.where(table[5] == "+", table[1], table[2] - 1)
    return pd.DataFrame({"gene": table[3], "gene_id": table[6], "chrom": table[0], "tss": tss})


def _numbers(raw: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Return a column as numbers; missing values are NaN, other texts an error."""
    text = raw[column].str.strip()
    values = pd.to_numeric(text, errors="coerce")
    odd = (values.isna() & ~text.isin(_MISSING)) | np.isinf(values)
    if odd.any():
        shown = text[odd].unique()[:3].tolist()
        raise FormatError(f"{path.name!r}: {int(odd.sum()):,} rows of column {column!r} are no numbers, e.g. {shown}")
    return values.astype(float)


def _outcomes(raw: pd.DataFrame, path: Path) -> pd.Series:
    """Return the column of outcomes as booleans."""
    outcome = raw["Regulated"].str.strip().str.upper().map(_TRUTHS)
    if outcome.isna().any():
        shown = raw.loc[outcome.isna(), "Regulated"].unique()[:3].tolist()
        raise FormatError(f"{path.name!r}: column 'Regulated' holds values other than TRUE and FALSE, e.g. {shown}")
    return outcome.astype(bool)
