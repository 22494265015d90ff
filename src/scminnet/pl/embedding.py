"""The joint embedding seen from above: all modalities' cells on one map."""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mudata import MuData

from scminnet._constants import EMBEDDING_KEY
from scminnet._validate import check_modalities, check_mudata, joint_embeddings, obs_column
from scminnet.pl._style import MISSING, palette

#: More categories than this get a legend of several columns.
LEGEND_ROWS = 14


def joint_umap(
    mdata: MuData, modalities: Sequence[str], *, use_rep: str = EMBEDDING_KEY, n_neighbors: int = 15, seed: int = 0
) -> pd.DataFrame:
    """Lay out all modalities' cells together by UMAP.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``.
    modalities
        Modalities to show.
    use_rep
        Key of the embeddings.
    n_neighbors
        Neighbours of the graph that UMAP lays out (scanpy's default).
    seed
        Seed of neighbours and layout.

    Returns
    -------
    One row a cell and modality, indexed by ``obs_names``, with ``modality``, ``x`` and ``y``.

    Raises
    ------
    KeyError
        A modality lacks the embedding.
    ValueError
        Embeddings are not finite, or differ in width.
    """
    check_mudata(mdata)
    check_modalities(mdata, modalities)
    parts = joint_embeddings(mdata, modalities, use_rep)
    cells = ad.AnnData(np.concatenate(parts))
    sc.pp.neighbors(cells, n_neighbors=n_neighbors, use_rep="X", random_state=seed)
    sc.tl.umap(cells, random_state=seed)
    layout = pd.DataFrame(cells.obsm["X_umap"], columns=["x", "y"])
    layout.insert(0, "modality", np.repeat(list(modalities), [len(p) for p in parts]))
    return layout.set_index(np.concatenate([mdata.mod[m].obs_names for m in modalities]))


def embedding(
    mdata: MuData,
    modalities: Sequence[str],
    color: Sequence[str],
    *,
    use_rep: str = EMBEDDING_KEY,
    n_neighbors: int = 15,
    seed: int = 0,
    point_size: float | None = None,
) -> Figure:
    """Show the joint embedding, one panel for the modality and one for each column of ``obs``.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``.
    modalities
        Modalities to show.
    color
        Columns of the MuData's or the modalities' ``obs``, e.g. type and batch; values are taken as categories.
    use_rep
        Key of the embeddings.
    n_neighbors
        Neighbours of the graph that UMAP lays out (scanpy's default).
    seed
        Seed of neighbours, layout and order of drawing.
    point_size
        Area of a point in square points; by default the more cells, the smaller.

    Returns
    -------
    The figure.

    Raises
    ------
    KeyError
        A column or an embedding is missing.
    """
    check_mudata(mdata)
    check_modalities(mdata, modalities)
    columns = {key: obs_column(mdata, key, modalities, "color") for key in color}
    layout = joint_umap(mdata, modalities, use_rep=use_rep, n_neighbors=n_neighbors, seed=seed)
    size = point_size or float(np.clip(20_000 / len(layout), 1, 12))
    # a random order, so that no category hides the others
    order = np.random.default_rng(seed).permutation(len(layout))
    panels = {"modality": layout["modality"], **{key: column.loc[layout.index] for key, column in columns.items()}}
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), layout="constrained", squeeze=False)
    for axis, (title, values) in zip(axes[0], panels.items(), strict=True):
        _scatter(axis, layout.iloc[order], values.iloc[order], title, size)
    return figure


def _scatter(axis: Axes, layout: pd.DataFrame, values: pd.Series, title: str, size: float) -> None:
    text = values.map(str, na_action="ignore")
    colours = palette(sorted(text.dropna().unique()))
    point_colours = text.map(colours).fillna(MISSING).astype(object).to_numpy()
    axis.scatter(layout["x"], layout["y"], c=point_colours, s=size, linewidths=0, rasterized=True)
    for name, colour in colours.items():
        axis.scatter([], [], color=colour, s=24, label=name)
    if text.isna().any():
        axis.scatter([], [], color=MISSING, s=24, label="none")
    axis.legend(
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        ncols=-(-len(colours) // LEGEND_ROWS),
    )
    axis.set(title=title, xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    axis.spines[["top", "right"]].set_visible(False)
