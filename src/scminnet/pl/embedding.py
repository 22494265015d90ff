"""The joint embedding seen from above: all modalities' cells on one map."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.colors import keep_colors
from scminnet._core.embeddings import embedded_modalities
from scminnet._core.keys import EMBEDDING_KEY, UMAP_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet.pl import _colors, _style
from scminnet.pl._layout import kept_umap
from scminnet.pl._maps import ABOVE_BAR, BAR, draw_categories, draw_numbers
from scminnet.pl._points import MODALITY, points_values

#: Width of a panel in inches: three fit a page; and the height of its map.
PANEL = _style.PAGE / 3

#: Height in inches of a map's title and of its axis label.
MAP_TEXT = 0.4

#: Width in inches of a legend beside its map.
BESIDE = 2 * PANEL - 0.2

#: A longer legend stands beside its map, where the figure is not the user's.
LONG = 12

#: More categories than these have no legend, which would be longer than a page.
MAX_LEGEND = 90


@check_types
def embedding(
    mdata: MuData,
    modalities: Sequence[str] | None = None,
    color: str | Sequence[str] = MODALITY,
    *,
    use_rep: str = EMBEDDING_KEY,
    layer: str | None = None,
    palette: _colors.Palette = None,
    cmap: str = "viridis",
    n_neighbors: int = 15,
    seed: int = 0,
    basis: str = UMAP_KEY,
    recompute: bool = False,
    point_size: float | None = None,
    ax: Axes | Iterable[Axes] | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes | np.ndarray:
    """Show a UMAP of the joint embedding, coloured by cell type, modality, batch, numbers or genes, side by side.

    Eight colours are distinct with any colour vision. More than eight categories are also numbered, in the legend and
    on the map. A number lies where its category's cells are densest. It is left out where other cells prevail. Cells
    that are ``"unassigned"`` or ``"Unknown"``, or have no value, are grey.

    The UMAP is computed once and kept in ``mdata``. It is used again for as long as the embedding is the same, also
    for a part of the cells.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``.
    modalities
        Modalities to show. ``None``: all that have the embedding.
    color
        What to colour by, a panel each. A name is looked up in this order:

        - ``"modality"``, the modality of a point;
        - a column of the MuData's or the modalities' ``obs``. Numbers have a colour bar, all else is shown as
          categories. Make a category of numbers by ``astype("category")``;
        - a feature such as a gene. Name its modality if several have it: ``"rna:CD3E"``. Cells of other modalities are
          grey.
    use_rep
        Key of the embeddings.
    layer
        Layer of the features' values. ``None``: ``X``.
    palette
        Colours of categories: by name, a list, or the name of a colour map. ``None``: those in
        ``uns["{column}_colors"]``, where scanpy keeps them, and defaults for all others. Chosen colours are kept there,
        so that a cell type has the same colour in all figures.
    cmap
        Colour map of numbers and features.
    n_neighbors
        Neighbours of the graph that UMAP lays out (scanpy's default).
    seed
        Seed of neighbours, layout and order of drawing.
    basis
        Key in ``obsm`` of the UMAP that is kept. A layout of this name that another function made is not replaced, and
        a message says so.
    recompute
        Compute the UMAP again, and keep it, whatever ``obsm[basis]`` holds.
    point_size
        Area of a point in square points; by default the more cells, the smaller.
    ax
        Axes to draw on, one for each of ``color``; by default those of a new figure, three a row. Legends lie below the
        Axes. Make your own figures with ``layout="constrained"``, which leaves room for them. In a new figure, a panel
        with a long legend has a row of its own.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names. Points are rasterised, all else is not.

    Returns
    -------
    The Axes if ``color`` is one name, else an object array of them, in the order of ``color``. Written:

    ``mdata[m].obsm[basis]``, ``mdata.obsm[basis]``
        The UMAP, float32 array (cells, 2). A cell of several modalities lies at the mean of its places in the latter.
    ``mdata.uns[basis]``
        Parameters, and what is needed to tell whether the UMAP is still that of the embedding.
    ``uns["{column}_colors"]``
        Colours of the categories, in each table that has the column as categories, unless there are some.

    A view of a MuData is not written to.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, ``modalities`` is text, ``ax`` holds something else than Axes, or ``palette`` holds no
        colours.
    KeyError
        A name in ``color`` is neither a column nor a feature. An embedding is missing.
    ValueError
        ``color`` is empty, or a feature of several modalities. A modality is unknown or empty, or lacks the layer.
        Embeddings are not finite or differ in width. Tables with a column disagree on a cell. ``palette`` or ``cmap``
        is unknown. ``ax`` does not hold one Axes for each of ``color``. ``save`` is no path of a figure.
    """
    check_mudata(mdata)
    shown = embedded_modalities(mdata, use_rep) if modalities is None else list(modalities)
    check_modalities(mdata, shown)
    names = [color] if isinstance(color, str) else list(color)
    if not names:
        raise ValueError("`color` is empty. Name columns of obs, features, or 'modality'.")
    _colors.check_palette(palette)
    _colors.check_cmap(cmap)
    values = points_values(mdata, names, shown, layer)
    _style.check_axes(ax, names)
    _style.check_save(save)
    layout = kept_umap(
        mdata, shown, use_rep=use_rep, basis=basis, n_neighbors=n_neighbors, seed=seed, recompute=recompute
    )
    colours = {}
    for name, of_point in values.items():
        if isinstance(of_point.dtype, pd.CategoricalDtype):
            colours[name] = _colors.colours_of(list(of_point.cat.categories), palette, mdata=mdata, key=name)
            if palette is None and not mdata.is_view:
                keep_colors(mdata, name, colours[name])

    size = point_size or float(np.clip(10_000 / len(layout), 0.5, 8))
    points = layout[["x", "y"]].to_numpy()
    # a random order, so that no category hides the others
    order = np.random.default_rng(seed).permutation(len(points))
    numbers = _numbers_of(colours.values())
    marks = {name: _marks(values[name], colours[name], numbers) for name in colours}
    axes, beside = _axes_for(ax, names, marks)
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        drawn = values[name].iloc[order]
        if name in colours:
            draw_categories(axis, points[order], drawn, colours[name], numbers, size)
            _put_legend(axis, beside.get(i), marks[name])
        else:
            draw_numbers(axis, points[order], drawn.to_numpy(float), cmap, size)
        _style.dress(axis, title=str(values[name].name or name), xlabel="UMAP 1", ylabel="UMAP 2")
        axis.set(xticks=[], yticks=[])
    _style.finish(axes[0], save, show=show)
    return axes[0] if isinstance(color, str) else axes


def _axes_for(
    ax: Axes | Iterable[Axes] | None, names: Sequence[str], marks: Mapping[str, Mapping[str, Any]]
) -> tuple[np.ndarray, dict[int, Axes]]:
    """Return an Axes for each panel, and by the panel's position one for each legend that stands beside its map.

    A new figure has three panels a row. A panel with a long legend has a row of its own.
    """
    if ax is not None:
        return _style.axes_for(ax, len(names), size=(PANEL, PANEL)), {}
    rows: list[list[int]] = []
    is_long = [LONG < len(marks.get(name, ())) <= MAX_LEGEND for name in names]
    for i, long in enumerate(is_long):
        if long or not rows or len(rows[-1]) == 3 or is_long[rows[-1][0]]:
            rows.append([])
        rows[-1].append(i)
    # of the maps with their text, and of what lies below
    maps, below = np.empty(len(rows)), np.zeros(len(rows))
    for n, row in enumerate(rows):
        legends = [list(marks[names[i]]) if names[i] in marks else None for i in row]
        if is_long[row[0]]:
            maps[n] = max(PANEL + 0.3, _style.legend_height(legends[0] or [], BESIDE) + 0.2)
        else:
            maps[n], below[n] = PANEL + 0.1, max(map(_height_below, legends))
    n_columns = 3 if any(is_long) else max(map(len, rows))
    figure = plt.figure(figsize=(PANEL * n_columns, maps.sum() + below.sum()), layout="constrained")
    if len(rows) > 1:
        _style.space_rows(figure, len(rows))
    # ratios are of the maps alone
    grid = figure.add_gridspec(len(rows), n_columns, height_ratios=maps - MAP_TEXT)
    axes, beside = np.empty(len(names), dtype=object), {}
    for n, panels in enumerate(rows):
        for column, i in enumerate(panels):
            axes[i] = figure.add_subplot(grid[n, column])
        if is_long[panels[0]]:
            beside[panels[0]] = figure.add_subplot(grid[n, 1:])
    return axes, beside


def _height_below(names: Sequence[str] | None) -> float:
    """Height in inches of a panel's legend, or of its colour bar if it has no categories."""
    if names is None:
        return ABOVE_BAR + BAR + 0.1
    return _style.LINE if len(names) > MAX_LEGEND else _style.legend_height(names, PANEL - 0.3)


def _numbers_of(panels: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Number the categories of panels with more than there are distinct colours: one name has one number."""
    names = [[name for name in colours if not _colors.is_not_named(name)] for colours in panels]
    numbered = [n for n in names if len(_colors.COLOUR_BLIND_SAFE) < len(n) <= MAX_LEGEND]
    return {name: i for i, name in enumerate(dict.fromkeys(name for n in numbered for name in n), start=1)}


def _marks(values: pd.Series, colours: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Entries of the legend, by name."""
    marks = {f"{numbers[name]} {name}" if name in numbers else name: {"color": c} for name, c in colours.items()}
    return marks | ({"no value": {"color": _colors.MISSING}} if values.isna().any() else {})


def _put_legend(axis: Axes, beside: Axes | None, marks: Mapping[str, Mapping[str, Any]]) -> None:
    """Put a panel's legend into the Axes beside it, if there is one, else below."""
    if beside is not None:
        beside.set_axis_off()
        _style.legend_within(beside, marks, width=BESIDE)
    elif len(marks) > MAX_LEGEND:
        axis.annotate(
            f"{len(marks):,} categories, too many for a legend",
            xy=(0.5, 0),
            xytext=(0, -72 * 0.23),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=_style.SMALL,
        )
    else:
        _style.legend_below(axis, marks, beneath=0.23)
