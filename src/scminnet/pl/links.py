"""The links of a gene in their place on the genome: arcs, gene model, accessibility and expression of each group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_fraction
from scminnet.genomics import parse_intervals
from scminnet.genomics.link_table import LINKS_KEY
from scminnet.pl import _colors, _style
from scminnet.pl._bulks import made_of, paired_bulks, scale_of, values_of
from scminnet.pl._groups import grouping, levels
from scminnet.pl._region import NEGATIVE, NOT_SIGNIFICANT, POSITIVE, Region, is_scored, links_of, region_of

#: Heights in inches of the arcs, of the gene, of the space for the tracks' title, and of a track among few or many.
ARCS, GENE, HEADER, TRACK, LOW_TRACK = 1.3, 0.42, 0.24, 0.3, 0.19

#: More groups than this have low tracks.
FEW = 8

#: Shares of the width: the genome, and where expression begins.
GENOME, EXPRESSION = 0.74, 0.79

#: The arrow of a start, as share of the window; it is shorter than the room beside the outermost peaks.
ARROW = 0.045

#: Width in inches that a tick of the genome takes.
TICK = 0.55

#: Widths in points of arcs with the score 0 and 1.
NARROW, WIDE = 0.5, 2.6


class LinkAxes(NamedTuple):
    """The parts of the figure of :func:`links`."""

    arcs: Axes
    gene: Axes
    tracks: Axes
    expression: Axes


@check_types
def links(
    bulks: MuData,
    gene: str,
    *,
    groupby: str | None = None,
    group: str | None = None,
    tss: pd.DataFrame | str | os.PathLike[str] | None = None,
    max_fdr: float = 0.05,
    palette: _colors.Palette = None,
    key: str = LINKS_KEY,
    rna: str = "rna",
    atac: str = "atac",
    ax: Axes | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> LinkAxes:
    """Show a gene's links to peaks on the genome, with each group's accessibility and expression (paper, Fig. 4D).

    At the top, an arc leads from the transcription start to each peak. The height of its apex is r, and its width the
    score, where the links have one. Red links are positive, blue ones negative, and grey ones not significant. Below
    are the gene, with an arrow at each start, and the linked peaks. Each group has a track with the mean accessibility
    of all peaks of the window, on one scale. Beside it is the gene's expression in the group's bulks, with median and
    quartiles.

    Parameters
    ----------
    bulks
        Bulks of :func:`scminnet.tl.minibulk` with the links of :func:`scminnet.tl.cre_links`. The values of ``X`` are
        shown.
    gene
        Gene to show.
    groupby
        Column of ``obs`` whose groups have a track each, e.g. the type. A categorical column keeps the order of its
        categories. ``None``: the groups of the mini-bulks, or one track of all bulks if they have none.
    group
        Group whose links are shown, where they were computed within groups. ``None``: those of the only one.
    tss
        Annotation for the gene's body: a table of :func:`scminnet.genomics.read_annotation` or a file that it reads,
        with ``start`` and ``end``. ``None``: the body that :func:`scminnet.tl.cre_links` found in its annotation. If
        that had transcription starts only, the figure says so.
    max_fdr
        Links with a higher FDR are grey. If the links were not tested (no FDR), none is.
    palette
        Colours of the groups, as in :func:`embedding`.
    key
        Where ``bulks.uns`` holds the links.
    rna, atac
        Names of the modalities.
    ax
        One Axes, whose area is filled; by default that of a new figure, which is as high as the groups need. Make your
        own figures with ``layout="constrained"``, which leaves room for what stands outside, such as the groups' names.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes of the parts: ``arcs``, ``gene``, ``tracks`` and ``expression``. Positions are in bases.

    Raises
    ------
    TypeError
        ``bulks`` is no MuData, ``ax`` no Axes, or ``palette`` holds no colours.
    KeyError
        There are no links, the gene has none (with the reason, where it is known), or ``groupby`` is not there.
    ValueError
        ``group`` is needed or unknown. The link table, the annotation or the peaks' names are incomplete. The gene has
        links on several chromosomes, or the annotation lacks it. No bulk has both modalities. ``max_fdr`` is not in
        [0, 1]. There are several ``ax``, ``palette`` is unknown, or ``save`` is no path of a figure.
    """
    names = paired_bulks(bulks, rna, atac)
    check_fraction(max_fdr, "max_fdr", upper_open=False)
    _colors.check_palette(palette)
    known = bulks.uns.get(f"{key}_info", {}).get("genes")
    region = region_of(links_of(bulks, gene, group, key), gene, tss, known, max_fdr)
    expression = values_of(bulks, names, rna, [gene], "gene")[gene]
    column = made_of(bulks) if groupby is None else groupby
    groups = levels(pd.Series("all bulks", index=names))
    if column is not None:
        groups = grouping(bulks, column, [rna, atac], "groupby").loc[names].cat.remove_unused_categories()
    peaks = parse_intervals(bulks.mod[atac].var, argument=f"bulks[{atac!r}].var")
    peaks = peaks[(peaks["chrom"] == region.chrom) & (peaks["end"] > region.start) & (peaks["start"] < region.end)]
    accessibility = values_of(bulks, names, atac, peaks.index, "atac").groupby(groups, observed=True).mean()
    _style.check_axes(ax, ["the links"])
    _style.check_save(save)

    axes = _parts(ax, len(accessibility))
    colours = _colors.colours_of(list(groups.cat.categories), palette, mdata=bulks, key=column or "")
    _draw_arcs(axes.arcs, region, max_fdr)
    _draw_gene(axes.gene, region)
    _draw_tracks(axes.tracks, region, peaks, accessibility, colours, scale_of(bulks))
    _draw_expression(axes.expression, expression, groups, colours, scale_of(bulks))
    _style.finish(axes.arcs, save, show=show)
    return axes


def _parts(ax: Axes | None, n_groups: int) -> LinkAxes:
    """Lay out the parts in one Axes."""
    tracks = n_groups * (TRACK if n_groups <= FEW else LOW_TRACK)
    total = ARCS + GENE + HEADER + tracks
    host = _style.axes_for(ax, 1, size=(_style.PAGE, total + 0.9))[0]
    host.set_axis_off()

    def part(bottom: float, height: float, left: float = 0, width: float = GENOME) -> Axes:
        return host.inset_axes([left, bottom / total, width, height / total])

    lowest = part(0, tracks)
    axes = LinkAxes(
        arcs=part(total - ARCS, ARCS),
        gene=part(tracks + HEADER, GENE),
        tracks=lowest,
        expression=part(0, tracks, EXPRESSION, 1 - EXPRESSION),
    )
    axes.arcs.sharex(lowest)
    axes.gene.sharex(lowest)
    return axes


def _draw_arcs(axis: Axes, region: Region, max_fdr: float) -> None:
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


def _draw_gene(axis: Axes, region: Region) -> None:
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


def _draw_tracks(
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


def _draw_expression(
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
