"""Intervals, gene annotation, sequences and motifs, in one coordinate convention.

All positions are 0-based and all intervals half-open, as in BED: the first base of a chromosome is [0, 1).
"""

from scminnet.genomics.annotation import TSS_COLUMNS, check_annotation, read_annotation
from scminnet.genomics.fasta import gc_content, sequences
from scminnet.genomics.intervals import (
    INTERVAL_COLUMNS,
    interval_names,
    overlaps,
    parse_intervals,
    why_no_overlap,
    windows,
)

__all__ = [
    "INTERVAL_COLUMNS",
    "TSS_COLUMNS",
    "check_annotation",
    "gc_content",
    "interval_names",
    "overlaps",
    "parse_intervals",
    "read_annotation",
    "sequences",
    "why_no_overlap",
    "windows",
]


def __dir__() -> list[str]:
    return list(__all__)
