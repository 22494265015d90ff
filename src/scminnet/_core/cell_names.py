"""Names of cells that differ around the barcode only, such as ``AAACGAAAGCGCAATC`` and ``AAACGAAAGCGCAATC-1``."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

#: What is looked beyond: a number at the end, or all but the barcode, which has 12 bases or more in common protocols.
_WAYS = {
    "the number at the end": r"^(.+?)(?:[-_.]\d+)?$",
    "what surrounds the barcode": r"(?:^|[^A-Za-z])([ACGTN]{12,})(?:$|[^A-Za-z])",
}


class Alike(NamedTuple):
    """Cells that have another name elsewhere."""

    n: int
    """Number of cells."""
    beyond: str
    """Difference of the names."""
    example: tuple[str, str]
    """A name, and the other one."""

    def sentence(self) -> str:
        """Return how many names are alike, with an example."""
        return f"{self.n:,} names are alike apart from {self.beyond}, e.g. {self.example[0]!r} and {self.example[1]!r}."


def find_alike(ours: pd.Index, theirs: pd.Index) -> Alike | None:
    """Find cells of ``ours`` that are not in ``theirs``, but differ from one there around the barcode only.

    ``None`` if they are less than half of the cells of either.
    """
    at_least = min(len(ours), len(theirs)) / 2
    ours, theirs = ours[~ours.isin(theirs)], theirs[~theirs.isin(ours)]
    if not len(ours) or len(ours) < at_least:
        return None
    for beyond, pattern in _WAYS.items():
        parts = [
            pd.Series(names, dtype=object).astype(str).str.extract(pattern)[0].dropna() for names in (ours, theirs)
        ]
        # a barcode of two samples stands for no cell
        parts = [part[~part.duplicated(keep=False)] for part in parts]
        found = parts[0][parts[0].isin(parts[1])]
        if len(found) and len(found) >= at_least:
            other = parts[1].index[(parts[1] == found.iloc[0]).to_numpy().argmax()]
            return Alike(len(found), beyond, (str(ours[found.index[0]]), str(theirs[other])))
    return None


def _parts(names: pd.Index, pattern: str) -> pd.Series:
    """Return the parts of names that match. A part of several names stands for no cell, and is left out."""
    parts = pd.Series(names, dtype=object).astype(str).str.extract(pattern)[0].dropna()
    return parts[~parts.duplicated(keep=False)]
