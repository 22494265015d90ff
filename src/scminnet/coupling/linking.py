"""Ways to link features of two modalities: by name, by antibody, by distance and by a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._validate import shorten
from scminnet.coupling.antibodies import ISOTYPE, UNKNOWN, Antibody, identify
from scminnet.coupling.gene_names import name_keys
from scminnet.genomics import parse_intervals
from scminnet.pp.gene_windows import membership

#: Columns of pairs of features: their positions, the weight, and where the link comes from.
PAIR_COLUMNS = ("first", "second", "weight", "source")

NAME, ANTIBODY, PEAK, TABLE = "name", "antibody", "peak", "table"


class Linked(NamedTuple):
    """Pairs of features, and why features of either modality have none: ``{position: (reason, detail)}``."""

    pairs: pd.DataFrame
    reasons: tuple[dict[int, tuple[str, str]], dict[int, tuple[str, str]]]


def pairs_of(first: Any, second: Any, weight: Any, source: Any) -> pd.DataFrame:
    """Return a table of pairs, each once by its largest weight."""
    table = pd.DataFrame(
        {
            "first": np.asarray(first, np.int64),
            "second": np.asarray(second, np.int64),
            "weight": np.broadcast_to(np.asarray(weight, np.float32), np.shape(first)).copy(),
            "source": np.broadcast_to(np.asarray(source, object), np.shape(first)).copy(),
        }
    )
    return distinct(table)


def distinct(pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep each pair once, by its largest weight, in the order of the features."""
    first, second, weight = (pairs[column].to_numpy() for column in ("first", "second", "weight"))
    order = np.lexsort((-weight, second, first))
    first, second = first[order], second[order]
    new = np.ones(len(order), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return pairs.iloc[order[new]].reset_index(drop=True)


def turned(linked: Linked) -> Linked:
    """Return links with the two modalities exchanged."""
    pairs = linked.pairs.rename(columns={"first": "second", "second": "first"})
    return Linked(distinct(pairs[list(PAIR_COLUMNS)]), (linked.reasons[1], linked.reasons[0]))


def link_names(first: pd.DataFrame, second: pd.DataFrame) -> Linked:
    """Link features that share a name.

    Names are compared as they are; what has no partner then, without letter case. Weights are 1.

    Parameters
    ----------
    first, second
        All names of the features: see :func:`~scminnet.coupling.gene_names.spellings`.
    """
    same = first.merge(second, on="name", suffixes=("_1", "_2"))[["feature_1", "feature_2"]]
    left = first[~first["feature"].isin(same["feature_1"])]
    right = second[~second["feature"].isin(same["feature_2"])]
    alike = left.merge(right, on="key", suffixes=("_1", "_2"))[["feature_1", "feature_2"]]
    both = pd.concat([same, alike])
    return Linked(pairs_of(both["feature_1"], both["feature_2"], 1, NAME), ({}, {}))


def link_antibodies(names: pd.Index, genes: pd.DataFrame, organism: str) -> Linked:
    """Link proteins to the genes that encode what their antibodies bind.

    Parameters
    ----------
    names
        Names of the antibodies.
    genes
        All names of the genes: see :func:`~scminnet.coupling.gene_names.spellings`.
    organism
        ``"human"`` or ``"mouse"``.
    """
    at = genes.groupby("key")["feature"].unique().to_dict()
    rows: list[tuple[int, int, float, str]] = []
    reasons: dict[int, tuple[str, str]] = {}
    for i, name in enumerate(names.astype(str)):
        found = identify(name, organism)
        hits = [(g, weight, ANTIBODY) for symbol, weight in found.genes.items() for g in at.get(symbol.upper(), ())]
        if found.reason == UNKNOWN or (not hits and not found.reason):
            symbols = (s for s in found.spellings if len(s) > 2)
            hits = hits or [(g, 1.0, NAME) for s in symbols for g in at.get(s.upper(), ())]
        rows += [(i, g, weight, source) for g, weight, source in hits]
        if not hits:
            reasons[i] = (found.reason or "without a measured gene", "" if found.reason else ", ".join(found.genes))
    columns = zip(*rows, strict=True) if rows else ([], [], [], [])
    return Linked(pairs_of(*columns), (reasons, {}))


def link_proteins(first: pd.Index, second: pd.Index, organism: str) -> Linked:
    """Link proteins of two panels that are the same antigen, or have the same name."""
    keys = []
    for names in (first, second):
        told = [identify(name, organism) for name in names.astype(str)]
        keys.append(pd.DataFrame({"feature": np.arange(len(told)), "key": [_antigen_key(a) for a in told]}))
    both = keys[0].dropna().merge(keys[1].dropna(), on="key", suffixes=("_1", "_2"))
    controls: list[dict[int, tuple[str, str]]] = [{}, {}]
    for names, found in zip((first, second), controls, strict=True):
        for i, name in enumerate(names.astype(str)):
            reason = identify(name, organism).reason
            if reason and reason != UNKNOWN:
                found[i] = (reason, "")
    pairs = pairs_of(both["feature_1"], both["feature_2"], 1, ANTIBODY)
    return Linked(pairs, (controls[0], controls[1]))


def _antigen_key(antibody: Antibody) -> str | None:
    if antibody.antigen:
        return antibody.antigen
    return antibody.spellings[0].upper() if antibody.spellings else None


def link_peaks(
    peaks: pd.DataFrame, starts: pd.DataFrame, genes: pd.DataFrame, *, argument: str, **windows: Any
) -> Linked:
    """Link peaks to the genes in whose windows they lie.

    Parameters
    ----------
    peaks
        ``var`` of the peaks.
    starts
        Transcript starts: see :func:`scminnet.genomics.read_annotation`.
    genes
        All names of the genes: see :func:`~scminnet.coupling.gene_names.spellings`.
    argument
        What the error text calls the peaks.
    **windows
        As :func:`~scminnet.pp.gene_windows.membership` takes them.
    """
    intervals = parse_intervals(peaks, argument=argument)
    starts, owners = _annotated(starts, genes)
    reasons: dict[int, tuple[str, str]] = {}
    annotated = np.unique(owners["feature"])
    if len(starts):
        annotation_genes = pd.Index(starts["gene"]).unique()
        weights = membership(intervals, starts, annotation_genes, **windows).tocoo()
        of_gene = owners.assign(column=annotation_genes.get_indexer(owners["gene"]))
        of_gene = of_gene.drop_duplicates(["column", "feature"])
        found = pd.DataFrame({"peak": weights.row, "column": weights.col, "weight": weights.data})
        found = found.merge(of_gene[["column", "feature"]], on="column")
        pairs = pairs_of(found["peak"], found["feature"], found["weight"], PEAK)
    else:
        pairs = pairs_of([], [], [], [])
    lacking = np.setdiff1d(genes["feature"].unique(), annotated)
    of_genes = dict.fromkeys(map(int, lacking), ("not in the annotation", ""))
    of_genes |= dict.fromkeys(map(int, np.setdiff1d(annotated, pairs["second"])), ("without a peak near", ""))
    return Linked(pairs, (reasons, of_genes))


def _annotated(starts: pd.DataFrame, genes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the starts of genes that are measured, and which feature each annotated gene is, by its symbol or id."""
    starts = starts.assign(gene=starts["gene"].astype(str)).reset_index(drop=True)
    named = starts[["gene"]].assign(key=name_keys(starts["gene"]).to_numpy())
    if "gene_id" in starts:
        # two genes of one symbol are told apart by their ids
        named = pd.concat([named, starts[["gene"]].assign(key=name_keys(starts["gene_id"]).to_numpy())])
    owners = named.drop_duplicates().merge(genes[["feature", "key"]].drop_duplicates(), on="key")
    owners = owners[["gene", "feature"]].drop_duplicates(ignore_index=True)
    return starts[starts["gene"].isin(owners["gene"])].reset_index(drop=True), owners


def through_genes(peaks: Linked, proteins: Linked, n_genes: int, n: tuple[int, int]) -> Linked:
    """Link peaks to proteins through the genes that both speak of; the weight is the product, of several genes the largest."""
    near = sparse.csr_matrix((peaks.pairs["weight"], (peaks.pairs["first"], peaks.pairs["second"])), (n[0], n_genes))
    encoded = proteins.pairs.rename(columns={"first": "protein", "second": "gene", "weight": "share"})
    at = near.tocoo()
    table = pd.DataFrame({"peak": at.row, "gene": at.col, "weight": at.data})
    table = table.merge(encoded[["protein", "gene", "share"]], on="gene")
    pairs = pairs_of(table["peak"], table["protein"], table["weight"] * table["share"], PEAK)
    return Linked(pairs, (peaks.reasons[0], proteins.reasons[0]))


def read_table(table: pd.DataFrame | str | os.PathLike[str], first: str, second: str) -> pd.DataFrame:
    """Return a user's table of links as ``first``, ``second`` (names) and ``weight``, raising where it is not one.

    Parameters
    ----------
    table
        The table or its path.
    first, second
        The two modalities. Columns of these names are taken; otherwise the first two.
    """
    if isinstance(table, (str, os.PathLike)):
        table = _read_file(Path(table))
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`table` is a {type(table).__name__}. Give a DataFrame or the path of a .tsv or .csv file, with a column of features for "
            f"each of {first!r} and {second!r}."
        )
    if table.shape[1] < 2 or table.empty:
        raise ValueError(
            f"`table` has {len(table):,} rows and the columns {shorten(table.columns)}. Give two columns, of the features of {first!r} and "
            f"of {second!r}, and, if you like, a column 'weight'."
        )
    columns = list(table.columns)
    if columns.count(first) == 1 and columns.count(second) == 1:
        places = [columns.index(first), columns.index(second)]
    elif {"first_feature", "second_feature"} <= set(columns):
        places = [columns.index("first_feature"), columns.index("second_feature")]
    else:
        places = [i for i, c in enumerate(columns) if c != "weight"][:2]
    rest = [i for i in range(len(columns)) if i not in places]
    of_weight = [i for i in rest if columns[i] == "weight"]
    if not of_weight and len(rest) == 1 and pd.api.types.is_numeric_dtype(table.iloc[:, rest[0]]):
        of_weight = rest
    if len(places) < 2:
        raise ValueError(f"`table` has the columns {shorten(columns)}. Give two columns of features beside the weight.")
    names = [table.iloc[:, i].astype(object) for i in places]
    weight = pd.Series(1.0, table.index)
    if of_weight:
        weight = pd.to_numeric(table.iloc[:, of_weight[0]], errors="coerce")
    values = weight.to_numpy(float, na_value=np.nan)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        shown = [" ".join(map(str, row)) for row in table[wrong].head(3).to_numpy(object)]
        raise ValueError(
            f"`table`: {int(wrong.sum()):,} of {len(table):,} weights are negative, infinite or no numbers, e.g. {shorten(shown)}. "
            "Give weights of 0 or more, or leave these rows out."
        )
    read = pd.DataFrame({"first": names[0].to_numpy(), "second": names[1].to_numpy(), "weight": values})
    named = read["first"].notna() & read["second"].notna()
    if not named.all():
        raise ValueError(
            f"`table`: {int((~named).sum()):,} of {len(read):,} rows lack a feature. Fill them or leave these rows out."
        )
    return read.astype({"first": str, "second": str})


def _read_file(path: Path) -> pd.DataFrame:
    separators = {".tsv": "\t", ".txt": "\t", ".csv": ","}
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in separators:
        raise ValueError(
            f"`table` is {path.name!r}. Give a file whose name ends in {shorten(separators)}, or that and '.gz'."
        )
    if not path.is_file():
        raise FileNotFoundError(f"`table`: there is no file {str(path)!r}. Give the path of a table of links.")
    try:
        # a feature may be called NA
        return pd.read_csv(path, sep=separators[suffix], keep_default_na=False, na_values=[""])
    except (EOFError, OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"`table`: {path.name!r} cannot be read ({error}). Give a table with a line of column names."
        ) from error


def link_table(
    table: pd.DataFrame, spelt: tuple[pd.DataFrame, pd.DataFrame], names: tuple[pd.Index, pd.Index]
) -> Linked:
    """Link the features that a user's table names; rows that name none of both modalities are left out.

    Parameters
    ----------
    table
        What :func:`read_table` returns.
    spelt
        All names of the two modalities' features.
    names
        Their ``var_names``, which count first.
    """
    options = []
    # the columns may be in either order
    for columns in (("first", "second"), ("second", "first")):
        found = table[["weight"]].assign(row=np.arange(len(table)))
        for column, side, spelling, own in zip(columns, ("first", "second"), spelt, names, strict=True):
            at = _positions(table[column], spelling, own)
            found = found.merge(at.rename(columns={"feature": side}), on="row")
        options.append(found)
    best = max(options, key=lambda found: found["row"].nunique())
    best = best[best["weight"] > 0]
    return Linked(pairs_of(best["first"], best["second"], best["weight"], TABLE), ({}, {}))


def _positions(values: pd.Series, spelling: pd.DataFrame, own: pd.Index) -> pd.DataFrame:
    """Return which features rows of a table name: ``row``, ``feature``."""
    exact = own.get_indexer(values)
    rows = np.arange(len(values))
    rest = pd.DataFrame({"row": rows[exact < 0], "key": name_keys(values[exact < 0].reset_index(drop=True)).to_numpy()})
    alike = rest.merge(spelling[["feature", "key"]].drop_duplicates(), on="key")[["row", "feature"]]
    return pd.concat([pd.DataFrame({"row": rows[exact >= 0], "feature": exact[exact >= 0]}), alike])


def count_reasons(reasons: Mapping[int, tuple[str, str]], names: pd.Index, *, examples: bool = True) -> str:
    """Write why features were left out: ``1 isotype control ('IgG1'), 2 unknown antibody ('X', 'Y')``."""
    by_reason: dict[str, list[str]] = {}
    for i, (reason, _) in reasons.items():
        by_reason.setdefault(reason, []).append(str(names[i]))
    order = sorted(by_reason, key=lambda r: (r != ISOTYPE, -len(by_reason[r])))
    shown = {r: f" ({shorten(by_reason[r], 3)})" if examples else "" for r in order}
    return ", ".join(f"{len(by_reason[r]):,} {r}{shown[r]}" for r in order)
