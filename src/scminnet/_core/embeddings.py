"""Checks of embeddings, and reading them from a MuData."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.matrices import computable
from scminnet._core.values import TOO_LARGE


def check_embedding(matrix: Any, argument: str) -> np.ndarray:
    """Return ``matrix`` as a two-dimensional array of numbers.

    Raise if it is not one, or has NaN, infinite or too large values.
    """
    try:
        array = np.asarray(matrix)
    except ValueError as error:
        # lists of different lengths
        raise ValueError(f"`{argument}` is no array ({error}). Give a numeric array of cells x dimensions.") from error
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"`{argument}` has shape {array.shape} and type {array.dtype}. Give a numeric array of cells x dimensions."
        )
    array = computable(array)
    # as float64, because the smallest integer has no positive counterpart of its type
    sizes = np.abs(array.astype(np.float64, copy=False)).max(axis=1)
    for what, bad in (
        ("NaN or infinite values", ~np.isfinite(sizes)),
        (f"values beyond {TOO_LARGE:g}", sizes > TOO_LARGE),
    ):
        if bad.any():
            raise ValueError(
                f"`{argument}` holds {what} in {int(bad.sum()):,} of {len(array):,} rows, the first in row "
                f"{int(bad.argmax())}. Remove them."
            )
    return array


def modality_embedding(mdata: MuData, modality: str, use_rep: str) -> np.ndarray:
    """Return the embedding of a modality's cells. Raise if it is missing or not finite."""
    adata = mdata.mod[modality]
    if use_rep not in adata.obsm:
        raise KeyError(
            f"`use_rep` is {use_rep!r}, which is not in obsm of modality {modality!r}. "
            f"Its obsm has [{shorten(adata.obsm, 10)}]. "
            f"Write each modality's embedding to `mdata[{modality!r}].obsm`, e.g. with `model.embed(mdata)`."
        )
    return check_embedding(adata.obsm[use_rep], f"mdata[{modality!r}].obsm[{use_rep!r}]")


def embedded_modalities(mdata: MuData, use_rep: str) -> list[str]:
    """Return the modalities that have the embedding. Raise if none has."""
    embedded = [m for m, adata in mdata.mod.items() if use_rep in adata.obsm]
    if not embedded:
        raise KeyError(
            f"`use_rep` is {use_rep!r}, which no modality has in obsm. Write each modality's embedding to "
            f"`mdata[modality].obsm[{use_rep!r}]`, e.g. with `model.embed(mdata)`."
        )
    return embedded


def joint_embeddings(mdata: MuData, modalities: Sequence[str], use_rep: str) -> list[np.ndarray]:
    """Return the embeddings of several modalities. Raise unless they have the same number of dimensions."""
    embeddings = [modality_embedding(mdata, modality, use_rep) for modality in modalities]
    widths = {m: e.shape[1] for m, e in zip(modalities, embeddings, strict=True)}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"`use_rep`={use_rep!r} has a different number of dimensions in each modality: {widths}. "
            "Give embeddings in one joint space."
        )
    return embeddings
