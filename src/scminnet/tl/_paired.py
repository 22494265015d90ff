"""The observations in which genes and peaks were both measured, as matrices of the same rows, and their groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.matrices import Block, fold, read_columns
from scminnet._core.mdata import check_modalities, layer_matrix, layer_names
from scminnet._core.obs import obs_column
from scminnet._core.values import check_values


class Observed(NamedTuple):
    """Values of n observations: chosen rows of a matrix, or all, of which only the columns in use are read into memory."""

    matrix: Any
    rows: np.ndarray | None = None

    def columns(self, chosen: np.ndarray) -> Block:
        """Return the values of some features, (n, chosen)."""
        values = read_columns(self.matrix, chosen)
        return values if self.rows is None else values[self.rows]

    def totals(self, observations: np.ndarray) -> np.ndarray:
        """Sum each feature over some of the observations."""
        chosen = np.zeros(self.matrix.shape[0])
        chosen[observations if self.rows is None else self.rows[observations]] = 1

        # a product, for rows of all features would be a copy
        def of_block(block: Block, chosen: np.ndarray) -> np.ndarray:
            return np.asarray(chosen @ block).ravel()

        return fold(of_block, np.add, self.matrix, chosen)


class Paired(NamedTuple):
    """``names`` of n observations, and the values there of the genes and of the peaks."""

    names: pd.Index
    rna: Observed
    atac: Observed


def paired_matrices(mdata: MuData, rna: str, atac: str, layer: str | Mapping[str, str | None] | None) -> Paired:
    """Return the observations that two modalities share, matched by name, raising when there are none.

    Parameters
    ----------
    mdata
        The MuData.
    rna, atac
        The modalities.
    layer
        Layer of both, a mapping of modality to layer, or ``None`` for ``X``.
    """
    if rna == atac:
        raise ValueError(f"`atac` is {atac!r}, as is `rna`. Name two modalities.")
    for modality, argument in ((rna, "rna"), (atac, "atac")):
        check_modalities(mdata, [modality], argument)
    matrices = {}
    for modality, name in layer_names(layer, [rna, atac], "layer").items():
        matrix = layer_matrix(mdata, modality, name, "layer")
        check_values(matrix, modality, allow_negative=True, stored=True)
        matrices[modality] = matrix
    ours, theirs = mdata.mod[rna].obs_names, mdata.mod[atac].obs_names
    if ours.equals(theirs):
        return Paired(ours, Observed(matrices[rna]), Observed(matrices[atac]))
    names = ours[ours.isin(theirs)]
    if names.empty:
        raise ValueError(
            f"`mdata`: modalities {rna!r} and {atac!r} have no observation in common ({shorten(ours, 2)} against "
            f"{shorten(theirs, 2)}). Make bulks of both with `scminnet.tl.minibulk`, or give paired cells."
        )
    return Paired(
        names,
        Observed(matrices[rna], ours.get_indexer(names)),
        Observed(matrices[atac], theirs.get_indexer(names)),
    )


def recorded_layer(layer: str | Mapping[str, str | None] | None) -> str | dict[str, str] | None:
    """Return ``layer`` as it can be written to a file."""
    return {m: name for m, name in layer.items() if name is not None} if isinstance(layer, Mapping) else layer


def observation_groups(
    mdata: MuData, names: pd.Index, key: str | None, modalities: list[str], argument: str = "groupby"
) -> dict[str, np.ndarray]:
    """Return the row numbers in ``names`` of each group, groups sorted by name; all rows as ``"all"`` without ``key``."""
    if key is None:
        return {"all": np.arange(len(names))}
    column = obs_column(mdata, key, modalities, argument).map(str, na_action="ignore").loc[names]
    known = np.flatnonzero(column.notna())
    codes, groups = pd.factorize(column.to_numpy()[known], sort=True)
    return {group: known[codes == i] for i, group in enumerate(groups)}
