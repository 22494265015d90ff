"""Whether peaks and transcription starts are of one genome build: promoters have peaks more often than other places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

#: A peak whose midpoint lies this many bases or fewer from a position is at it.
REACH = 1_000
#: Positions to compare with: the starts, moved by these distances in bases.
MOVED = np.array([-310_000, -230_000, -170_000, -70_000, 70_000, 170_000, 230_000, 310_000])
#: Starts must have a peak this many times as often as the moved ones. Four public sets have 4 to 25 times as many, and
#: with the genes of another species, or moved by 20 or 500 kb, 0.8 to 1.4 times.
RATIO = 1.5
#: With fewer moved starts at a peak, nothing can be told.
FEWEST = 10


class Promoters(NamedTuple):
    """Shares of transcription starts, and of places elsewhere, that have a peak."""

    starts: float
    elsewhere: float
    #: number of starts
    n: int

    @property
    def differ(self) -> bool:
        """Whether starts have peaks as a genome's should, or too little is known to say."""
        return self.elsewhere * self.n < FEWEST or self.starts >= RATIO * self.elsewhere

    def __str__(self) -> str:
        """Say what was found, and what to do."""
        return (
            f"only {self.starts:.1%} of the transcription starts have a peak, and {self.elsewhere:.1%} of places "
            "elsewhere: peaks and `tss` are of different genome builds or species, or positions are shifted. Check both"
        )


def promoters(peaks: pd.DataFrame, starts: pd.DataFrame) -> Promoters:
    """Compare transcription starts with places 70 to 310 kb away.

    Parameters
    ----------
    peaks
        ``chrom``, ``start`` and ``end``, one row a peak.
    starts
        ``chrom`` and ``tss``. Those on chromosomes without a peak are left out.
    """
    middle = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    of_chrom = dict(tuple(pd.Series(middle).groupby(peaks["chrom"].astype(str).to_numpy())))
    at_start: list[np.ndarray] = []
    elsewhere: list[np.ndarray] = []
    places_of_starts = pd.DataFrame({"chrom": starts["chrom"].astype(str).to_numpy(), "tss": starts["tss"].to_numpy()})
    for chrom, tss in places_of_starts.drop_duplicates().groupby("chrom")["tss"]:
        if chrom not in of_chrom:
            continue
        places = np.sort(of_chrom[chrom].to_numpy())
        for positions, found in ((tss.to_numpy()[:, None], at_start), (tss.to_numpy()[:, None] + MOVED, elsewhere)):
            first = np.searchsorted(places, positions - REACH)
            last = np.searchsorted(places, positions + REACH, side="right")
            # places beyond the peaks of the chromosome say nothing
            inside = (positions >= places[0] - REACH) & (positions <= places[-1] + REACH)
            found.append((last > first)[inside])
    if not at_start:
        return Promoters(0.0, 0.0, 0)
    of_starts, of_others = np.concatenate(at_start), np.concatenate(elsewhere)
    return Promoters(_share(of_starts), _share(of_others), len(of_starts))


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
