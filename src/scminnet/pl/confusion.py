"""Which cell types are taken for which by transferred or predicted labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from mudata import MuData

from scminnet._core.argument_types import check_types, shown
from scminnet._core.keys import TRANSFERRED_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import as_text, check_categorical, warn_of_missing_texts
from scminnet.pl._colors import is_not_named
from scminnet.pl._groups import natural
from scminnet.pl._style import COLUMN, SMALL, axes_for, check_axes, check_save, colour_bar, dress, finish, text_width

#: Smallest cell in inches that holds a number, and the size of one without.
NUMBERED, PLAIN = 0.22, 0.15

#: The map is as wide and high in inches at least, for its colour bar's text.
SMALLEST = 1.5


@check_types
def transfer_heatmap(
    data: MuData | Sequence[Any] | pd.Series,
    predicted: str | Sequence[Any] | pd.Series = TRANSFERRED_KEY,
    *,
    labels_key: str | None = None,
    modality: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes:
    """Show the share of each true type's cells that got each label.

    Shares of 1 % and more are written into the cells where there is room: on figures of its own up to 20 types.

    Parameters
    ----------
    data
        MuData with transferred or predicted labels, and with the true types of these cells. Or the true types
        themselves, one a cell. Cells without a true type are left out.
    predicted
        Column of ``obs`` with the labels, if ``data`` is a MuData. Else the labels, in the order of the true types.
    labels_key
        Column of ``obs`` with the true types, if ``data`` is a MuData. ``None``: the column that
        :func:`scminnet.tl.transfer_labels` transferred, which also holds true types where cells are paired.
    modality
        Modality whose cells are shown, if ``data`` is a MuData. ``None``: the target of the transfer, or all.
    title
        Title of the panel. ``None``: from where to where labels were transferred, if that is known.
    ax
        Axes to draw on; by default those of a new figure, which is as large as the types need.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes. Its image holds the shares, true types x labels. Each row sums to 1. Labels that mean "without a label"
    are last.

    Raises
    ------
    TypeError
        ``data`` or ``predicted`` is no list, ``ax`` is no Axes, or ``predicted`` is text and ``data`` no MuData.
    KeyError
        A column is missing.
    ValueError
        The lengths differ. The modality is unknown. Tables with a column disagree on a cell. No cell has a true type
        and a label. There are several ``ax``, or ``save`` is no path of a figure.
    """
    if isinstance(data, MuData):
        pairs, found_title = _of_mudata(data, predicted, labels_key, modality)
    else:
        pairs, found_title = _of_lists(data, predicted), ""
    pairs = pairs.dropna().astype(str)
    if pairs.empty:
        raise ValueError("`data` has no cell with a true type and a label. Give the cells' known types.")
    warn_of_missing_texts(
        pairs["true"], "`data`", "If these cells have no true type, give missing values in their place."
    )
    check_axes(ax, ["the heatmap"])
    check_save(save)
    types = sorted(set(pairs["true"]) | set(pairs["predicted"]), key=lambda name: (is_not_named(name), natural(name)))
    shares = pd.crosstab(pairs["true"], pairs["predicted"], normalize="index")
    shares = shares.reindex(index=sorted(pairs["true"].unique(), key=natural), columns=types, fill_value=0.0)
    # with the number of cells, because a share of few says little
    rows = [f"{name} ({n:,})" for name, n in pairs["true"].value_counts()[shares.index].items()]

    cell = NUMBERED if len(types) <= 20 else PLAIN
    names = max(map(text_width, [*types, *rows])) + 0.4
    width, height = (max(SMALLEST, cell * n) for n in (len(types), len(shares)))
    size = (max(COLUMN, width + names + 0.8), height + names + 0.3)
    axis = axes_for(ax, 1, size=size)[0]
    image = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(types)), types, rotation=90, parse_math=False)
    axis.set_yticks(range(len(shares)), rows, parse_math=False)
    dress(axis, title=found_title if title is None else title, xlabel="label", ylabel="true type (cells)")
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
    finish(axis, save, show=show)
    return axis


def _of_lists(true: Sequence[Any] | pd.Series, predicted: str | Sequence[Any] | pd.Series) -> pd.DataFrame:
    """Return the true type and the label of each cell, as text."""
    if isinstance(predicted, str):
        check_mudata(true, "data")
    for argument, labels in (("data", true), ("predicted", predicted)):
        if isinstance(labels, str) or np.ndim(labels) != 1:
            raise TypeError(f"`{argument}` is {shown(labels)}. Give a list of labels, one a cell.")
    if len(true) != len(predicted):
        raise ValueError(f"`data` has {len(true):,} labels, `predicted` {len(predicted):,}. Give one of each a cell.")
    pairs = pd.DataFrame({"true": np.asarray(true, dtype=object), "predicted": np.asarray(predicted, dtype=object)})
    pairs = pairs.apply(as_text)
    for argument, column in (("data", "true"), ("predicted", "predicted")):
        check_categorical(pairs[column], f"`{argument}`", labels=True)
    return pairs


def _of_mudata(
    mdata: MuData, predicted: str | Sequence[Any] | pd.Series, labels_key: str | None, modality: str | None
) -> tuple[pd.DataFrame, str]:
    """Return the true type and the label of each cell that has a label, and a title."""
    check_mudata(mdata, "data")
    if not isinstance(predicted, str):
        raise TypeError(
            f"`predicted` is a {type(predicted).__name__}, but `data` is a MuData. Name the column of obs with the "
            "labels."
        )
    entry = mdata.uns.get(predicted)
    transfer = entry if isinstance(entry, dict) and {"source", "target", "params"} <= set(entry) else {}
    key = labels_key or transfer.get("params", {}).get("labels_key")
    if key is None:
        raise ValueError(
            f"`labels_key` is None, and uns has no label transfer {predicted!r}. Name the column with the true types."
        )
    target = modality or transfer.get("target")
    modalities = list(mdata.mod) if target is None else [target]
    check_modalities(mdata, modalities, "modality")
    labels = obs_column(mdata, predicted, modalities, "predicted", labels=True)
    truth = obs_column(mdata, key, list(mdata.mod), "labels_key", labels=True)
    cells = mdata.obs_names if target is None else mdata.mod[target].obs_names
    title = f"labels from {transfer['source']} to {target}" if transfer.get("target", "") == target else ""
    return pd.DataFrame({"true": truth.loc[cells], "predicted": labels.loc[cells]}), title
