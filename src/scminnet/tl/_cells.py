"""The cells of a MuData as functions on the embedding use them: read and checked once, before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.embeddings import embedded_modalities, joint_embeddings
from scminnet._core.keys import GROUP_COLUMN
from scminnet._core.mdata import check_modalities, layer_matrix, layer_names
from scminnet._core.obs import label_column, obs_column
from scminnet._core.values import Values, check_values


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in the cells of one modality.

    Attributes
    ----------
    matrix
        Cells x features, in memory, on disk or a dask array.
    layer
        Name of its layer, ``None`` for ``X``.
    var
        Table of the features.
    """

    matrix: Any
    layer: str | None
    var: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Cells:
    """The n cells of a MuData.

    Attributes
    ----------
    modalities
        The modalities to work on.
    names
        Names of all n cells.
    names_of
        Names of each modality's cells, for the modalities to work on and all with an embedding.
    row_of
        Row of each of these cells among the n, int64.
    embedded
        Embedding of each modality that has one, (cells of the modality, d).
    labels
        Columns of text, one row for each of the n cells, NaN where a cell has no value.
    measured
        Values of the modalities to work on. Empty where they are not needed.
    """

    modalities: list[str]
    names: pd.Index
    names_of: dict[str, pd.Index]
    row_of: dict[str, np.ndarray]
    embedded: dict[str, np.ndarray]
    labels: pd.DataFrame
    measured: dict[str, Measured]

    @classmethod
    def of(cls, *, names: pd.Index, names_of: dict[str, pd.Index], **others: Any) -> Cells:
        """Find the row of every cell, raising when there is none.

        Rows are found by name: a MuData's own map is stale when a modality was changed without an ``update()``.
        """
        row_of = {}
        for modality, own in names_of.items():
            row_of[modality] = names.get_indexer(own)
            unknown = int((row_of[modality] < 0).sum())
            if unknown:
                raise ValueError(
                    f"modality {modality!r} has {unknown:,} cells that `mdata.obs` lacks. "
                    "Call `mdata.update()` after changing a modality."
                )
        return cls(names=names, names_of=names_of, row_of=row_of, **others)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The rows of the cells of each modality to work on."""
        return {modality: self.row_of[modality] for modality in self.modalities}

    @cached_property
    def points(self) -> np.ndarray:
        """Mean of each cell's embeddings over the modalities that have one, (n, d); NaN where none has."""
        return self.mean_points()

    def mean_points(self, but: str | None = None) -> np.ndarray:
        """Average each cell's embeddings over the modalities, except one; NaN where none of them has one."""
        width = next(iter(self.embedded.values())).shape[1]
        total = np.zeros((len(self.names), width), dtype=np.result_type(np.float32, *self.embedded.values()))
        count = np.zeros((len(self.names), 1), dtype=total.dtype)
        for modality, embedding in self.embedded.items():
            if modality == but:
                continue
            rows = self.row_of[modality]
            total[rows] += embedding
            count[rows] += 1
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    @cached_property
    def has_point(self) -> np.ndarray:
        """Whether a cell has an embedding in any modality, (n,)."""
        return ~np.isnan(self.points[:, 0])

    @property
    def layers(self) -> dict[str, str]:
        """The layers that were named; modalities of which ``X`` is used are left out."""
        return {modality: m.layer for modality, m in self.measured.items() if m.layer is not None}

    def check_values(self) -> dict[str, Values]:
        """Read all values, raise on NaN, infinite or too large ones, and say what each modality's are like."""
        return {
            modality: check_values(m.matrix, modality, (self.names_of[modality], m.var.index), stored=True)
            for modality, m in self.measured.items()
        }


def read_cells(
    mdata: MuData,
    modalities: Sequence[str],
    use_rep: str,
    *,
    layer: str | Mapping[str, str | None] | None,
    labels: pd.DataFrame,
) -> Cells:
    """Read the cells of a MuData with the embeddings of all modalities and the values of some.

    Parameters
    ----------
    mdata
        The MuData.
    modalities
        The modalities to work on, see :func:`used_modalities`.
    use_rep
        Key of the embeddings in ``obsm``.
    layer
        Layer of the values, for all modalities or each its own; ``None``: ``X``.
    labels
        Columns of text, one row a cell.

    Raises
    ------
    ValueError
        Embeddings are not finite or differ in width. A modality has cells that ``mdata.obs`` lacks. One of
        ``modalities`` lacks the layer, or has no cell with an embedding.
    """
    layers = layer_names(layer, modalities, "layer")
    measured = {
        m: Measured(layer_matrix(mdata, m, layers[m], "layer"), layers[m], mdata.mod[m].var) for m in modalities
    }
    embedded = [m for m, adata in mdata.mod.items() if use_rep in adata.obsm]
    cells = Cells.of(
        modalities=list(modalities),
        names=mdata.obs_names,
        names_of={m: mdata.mod[m].obs_names for m in dict.fromkeys([*modalities, *embedded])},
        embedded=dict(zip(embedded, joint_embeddings(mdata, embedded, use_rep), strict=True)),
        labels=labels,
        measured=measured,
    )
    for modality, rows in cells.rows.items():
        if not cells.has_point[rows].any():
            raise ValueError(
                f"`modalities` names {modality!r}, none of whose cells has an embedding, {use_rep!r}, in this or "
                "another modality's obsm. Embed them, e.g. with `model.embed(mdata)`, or leave the modality out."
            )
    return cells


def read_source_and_target(
    mdata: MuData,
    source: str,
    target: str,
    use_rep: str,
    *,
    labels_key: str | None = None,
    unlabeled_category: str | Sequence[str] | None = None,
) -> Cells:
    """Read the embeddings of two modalities, and the source's labels in the column ``labels_key``.

    Raises
    ------
    KeyError
        A modality has no embedding, or the column is nowhere.
    ValueError
        A modality is unknown or empty, or both are the same. Embeddings are not finite or differ in width. Tables
        with the column disagree on a cell.
    """
    if source == target:
        raise ValueError(f"`target` is {target!r}, as is `source`. Name two modalities.")
    check_modalities(mdata, [source], "source")
    check_modalities(mdata, [target], "target")
    labels = {}
    if labels_key is not None:
        labels[labels_key] = label_column(mdata, labels_key, [source], "labels_key", unlabeled_category)
    modalities = [source, target]
    return Cells.of(
        modalities=modalities,
        names=mdata.obs_names,
        names_of={m: mdata.mod[m].obs_names for m in modalities},
        embedded=dict(zip(modalities, joint_embeddings(mdata, modalities, use_rep), strict=True)),
        labels=pd.DataFrame(labels, index=mdata.obs_names),
        measured={},
    )


def used_modalities(mdata: MuData, modalities: Sequence[str] | None, use_rep: str) -> list[str]:
    """Return the modalities to work on: those named, or all with an embedding; raise on unknown, empty or no names."""
    embedded = embedded_modalities(mdata, use_rep)
    if isinstance(modalities, str):
        raise TypeError(f"`modalities` is the text {modalities!r}. Give a list of names.")
    names = embedded if modalities is None else list(dict.fromkeys(modalities))
    if not names:
        raise ValueError("`modalities` is empty. Name at least one, or give None for all with the embedding.")
    check_modalities(mdata, names)
    return names


def types_and_conditions(
    mdata: MuData,
    groupby: str | Mapping[str, str] | None,
    condition: str | None,
    modalities: Sequence[str],
    unlabeled_category: str | Sequence[str] | None,
) -> pd.DataFrame:
    """Read the type and the condition of every cell, as text.

    Returns
    -------
    One row a cell, NaN where it has no value. The first column is the type, named as ``groupby`` (``GROUP_COLUMN`` for
    a mapping or ``None``). The second is the condition, if there is one.

    Raises
    ------
    KeyError
        A column is nowhere.
    ValueError
        Tables with a column, or the columns of a mapping, disagree on a cell. A mapping does not name a column for
        each of ``modalities``. Type and condition are one column.
    """
    everywhere = list(mdata.mod)
    if groupby is None:
        types = pd.Series("all", index=mdata.obs_names, dtype=object)
    elif isinstance(groupby, str):
        types = label_column(mdata, groupby, everywhere, "groupby", unlabeled_category)
    else:
        types = _types_by_modality(mdata, groupby, modalities, unlabeled_category)
    columns = {groupby if isinstance(groupby, str) else GROUP_COLUMN: types}
    if condition in columns:
        raise ValueError(f"`condition` is {condition!r}, as is the column of types. Give another column, or None.")
    if condition is not None:
        columns[condition] = obs_column(mdata, condition, everywhere, "condition")
    return pd.DataFrame(columns, dtype=object)


def _types_by_modality(
    mdata: MuData,
    groupby: Mapping[str, str],
    modalities: Sequence[str],
    unlabeled_category: str | Sequence[str] | None,
) -> pd.Series:
    """Collect the types from one column for each modality's cells."""
    if set(groupby) != set(modalities):
        raise ValueError(
            f"`groupby` names columns for {shorten(groupby)}, the modalities are {shorten(modalities)}. "
            "Name one column for each, or one for all as text."
        )
    types = pd.Series(np.nan, index=mdata.obs_names, dtype=object)
    for modality in modalities:
        values = label_column(mdata, groupby[modality], [modality], "groupby", unlabeled_category)
        values = values.reindex(mdata.mod[modality].obs_names).reindex(mdata.obs_names)
        conflicts = types.notna() & values.notna() & (types != values)
        if conflicts.any():
            raise ValueError(
                f"`groupby`: {int(conflicts.sum()):,} cells have another type in {groupby[modality]!r} of modality "
                f"{modality!r} than in the columns of the modalities before, e.g. "
                f"{shorten(conflicts.index[conflicts], 3)}. Make them agree, e.g. in one column of mdata.obs."
            )
        types = types.where(types.notna(), values)
    return types
