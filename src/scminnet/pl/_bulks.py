"""What the figures of mini-bulks read from them: links, and the values of genes and peaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._validate import check_modalities, check_mudata, layer_matrix, shorten


def link_table(links: pd.DataFrame | MuData, key: str, needed: Sequence[str], argument: str) -> pd.DataFrame:
    """Return a table of links, read from the bulks' ``uns`` where these are given, raising unless it has the columns ``needed``."""
    if isinstance(links, MuData):
        if key not in links.uns:
            raise KeyError(
                f"`key` is {key!r}, which `{argument}`.uns lacks; it has [{shorten(links.uns, 10)}]. "
                f"Call `scminnet.tl.cre_links({argument}, ...)` first."
            )
        links = links.uns[key]
    if not isinstance(links, pd.DataFrame):
        raise TypeError(
            f"`{argument}` holds a {type(links).__name__}. Give a table of `scminnet.tl.cre_links`, or the bulks that have it in uns."
        )
    missing = [column for column in needed if column not in links.columns]
    if missing:
        raise ValueError(
            f"`{argument}` lacks the columns {shorten(missing)}. Give a table as `scminnet.tl.cre_links` writes it."
        )
    return links


def check_bulks(bulks: MuData, rna: str, atac: str) -> None:
    """Raise unless ``bulks`` holds the same bulks in the same order in both modalities."""
    check_mudata(bulks, "bulks")
    check_modalities(bulks, [rna], "rna")
    check_modalities(bulks, [atac], "atac")
    if not bulks.mod[rna].obs_names.equals(bulks.mod[atac].obs_names):
        raise ValueError(
            f"`bulks` does not hold the same bulks in the same order in {rna!r} and {atac!r}. "
            "Make them with `scminnet.tl.minibulk`."
        )


def feature(bulks: MuData, modality: str, name: str, argument: str) -> np.ndarray:
    """Return the values of one gene or peak in all bulks, from ``X``."""
    adata = bulks.mod[modality]
    if name not in adata.var_names:
        raise KeyError(
            f"`{argument}` is {name!r}, which modality {modality!r} of `bulks` lacks; it has e.g. "
            f"{shorten(adata.var_names[:3])}. Name one that it has."
        )
    return columns(bulks, modality, [adata.var_names.get_loc(name)])[:, 0]


def columns(bulks: MuData, modality: str, which: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return some columns of a modality's ``X``, dense."""
    matrix = layer_matrix(bulks, modality, None)[:, which]
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)
