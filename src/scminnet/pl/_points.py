"""What the points of an embedding are coloured by: categories, numbers, or the values of a gene or another feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.mdata import layer_matrix
from scminnet.pl._groups import grouping, levels

#: The word for the modality of a point.
MODALITY = "modality"


class Feature(NamedTuple):
    """A feature of a modality."""

    modality: str
    name: str


def points_values(
    mdata: MuData, names: Sequence[str], modalities: Sequence[str], layer: str | None
) -> dict[str, pd.Series]:
    """Read what each panel is coloured by.

    Parameters
    ----------
    mdata
        The cells.
    names
        ``"modality"``, columns of ``obs``, and features, as :func:`scminnet.pl.embedding` takes them.
    modalities
        The modalities whose cells are points, in their order.
    layer
        Layer of the features' values.

    Returns
    -------
    By name, one value a point: categories, or float values, NaN where there is none.

    Raises
    ------
    KeyError
        A name is neither a column nor a feature.
    ValueError
        A name is a feature of several modalities. Tables disagree on a category. The layer is missing.
    """
    return {name: _values(mdata, name, modalities, layer) for name in names}


def _values(mdata: MuData, name: str, modalities: Sequence[str], layer: str | None) -> pd.Series:
    cells = np.concatenate([mdata.mod[m].obs_names for m in modalities])
    if name == MODALITY:
        of_point = np.repeat(list(modalities), [mdata.mod[m].n_obs for m in modalities])
        return levels(pd.Series(of_point, index=cells, name=name), modalities)
    tables = [table for table in (mdata.obs, *(mdata.mod[m].obs for m in modalities)) if name in table]
    if not tables:
        return _feature_values(mdata, _feature(mdata, name, modalities), modalities, layer).set_axis(cells)
    if all(_is_number(table[name]) for table in tables):
        return pd.concat([_numbers(mdata, name, m) for m in modalities]).set_axis(cells)
    return grouping(mdata, name, modalities, "color").loc[cells]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _numbers(mdata: MuData, key: str, modality: str) -> pd.Series:
    """Return a modality's own values, and those of ``mdata.obs`` where it has none: modalities may differ in a cell."""
    adata = mdata.mod[modality]
    values = pd.Series(np.nan, index=adata.obs_names, dtype=float)
    if key in adata.obs:
        values = adata.obs[key].astype(float)
    if key in mdata.obs:
        values = values.fillna(mdata.obs[key].astype(float).reindex(adata.obs_names))
    return values


def _feature(mdata: MuData, name: str, modalities: Sequence[str]) -> Feature:
    """Find a feature by its name, or by ``"modality:name"``."""
    having = [m for m in modalities if name in mdata.mod[m].var_names]
    modality, _, rest = name.partition(":")
    if not having and modality in modalities and rest in mdata.mod[modality].var_names:
        return Feature(modality, rest)
    if not having:
        raise KeyError(
            f"`color` is {name!r}, which is not a column of mdata.obs or of the obs of {shorten(modalities)}, nor one "
            f"of their features. mdata.obs has {shorten(mdata.obs.columns, 10)}. Name a column, a feature, or "
            f"{MODALITY!r}."
        )
    if len(having) > 1:
        raise ValueError(
            f"`color` is {name!r}, a feature of {shorten(having)}. Name one of them, e.g. {f'{having[0]}:{name}'!r}."
        )
    return Feature(having[0], name)


def _feature_values(mdata: MuData, feature: Feature, modalities: Sequence[str], layer: str | None) -> pd.Series:
    """Return a feature's values in the cells of its modality. The cells of others have none."""
    column = int(mdata.mod[feature.modality].var_names.get_loc(feature.name))
    matrix = layer_matrix(mdata, feature.modality, layer, "layer")[:, [column]]
    measured = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=float)[:, 0]
    parts = [measured if m == feature.modality else np.full(mdata.mod[m].n_obs, np.nan) for m in modalities]
    return pd.Series(np.concatenate(parts), name=f"{feature.modality}:{feature.name}")
