"""What figures read from mini-bulks: their groups, and the values of genes and peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.keys import GROUP_COLUMN, MINIBULK_KEY
from scminnet._core.mdata import check_modalities, check_mudata, layer_matrix


def paired_bulks(bulks: MuData, rna: str, atac: str) -> pd.Index:
    """Return the names of the bulks that have both modalities, raising when there is none."""
    check_mudata(bulks, "bulks")
    check_modalities(bulks, [rna], "rna")
    check_modalities(bulks, [atac], "atac")
    names = bulks.mod[rna].obs_names.intersection(bulks.mod[atac].obs_names, sort=False)
    if names.empty:
        raise ValueError(
            f"`bulks` has none with both {rna!r} and {atac!r}. "
            "Make them with `scminnet.tl.minibulk`, or give paired cells."
        )
    return names


def made_of(bulks: MuData) -> str | None:
    """Return the column of ``obs`` with the groups of mini-bulks, ``None`` where there is none."""
    groupby = bulks.uns.get(MINIBULK_KEY, {}).get("params", {}).get("groupby")
    # types that came from one column for each modality
    column = GROUP_COLUMN if isinstance(groupby, Mapping) else groupby
    return column if column in bulks.obs else None


def scale_of(bulks: MuData) -> str:
    """Return the end of an axis label that says how ``X`` is scaled; it is known only for mini-bulks, log(1 + x)."""
    return " (log)" if MINIBULK_KEY in bulks.uns else ""


def values_of(
    bulks: MuData, names: pd.Index, modality: str, features: Sequence[str] | pd.Index, argument: str
) -> pd.DataFrame:
    """Return the values of some genes or peaks, from ``X``: one row a bulk of ``names``, one column a feature."""
    adata = bulks.mod[modality]
    columns = adata.var_names.get_indexer(features)
    if (columns < 0).any():
        missing = features[int(np.flatnonzero(columns < 0)[0])]
        raise KeyError(
            f"`{argument}` is {missing!r}, which modality {modality!r} of `bulks` lacks; it has e.g. "
            f"{shorten(adata.var_names[:3])}. Name one that it has."
        )
    # columns first: rows of all features would be a copy
    matrix = layer_matrix(bulks, modality, None)[:, columns]
    matrix = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)
    return pd.DataFrame(matrix[adata.obs_names.get_indexer(names)], index=names, columns=list(features))
