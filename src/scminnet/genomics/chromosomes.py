"""Whether two sets of intervals name their chromosomes alike, and which names to change where they do not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.user_warnings import warn

#: Below the first share of both sides in common, names are wrong; below the second, they may be.
MIN_SHARE, GOOD_SHARE = 0.05, 0.5

#: A change of names is advised if it brings this share more of either side in common.
_GAIN = 0.1

_REFSEQ = re.compile(r"NC_0*(\d+)\.\d+")

#: Numbers of RefSeq's accessions: chromosomes of human (1 to 24) and mouse (67 to 87), and both mitochondria.
_REFSEQ_NAMES = (
    {i: str(i) for i in range(1, 23)}
    | {23: "X", 24: "Y", 12920: "MT", 5089: "MT", 86: "X", 87: "Y"}
    | {66 + i: str(i) for i in range(1, 20)}
)


class ByChromosome(NamedTuple):
    """Intervals or genes by chromosome: what they are called, what holds them, and their number on each."""

    noun: str
    holder: str
    counts: pd.Series

    @classmethod
    def of(cls, noun: str, holder: str, chroms: Iterable[str]) -> ByChromosome:
        """Count items by their chromosomes."""
        return cls(noun, holder, pd.Series(list(chroms), dtype=object).astype(str).value_counts(sort=False))


def genes_by_chromosome(starts: pd.DataFrame) -> ByChromosome:
    """Count the genes of a TSS table by their chromosomes."""
    places = starts[["gene", "chrom"]].astype(str).drop_duplicates()
    return ByChromosome.of("genes", "annotation", places["chrom"])


def plain_name(chrom: str) -> str:
    """Return a chromosome's name without ``chr``, as Ensembl writes it; RefSeq's accessions as numbers."""
    if match := _REFSEQ.fullmatch(chrom):
        return _REFSEQ_NAMES.get(int(match[1]), chrom)
    name = re.sub("^chr_?", "", chrom, flags=re.IGNORECASE)
    return "MT" if name.upper() == "M" else name.upper() if len(name) < 3 else name


def renaming(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Return which of ``ours`` have another name among ``theirs``: ``{"chr1": "1"}``."""
    theirs = list(theirs)
    by_key = {plain_name(chrom): chrom for chrom in reversed(theirs)}
    found = {chrom: by_key.get(plain_name(chrom)) for chrom in ours if chrom not in set(theirs)}
    return {chrom: other for chrom, other in found.items() if other is not None}


def check_chromosomes(ours: ByChromosome, theirs: ByChromosome, *, argument: str) -> None:
    """Raise if two sides have hardly a chromosome in common, and warn if less than half of both is.

    Parameters
    ----------
    ours, theirs
        The two sides.
    argument
        Name of the argument in messages.

    Raises
    ------
    ValueError
        No chromosome is in common, or those in common hold less than 5 % of each side.

    Warns
    -----
    UserWarning
        They hold less than half of each side, or another 10 % of one side would be in common under other names.
    """
    names = list(ours.counts.index), list(theirs.counts.index)
    change = renaming(*names)
    sides = ((ours, names[1], set(change)), (theirs, names[0], set(change.values())))
    now, gain = [], []
    for side, others, renamed in sides:
        now.append(int(side.counts[side.counts.index.isin(others)].sum()))
        gain.append(int(side.counts[side.counts.index.isin(renamed - set(others))].sum()))
    sizes = [int(side.counts.sum()) for side, _, _ in sides]
    # a side may be empty
    share, added = (max(n / max(size, 1) for n, size in zip(ns, sizes, strict=True)) for ns in (now, gain))
    more = added >= _GAIN
    if share >= GOOD_SHARE and not more:
        return
    if not any(now):
        text = (
            f"`{argument}`: {ours.holder} and {theirs.holder} have no chromosome name in common. "
            f"The {ours.noun} lie on {shorten(names[0])}, the {theirs.noun} on {shorten(names[1])}. "
        )
    else:
        text = (
            f"`{argument}`: only {now[0]:,} of {sizes[0]:,} {ours.noun} and {now[1]:,} of {sizes[1]:,} {theirs.noun} "
            f"lie on chromosomes that both have. The {ours.noun} lie on {shorten(names[0])}, the {theirs.noun} on "
            f"{shorten(names[1])}. "
        )
    if change:
        first = next(iter(change))
        text += (
            f"{first!r} of the {ours.noun} seems to be {change[first]!r} of the {theirs.holder}: "
            f"rename the chromosomes of one, and {now[0] + gain[0]:,} {ours.noun} are on shared ones."
        )
    else:
        text += f"Rename one of them, or take the {theirs.holder} for the genome build of the {ours.noun}."
    if share < MIN_SHARE:
        raise ValueError(text)
    warn(text)
