"""Which types are taken for which when labels are carried over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from scminnet._core.argument_types import check_types, shown
from scminnet._core.obs_text import as_text, check_categorical, warn_of_missing_texts
from scminnet.pl._groups import natural
from scminnet.pl._style import COLUMN, SMALL, axes_for, check_axes, check_save, colour_bar, dress, finish, text_width

#: Smallest cell in inches that holds a number, and the size of one without.
NUMBERED, PLAIN = 0.22, 0.15

#: The map is as wide and high in inches at least, for its colour bar's text.
SMALLEST = 1.5


@check_types
def transfer_heatmap(
    true: Sequence[Any] | pd.Series,
    predicted: Sequence[Any] | pd.Series,
    *,
    title: str = "",
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Axes:
    """Show the share of each true type's cells that got each label.

    Shares of 1 % and more are written into the cells where there is room: on figures of its own up to 20 types.

    Parameters
    ----------
    true, predicted
        One label a cell, in the same order. Cells without a true label are left out.
    title
        Title of the panel.
    ax
        Axes to draw on; by default those of a new figure, which is as large as the types need.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes; its image holds the shares, true types x labels, and each row sums to 1.

    Raises
    ------
    TypeError
        ``true`` or ``predicted`` is no list, or ``ax`` is no Axes.
    ValueError
        The lengths differ, no cell has a true label, there are several ``ax``, or ``save`` is no path of a figure.
    """
    for argument, labels in (("true", true), ("predicted", predicted)):
        if isinstance(labels, str) or np.ndim(labels) != 1:
            raise TypeError(f"`{argument}` is {shown(labels)}. Give a list of labels, one a cell.")
    if len(true) != len(predicted):
        raise ValueError(f"`true` has {len(true):,} labels, `predicted` {len(predicted):,}. Give one of each a cell.")
    pairs = pd.DataFrame({"true": np.asarray(true, dtype=object), "predicted": np.asarray(predicted, dtype=object)})
    pairs = pairs.apply(as_text).dropna(subset="true").astype(str)
    if pairs.empty:
        raise ValueError("`true` holds no label. Give the cells' known types.")
    for column, text in pairs.items():
        check_categorical(text, f"`{column}`", labels=True)
    warn_of_missing_texts(pairs["true"], "`true`", "If these cells have no label, give missing values in their place.")
    check_axes(ax, ["the heatmap"])
    check_save(save)
    types = sorted(set(pairs["true"]) | set(pairs["predicted"]), key=natural)
    shares = pd.crosstab(pairs["true"], pairs["predicted"], normalize="index")
    shares = shares.reindex(index=sorted(pairs["true"].unique(), key=natural), columns=types, fill_value=0.0)
    # with the number of cells, for a share of few says little
    rows = [f"{name} ({n:,})" for name, n in pairs["true"].value_counts()[shares.index].items()]

    cell = NUMBERED if len(types) <= 20 else PLAIN
    names = max(map(text_width, [*types, *rows])) + 0.4
    width, height = (max(SMALLEST, cell * n) for n in (len(types), len(shares)))
    size = (max(COLUMN, width + names + 0.8), height + names + 0.3)
    axis = axes_for(ax, 1, size=size)[0]
    image = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(types)), types, rotation=90, parse_math=False)
    axis.set_yticks(range(len(shares)), rows, parse_math=False)
    dress(axis, title=title, xlabel="transferred label", ylabel="true type (cells)")
    # in percent, as the numbers in the cells
    percent = PercentFormatter(xmax=1, symbol="")
    colour_bar(axis.figure.colorbar(image, ax=axis, shrink=0.8, pad=0.02, format=percent), "share of the true type (%)")
    # the layout is made here, so that a cell's size is known
    axis.figure.figure.draw_without_rendering()
    box = axis.get_window_extent()
    room = min(box.width / len(types), 1.4 * box.height / len(shares)) / axis.figure.figure.dpi
    if room >= 0.9 * NUMBERED:
        for (row, column), share in np.ndenumerate(shares.to_numpy()):
            if share >= 0.01:
                shade = "black" if share > 0.6 else "white"
                axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=SMALL, color=shade)
    finish(axis, save)
    return axis
