"""Sequences of intervals, read from a FASTA file with the optional package pyfaidx."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet._core.text_files import is_gzipped
from scminnet.genomics.chromosomes import renaming
from scminnet.genomics.fasta_index import check_index


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
        The file is not FASTA or is compressed otherwise, does not fit its index, lacks chromosomes of the intervals, or
        ends before an interval.
    """
    # all checks come before the first sequence
    fasta = _open(genome, argument)
    path = Path(genome)
    chroms = intervals["chrom"].astype(str)
    used = pd.unique(chroms)
    missing = [chrom for chrom in used if chrom not in fasta]
    if missing:
        change = renaming(missing, fasta.keys())
        advice = "".join(f"{ours!r} seems to be its {theirs!r}. " for ours, theirs in list(change.items())[:1])
        raise ValueError(
            f"`{argument}`: {path.name!r} lacks the chromosomes {shorten(missing)} of the peaks; it has "
            f"{shorten(fasta.keys())}. {int(chroms.isin(missing).sum()):,} of {len(chroms):,} peaks lie on those it "
            f"lacks. {advice}Give the genome of the peaks, with the same chromosome names."
        )
    for chrom in used:
        check_index(path, chrom, fasta.faidx.index[chrom], argument)
    lengths = chroms.map({chrom: len(fasta[chrom]) for chrom in used}).to_numpy()
    beyond = intervals["end"].to_numpy() > lengths
    if beyond.any():
        shown = [" ".join(map(str, row)) for row in intervals.loc[beyond, ["chrom", "start", "end"]].head(3).to_numpy()]
        raise ValueError(
            f"`{argument}`: {int(beyond.sum()):,} of {len(intervals):,} peaks reach beyond the end of their chromosome "
            f"in {path.name!r}, e.g. {shorten(shown)}. Give the genome build of the peaks."
        )
    return _read(fasta, path, chroms, intervals["start"].tolist(), intervals["end"].tolist(), argument)


def _read(
    fasta: Any, path: Path, chroms: pd.Series, starts: Sequence[int], ends: Sequence[int], argument: str
) -> Iterator[str]:
    for chrom, start, end in zip(chroms, starts, ends, strict=True):
        try:
            sequence = fasta[chrom][start:end]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise ValueError(f"`{argument}`: {path.name!r} is damaged at {chrom}:{start}-{end} ({error}).") from error
        if len(sequence) != end - start or not sequence.isalpha():
            raise ValueError(
                f"`{argument}`: {path.name!r} has no sequence at {chrom}:{start}-{end}, where its index says so. "
                f"Delete {path.name + '.fai'!r}, which is made anew, or replace the file if it is damaged."
            )
        yield sequence


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
    # pyfaidx goes by the name
    named = path.name.lower().endswith((".gz", ".bgz"))
    if is_gzipped(path, argument) != named:
        raise ValueError(
            f"`{argument}`: {path.name!r} can not be read as FASTA: it is {'not ' if named else ''}compressed. "
            f"Rename it {'without' if named else 'with'} the ending '.gz'."
        )
    has_index = Path(f"{path}.fai").exists()
    advice = f"Delete its index {path.name + '.fai'!r}, which is made anew. " if has_index else ""
    try:
        fasta = pyfaidx.Fasta(str(path), as_raw=True, sequence_always_upper=True)
    except (
        pyfaidx.UnsupportedCompressionFormat,
        pyfaidx.FastaIndexingError,
        pyfaidx.IndexNotFoundError,
        ImportError,
        ValueError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise ValueError(
            f"`{argument}`: {path.name!r} can not be read as FASTA ({error}). "
            f"{advice}Give plain FASTA, or compress it with bgzip."
        ) from error
    if not fasta.records:
        raise ValueError(f"`{argument}`: {path.name!r} holds no sequence. {advice}Give the FASTA file of a genome.")
    return fasta
