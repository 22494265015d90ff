"""Colours of categories as scanpy keeps them: a list in ``uns["{key}_colors"]``, one a category of ``obs[key]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from mudata import MuData

#: End of the keys in ``uns``.
ENDING = "_colors"


def _tables(mdata: MuData) -> list[Any]:
    """Return the MuData and its modalities: each has ``obs`` and ``uns``."""
    return [mdata, *mdata.mod.values()]


def _stored(table: Any, key: str) -> dict[str, str]:
    """Return the colours of a column's categories in one table. Empty if there are none, or another number."""
    colors = table.uns.get(key + ENDING)
    if colors is None or key not in table.obs or not isinstance(table.obs[key].dtype, pd.CategoricalDtype):
        return {}
    categories = table.obs[key].cat.categories
    if len(colors) != len(categories):
        return {}
    return {str(name): str(color) for name, color in zip(categories, colors, strict=True)}


def _keys(mdata: MuData) -> Iterator[str]:
    for table in _tables(mdata):
        for key in table.uns:
            if isinstance(key, str) and key.endswith(ENDING):
                yield key.removesuffix(ENDING)


def known_colors(mdata: MuData, key: str) -> dict[str, str]:
    """Return the colours that ``uns`` holds for categories by name.

    Those of the column ``key`` come first. A name without one there takes that of another column, so that a transferred
    label has the colour of its cell type.

    Parameters
    ----------
    mdata
        The MuData. The ``uns`` of its modalities are read, too.
    key
        Column of ``obs``.
    """
    found: dict[str, str] = {}
    for column in dict.fromkeys([key, *_keys(mdata)]):
        for table in _tables(mdata):
            found = {**_stored(table, column), **found}
    return found


def keep_colors(mdata: MuData, key: str, colors: Mapping[str, str]) -> None:
    """Write colours into ``uns`` of each table that has the column as categories and no colours of it yet.

    Parameters
    ----------
    mdata
        The MuData, not a view. It and its modalities are written to.
    key
        Column of ``obs``.
    colors
        Colour of each category. A table with other categories is left as it is.
    """
    for table in _tables(mdata):
        if key not in table.obs or not isinstance(table.obs[key].dtype, pd.CategoricalDtype) or _stored(table, key):
            continue
        names = [str(name) for name in table.obs[key].cat.categories]
        if all(name in colors for name in names):
            table.uns[key + ENDING] = [colors[name] for name in names]
