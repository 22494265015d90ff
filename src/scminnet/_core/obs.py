"""Columns of ``obs``, collected from a MuData and its modalities as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.obs_text import as_text, check_categorical, unlabeled_names, warn_of_missing_texts, without

#: What to do with labels that look missing, in functions that take ``unlabeled_category``.
UNLABELED_REMEDY = "If these cells have no label, give unlabeled_category={names}."

#: What to do with batches that look missing.
BATCH_REMEDY = "If these cells have no batch, give them one, or remove them."


def obs_column(mdata: MuData, key: str, modalities: Sequence[str], argument: str, *, labels: bool = False) -> pd.Series:
    """Collect one value per cell from ``mdata.obs`` and from the ``obs`` of its modalities.

    Parameters
    ----------
    mdata
        The MuData.
    key
        Name of the column. It may be in ``mdata.obs``, in the ``obs`` of some modalities, or in both.
    modalities
        Modalities whose ``obs`` are searched.
    argument
        Name of the user's argument, for error messages.
    labels
        Whether the column holds cell types.

    Returns
    -------
    One text per cell (see :func:`~scminnet._core.obs_text.as_text`), indexed by ``mdata.obs_names``. NaN where no
    ``obs`` has a value.

    Raises
    ------
    KeyError
        No ``obs`` has the column.
    ValueError
        Two ``obs`` disagree on a cell, or the column is continuous.
    """
    places = {"mdata.obs": mdata.obs} | {f"mdata[{m!r}].obs": mdata.mod[m].obs for m in modalities if m in mdata.mod}
    found = {place: obs[key] for place, obs in places.items() if key in obs}
    if not found:
        raise KeyError(
            f"`{argument}` is {key!r}, which is not a column of mdata.obs or of the obs of {shorten(modalities)}. "
            f"mdata.obs has {shorten(mdata.obs.columns, 10)}."
        )
    merged = pd.Series(np.nan, index=mdata.obs_names, dtype=object, name=key)
    for place, column in found.items():
        values = as_text(column)
        check_categorical(values, f"`{argument}`={key!r} in {place}", labels=labels)
        values = values.reindex(mdata.obs_names)
        conflicts = merged.notna() & values.notna() & (merged != values)
        if conflicts.any():
            raise ValueError(
                f"`{argument}`={key!r}: {int(conflicts.sum()):,} cells have a different value in {place} than "
                f"elsewhere, e.g. {shorten(conflicts.index[conflicts], 3)}. Make them agree or remove one column."
            )
        merged = merged.where(merged.notna(), values)
    return merged


def label_column(
    mdata: MuData,
    key: str,
    modalities: Sequence[str],
    argument: str,
    unlabeled_category: str | Sequence[str] | None,
) -> pd.Series:
    """Return the cell types of :func:`obs_column`, NaN for cells of ``unlabeled_category`` as well.

    Warns of texts that look as if they stood for missing labels. To be called by a public function.
    """
    unlabeled = unlabeled_names(unlabeled_category)
    column = without(obs_column(mdata, key, modalities, argument, labels=True), unlabeled)
    warn_of_missing_texts(column, f"`{argument}`={key!r}", UNLABELED_REMEDY, unlabeled)
    return column


def modality_column(mdata: MuData, key: str, modality: str, argument: str) -> pd.Series:
    """Return the values of :func:`obs_column` for a modality's cells, in their order. Raise if a cell has none."""
    column = obs_column(mdata, key, [modality], argument).loc[mdata.mod[modality].obs_names]
    missing = column.index[column.isna()]
    if len(missing):
        raise ValueError(
            f"`{argument}`={key!r} has no value for {len(missing):,} cells of modality {modality!r}, "
            f"e.g. {shorten(missing, 3)}. Fill them, or remove these cells."
        )
    warn_of_missing_texts(column, f"`{argument}`={key!r}", BATCH_REMEDY)
    return column
