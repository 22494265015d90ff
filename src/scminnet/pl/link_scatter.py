"""One link, bulk by bulk: accessibility of a peak and expression of a gene."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData
from scipy import stats

from scminnet._core.argument_types import check_types
from scminnet.pl import _colors, _style
from scminnet.pl._bulks import paired_bulks, scale_of, values_of
from scminnet.pl._groups import grouping

#: Marks and lines of conditions: distinct without colours, which may show the groups.
MARKS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)), (0, (3, 3)))

#: Fewer bulks have no correlation worth a number.
FEWEST = 3


@check_types
def link_scatter(
    bulks: MuData,
    gene: str,
    peak: str,
    *,
    condition: str | None = None,
    groupby: str | None = None,
    line: bool = True,
    palette: _colors.Palette = None,
    rna: str = "rna",
    atac: str = "atac",
    ax: Axes | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes:
    """Show a peak's accessibility against a gene's expression, a dot a bulk (paper, Fig. 5C and D).

    The legend gives Spearman's correlation, over all bulks or within each condition, and the number of bulks.

    Parameters
    ----------
    bulks
        Bulks of :func:`scminnet.tl.minibulk`, or paired cells; the values of ``X`` are shown.
    gene
        Gene, one of the RNA's ``var_names``.
    peak
        Peak, one of the ATAC's ``var_names``.
    condition
        Column of ``obs`` with at most eight values; r is computed within each. They differ in the form of marks and
        lines, and without ``groupby`` also in colour. Bulks without a value are left out.
    groupby
        Column of ``obs`` to colour by, e.g. the type. Bulks without a value are grey.
    line
        Draw the least-squares line, of all bulks or each condition. It is a guide to the eye: r compares ranks.
    palette
        Colours of the groups or conditions, as in :func:`embedding`.
    rna, atac
        Names of the modalities.
    ax
        Axes to draw on; by default those of a new figure. The legend lies below. Make your own figures with
        ``layout="constrained"``, which leaves room for it.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes, with a collection of points for each condition.

    Raises
    ------
    TypeError
        ``bulks`` is no MuData, ``ax`` no Axes, or ``palette`` holds no colours.
    KeyError
        The gene, the peak or a column is missing.
    ValueError
        A modality is unknown or empty, or no bulk has both. A column has no value, or ``condition`` more than eight.
        There are several ``ax``, ``palette`` is unknown, or ``save`` is no path of a figure.
    """
    names = paired_bulks(bulks, rna, atac)
    x = values_of(bulks, names, atac, [peak], "peak")[peak].to_numpy()
    y = values_of(bulks, names, rna, [gene], "gene")[gene].to_numpy()
    parts = pd.Series(pd.Categorical(["all bulks"] * len(names)), index=names)
    if condition is not None:
        parts = grouping(bulks, condition, [rna, atac], "condition").loc[names]
    coloured = parts if groupby is None else grouping(bulks, groupby, [rna, atac], "groupby").loc[names]
    levels = list(parts.cat.categories)
    if len(levels) > len(MARKS):
        raise ValueError(
            f"`condition` is {condition!r}, a column of {len(levels)} values, of which {len(MARKS)} can be told apart. "
            "Join some, or show fewer bulks."
        )
    _colors.check_palette(palette)
    _style.check_axes(ax, ["the scatter"])
    _style.check_save(save)

    palette_of = _colors.colours_of(list(coloured.cat.categories), palette, mdata=bulks, key=groupby or condition or "")
    # code -1, the last colour, is of bulks without a group
    colours = np.array([*palette_of.values(), _colors.MISSING])[coloured.cat.codes]
    ink = palette_of if groupby is None else dict.fromkeys(levels, "black")
    entries = {}
    for level, marker, style in zip(levels, MARKS, LINES, strict=False):
        here = (parts == level).to_numpy()
        text = f"{level}: {_correlation(x[here], y[here])}"
        entries[text] = {"color": ink[level], "marker": marker, "linestyle": style if line else "", "linewidth": 1}
    groups = {} if groupby is None else {group: {"color": colour} for group, colour in palette_of.items()}
    width = _style.COLUMN - 0.6
    below = sum(_style.legend_height(list(legend), width) for legend in (entries, groups) if legend)
    axis = _style.axes_for(ax, 1, size=(_style.COLUMN, 2.6 + below))[0]
    for level, marker, style in zip(levels, MARKS, LINES, strict=False):
        here = (parts == level).to_numpy()
        many = here.sum() > _style.RASTERISED_FROM
        axis.scatter(x[here], y[here], c=colours[here], marker=marker, s=14, linewidths=0, alpha=0.85, rasterized=many)
        if line and here.sum() >= FEWEST and np.ptp(x[here]) > 0:
            ends = np.array([x[here].min(), x[here].max()])
            axis.plot(ends, np.polyval(np.polyfit(x[here], y[here], 1), ends), linestyle=style, color=ink[level], lw=1)
    scale = scale_of(bulks)
    _style.dress(axis, xlabel=f"accessibility of {peak}{scale}", ylabel=f"expression of {gene}{scale}")
    _style.legend_below(axis, entries, beneath=_style.UNDER_AXIS)
    if groups:
        height = _style.legend_height(list(entries), _style.panel_width(axis))
        _style.legend_below(axis, groups, beneath=_style.UNDER_AXIS + height)
    _style.finish(axis, save, show=show)
    return axis


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    """Write Spearman's correlation and the number of bulks."""
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return f"r not defined (n = {len(x):,})"
    return f"r = {_style.number(stats.spearmanr(x, y).statistic)} (n = {len(x):,})"
