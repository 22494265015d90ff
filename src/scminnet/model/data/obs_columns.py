"""Labels and batches of all cells, from the ``obs`` of a MuData and its modalities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.obs import BATCH_REMEDY, UNLABELED_REMEDY, obs_column
from scminnet._core.obs_text import warn_of_missing_texts, without
from scminnet._core.user_warnings import warn

#: Batch of all cells if the data have no batch column.
ONE_BATCH = "all"

#: Cell types with fewer cells cause a warning, as in scvi-tools.
RARE = 3


def resolve_labels(
    mdata: MuData,
    labels_key: str | None,
    modalities: Sequence[str],
    unlabeled: Sequence[str],
    *,
    allow_missing: bool,
) -> pd.Series:
    """Return one label per cell, as text. Cells without a label get the first unlabelled category.

    Parameters
    ----------
    mdata
        The MuData.
    labels_key
        Column of its ``obs`` or of its modalities' ``obs``; ``None``: no cell is labelled.
    modalities
        Modalities to search.
    unlabeled
        Categories of cells without a label.
    allow_missing
        Whether the column may be absent, as in a query. Then no cell is labelled.
    """
    labels = pd.Series(np.nan, index=mdata.obs_names, dtype=object)
    if labels_key is not None:
        try:
            labels = obs_column(mdata, labels_key, modalities, "labels_key", labels=True)
        except KeyError:
            if not allow_missing:
                raise
    labels = without(labels, unlabeled)
    return labels.where(labels.notna(), unlabeled[0])


def resolve_batches(
    mdata: MuData, batch_key: str | None, modalities: Sequence[str], *, allow_missing: bool
) -> pd.Series:
    """Return one batch per cell, as text. Without ``batch_key``, or if a query lacks it, all cells are one batch."""
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
    return batches


def check_labels(labels: pd.Series, labels_key: str, unlabeled: Sequence[str]) -> None:
    """Raise unless the reference has at least two cell types.

    Warn about cell types with few cells, and about those whose name looks like a missing label.
    """
    labelled = labels[labels != unlabeled[0]]
    n_cells = labelled.value_counts().sort_index()
    types = list(n_cells.index)
    if not types:
        raise ValueError(
            f"`labels_key`: all {len(labels):,} cells are unlabelled (missing or {shorten(unlabeled)}). "
            "Label some cells, or leave `labels_key` out to train without cell types."
        )
    if len(types) == 1:
        raise ValueError(f"`labels_key`: all labelled cells are {types[0]!r}. Give a reference of two types or more.")
    warn_of_missing_texts(labelled, f"`labels_key`={labels_key!r}", UNLABELED_REMEDY, unlabeled)
    rare = n_cells[n_cells < RARE]
    if len(rare):
        warn(
            f"`labels_key`: cell types with fewer than {RARE} cells: {shorten(list(rare.index))}. "
            "The model can hardly learn them. Merge them with a related type, or set them to the unlabelled category "
            f"{unlabeled[0]!r}."
        )


def query_labels(
    mdata: MuData, labels_key: str | None, modalities: Sequence[str], known: Sequence[str], unlabeled: Sequence[str]
) -> tuple[pd.Series, str | None]:
    """Return one label per cell of a query, and a sentence on those that are not used.

    A query's labels are its own: it may have types that the model does not know, or none. Cells of such types, and all
    cells where the columns can not be used, get the unlabelled category.
    """
    try:
        labels = resolve_labels(mdata, labels_key, modalities, unlabeled, allow_missing=True)
    except ValueError as error:
        return pd.Series(unlabeled[0], index=mdata.obs_names, dtype=object), f"not used: {error}"
    is_known = labels.isin([*known, *unlabeled])
    if is_known.all():
        return labels, None
    new = labels[~is_known]
    return (
        labels.where(is_known, unlabeled[0]),
        f"of {len(new):,} of {len(labels):,} cells are not among the model's and are not used: {shorten(new.unique())}",
    )


def check_batches(batches: pd.Series, batch_key: str | None) -> None:
    """Warn about batches whose name looks like a missing value."""
    if batch_key is not None:
        warn_of_missing_texts(batches, f"`batch_key`={batch_key!r}", BATCH_REMEDY)
