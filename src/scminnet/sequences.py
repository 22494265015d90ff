"""DNA sequences of intervals, from a genome's FASTA file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from scminnet._validate import shorten


def read_sequences(intervals: pd.DataFrame, genome: str | os.PathLike[str], *, argument: str = "peaks") -> list[str]:
    """Read the sequences of intervals.

    Parameters
    ----------
    intervals
        ``chrom``, ``start`` and ``end`` (0-based, half-open).
    genome
        FASTA file, plain or compressed with bgzip. Its index is made beside it (``.fai``) unless it is there.
    argument
        What the error text calls the intervals.

    Returns
    -------
    One sequence an interval, in upper case.

    Raises
    ------
    ImportError
        pyfaidx is not installed.
    FileNotFoundError
        ``genome`` is no file.
    ValueError
        The file is no FASTA; it lacks chromosomes of the intervals, or an interval reaches beyond the end of one.
    """
    try:
        from pyfaidx import Fasta, FastaIndexingError, UnsupportedCompressionFormat
    except ImportError as error:
        raise ImportError(
            "`genome`: reading a FASTA file needs pyfaidx. Install it with `pip install 'scminnet[genome]'`."
        ) from error
    path = Path(genome)
    if not path.is_file():
        raise FileNotFoundError(f"`genome`: there is no file {str(path)!r}. Give the path of a FASTA file.")
    try:
        fasta = Fasta(str(path), as_raw=True, sequence_always_upper=True, rebuild=True)
    except (FastaIndexingError, UnsupportedCompressionFormat, ValueError, OSError) as error:
        raise ValueError(
            f"`genome`: {path.name!r} can not be read as FASTA: {error} Give plain FASTA, or compress it with bgzip."
        ) from error
    with fasta:
        lengths = {name: len(record) for name, record in fasta.records.items()}
        if not lengths:
            raise ValueError(f"`genome`: {path.name!r} holds no sequence. Give the FASTA file of a genome.")
        chrom = intervals["chrom"].astype(str)
        limit = chrom.map(lengths)
        if limit.isna().any():
            raise ValueError(
                f"`{argument}`: {int(limit.isna().sum()):,} of {len(chrom):,} lie on {shorten(pd.unique(chrom[limit.isna()]))}, which "
                f"`genome` lacks; it has {shorten(lengths)}. Rename the chromosomes, or leave these out."
            )
        beyond = (intervals["end"] > limit).to_numpy()
        if beyond.any():
            first = int(np.flatnonzero(beyond)[0])
            place = intervals.iloc[first]
            raise ValueError(
                f"`{argument}`: {int(beyond.sum()):,} reach beyond the end of their chromosome in `genome`, e.g. "
                f"'{place['chrom']}:{place['start']}-{place['end']}' of {int(limit.iloc[first]):,} bases. Take the genome build of the peaks."
            )
        return [fasta[c][start:end] for c, start, end in zip(chrom, intervals["start"], intervals["end"], strict=True)]
