"""Sequences of intervals, read from a FASTA file with the optional package pyfaidx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten


def sequences(intervals: pd.DataFrame, genome: str | os.PathLike[str], *, argument: str = "genome") -> Iterator[str]:
    """Read the sequence of each interval.

    Parameters
    ----------
    intervals
        Table with ``chrom``, ``start`` and ``end`` (0-based, half-open), e.g. from
        :func:`scminnet.genomics.parse_intervals`.
    genome
        FASTA file of the chromosomes, plain or compressed with bgzip. If it has no index, one is written beside it
        (``.fai``).
    argument
        Name of the argument in error messages.

    Returns
    -------
    An iterator of strings of A, C, G, T and N, upper case, in the order of ``intervals``. It reads one interval at a
    time.

    Raises
    ------
    ImportError
        pyfaidx is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not FASTA or is compressed otherwise, lacks chromosomes of the intervals, or ends before an
        interval.
    """
    # all checks come before the first sequence
    fasta = _open(genome, argument)
    chroms = intervals["chrom"].astype(str)
    missing = [chrom for chrom in pd.unique(chroms) if chrom not in fasta]
    if missing:
        raise ValueError(
            f"`{argument}`: {Path(genome).name!r} lacks the chromosomes {shorten(missing)} of the peaks; it has "
            f"{shorten(fasta.keys())}. Give the genome of the peaks, with the same chromosome names."
        )
    lengths = chroms.map({chrom: len(fasta[chrom]) for chrom in pd.unique(chroms)}).to_numpy()
    beyond = intervals["end"].to_numpy() > lengths
    if beyond.any():
        shown = [" ".join(map(str, row)) for row in intervals.loc[beyond, ["chrom", "start", "end"]].head(3).to_numpy()]
        raise ValueError(
            f"`{argument}`: {int(beyond.sum()):,} of {len(intervals):,} peaks reach beyond the end of their chromosome "
            f"in {Path(genome).name!r}, e.g. {shorten(shown)}. Give the genome build of the peaks."
        )
    starts, ends = intervals["start"].tolist(), intervals["end"].tolist()
    return (fasta[chrom][start:end] for chrom, start, end in zip(chroms, starts, ends, strict=True))


@check_types
def gc_content(intervals: pd.DataFrame, genome: str | os.PathLike[str], *, argument: str = "genome") -> np.ndarray:
    """Compute the share of G and C among the known bases of each interval.

    Parameters
    ----------
    intervals, genome, argument
        As in :func:`scminnet.genomics.sequences`, which lists the errors.

    Returns
    -------
    float64 in [0, 1], one value per interval. NaN if no base is known.
    """

    def share(sequence: str) -> float:
        strong, weak = (sum(sequence.count(base) for base in bases) for bases in ("GC", "AT"))
        return strong / (strong + weak) if strong + weak else np.nan

    return np.array([share(sequence) for sequence in sequences(intervals, genome, argument=argument)], dtype=np.float64)


def _open(genome: str | os.PathLike[str], argument: str) -> Any:
    """Open a FASTA file."""
    try:
        import pyfaidx
    except ImportError as error:
        raise ImportError(
            f"`{argument}` needs pyfaidx to read FASTA files. Install it with `pip install 'scminnet[genome]'`."
        ) from error
    path = Path(genome)
    if not path.is_file():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}. Give the path of a FASTA file.")
    try:
        fasta = pyfaidx.Fasta(str(path), as_raw=True, sequence_always_upper=True)
    except (
        pyfaidx.UnsupportedCompressionFormat,
        pyfaidx.FastaIndexingError,
        ImportError,
        ValueError,
        OSError,
    ) as error:
        raise ValueError(
            f"`{argument}`: {path.name!r} can not be read as FASTA ({error}). "
            "Give plain FASTA, or compress it with bgzip."
        ) from error
    if not fasta.records:
        raise ValueError(f"`{argument}`: {path.name!r} holds no sequence. Give the FASTA file of a genome.")
    return fasta
