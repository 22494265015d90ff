"""Groups of cells or bulks, in the order in which figures show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from mudata import MuData

from scminnet._core.obs import obs_column
from scminnet._core.obs_text import as_text, value_text


def natural(name: str) -> list[str | int]:
    """Key to sort names by, numbers in them as numbers: type_2 before type_10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))]


def levels(values: pd.Series, order: Iterable[Any] = ()) -> pd.Series:
    """Return values as categories of text: first those of ``order`` that occur, then all others in natural order."""
    text = as_text(values)
    found = set(text.dropna())
    first = [name for name in dict.fromkeys(map(value_text, order)) if name in found]
    categories = first + sorted(found.difference(first), key=natural)
    return pd.Series(pd.Categorical(text, categories=categories), index=values.index, name=values.name)


def grouping(mdata: MuData, key: str, modalities: Sequence[str], argument: str) -> pd.Series:
    """Collect a column of ``obs`` as categories, in its own order if it is categorical, else in natural order.

    Parameters
    ----------
    mdata, key, modalities, argument
        As in :func:`~scminnet._core.obs.obs_column`.

    Returns
    -------
    One category a cell or bulk, indexed by ``mdata.obs_names``; missing where no table has a value.

    Raises
    ------
    KeyError
        The column is nowhere.
    ValueError
        Two tables disagree on a cell, or there is no value.
    """
    values = obs_column(mdata, key, modalities, argument)
    if values.isna().all():
        raise ValueError(f"`{argument}` is {key!r}, a column without a value. Name one with values.")
    tables = [mdata.obs, *(mdata.mod[m].obs for m in modalities)]
    columns = [table[key] for table in tables if key in table and isinstance(table[key].dtype, pd.CategoricalDtype)]
    return levels(values, columns[0].cat.categories if columns else ())
