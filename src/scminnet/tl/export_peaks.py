"""Peaks as files for Homer."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.files import atomic_text_file
from scminnet._core.outputs import check_output, format_of
from scminnet.genomics import interval_names, parse_intervals
from scminnet.genomics.link_table import link_table


@check_types
def export_peaks(
    peaks: pd.DataFrame | MuData,
    path: str | os.PathLike[str],
    *,
    background: pd.DataFrame | None = None,
) -> None:
    """Write peaks as BED6 for Homer's motif search.

    Each peak is written once. Homer needs unique names, so a peak is called ``chrom:start-end``. A peak has no score
    and no strand, so these are 0 and +. An interrupted write leaves what was at ``path``.

    Parameters
    ----------
    peaks
        A table of intervals, e.g. links that were selected, or the MuData of bulks after ``cre_links``. Intervals are
        the columns ``chrom``, ``start``, ``end``, in any spelling of ``genomics.INTERVAL_COLUMNS``, or peak names as
        index.
    path
        The file to write, which ends in ``.bed`` or ``.bed.gz`` (compressed by gzip). Its folder must exist. The file
        that a symbolic link names is replaced. A named pipe or a device is written to.
    background
        A table of intervals to compare with, e.g. ``mdata["atac"].var``. Those that are not among ``peaks`` are written
        beside ``path``, with ``.background`` before the end of the name. Use this file as in ``findMotifsGenome.pl
        peaks.bed hg38 out -size given -bg peaks.background.bed``.

    Raises
    ------
    TypeError
        ``peaks`` or ``background`` is no table.
    KeyError
        ``peaks`` is a MuData without links.
    FileNotFoundError, IsADirectoryError
        The folder is not there, or ``path`` is one.
    OSError
        The folder is read-only or full, or ``path`` is a socket.
    ValueError
        The end of the name is another. Intervals do not parse, or there are none, also in the background alone.

    Examples
    --------
    >>> import scminnet as mn
    >>> table = bulks.uns["cre_links"]  # doctest: +SKIP
    >>> mn.tl.export_peaks(table[table["fdr"] < 0.05], "peaks.bed", background=bulks["atac"].var)  # doctest: +SKIP
    """
    path = Path(path)
    format_of(path, ["bed"], "path")
    # the background is written beside a file
    check_output(path, "path", stream=background is None)
    rows = _homer(peaks if not isinstance(peaks, MuData) else link_table(peaks, ()), "peaks")
    beside = None
    if background is not None:
        beside = _homer(background, "background")
        beside = beside[~beside["name"].isin(set(rows["name"]))]
        if beside.empty:
            raise ValueError("`background` holds no interval that is not among `peaks`. Give more.")
    if beside is not None:
        with atomic_text_file(_background_path(path)) as file:
            beside.to_csv(file, sep="\t", header=False, index=False, lineterminator="\n")
    with atomic_text_file(path) as file:
        rows.to_csv(file, sep="\t", header=False, index=False, lineterminator="\n")


def _background_path(path: Path) -> Path:
    """Return where the background goes: ``peaks.background.bed.gz`` for ``peaks.bed.gz``."""
    at = path.name.lower().rindex(".bed")
    return path.with_name(f"{path.name[:at]}.background{path.name[at:]}")


def _homer(table: pd.DataFrame, argument: str) -> pd.DataFrame:
    """Return the distinct intervals of a table as BED6."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`{argument}` is a {type(table).__name__}. Give a table of intervals.")
    if not len(table):
        raise ValueError(f"`{argument}` has no rows. Give at least one interval.")
    places = parse_intervals(table, argument=argument).drop_duplicates().sort_values(["chrom", "start", "end"])
    return places.assign(name=interval_names(places), score=0, strand="+")
