"""Where the cells of a MuData stand, in its tables and in the joint embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.embeddings import joint_embeddings
from scminnet._core.mdata import check_modalities
from scminnet._core.obs import obs_column

#: Name of the column of types where ``groupby`` does not give it one.
GROUP_COLUMN = "group"


def check_used_modalities(mdata: MuData, modalities: Sequence[str] | None, use_rep: str) -> list[str]:
    """Return the modalities to work on, those with the embedding by default, raising on unknown, empty or no names."""
    embedded = [m for m, adata in mdata.mod.items() if use_rep in adata.obsm]
    if not embedded:
        raise KeyError(
            f"`use_rep` is {use_rep!r}, which no modality has in obsm. Write each modality's embedding to "
            f"`mdata[modality].obsm[{use_rep!r}]`, e.g. with `model.embed(mdata)`."
        )
    if isinstance(modalities, str):
        raise TypeError(f"`modalities` is the text {modalities!r}. Give a list of names.")
    names = embedded if modalities is None else list(dict.fromkeys(modalities))
    if not names:
        raise ValueError("`modalities` is empty. Name at least one, or give None for all with the embedding.")
    check_modalities(mdata, names)
    return names


def cell_rows(mdata: MuData, modality: str) -> np.ndarray:
    """Return the row in ``mdata.obs`` of each cell of a modality, by names; raise where the MuData does not know the cell."""
    # by names: MuData's own obsmap is stale when a modality was changed without an update()
    rows = mdata.obs_names.get_indexer(mdata.mod[modality].obs_names)
    if (rows < 0).any():
        raise ValueError(
            f"modality {modality!r} has {int((rows < 0).sum()):,} cells that `mdata.obs` lacks. Call `mdata.update()` after changing a "
            "modality."
        )
    return rows


def cell_places(mdata: MuData, modalities: Sequence[str], use_rep: str) -> np.ndarray:
    """Embedding of every cell of a MuData: the mean over all modalities in which it has one.

    Returns
    -------
    Float array (cells, d), NaN where no modality has an embedding of the cell.

    Raises
    ------
    ValueError
        Embeddings are not finite or differ in width, a modality has cells that ``mdata.obs`` lacks, or one of ``modalities`` has
        no cell with an embedding.
    """
    embedded = [m for m, adata in mdata.mod.items() if use_rep in adata.obsm]
    embeddings = joint_embeddings(mdata, embedded, use_rep)
    total = np.zeros((mdata.n_obs, embeddings[0].shape[1]), dtype=np.result_type(np.float32, *embeddings))
    count = np.zeros((mdata.n_obs, 1), dtype=total.dtype)
    for modality, embedding in zip(embedded, embeddings, strict=True):
        rows = cell_rows(mdata, modality)
        total[rows] += embedding
        count[rows] += 1
    for modality in modalities:
        if not count[cell_rows(mdata, modality)].any():
            raise ValueError(
                f"`modalities` names {modality!r}, none of whose cells has an embedding, {use_rep!r}, in this or another modality's obsm. "
                "Embed them, e.g. with `model.embed(mdata)`, or leave the modality out."
            )
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def cell_groups(
    mdata: MuData, groupby: str | Mapping[str, str] | None, condition: str | None, modalities: Sequence[str]
) -> pd.DataFrame:
    """Type and condition of every cell of a MuData, as text.

    Returns
    -------
    One row a cell, NaN where it has no value, and one column or two: the type, named as ``groupby`` (``GROUP_COLUMN`` for a mapping
    or ``None``), and the condition, named as ``condition``.

    Raises
    ------
    KeyError
        A column is nowhere.
    ValueError
        Places of a column, or the columns of a mapping, disagree on a cell; a mapping does not name a column for each of ``modalities``; or
        type and condition are one column.
    """
    if groupby is None:
        types = pd.Series("all", index=mdata.obs_names, dtype=object)
    elif isinstance(groupby, str):
        types = obs_column(mdata, groupby, list(mdata.mod), "groupby")
    else:
        types = _types_by_modality(mdata, groupby, modalities)
    columns = {groupby if isinstance(groupby, str) else GROUP_COLUMN: types}
    if condition in columns:
        raise ValueError(f"`condition` is {condition!r}, as is the column of types. Give another column, or None.")
    if condition is not None:
        columns[condition] = obs_column(mdata, condition, list(mdata.mod), "condition")
    return pd.DataFrame({name: column.map(str, na_action="ignore") for name, column in columns.items()}, dtype=object)


def _types_by_modality(mdata: MuData, groupby: Mapping[str, str], modalities: Sequence[str]) -> pd.Series:
    """Collect the types from one column for each modality's cells."""
    if set(groupby) != set(modalities):
        raise ValueError(
            f"`groupby` names columns for {shorten(groupby)}, the modalities are {shorten(modalities)}. Name one column "
            "for each, or one for all as text."
        )
    types = pd.Series(np.nan, index=mdata.obs_names, dtype=object)
    for modality in modalities:
        cells = mdata.mod[modality].obs_names
        values = obs_column(mdata, groupby[modality], [modality], "groupby").map(str, na_action="ignore")
        values = values.reindex(cells).reindex(mdata.obs_names)
        conflicts = types.notna() & values.notna() & (types != values)
        if conflicts.any():
            raise ValueError(
                f"`groupby`: {int(conflicts.sum()):,} cells have another type in {groupby[modality]!r} of modality {modality!r} than in the "
                f"columns of the modalities before, e.g. {shorten(conflicts.index[conflicts], 3)}. Make them agree, e.g. in one "
                "column of mdata.obs."
            )
        types = types.where(types.notna(), values)
    return types
