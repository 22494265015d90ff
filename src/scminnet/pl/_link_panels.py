"""The panels of a gene's links: arcs, the gene and its peaks, accessibility by group, expression by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scminnet.pl import _style
from scminnet.pl._region import NEGATIVE, NOT_SIGNIFICANT, POSITIVE, Region, is_scored

#: The arrow of a start, as share of the window; it is shorter than the room beside the outermost peaks.
ARROW = 0.045

#: Width in inches that a tick of the genome takes.
TICK = 0.55

#: Widths in points of arcs with the score 0 and 1.
NARROW, WIDE = 0.5, 2.6


def draw_arcs(axis: Axes, region: Region, max_fdr: float) -> None:
    table = region.links
    r = table["r"].to_numpy(float)
    tss, middle = table["tss"].to_numpy(float), (table["start"] + table["end"]).to_numpy(float) / 2
    angle = np.linspace(0, np.pi, 61)
    x = (tss + middle)[:, None] / 2 + (tss - middle)[:, None] / 2 * np.cos(angle)
    y = r[:, None] * np.sin(angle)
    widths = np.where(table["significant"], 1.4, 0.8)
    if is_scored(table):
        widths = NARROW + (WIDE - NARROW) * table["score"].to_numpy(float)
    axis.add_collection(LineCollection(list(np.stack([x, y], axis=2)), colors=region.colours, linewidths=widths))
    axis.axhline(0, color="black", linewidth=0.6)
    low, high = min(0.0, r.min()), max(0.0, r.max())
    room = 0.06 * max(high - low, 0.1)
    axis.set_ylim(low - room, high + room)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    group = region.links["group"].iloc[0]
    gene = region.links["gene"].iloc[0]
    _style.dress(axis, ylabel="r of gene and peak")
    # above the legend
    axis.set_title(
        gene if group == "all" else f"{gene}, links within {group}",
        fontsize=_style.TEXT,
        loc="left",
        pad=15,
        parse_math=False,
    )
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(bottom=False, labelbottom=False)
    names = {POSITIVE: "positive", NEGATIVE: "negative", NOT_SIGNIFICANT: f"FDR > {max_fdr:g}"}
    handles = [
        Line2D([], [], color=colour, linewidth=0.8 if colour == NOT_SIGNIFICANT else 1.4, label=name)
        for colour, name in names.items()
        if (region.colours == colour).any()
    ]
    axis.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        fontsize=_style.SMALL,
        borderpad=0,
        borderaxespad=0.3,
        handlelength=1.5,
        columnspacing=1,
    )


def draw_gene(axis: Axes, region: Region) -> None:
    """Draw the gene with an arrow at each start, and under it the linked peaks."""
    table = region.links
    peaks = _boxes(table["start"], table["end"], 0.1, np.full(len(table), 0.5))
    # an edge, because a peak is narrower than a dot where the window is wide
    axis.add_collection(PolyCollection(peaks, facecolors=region.colours, edgecolors=region.colours, linewidths=1))
    line = 1.2
    if region.body is not None:
        axis.plot(region.body, [line, line], color="black", linewidth=3, solid_capstyle="butt")
    for start, strand in region.links[["tss", "strand"]].drop_duplicates().itertuples(index=False):
        tip = start + (ARROW if strand == "+" else -ARROW) * region.width
        axis.plot([start, start], [line, 1.8], color="black", linewidth=0.8, solid_capstyle="butt")
        axis.annotate(
            "",
            xy=(tip, 1.8),
            xytext=(start, 1.8),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "black",
                "linewidth": 0.8,
                "mutation_scale": 6,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
    axis.set(ylim=(0, 2.1), yticks=[0.35, line], yticklabels=["peaks", "gene" if region.body else "start"])
    _style.dress(axis)
    axis.tick_params(left=False, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)


def draw_tracks(
    axis: Axes,
    region: Region,
    peaks: pd.DataFrame,
    accessibility: pd.DataFrame,
    colours: Mapping[str, str],
    scaled: str,
) -> None:
    """Draw each group's mean accessibility, one above the other, on one scale."""
    names = list(accessibility.index)
    top = accessibility.to_numpy().max(initial=0)
    for base, name in zip(_bases(names), names, strict=True):
        colour = colours[name]
        heights = 0.85 * accessibility.loc[name].to_numpy() / (top or 1)
        axis.axhline(base, color="black", linewidth=0.3, zorder=0)
        axis.add_collection(
            PolyCollection(
                _boxes(peaks["start"], peaks["end"], base, heights),
                facecolors=colour,
                edgecolors=colour,
                linewidths=0.7,
            )
        )
    axis.set(xlim=(region.start, region.end), ylim=(0, len(names)))
    axis.set_yticks(_bases(names) + 0.4, names, parse_math=False)
    unit, scale = ("Mb", 1e6) if region.end >= 1e6 else ("kb", 1e3)
    n_ticks = int(np.clip(_style.panel_width(axis) / TICK, 2, 8))
    # as many decimals as the distance of the ticks asks for
    decimals = max(0, int(np.ceil(np.log10(scale / (region.width / n_ticks)))))
    axis.xaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / scale:.{decimals}f}"))
    _style.dress(axis, xlabel=f"{region.chrom} ({unit})")
    axis.set_title(f"mean accessibility{scaled}, 0 to {top:.2g}", fontsize=_style.SMALL, loc="left", pad=3)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", left=False)


def draw_expression(
    axis: Axes, expression: pd.Series, groups: pd.Series, colours: Mapping[str, str], scaled: str
) -> None:
    """Draw a dot a bulk, and each group's median and middle half, level with the tracks."""
    names = list(groups.cat.categories)
    for base, name in zip(_bases(names), names, strict=True):
        colour = colours[name]
        values = expression[groups == name].to_numpy()
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        axis.barh(base + 0.45, high - low, 0.7, low, color=colour, alpha=0.3, linewidth=0)
        # spread evenly, so that equal values do not hide each other
        spread = 0.5 * (np.arange(len(values)) * 0.618 % 1 - 0.5)
        axis.scatter(values, base + 0.45 + spread, s=4, color=colour, linewidths=0)
        axis.plot([median, median], [base + 0.1, base + 0.8], color="black", linewidth=1.2)
    axis.set(ylim=(0, len(names)), yticks=[])
    low, high = expression.min(), expression.max()
    axis.set_xlim(low - 0.04 * (high - low or 1), high + 0.04 * (high - low or 1))
    axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    _style.dress(axis, xlabel=f"expression{scaled}")
    # flush right: the layouts of matplotlib before 3.11.2 leave no room for a label that is wider than its axis
    axis.xaxis.label.set(x=1, horizontalalignment="right")


def _bases(names: list[str]) -> np.ndarray:
    """Heights of the tracks' base lines: the first on top."""
    return np.arange(len(names))[::-1]


def _boxes(start: pd.Series, end: pd.Series, base: float, heights: np.ndarray) -> list[np.ndarray]:
    """Corners of rectangles, each (4, 2)."""
    left, right = start.to_numpy(float), end.to_numpy(float)
    bottom, top = np.full(len(left), float(base)), base + heights
    x = np.stack([left, left, right, right], axis=1)
    return list(np.stack([x, np.stack([bottom, top, top, bottom], axis=1)], axis=2))
