"""The observations in which genes and peaks were both measured: read and checked once, before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.cell_names import find_alike
from scminnet._core.matrices import Block, fold, read_columns
from scminnet._core.mdata import check_modalities, layer_matrix, layer_names
from scminnet._core.obs import obs_column
from scminnet._core.values import check_values

#: Layer of raw counts.
COUNTS = "counts"


@dataclass(frozen=True, eq=False)
class Features:
    """The genes, or the peaks, over n observations.

    Attributes
    ----------
    var
        Table of the features.
    matrix
        Observations of the modality x features, in memory, on disk or a dask array. Only the columns in use are read.
    rows
        The rows of the n observations in ``matrix``; ``None`` for all.
    """

    var: pd.DataFrame
    matrix: Any
    rows: np.ndarray | None

    @property
    def names(self) -> pd.Index:
        """Names of the features."""
        return self.var.index

    def columns(self, chosen: np.ndarray) -> Block:
        """Return the values of some features, (n, chosen)."""
        values = read_columns(self.matrix, chosen)
        return values if self.rows is None else values[self.rows]

    def totals(self, observations: np.ndarray) -> np.ndarray:
        """Sum each feature over some of the n observations."""
        chosen = np.zeros(self.matrix.shape[0])
        chosen[observations if self.rows is None else self.rows[observations]] = 1

        # a product, for rows of all features would be a copy
        def of_block(block: Block, chosen: np.ndarray) -> np.ndarray:
            return np.asarray(chosen @ block).ravel()

        return fold(of_block, np.add, self.matrix, chosen)


@dataclass(frozen=True, eq=False)
class Observations:
    """The n observations that have both genes and peaks: bulks, or cells.

    Attributes
    ----------
    names
        Names of the observations.
    genes, peaks
        What was measured in them.
    groups, levels
        Rows of each group, and of each level of the condition, among the n, sorted by name. ``"all"`` without one.
    """

    names: pd.Index
    genes: Features
    peaks: Features
    groups: dict[str, np.ndarray]
    levels: dict[str, np.ndarray]

    def named(self, links: pd.DataFrame) -> pd.DataFrame:
        """Put the names of genes and peaks in place of their positions."""
        names = {"gene": self.genes.names, "peak": self.peaks.names}
        return links.assign(**{column: n.to_numpy(dtype=object)[links[column]] for column, n in names.items()})


def read_observations(
    mdata: MuData,
    rna: str,
    atac: str,
    layer: str | Mapping[str, str | None] | None,
    groupby: str | None,
    condition: str | None = None,
) -> Observations:
    """Read the observations that two modalities share, matched by name.

    Parameters
    ----------
    mdata
        The MuData.
    rna, atac
        The modalities of the genes and of the peaks.
    layer
        Layer of both, a mapping of modality to layer, or ``None`` for ``X``.
    groupby, condition
        Columns of the groups and of the condition, in ``mdata.obs`` or the ``obs`` of a modality.

    Raises
    ------
    TypeError
        Values are not numeric, or stored by columns on disk.
    KeyError
        A column is nowhere.
    ValueError
        The modalities are one, unknown or empty, lack the layer or share no observation. Values are NaN or infinite.
        Tables with a column disagree on an observation.
    """
    if rna == atac:
        raise ValueError(f"`atac` is {atac!r}, as is `rna`. Name two modalities.")
    check_modalities(mdata, [rna], "rna")
    check_modalities(mdata, [atac], "atac")
    layers = layer_names(layer, [rna, atac], "layer")
    matrices = {m: layer_matrix(mdata, m, layers[m], "layer") for m in (rna, atac)}
    names = _shared_names(mdata, rna, atac)
    groups, levels = (
        _groups(mdata, names, key, [rna, atac], argument)
        for key, argument in ((groupby, "groupby"), (condition, "condition"))
    )

    def features(modality: str) -> Features:
        adata = mdata.mod[modality]
        check_values(matrices[modality], modality, (adata.obs_names, adata.var_names), stored=True)
        rows = None if adata.obs_names.equals(names) else adata.obs_names.get_indexer(names)
        return Features(adata.var, matrices[modality], rows)

    return Observations(names, features(rna), features(atac), groups, levels)


def read_accessibility(mdata: MuData, atac: str, peaks: Features) -> Features:
    """Return the peaks with their counts, where the modality has the layer ``"counts"``; otherwise as they are."""
    if COUNTS not in mdata.mod[atac].layers:
        return peaks
    matrix = layer_matrix(mdata, atac, COUNTS, "layer")
    check_values(matrix, atac, stored=True)
    return replace(peaks, matrix=matrix)


def by_size(groups: dict[str, np.ndarray], min_bulks: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Return the groups with enough bulks, and the sizes of the others; raise when none has enough."""
    large = {group: rows for group, rows in groups.items() if len(rows) >= min_bulks}
    if not large:
        found = ", ".join(f"{group!r} has {len(rows)}" for group, rows in groups.items())
        raise ValueError(
            f"`min_bulks` is {min_bulks}, but there are fewer bulks: {found or 'none has a group'}. "
            "Make more bulks, or lower `min_bulks`, at least 4."
        )
    return large, {group: len(rows) for group, rows in groups.items() if group not in large}


def _shared_names(mdata: MuData, rna: str, atac: str) -> pd.Index:
    """Return the names of the observations in both modalities, in the order of ``rna``; raise when there is none."""
    ours, theirs = mdata.mod[rna].obs_names, mdata.mod[atac].obs_names
    names = ours if ours.equals(theirs) else ours[ours.isin(theirs)]
    if names.empty:
        alike = find_alike(ours, theirs)
        hint = f" {alike.sentence()} Name them alike if they are the same cells." if alike else ""
        raise ValueError(
            f"`mdata`: modalities {rna!r} and {atac!r} have no observation in common ({shorten(ours, 2)} against "
            f"{shorten(theirs, 2)}).{hint} Make bulks of both with `scminnet.tl.minibulk`, or give paired cells."
        )
    return names


def _groups(
    mdata: MuData, names: pd.Index, key: str | None, modalities: list[str], argument: str
) -> dict[str, np.ndarray]:
    """Return the row numbers in ``names`` of each group, sorted by name; all rows as ``"all"`` without ``key``."""
    if key is None:
        return {"all": np.arange(len(names))}
    column = obs_column(mdata, key, modalities, argument).loc[names]
    known = np.flatnonzero(column.notna())
    codes, groups = pd.factorize(column.to_numpy()[known], sort=True)
    return {group: known[codes == i] for i, group in enumerate(groups)}
