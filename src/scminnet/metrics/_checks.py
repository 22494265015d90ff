"""Checks that only the measures need, and the error for data on which a measure is not defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.arguments import check_count
from scminnet._core.obs_text import as_text, check_categorical, warn_of_missing_texts


class NotDefinedError(ValueError):
    """The arguments are sound, but the measure has no value on such data, e.g. a silhouette of one group."""


def check_counts(values: Any, argument: str) -> tuple[int, ...]:
    """Return one whole number, or several, as a tuple in ascending order, each once."""
    values = (values,) if np.ndim(values) == 0 else tuple(values)
    if not values:
        raise ValueError(f"`{argument}` is empty. Give at least one whole number.")
    for value in values:
        check_count(value, argument)
    return tuple(sorted({int(value) for value in values}))


def check_labels(labels: Any, n_cells: int, argument: str) -> np.ndarray:
    """Return ``labels`` as an object array, raising unless there is one and only one for each of ``n_cells`` cells."""
    if np.ndim(labels) != 1 or len(labels) != n_cells:
        raise ValueError(
            f"`{argument}` has shape {np.shape(labels)}, the embedding {n_cells:,} cells. Give one value a cell."
        )
    values = pd.Series(labels, dtype=object).to_numpy()
    missing = int(pd.isna(values).sum())
    if missing:
        raise ValueError(
            f"`{argument}` lacks a value for {missing:,} of {n_cells:,} cells. "
            "Leave these cells out, here and in the embedding."
        )
    text = as_text(pd.Series(values))
    check_categorical(text, f"`{argument}`", labels=argument.endswith("labels"))
    warn_of_missing_texts(
        text, f"`{argument}`", "If these cells have no value, leave them out, here and in the embedding."
    )
    return values
