"""Pairs of features, and ways to find them by name and by antibody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet.coupling.antibodies import ISOTYPE, UNKNOWN, Antibody, identify

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


def through_genes(peaks: Linked, proteins: Linked, n_genes: int, n: tuple[int, int]) -> Linked:
    """Link peaks to proteins through the genes that both are linked to.

    The weight is the product of the two weights, and of several genes the largest.
    """
    near = sparse.csr_matrix((peaks.pairs["weight"], (peaks.pairs["first"], peaks.pairs["second"])), (n[0], n_genes))
    encoded = proteins.pairs.rename(columns={"first": "protein", "second": "gene", "weight": "share"})
    at = near.tocoo()
    table = pd.DataFrame({"peak": at.row, "gene": at.col, "weight": at.data})
    table = table.merge(encoded[["protein", "gene", "share"]], on="gene")
    pairs = pairs_of(table["peak"], table["protein"], table["weight"] * table["share"], PEAK)
    return Linked(pairs, (peaks.reasons[0], proteins.reasons[0]))


def count_reasons(reasons: Mapping[int, tuple[str, str]], names: pd.Index, *, examples: bool = True) -> str:
    """Write why features were left out: ``1 isotype control ('IgG1'), 2 unknown antibody ('X', 'Y')``."""
    by_reason: dict[str, list[str]] = {}
    for i, (reason, _) in reasons.items():
        by_reason.setdefault(reason, []).append(str(names[i]))
    order = sorted(by_reason, key=lambda r: (r != ISOTYPE, -len(by_reason[r])))
    shown = {r: f" ({shorten(by_reason[r], 3)})" if examples else "" for r in order}
    return ", ".join(f"{len(by_reason[r]):,} {r}{shown[r]}" for r in order)
