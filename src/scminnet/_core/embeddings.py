"""Checks of embeddings, and reading them from a MuData."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mudata import MuData

from scminnet._core.arguments import shorten


def check_embedding(matrix: Any, argument: str) -> np.ndarray:
    """Return ``matrix`` as a two-dimensional float array. Raise if it is not one, or has NaN or infinite values."""
    array = np.asarray(matrix)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise ValueError(
            f"`{argument}` has shape {array.shape} and type {array.dtype}. Give a numeric array of cells x dimensions."
        )
    bad = int((~np.isfinite(array).all(axis=1)).sum())
    if bad:
        raise ValueError(f"`{argument}` holds NaN or infinite values in {bad:,} of {len(array):,} rows. Remove them.")
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
