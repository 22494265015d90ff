"""Labels and batches of all cells, wherever in the MuData they stand."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.obs import obs_column

#: Batch of all cells when the data have no batch column.
ONE_BATCH = "all"

#: Types of fewer cells are warned of, as in scvi-tools.
RARE = 3


def resolve_labels(
    mdata: MuData, labels_key: str | None, modalities: Sequence[str], unlabeled_category: str, *, allow_missing: bool
) -> pd.Series:
    """Return one label a cell, as text; the unlabelled category where there is none.

    Parameters
    ----------
    mdata
        The MuData.
    labels_key
        Column of its ``obs`` or of its modalities' ``obs``; ``None``: no cell is labelled.
    modalities
        Modalities to look at.
    unlabeled_category
        Stands for a missing label.
    allow_missing
        Whether the column may be absent, as in a query: then no cell is labelled.
    """
    labels = pd.Series(np.nan, index=mdata.obs_names, dtype=object)
    if labels_key is not None:
        try:
            labels = obs_column(mdata, labels_key, modalities, "labels_key")
        except KeyError:
            if not allow_missing:
                raise
    text = labels.map(str, na_action="ignore").astype(object)
    return text.where(labels.notna(), unlabeled_category)


def resolve_batches(
    mdata: MuData, batch_key: str | None, modalities: Sequence[str], *, allow_missing: bool
) -> pd.Series:
    """Return one batch a cell, as text; a single batch without ``batch_key`` or when a query lacks it."""
    if batch_key is None:
        return pd.Series(ONE_BATCH, index=mdata.obs_names, dtype=object)
    try:
        batches = obs_column(mdata, batch_key, modalities, "batch_key")
    except KeyError:
        if not allow_missing:
            raise
        return pd.Series(ONE_BATCH, index=mdata.obs_names, dtype=object)
    missing = batches.isna()
    if missing.any():
        raise ValueError(
            f"`batch_key`={batch_key!r}: {int(missing.sum()):,} cells have no batch, "
            f"e.g. {shorten(missing.index[missing], 3)}. Give every cell a batch."
        )
    return batches.map(str)


def check_labels(labels: pd.Series, unlabeled_category: str) -> None:
    """Raise unless a reference's labels tell at least two types apart; warn of those that can hardly be learnt."""
    n_cells = labels[labels != unlabeled_category].value_counts().sort_index()
    types = list(n_cells.index)
    if not types:
        raise ValueError(
            f"`labels_key`: all {len(labels):,} cells are unlabelled (missing or {unlabeled_category!r}). "
            "Label some cells, or leave `labels_key` out: the model then learns no cell types."
        )
    if len(types) == 1:
        raise ValueError(f"`labels_key`: all labelled cells are {types[0]!r}. The reference needs two types or more.")
    rare = n_cells[n_cells < RARE]
    if len(rare):
        warnings.warn(
            f"`labels_key`: types of fewer than {RARE} cells can hardly be learnt: {shorten(list(rare.index))}. Join them with a related type, "
            f"or set them to the unlabelled category {unlabeled_category!r}.",
            UserWarning,
            stacklevel=4,
        )


def check_known_labels(labels: pd.Series, mapping: Sequence[str], unlabeled_category: str) -> None:
    """Raise when a query has labels that the reference lacks."""
    new = sorted(set(labels) - set(mapping) - {unlabeled_category})
    if new:
        n_cells = int(labels.isin(new).sum())
        raise ValueError(
            f"the query's labels {shorten(new)} ({n_cells:,} cells) are not among the model's "
            f"{shorten([m for m in mapping if m != unlabeled_category], 10)}. "
            f"Rename them, or set them to the unlabelled category {unlabeled_category!r}."
        )
