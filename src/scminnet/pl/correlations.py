"""How strongly genes and peaks correlate: by the smoothing before, and by the distance between them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet.genomics.link_table import LINKS_KEY, link_table
from scminnet.pl import _colors, _style

#: Half the width of a violin, where one position has one.
WIDTH = 0.8

#: From fewer values than this no density is drawn, only the box.
VIOLIN_FROM = 10


@check_types
def smoothing_gain(
    table: pd.DataFrame,
    *,
    reference: str | None = "true pair",
    baseline: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes:
    """Show the correlations of genes and peaks after different smoothing (paper, Fig. 4A).

    Each setting has a violin and a box: quartiles, median, and whiskers to the last value within 1.5 interquartile
    ranges. The median of the reference is dashed.

    Parameters
    ----------
    table
        One row a link and setting, in any order, with these columns:

        ``setting`` (str or categorical)
            How the cells were treated before they were summed into bulks, e.g. ``"raw"``, ``"5"``, ``"10"``, ``"15"``,
            ``"20"`` (neighbours) and ``"true pair"``. Shown in the order of the categories, or of first appearance.
        ``r`` (float)
            Correlation of the link's gene and peak over the bulks. Missing values are left out.
        ``gene``, ``peak`` (str)
            The link; needed for a ``baseline`` only.
    reference
        Setting to compare with: the cells' true pairs. ``None``: there is none.
    baseline
        Show r minus the r of the same link in this setting, e.g. ``"raw"``. Links that lack a value in either are left
        out.
    ax
        Axes to draw on; by default those of a new figure.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError
        ``table`` is no DataFrame, or ``ax`` no Axes.
    ValueError
        A column is missing, or ``r`` is not numeric. A setting has no value, or a link twice. ``reference`` or
        ``baseline`` is no setting. There are several ``ax``, or ``save`` is no path of a figure.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`table` is a {type(table).__name__}. Give a DataFrame with one row a link and setting.")
    needed = ["setting", "r"] if baseline is None else ["setting", "r", "gene", "peak"]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise ValueError(
            f"`table` lacks the columns {shorten(missing)}; it has {shorten(table.columns, 10)}. Add them."
        )
    if not pd.api.types.is_numeric_dtype(table["r"]):
        raise ValueError(f"`table` holds {table['r'].dtype} values in column 'r'. Give numbers.")
    by_category = isinstance(table["setting"].dtype, pd.CategoricalDtype)
    order = table["setting"].cat.categories if by_category else table["setting"].dropna().unique()
    for argument, setting in (("reference", reference), ("baseline", baseline)):
        if setting is not None and setting not in list(order):
            raise ValueError(
                f"`{argument}` is {setting!r}. Name one of the settings, {shorten(order, 10)}, or give None."
            )
    values = table.loc[:, needed].astype({"setting": object})
    if baseline is not None:
        values = _differences(values, baseline)
        order = [setting for setting in order if setting != baseline]
    samples = {str(s): values.loc[values["setting"] == s, "r"].dropna().to_numpy(float) for s in order}
    empty = [setting for setting, sample in samples.items() if not len(sample)]
    if empty or not samples:
        raise ValueError(f"`table` has no value of r in the settings [{shorten(empty)}]. Leave them out or fill them.")
    _style.check_axes(ax, ["the violins"])
    _style.check_save(save)

    axis = _style.axes_for(ax, 1, size=(_style.COLUMN, 2.2 + _style.names_height(list(samples), _style.COLUMN - 0.7)))[
        0
    ]
    if reference is not None and str(reference) in samples:
        axis.axhline(np.median(samples[str(reference)]), color=_style.NEUTRAL, linestyle="--", linewidth=1, zorder=0)
    if baseline is not None:
        axis.axhline(0, color=_style.NEUTRAL, linewidth=0.6, zorder=0)
    for position, (setting, sample) in enumerate(samples.items()):
        colour = _style.NEUTRAL if setting == str(reference) else _colors.COLOUR_BLIND_SAFE[0]
        _violin(axis, sample, position, WIDTH, colour)
    _style.name_ticks(axis, list(samples))
    ylabel = "r of gene and peak" if baseline is None else f"gain in r over {baseline}"
    _style.dress(axis, xlabel="smoothing", ylabel=ylabel)
    _style.finish(axis, save, show=show)
    return axis


def _differences(values: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Subtract each link's r in the setting ``baseline``."""
    twice = values.duplicated(["setting", "gene", "peak"])
    if twice.any():
        row = values[twice].iloc[0]
        raise ValueError(
            f"`table` has {int(twice.sum()):,} links twice in a setting, e.g. {row['gene']!r} and {row['peak']!r} in "
            f"{row['setting']!r}, so their gain is not defined. Give each link one row a setting."
        )
    before = values.loc[values["setting"] == baseline, ["gene", "peak", "r"]]
    both = values[values["setting"] != baseline].merge(before, on=["gene", "peak"], suffixes=("", "_before"))
    return both.assign(r=both["r"] - both["r_before"])


@check_types
def correlation_by_distance(
    links: pd.DataFrame | MuData | Mapping[str, pd.DataFrame | MuData],
    *,
    by: str | None = None,
    edges: Sequence[float] | np.ndarray = tuple(range(0, 150_001, 25_000)),
    key: str = LINKS_KEY,
    ax: Axes | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes:
    """Show how the correlation of gene and peak depends on the distance between them.

    One table gives a violin and a box for each bin of distance, with the number of links. Several tables give a heatmap
    of the mean r, a row each (paper, Fig. 4C). Links of all groups of a table count alike. To show some groups, give
    their rows only.

    Parameters
    ----------
    links
        Table of :func:`scminnet.tl.cre_links`, or the bulks that hold it. Or several of these, by name, e.g. raw,
        smoothed and true pairs.
    by
        Column of booleans in the tables, e.g. ``"supported"`` or ``"promoter"``. Links with and without are shown
        separately.
    edges
        Edges of the bins of absolute distance between peak and transcription start, in bases, ascending. A bin holds
        its lower edge. Links beyond the outer edges are left out. The default is the paper's: 25 kb each, up to 150 kb.
    key
        Where bulks hold their links in ``uns``.
    ax
        Axes to draw on; by default those of a new figure.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes. For several tables its image holds the means, NaN where there is no link. With ``by``, each table has two
    rows: links with it, then those without.

    Raises
    ------
    TypeError
        A table is no DataFrame, or ``ax`` no Axes.
    KeyError
        The bulks have no links.
    ValueError
        A table lacks a column, or ``by`` is not boolean. ``edges`` do not ascend. There is no table, or no link in the
        bins. There are several ``ax``, or ``save`` is no path of a figure.
    """
    several = isinstance(links, Mapping) and not isinstance(links, MuData)
    needed = ["distance", "r"]
    tables = {
        str(name): link_table(table, needed, f"links[{name!r}]" if several else "links", key=key)
        for name, table in (links.items() if several else [("", links)])
    }
    if not tables:
        raise ValueError("`links` is empty. Give a table of `scminnet.tl.cre_links`, or several by name.")
    edges = np.asarray(edges, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0:
        raise ValueError(f"`edges` is {edges.tolist()}. Give two or more distances of at least 0, ascending.")
    split = pd.concat([_split(table, name, by) for name, table in tables.items()], ignore_index=True)
    split["bin"] = np.searchsorted(edges, split["distance"].abs(), side="right") - 1
    split = split[split["bin"].between(0, len(edges) - 2) & split["r"].notna()]
    if split.empty:
        raise ValueError(
            f"`edges`: no link lies {edges[0]:,.0f} to {edges[-1]:,.0f} bases from its gene. Give the links' distances."
        )
    _style.check_axes(ax, ["the panel"])
    _style.check_save(save)

    # rows of the split that are empty keep their place, so that a figure's rows are what the tables and `by` say
    parts = [""] if by is None else [by, f"not {by}"]
    if several:
        axis = _heatmap(split, list(tables), parts, edges, ax)
    else:
        axis = _violins(split, parts, edges, ax)
    _style.finish(axis, save, show=show)
    return axis


def _name_edges(axis: Axes, edges: np.ndarray) -> None:
    """Write the edges between the bins, which are at 0, 1, ..."""
    axis.set_xlim(-0.5, len(edges) - 1.5)
    axis.set_xticks(np.arange(len(edges)) - 0.5, [f"{edge / 1000:g}" for edge in edges])


def _split(table: pd.DataFrame, name: str, by: str | None) -> pd.DataFrame:
    """Distance and r of a table's links, the table's name, and the part of the split that each is in."""
    result = table[["distance", "r"]].assign(table=name, part="")
    if by is None:
        return result
    if by not in table.columns or not pd.api.types.is_bool_dtype(table[by]):
        found = f"a column of {table[by].dtype}" if by in table.columns else "not a column"
        raise ValueError(
            f"`by` is {by!r}, which is {found} in `links`{f'[{name!r}]' if name else ''}. "
            "Name a column of booleans, e.g. 'promoter'."
        )
    return result.assign(part=np.where(table[by].to_numpy(bool), by, f"not {by}"))


def _violins(split: pd.DataFrame, parts: list[str], edges: np.ndarray, ax: Axes | None) -> Axes:
    axis = _style.axes_for(ax, 1, size=(_style.COLUMN, 2.4 if parts == [""] else 2.7))[0]
    colours = _colors.default_palette(parts)
    width = WIDTH / len(parts)
    lowest, highest = split["r"].min(), split["r"].max()
    room = max(highest - lowest, 0.1)
    axis.axhline(0, color=_style.NEUTRAL, linewidth=0.6, zorder=0)
    samples = {key: sample.to_numpy(float) for key, sample in split.groupby(["part", "bin"])["r"]}
    counts = {key: f"{len(sample):,}" for key, sample in samples.items()}
    slot = _style.panel_width(axis) * width / (len(edges) - 1)
    upright = max(map(_style.text_width, counts.values())) > 0.95 * slot
    for (part, i), sample in samples.items():
        position = i + width * (parts.index(part) - (len(parts) - 1) / 2)
        _violin(axis, sample, position, 0.9 * width, colours[part])
        axis.text(
            position,
            lowest - 0.06 * room,
            counts[part, i],
            rotation=90 if upright else 0,
            ha="center",
            va="top",
            fontsize=_style.SMALL,
        )
    bottom = lowest - (0.36 if upright else 0.16) * room
    axis.set_ylim(bottom, highest + 0.04 * room)
    # the space of the numbers below is no place for values of r
    axis.set_yticks([tick for tick in axis.get_yticks() if lowest - 0.06 * room <= tick <= 1])
    axis.set_ylim(bottom, highest + 0.04 * room)
    _name_edges(axis, edges)
    _style.dress(axis, xlabel="distance from the transcription start (kb)", ylabel="r of gene and peak")
    if parts != [""]:
        _style.legend_below(axis, {part: {"color": colours[part], "marker": "s"} for part in parts}, beneath=0.4)
    return axis


def _heatmap(split: pd.DataFrame, tables: list[str], parts: list[str], edges: np.ndarray, ax: Axes | None) -> Axes:
    rows = pd.MultiIndex.from_product([tables, parts])
    means = split.pivot_table(index=["table", "part"], columns="bin", values="r", aggfunc="mean")
    means = means.reindex(index=rows, columns=range(len(edges) - 1))
    names = [f"{table}, {part}" if part else table for table, part in rows]
    width = max(_style.COLUMN, 0.4 * (len(edges) - 1) + max(map(_style.text_width, names)) + 1.1)
    axis = _style.axes_for(ax, 1, size=(width, max(1.6, 0.24 * len(rows) + 0.7)))[0]
    limit = max(0.05, np.nanmax(np.abs(means.to_numpy())))
    image = axis.imshow(means, cmap=_style.DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), mean in np.ndenumerate(means.to_numpy()):
        text = "" if np.isnan(mean) else _style.number(mean)
        shade = "white" if abs(mean) > 0.8 * limit else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=_style.SMALL, color=shade)
    axis.set_yticks(range(len(names)), names, parse_math=False)
    _name_edges(axis, edges)
    _style.dress(axis, xlabel="distance from the transcription start (kb)")
    _style.colour_bar(axis.figure.colorbar(image, ax=axis, pad=0.02), "mean r")
    return axis


def _violin(axis: Axes, sample: np.ndarray, position: float, width: float, colour: Any) -> None:
    """Draw the density of a sample, where it is large enough, and its box."""
    if len(sample) >= VIOLIN_FROM:
        violins = axis.violinplot([sample], [position], widths=width, showextrema=False)
        for body in violins["bodies"]:  # type: ignore[attr-defined]  # they are a list
            body.set(facecolor=colour, edgecolor="none", alpha=0.35)
    axis.boxplot(
        [sample],
        positions=[position],
        widths=0.3 * width,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "edgecolor": "black", "linewidth": 0.6},
        whiskerprops={"linewidth": 0.6},
        capprops={"linewidth": 0},
        medianprops={"color": "black", "linewidth": 1.2},
    )
