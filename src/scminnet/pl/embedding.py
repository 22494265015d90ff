"""The joint embedding seen from above: all modalities' cells on one map."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.embeddings import joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet.pl import _style
from scminnet.pl._groups import grouping, levels

#: The word of ``color`` for the modality.
MODALITY = "modality"

#: Width of a panel in inches: three fit a page; and the height of its map.
PANEL = _style.PAGE / 3

#: Distance between numbers on the map, in inches: what two digits take.
BETWEEN_NUMBERS = 0.18


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


@check_types
def embedding(
    mdata: MuData,
    modalities: Sequence[str],
    color: str | Sequence[str],
    *,
    use_rep: str = EMBEDDING_KEY,
    n_neighbors: int = 15,
    seed: int = 0,
    point_size: float | None = None,
    ax: Axes | Iterable[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Axes | np.ndarray:
    """Show a UMAP of the joint embedding, coloured by cell type, modality, batch or other columns, side by side.

    Eight colours are distinct with any colour vision. More than eight categories are also numbered, on the map and in
    the legend. A number lies on a cell of its category, near the category's middle.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``.
    modalities
        Modalities to show.
    color
        What to colour by, a panel each. Columns of the MuData's or the modalities' ``obs``, e.g. type and batch, are
        shown as categories. ``"modality"`` is the modality of a point, also if a column has this name.
    use_rep
        Key of the embeddings.
    n_neighbors
        Neighbours of the graph that UMAP lays out (scanpy's default).
    seed
        Seed of neighbours, layout and order of drawing.
    point_size
        Area of a point in square points; by default the more cells, the smaller.
    ax
        Axes to draw on, one for each of ``color``; by default those of a new figure, three a row. Legends lie below the
        Axes. Make your own figures with ``layout="constrained"``, which leaves room for them.
    save
        Path to write the figure to, in the format that its ending names. Points are rasterised, all else is not.

    Returns
    -------
    The Axes if ``color`` is one name, else an object array of them, in the order of ``color``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or ``ax`` holds something else than Axes.
    KeyError
        A column or an embedding is missing.
    ValueError
        ``color`` is empty. A modality is unknown or empty. Embeddings are not finite or differ in width. Tables with a
        column disagree on a cell. ``ax`` does not hold one Axes for each of ``color``. ``save`` is no path of a figure.
    """
    check_mudata(mdata)
    check_modalities(mdata, modalities)
    names = [color] if isinstance(color, str) else list(color)
    if not names:
        raise ValueError("`color` is empty. Name columns of obs, or 'modality'.")
    columns = {name: grouping(mdata, name, modalities, "color") for name in names if name != MODALITY}
    _style.check_axes(ax, names)
    _style.check_save(save)
    layout = joint_umap(mdata, modalities, use_rep=use_rep, n_neighbors=n_neighbors, seed=seed)

    size = point_size or float(np.clip(10_000 / len(layout), 0.5, 8))
    # a random order, so that no category hides the others
    layout = layout.iloc[np.random.default_rng(seed).permutation(len(layout))]
    of_modality = levels(layout["modality"], modalities)
    panels = {name: of_modality if name == MODALITY else columns[name].loc[layout.index] for name in names}
    below = max(_style.legend_height(list(_marks(values)), PANEL - 0.3) for values in panels.values())
    axes = _style.axes_for(ax, len(names), size=(PANEL, PANEL + 0.1 + below), n_columns=3)
    for axis, name in zip(axes, names, strict=True):
        _draw(axis, layout[["x", "y"]].to_numpy(), panels[name], name, size)
    _style.finish(axes[0], save)
    return axes[0] if isinstance(color, str) else axes


def _marks(values: pd.Series) -> dict[str, dict[str, str]]:
    """Entries of the legend, by name: numbered where there are more categories than distinct colours."""
    colours = _style.palette(list(values.cat.categories))
    numbered = len(colours) > len(_style.COLOUR_BLIND_SAFE)
    marks = {f"{i} {name}" if numbered else name: {"color": c} for i, (name, c) in enumerate(colours.items(), start=1)}
    return marks | ({"none": {"color": _style.MISSING}} if values.isna().any() else {})


def _draw(axis: Axes, points: np.ndarray, values: pd.Series, title: str, size: float) -> None:
    categories = list(values.cat.categories)
    # code -1, the last colour, is of cells without a category
    colours = np.array([*_style.palette(categories).values(), _style.MISSING])[values.cat.codes]
    axis.scatter(points[:, 0], points[:, 1], c=colours, s=size, linewidths=0, rasterized=True)
    _style.dress(axis, title=title, xlabel="UMAP 1", ylabel="UMAP 2")
    axis.set(xticks=[], yticks=[])
    _style.legend_below(axis, _marks(values), beneath=0.23)
    if len(categories) > len(_style.COLOUR_BLIND_SAFE):
        for i, place in enumerate(_places(axis, points, values.to_numpy(object), categories), start=1):
            if place is not None:
                halo = [withStroke(linewidth=2, foreground="white")]
                axis.text(
                    place[0], place[1], str(i), ha="center", va="center", fontsize=_style.SMALL, path_effects=halo
                )


def _places(axis: Axes, points: np.ndarray, values: np.ndarray, categories: Sequence[str]) -> list[np.ndarray | None]:
    """Choose for each category the cell nearest to its middle that is not too near to one chosen before."""
    box = axis.get_window_extent()
    inches = np.array([box.width, box.height]) / axis.figure.figure.dpi / np.ptp(points, axis=0)
    chosen: list[np.ndarray | None] = []
    for category in categories:
        own = points[values == category]
        own = own[np.argsort((((own - np.median(own, axis=0)) * inches) ** 2).sum(axis=1))]
        taken = np.array([p for p in chosen if p is not None]).reshape(-1, 2)
        apart = np.linalg.norm((own[:, None] - taken) * inches, axis=2).min(axis=1, initial=np.inf)
        free = own[apart >= BETWEEN_NUMBERS]
        chosen.append(free[0] if len(free) else None)
    return chosen
