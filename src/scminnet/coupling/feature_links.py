"""The stored table of feature links: written by :func:`scminnet.pp.feature_links`, read by the coupling."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from mudata import MuData
from pandas.api.types import union_categoricals
from scipy import sparse

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, shorten
from scminnet._core.mdata import check_modalities, check_mudata

#: Key of ``mdata.uns``.
FEATURE_LINKS_KEY = "feature_links"

#: Columns of the stored table: modalities, features, weight, and where the link comes from.
LINK_COLUMNS = ("first", "second", "first_feature", "second_feature", "weight", "source")

_TEXTS = [column for column in LINK_COLUMNS if column != "weight"]


def of_pair(links: pd.DataFrame, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows link two modalities as they are named, and which in the other order."""
    left, right = links["first"], links["second"]
    return ((left == first) & (right == second)).to_numpy(), ((left == second) & (right == first)).to_numpy()


def has_feature_links(mdata: MuData, first: str, second: str, key: str = FEATURE_LINKS_KEY) -> bool:
    """Tell whether features of two modalities are linked, in either order."""
    if key not in mdata.uns:
        return False
    return any(rows.any() for rows in of_pair(stored_links(mdata, key), first, second))


def stored_links(mdata: MuData, key: str = FEATURE_LINKS_KEY) -> pd.DataFrame:
    """Return the stored table, raising where there is none or it lacks columns."""
    if key not in mdata.uns:
        raise KeyError(
            f"`key` is {key!r}, which mdata.uns lacks; it has [{shorten(mdata.uns, 10)}]. "
            "Link the features first: `scminnet.pp.feature_links(mdata, first, second)`."
        )
    links = mdata.uns[key]
    if not isinstance(links, pd.DataFrame):
        raise TypeError(
            f"mdata.uns[{key!r}] is a {type(links).__name__}. It must be a table of `scminnet.pp.feature_links`."
        )
    missing = [column for column in LINK_COLUMNS if column not in links.columns]
    if missing:
        raise ValueError(
            f"mdata.uns[{key!r}] lacks the columns {shorten(missing, 10)}; it has {shorten(links.columns, 10)}. "
            "Link the features again: `scminnet.pp.feature_links(mdata, first, second)`."
        )
    return links


@check_types
def read_feature_links(
    mdata: MuData,
    first: str,
    second: str,
    key: str = FEATURE_LINKS_KEY,
    *,
    unknown: Literal["raise", "drop"] = "raise",
) -> sparse.csr_matrix:
    """Return the links between the features of two modalities as a matrix.

    Parameters
    ----------
    mdata
        MuData with ``uns[key]``: see :func:`scminnet.pp.feature_links`.
    first, second
        Two modalities. The links may have been made in either order.
    key
        Key of ``mdata.uns``.
    unknown
        What to do with links of features that the modalities lack, for example because features were selected after
        linking: ``"raise"`` or ``"drop"``.

    Returns
    -------
    Features of ``first`` x features of ``second``, CSR, float32; the links' weights. They are not normalised: a complex
    of several genes has several entries. Where the table names a pair twice, the larger weight counts.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or ``uns[key]`` no table.
    KeyError
        There is no ``uns[key]``.
    ValueError
        A modality is not there; columns are missing; weights are negative, infinite or NaN; links name unknown
        features; nothing is linked.

    Examples
    --------
    >>> import scminnet as mn
    >>> from scminnet.coupling.feature_links import read_feature_links
    >>> mdata = mn.datasets.simulate_multiome(100, n_genes=60, n_peaks=200)
    >>> mn.pp.feature_links(mdata, "rna", "atac", annotation=mdata["rna"].var.rename_axis("gene").reset_index())
    >>> read_feature_links(mdata, "rna", "atac").shape
    (60, 200)
    """
    check_mudata(mdata)
    check_modalities(mdata, [first], "first")
    check_modalities(mdata, [second], "second")
    check_choice(unknown, ("raise", "drop"), "unknown")
    links = stored_links(mdata, key)
    forward, backward = of_pair(links, first, second)
    here = links[forward | backward]
    again = f"Link them again: `scminnet.pp.feature_links(mdata, {first!r}, {second!r})`."
    if here.empty:
        pairs = links[["first", "second"]].astype(str).drop_duplicates().agg(" and ".join, axis=1)
        raise ValueError(
            f"mdata.uns[{key!r}] links no features of {first!r} to features of {second!r}; it links those of "
            f"[{shorten(pairs)}]. {again}"
        )
    weights = pd.to_numeric(here["weight"], errors="coerce").to_numpy(float, na_value=np.nan)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        few = here[wrong].head(3)
        shown = [
            f"{a} - {b}: {w}"
            for a, b, w in zip(few["first_feature"], few["second_feature"], few["weight"], strict=True)
        ]
        raise ValueError(
            f"mdata.uns[{key!r}]: {int(wrong.sum()):,} of {len(here):,} weights between {first!r} and {second!r} "
            "are negative, infinite or no "
            f"numbers, e.g. {shorten(shown)}. Give weights of 0 or more."
        )
    other_way = backward[forward | backward]
    at = []
    for modality, one, other in (
        (first, "first_feature", "second_feature"),
        (second, "second_feature", "first_feature"),
    ):
        own = mdata.mod[modality].var_names
        found = np.where(other_way, _positions(here[other], own), _positions(here[one], own))
        if unknown == "raise" and (found < 0).any():
            lost = pd.unique(here[one].astype(object).where(~other_way, here[other].astype(object))[found < 0])
            raise ValueError(
                f"mdata.uns[{key!r}] names {len(lost):,} features that {modality!r} lacks, e.g. "
                f"{shorten(lost, 3)}. Link after selecting and "
                f"renaming features. {again}"
            )
        at.append(found)
    kept = (at[0] >= 0) & (at[1] >= 0) & (weights > 0)
    if not kept.any():
        raise ValueError(
            f"mdata.uns[{key!r}]: no link between {first!r} and {second!r} is left, of {len(here):,}: features "
            "are unknown or weights are 0. "
            f"{again}"
        )
    table = pd.DataFrame({"first": at[0][kept], "second": at[1][kept], "weight": weights[kept].astype(np.float32)})
    # a matrix would sum them
    table = table.sort_values("weight", ascending=False).drop_duplicates(["first", "second"])
    shape = (mdata.mod[first].n_vars, mdata.mod[second].n_vars)
    return sparse.csr_matrix((table["weight"].to_numpy(np.float32), (table["first"], table["second"])), shape=shape)


def _positions(features: pd.Series, own: pd.Index) -> np.ndarray:
    """Return the position of each feature in a modality, -1 where it lacks it; each name is looked up once."""
    column = features.astype("category").cat
    at = own.get_indexer(column.categories.astype(own.dtype))
    codes = column.codes.to_numpy()
    return np.where(codes < 0, -1, at[codes]) if len(at) else np.full(len(codes), -1)


def with_pair(mdata: MuData, key: str, rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return the stored table with the rows of two modalities replaced by ``rows``."""
    parts = [rows]
    if key in mdata.uns:
        links = stored_links(mdata, key)
        forward, backward = of_pair(links, first, second)
        parts.insert(0, links.loc[~(forward | backward), list(LINK_COLUMNS)])
    parts = [part.astype(dict.fromkeys(_TEXTS, "category")) for part in parts if len(part)]
    table = {
        column: union_categoricals([part[column] for part in parts]).remove_unused_categories() for column in _TEXTS
    }
    weight = np.concatenate([part["weight"].to_numpy(np.float32) for part in parts])
    return pd.DataFrame({column: weight if column == "weight" else table[column] for column in LINK_COLUMNS})
