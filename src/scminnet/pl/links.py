"""The links of a gene in their place on the genome: arcs, gene model, accessibility and expression of each group."""

from __future__ import annotations

import os
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_fraction
from scminnet.genomics import parse_intervals
from scminnet.genomics.link_table import LINKS_KEY
from scminnet.pl import _colors, _style
from scminnet.pl._bulks import made_of, paired_bulks, scale_of, values_of
from scminnet.pl._groups import grouping, levels
from scminnet.pl._link_panels import draw_arcs, draw_expression, draw_gene, draw_tracks
from scminnet.pl._region import links_of, region_of

#: Heights in inches of the arcs, of the gene, of the space for the tracks' title, and of a track among few or many.
ARCS, GENE, HEADER, TRACK, LOW_TRACK = 1.3, 0.42, 0.24, 0.3, 0.19

#: More groups than this have low tracks.
FEW = 8

#: Shares of the width: the genome, and where expression begins.
GENOME, EXPRESSION = 0.74, 0.79


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
    draw_arcs(axes.arcs, region, max_fdr)
    draw_gene(axes.gene, region)
    draw_tracks(axes.tracks, region, peaks, accessibility, colours, scale_of(bulks))
    draw_expression(axes.expression, expression, groups, colours, scale_of(bulks))
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
