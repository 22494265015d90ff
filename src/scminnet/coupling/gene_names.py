"""The names under which a modality's features can be found: their own, and those of columns of ``var``."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from anndata import AnnData

#: Columns of ``var`` that hold symbols or ids of genes, as 10x, scanpy, CELLxGENE and others name them.
NAME_COLUMNS = (
    "gene_ids",
    "gene_id",
    "ensembl_id",
    "ensembl_ids",
    "ensembl",
    "feature_id",
    "gene_name",
    "gene_names",
    "gene_symbol",
    "gene_symbols",
    "symbol",
    "feature_name",
)

_ENSEMBL = re.compile(r"^(ENS[A-Z]*G\d{11})(?:\.\d+)?$", re.IGNORECASE)
_GENOME = re.compile(r"^(?:GRCh3[78]|hg19|hg38|GRCm3[89]|mm10|mm39|HUMAN|MOUSE)_+")
_IS_INTERVAL = re.compile(r"^.+[:_-]\d[\d,]*[_-]\d[\d,]*$")


def name_keys(names: pd.Index | pd.Series) -> pd.Series:
    """Return what names are matched by: ids without version, symbols without the name of a genome; upper case."""
    text = pd.Series(names, dtype=object).astype(str).str.strip()
    text = text.str.replace(_GENOME, "", regex=True)
    return text.str.replace(_ENSEMBL, r"\1", regex=True).str.upper()


def spellings(adata: AnnData, column: str | None = None) -> pd.DataFrame:
    """Return all names of a modality's features.

    Parameters
    ----------
    adata
        The modality.
    column
        Column of ``var`` that alone is looked at. ``None``: ``var_names`` and those of ``NAME_COLUMNS`` that are there.

    Returns
    -------
    ``feature`` (position), ``name`` (without genome and version) and ``key`` (the same in upper case), distinct rows.
    """
    if column is not None:
        values = [adata.var[column]]
    else:
        values = [adata.var_names.to_series(), *(adata.var[c] for c in NAME_COLUMNS if c in adata.var)]
    parts = []
    for names in values:
        there = (names.notna() & (names.astype(str).str.strip() != "")).to_numpy()
        given = names.astype(object)[there].astype(str).str.strip().str.replace(_GENOME, "", regex=True)
        given = given.str.replace(_ENSEMBL, r"\1", regex=True).to_numpy(object)
        keys = pd.Series(given, dtype=object).str.upper().to_numpy(object)
        parts.append(pd.DataFrame({"feature": np.flatnonzero(there), "name": given, "key": keys}))
    return pd.concat(parts, ignore_index=True).drop_duplicates(["feature", "name"], ignore_index=True)


def told_organism(table: pd.DataFrame) -> str | None:
    """Return "human" or "mouse" by Ensembl ids or by the case of letters in the symbols; ``None`` where neither tells.

    Parameters
    ----------
    table
        What :func:`spellings` returns.
    """
    names = table["name"].drop_duplicates()
    is_id = names.str.match(_ENSEMBL)
    ids, symbols = names[is_id].str.upper(), names[~is_id]
    if len(ids) >= 3 and len(ids) >= len(symbols) / 2:
        for organism, start in (("human", r"ENSG\d"), ("mouse", r"ENSMUSG\d")):
            if ids.str.match(start).mean() > 0.5:
                return organism
        return None
    symbols = symbols[symbols.str.match(r"[A-Za-z]{2}[A-Za-z0-9.-]*$")]
    if len(symbols) < 3:
        return None
    upper = symbols.str.match(r"[^a-z]*$").mean()
    title = symbols.str.match(r"[A-Z][^A-Z]*$").mean()
    return "human" if upper > 0.6 else "mouse" if title > 0.6 else None


def look_like_intervals(names: pd.Index) -> bool:
    """Tell whether most names look like intervals, as those of peaks do."""
    few = names[:1000].astype(str)
    return len(few) > 0 and bool(few.str.match(_IS_INTERVAL).mean() > 0.8)


def look_like_ids(names: pd.Index) -> bool:
    """Tell whether most names are Ensembl ids."""
    return len(names) > 0 and bool(names[:1000].astype(str).str.match(_ENSEMBL).mean() > 0.5)
