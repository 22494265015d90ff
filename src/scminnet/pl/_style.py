"""Colours and sizes of all figures, and what their functions have in common: axes given or made, and a file written."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from scminnet._core.files import atomic_binary_file
from scminnet._core.outputs import check_output

#: Colour of what is there to compare with, such as a reference or a limit.
NEUTRAL = "#777777"

#: Colour map for values on either side of zero: blue, grey and red, distinct with any colour vision.
DIVERGING = "coolwarm"

#: Widths of figures in inches, as journals have them: one column is 85 mm, a page 180 mm.
COLUMN, PAGE = 3.35, 7.09

#: Sizes of titles and axis labels, and of all other text, in points; figures are drawn as large as they are printed.
TEXT, SMALL = 8, 7

#: Heights in inches of a line of small text, and of the space between a legend's entries.
LINE, BETWEEN = 0.117, 0.03

#: More dots than this are rasterised.
RASTERISED_FROM = 2_000

#: Height in inches of the x axis' text.
UNDER_AXIS = 0.4

#: Space in inches above and below each of several rows of panels. With less, a legend touches the title below it.
ROW_PAD = 0.09

#: Names longer than this are wrapped where they have spaces or hyphens.
WRAP = 34


def check_save(save: str | os.PathLike[str] | None) -> None:
    """Raise unless ``save`` is ``None``, or a file that can be written with the ending of a figure's format."""
    if save is None:
        return
    path = Path(save)
    endings = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lower().removeprefix(".") not in endings:
        raise ValueError(f"`save` is {str(save)!r}. Give a path that ends in one of {', '.join(endings)}.")
    if not path.parent.is_dir():
        raise ValueError(f"`save` is {str(save)!r}, but there is no folder {str(path.parent)!r}. Make it first.")
    check_output(path, "save", stream=True)


def check_axes(ax: Axes | Iterable[Axes] | None, panels: Sequence[str]) -> None:
    """Raise unless ``ax`` is ``None`` or holds one Axes for each of ``panels``."""
    if ax is None:
        return
    axes = np.ravel(np.asarray(ax, dtype=object))
    strangers = [type(a).__name__ for a in axes if not isinstance(a, Axes)]
    if strangers:
        raise TypeError(f"`ax` holds a {strangers[0]}. Give matplotlib Axes, e.g. of `matplotlib.pyplot.subplots`.")
    if len(axes) != len(panels):
        raise ValueError(
            f"`ax` holds {len(axes)} Axes, but the figure has {len(panels)} panels: {', '.join(panels)}. "
            "Give one Axes a panel."
        )


def axes_for(
    ax: Axes | Iterable[Axes] | None, n_panels: int, *, size: tuple[float, float], n_columns: int = 1
) -> np.ndarray:
    """Return the Axes to draw on, those given or those of a new figure.

    Parameters
    ----------
    ax
        What the user gave, after :func:`check_axes`.
    n_panels
        How many are needed.
    size
        Width and height of a panel in inches, with all its text, for a new figure.
    n_columns
        Panels a row, for a new figure.

    Returns
    -------
    Object array of ``n_panels`` Axes.
    """
    if ax is not None:
        return np.ravel(np.asarray(ax, dtype=object))
    n_columns = min(n_columns, n_panels)
    n_rows = -(-n_panels // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(size[0] * n_columns, size[1] * n_rows), layout="constrained", squeeze=False
    )
    if n_rows > 1:
        space_rows(figure, n_rows)
    for unused in axes.flat[n_panels:]:
        unused.remove()
    return axes.ravel()[:n_panels]


def space_rows(figure: Figure, n_rows: int) -> None:
    """Put rows of panels farther apart, and make the figure higher by as much."""
    pad = float(mpl.rcParams["figure.constrained_layout.h_pad"])
    figure.set_layout_engine("constrained", h_pad=ROW_PAD)
    figure.set_figheight(figure.get_figheight() + 2 * (ROW_PAD - pad) * n_rows)


def dress(axis: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Write a panel's title and labels, and give all its text and lines the figures' sizes."""
    for write, text in ((axis.set_title, title), (axis.set_xlabel, xlabel), (axis.set_ylabel, ylabel)):
        write(text, fontsize=TEXT, parse_math=False)
    axis.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_linewidth(0.6)
    axis.grid(visible=False)


def colour_bar(bar: Colorbar, label: str) -> None:
    """Give a colour bar its label and the figures' sizes."""
    bar.set_label(label, fontsize=TEXT, parse_math=False)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    bar.outline.set_linewidth(0.6)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure so that it can go into print: text stays text, what is rasterised has 300 dots an inch.

    A file of this name is replaced by the complete figure, or stays.
    """
    drawn = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(drawn, format=Path(path).suffix.removeprefix(".").lower(), dpi=300, bbox_inches="tight")
    with atomic_binary_file(path) as file:
        file.write(drawn.getbuffer())


def finish(axis: Axes, save: str | os.PathLike[str] | None, *, show: bool) -> None:
    """Write the figure that ``axis`` is part of, where a path is given, and show it, where that is wished."""
    if save is not None:
        # the figure itself, also of Axes in a subfigure
        save_figure(axis.figure.figure, save)
    if show:
        plt.show()


def text_width(text: str) -> float:
    """Width in inches of a text of the small size."""
    font = FontProperties(size=SMALL)
    lines = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.splitlines()]
    return max(lines, default=0.0) / 72


def number(value: float) -> str:
    """Write a number with two decimals and a true minus."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def wrapped(name: str) -> str:
    """Break a long name into lines."""
    return textwrap.fill(name, WRAP, break_long_words=False)


def legend_columns(names: Collection[str], width: float) -> int:
    """Tell in how many columns a legend fits ``width`` inches; no more than its rows need."""
    most = max(1, int(width // (max(text_width(wrapped(name)) for name in names) + 0.3)))
    n_rows = -(-len(names) // most)
    return -(-len(names) // n_rows)


def legend_height(names: Sequence[str], width: float) -> float:
    """Height in inches of a legend no wider than ``width``."""
    n_columns = legend_columns(names, width)
    lines = sum(wrapped(name).count("\n") + 1 for name in names)
    # columns are filled evenly by number of entries, not of lines
    return LINE * -(-lines // n_columns) + BETWEEN * -(-len(names) // n_columns)


def panel_width(axis: Axes) -> float:
    """Width of a panel in inches, before the layout makes room for text."""
    return axis.get_window_extent().width / axis.figure.figure.dpi


def legend_below(axis: Axes, entries: Mapping[str, Mapping[str, Any]], *, beneath: float, title: str = "") -> Legend:
    """Put a legend under a panel, in as many columns as fit; a legend that is there stays.

    Parameters
    ----------
    axis
        The panel.
    entries
        Name of an entry to the properties of its mark (``matplotlib.lines.Line2D``).
    beneath
        How far below the panel it starts in inches: what the ticks and the label of the x axis take.
    title
        Title of the legend.
    """
    if (there := axis.get_legend()) is not None:
        axis.add_artist(there)
    with_lines = any(mark.get("linestyle") for mark in entries.values())
    return _legend(
        axis,
        entries,
        panel_width(axis),
        title=title or None,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=72 * beneath / SMALL,
        handlelength=2.6 if with_lines else 1.2,
    )


def legend_within(axis: Axes, entries: Mapping[str, Mapping[str, Any]], *, width: float) -> Legend:
    """Put a legend, in as many columns as fit ``width`` inches, into an Axes with room for it.

    ``entries`` are as in :func:`legend_below`.
    """
    legend = _legend(axis, entries, width, loc="center left", borderaxespad=0, handlelength=1.2)
    # the room was made before, so that panels beside and below stay as large as they are
    legend.set_in_layout(False)
    return legend


def _legend(axis: Axes, entries: Mapping[str, Mapping[str, Any]], width: float, **kwargs: Any) -> Legend:
    plain = {"linestyle": "", "marker": "o", "markersize": 4.5, "markeredgewidth": 0}
    handles = [Line2D([], [], **{**plain, **mark}, label=wrapped(name)) for name, mark in entries.items()]
    legend = axis.legend(
        handles=handles,
        ncols=legend_columns(entries, width),
        frameon=False,
        fontsize=SMALL,
        title_fontsize=SMALL,
        borderpad=0,
        handletextpad=0.4,
        labelspacing=72 * BETWEEN / SMALL,
        columnspacing=0.8,
        **kwargs,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def fitted(names: Sequence[str], width: float) -> tuple[list[str], bool]:
    """Break names so that they fit along an axis ``width`` inches wide; return also whether they must stand upright."""
    room = 0.95 * width / len(names)
    for candidate in (list(names), ["\n".join(name.split()) for name in names]):
        if max(map(text_width, candidate)) <= room:
            return candidate, False
    return [wrapped(name) for name in names], True


def name_ticks(axis: Axes, names: Sequence[str]) -> None:
    """Name the positions 0, 1, ... of the x axis, upright where the names would touch."""
    shown, upright = fitted(names, panel_width(axis))
    axis.set_xticks(range(len(names)), shown, rotation=90 if upright else 0, parse_math=False)


def names_height(names: Sequence[str], width: float) -> float:
    """Height in inches of the names that :func:`name_ticks` writes."""
    shown, upright = fitted(names, width)
    return max(map(text_width, shown)) if upright else LINE * max(name.count("\n") + 1 for name in shown)
