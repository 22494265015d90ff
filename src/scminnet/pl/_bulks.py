"""What the figures of mini-bulks read from them: groups, and the values of genes and peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.mdata import check_modalities, check_mudata, layer_matrix


def paired_bulks(bulks: MuData, rna: str, atac: str) -> pd.Index:
    """Return the names of the bulks that have both modalities, raising when there is none."""
    check_mudata(bulks, "bulks")
    check_modalities(bulks, [rna], "rna")
    check_modalities(bulks, [atac], "atac")
    names = bulks.mod[rna].obs_names.intersection(bulks.mod[atac].obs_names, sort=False)
    if names.empty:
        raise ValueError(
            f"`bulks` has none with both {rna!r} and {atac!r}. Make them with `scminnet.tl.minibulk`, or give paired cells."
        )
    return names


def made_of(bulks: MuData) -> str | None:
    """Return the column of ``obs`` with the groups that :func:`scminnet.tl.minibulk` made the bulks of, if it did."""
    groupby = bulks.uns.get("minibulk", {}).get("params", {}).get("groupby")
    # for one column a modality, the bulks have one of its own
    column = "group" if isinstance(groupby, Mapping) else groupby
    return column if column in bulks.obs else None


def scale_of(bulks: MuData) -> str:
    """Say how ``X`` is scaled, for the end of an axis' label: :func:`scminnet.tl.minibulk` takes log(1 + x); of other bulks it is unknown."""
    return " (log)" if "minibulk" in bulks.uns else ""


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
