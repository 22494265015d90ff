"""Measured contacts of peaks and transcription starts: Hi-C or capture Hi-C in place of the power law."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.text_files import name_without_gz, read_lines
from scminnet.genomics import parse_intervals
from scminnet.tl._activity_contact import power_law
from scminnet.tl._evidence import ANCHOR_COLUMNS, distinct, incidence

#: Column of a table, and field of a BEDPE file, that holds the strength of a contact.
STRENGTH, FIELD = "score", 7


def read_contacts(contacts: Any) -> pd.DataFrame:
    """Return the pairs of anchors with their strength, read from the BEDPE file where a path is given."""
    if isinstance(contacts, (str, os.PathLike)):
        contacts = _read_file(Path(contacts))
    if not isinstance(contacts, pd.DataFrame):
        raise TypeError(f"`contacts` is a {type(contacts).__name__}. Give a table, or the path of a BEDPE file.")
    missing = [column for column in (*ANCHOR_COLUMNS, STRENGTH) if column not in contacts]
    if missing:
        raise ValueError(
            f"`contacts` lacks the columns {shorten(missing, 20)}; it has {shorten(contacts.columns, 20)}. "
            f"Give the anchors ({', '.join(ANCHOR_COLUMNS)}) and {STRENGTH!r}, the strength of the contact."
        )
    # BEDPE marks an end of unknown position by a dot
    known = (contacts["chrom1"].astype(str) != ".") & (contacts["chrom2"].astype(str) != ".")
    contacts = contacts[known].reset_index(drop=True)
    strength = pd.to_numeric(contacts[STRENGTH], errors="coerce").to_numpy(float, na_value=np.nan)
    odd = ~(np.isfinite(strength) & (strength >= 0))
    if odd.any() or not strength.any():
        raise ValueError(
            f"`contacts`: {int(odd.sum()):,} of {len(odd):,} rows have no strength of 0 or more in {STRENGTH!r}. "
            "Give normalised counts, or scores of contacts, at least one of them above 0."
        )
    return contacts.assign(**{STRENGTH: strength})


def _read_file(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"`contacts`: there is no file {str(path)!r}. Give the path of a BEDPE file.")
    if Path(name_without_gz(path)).suffix != ".bedpe":
        raise ValueError(f"`contacts` is {path.name!r}. Give a BEDPE file, '.bedpe' or '.bedpe.gz'; or a table.")
    lines = read_lines(path, "contacts")
    rows = [fields for _, fields in lines if not fields[0].startswith(("#", "track", "browser"))]
    # some programs write a header without #
    if rows and len(rows[0]) > 1 and not rows[0][1].lstrip("-").isdigit():
        rows = rows[1:]
    short = sum(len(row) <= FIELD for row in rows)
    if short or not rows:
        raise ValueError(
            f"`contacts`: {short:,} of {len(rows):,} lines of {path.name!r} have fewer than {FIELD + 1} fields. Give "
            f"BEDPE with the contact's strength in field {FIELD + 1}."
        )
    columns = [*ANCHOR_COLUMNS, STRENGTH]
    return pd.DataFrame([[*row[:6], row[FIELD]] for row in rows], columns=columns, dtype=object)


def measured_contact(pairs: pd.DataFrame, contacts: pd.DataFrame) -> np.ndarray:
    """Contact of each pair, relative to that at 5 kb.

    It is the mean of the power law and of the measured strength, scaled to the power law's sum over all pairs whose
    transcript start lies in an anchor. So a pair without a measured contact keeps half, like the ABC model's
    pseudocount. Pairs whose start lies in no anchor keep the power law.

    Parameters
    ----------
    pairs
        ``chrom``, ``start``, ``end``, ``tss`` and ``distance``.
    contacts
        What :func:`read_contacts` returns.
    """
    expected = power_law(pairs["distance"].to_numpy())
    starts = pairs[["chrom"]].assign(start=pairs["tss"], end=pairs["tss"] + 1)
    middle = (pairs["start"] + pairs["end"]) // 2
    peaks = pairs[["chrom"]].assign(start=middle, end=middle + 1)
    (start, starts), (peak, peaks) = distinct(starts), distinct(peaks)
    anchors = [
        parse_intervals(contacts[list(names)].set_axis(["chrom", "start", "end"], axis=1), argument="contacts")
        for names in (ANCHOR_COLUMNS[:3], ANCHOR_COLUMNS[3:])
    ]
    at_start = [incidence(starts, side) for side in anchors]
    covered = (at_start[0] + at_start[1]).getnnz(axis=1)[start] > 0
    if not covered.any():
        raise ValueError(
            "`contacts`: no anchor holds a transcript start of the genes. Check that chromosome names and genome build "
            "are those of `tss`."
        )
    at_peak = [incidence(peaks, side) for side in anchors]
    strength = contacts[STRENGTH].to_numpy()
    # a contact of a bin with itself counts once
    twice = (anchors[0].to_numpy() == anchors[1].to_numpy()).all(axis=1)
    joined = at_peak[0] @ sparse.diags(strength) @ at_start[1].T
    joined += at_peak[1] @ sparse.diags(np.where(twice, 0, strength)) @ at_start[0].T
    measured = np.asarray(joined.tocsr()[peak, start]).ravel()
    total = measured[covered].sum()
    scaled = measured * (expected[covered].sum() / total) if total > 0 else measured
    return np.where(covered, (expected + scaled) / 2, expected)
