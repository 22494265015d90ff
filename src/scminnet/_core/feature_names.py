"""Names of features that differ in writing only, such as ``Cd3e`` and ``CD3E`` or ``chr1:1-2`` and ``1-1-2``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

#: chr1:1-2, chr1-1-2, chr1_1_2 and mixtures. The first part is greedy: everything before the last two numbers is the
#: chromosome, even with separators in its name (chr1_KI270706v1_random, HLA-A*01:01:01:01), but not at its end: there
#: one is the sign of a negative start.
INTERVAL_NAME = re.compile(r"^(.*[^\n:_-])[:_-]([0-9,]+)[_-]([0-9,]+)$", re.MULTILINE)

_VERSION = re.compile(r"^(ENS[A-Z]*\d{11})\.\d+")
_GENOME = re.compile(r"^(?:GRCh3[78]|hg19|hg38|GRCm3[89]|mm10|mm39)_+")

#: Share of the features that a change of names must bring to be advised.
_GAIN = 0.1


def _positions(names: pd.Series) -> pd.Series:
    return names.str.replace(INTERVAL_NAME, r"\1:\2-\3", regex=True)


#: What is looked beyond, the simplest first.
_WAYS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "": lambda names: names,
    "letter case": lambda names: names.str.upper(),
    "the version of Ensembl ids": lambda names: names.str.replace(_VERSION, r"\1", regex=True),
    "the genome before a name": lambda names: names.str.replace(_GENOME, "", regex=True),
    "the separators of positions": _positions,
    "'chr' and the separators of positions": lambda names: _positions(names).str.replace("^chr", "", regex=True),
}


class Renaming(NamedTuple):
    """How more features are found."""

    n_found: int
    """Number of the reference's features."""
    column: str | None
    """Column of ``var`` with the names. ``None``: those of the features."""
    beyond: str
    """Difference in writing, empty if there is none."""
    example: tuple[str, str]
    """A name, and the reference's."""

    def advice(self, modality: str) -> str:
        """Return two sentences that say what to rename."""
        ours, theirs = self.example
        beyond = f" apart from {self.beyond}" if self.beyond else ""
        if self.column is not None:
            names = f"mdata[{modality!r}].var"
            return (
                f"{self.n_found:,} are in var[{self.column!r}]{beyond}, e.g. {ours!r} for the model's {theirs!r}. "
                f"Name them so: `{names}_names = {names}[{self.column!r}].astype(str)`, then `mdata.update()`."
            )
        return (
            f"{self.n_found:,} are there{beyond}: {ours!r} seems to be the model's {theirs!r}. "
            "Rename the query's features as in the model."
        )


def find_renaming(var: pd.DataFrame, reference: pd.Index) -> Renaming | None:
    """Find the writing in which most of the reference's features are among a modality's.

    Parameters
    ----------
    var
        Table of the features. Their names are its index, and may be in its columns of text.
    reference
        Names to find.

    Returns
    -------
    ``None`` if no other writing finds at least a tenth of the features more than the names do.
    """
    wanted = pd.Series(reference.astype(str), dtype=object)
    n_now = int(wanted.isin(var.index.astype(str)).sum())
    if len(wanted) - n_now < max(1, _GAIN * len(wanted)):
        return None
    best: Renaming | None = None
    for column, names in _names(var).items():
        for beyond, change in _WAYS.items():
            theirs = change(wanted)
            ours = change(names)
            found = theirs.isin(ours)
            n_found = int(found.sum())
            if n_found > (best.n_found if best else 0):
                # an example that is not found yet
                new = found & ~wanted.isin(names if column is None else var.index)
                at = int((new if new.any() else found).to_numpy().argmax())
                own = names[(ours == theirs[at]).to_numpy().argmax()]
                best = Renaming(n_found, column, beyond, (own, wanted[at]))
    return best if best and best.n_found - n_now >= max(1, _GAIN * len(wanted)) else None


def _names(var: pd.DataFrame) -> dict[str | None, pd.Series]:
    """Return the names of features, and columns of text with as many values as names have."""
    found: dict[str | None, pd.Series] = {None: pd.Series(var.index.astype(str), dtype=object)}
    for column in var.columns:
        values = var[column]
        if isinstance(column, str) and isinstance(values, pd.Series) and not pd.api.types.is_numeric_dtype(values):
            if values.nunique() > len(values) / 2:
                found[column] = pd.Series(values.astype(str).to_numpy(object))
    return found
