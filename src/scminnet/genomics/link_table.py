"""The table of links: its columns, where it is found, and how strong a link is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten

#: Columns that tell which pair a row is about, in every table of links.
PAIR_COLUMNS = ("gene", "peak", "chrom", "start", "end", "tss", "strand", "distance", "promoter")

#: Columns of the table that :func:`scminnet.tl.cre_links` writes.
LINK_COLUMNS = (*PAIR_COLUMNS, "r", "z", "p", "fdr", "n_bulks", "group")

#: ``uns`` key under which :func:`scminnet.tl.cre_links` leaves its table.
LINKS_KEY = "cre_links"

#: Columns of which a smaller value is a stronger link.
PROBABILITIES = ("p", "fdr")


def link_table(links: Any, columns: Sequence[str], argument: str = "links", *, key: str = LINKS_KEY) -> pd.DataFrame:
    """Return the table of links with a fresh index and its names as text, raising unless it has rows and ``columns``.

    Parameters
    ----------
    links
        The table, or a MuData with ``uns[key]``.
    columns
        Columns that are needed.
    argument
        What the error text calls the links.
    key
        Where a MuData holds the table.
    """
    if isinstance(links, MuData):
        if key not in links.uns:
            raise KeyError(
                f"`{argument}` is a MuData without uns[{key!r}]; its uns has [{shorten(links.uns, 10)}]. "
                "Call `scminnet.tl.cre_links` on it first, or give a table of links."
            )
        links = links.uns[key]
    if not isinstance(links, pd.DataFrame):
        raise TypeError(
            f"`{argument}` is a {type(links).__name__}. Give the MuData of bulks after `scminnet.tl.cre_links`, or its table of links."
        )
    missing = [column for column in columns if column not in links.columns]
    if missing:
        raise ValueError(
            f"`{argument}` lacks the columns {shorten(missing, 20)}; it has {shorten(links.columns, 20)}. "
            "Give a table of `scminnet.tl.cre_links`, or rename its columns."
        )
    if links.empty:
        raise ValueError(f"`{argument}` has no rows. Give at least one link.")
    # categories would sort in their own order
    texts = [column for column in ("gene", "peak", "chrom", "strand", "group") if column in links.columns]
    return links.reset_index(drop=True).astype(dict.fromkeys(texts, str))


def strength(links: pd.DataFrame, score: str, argument: str = "links") -> np.ndarray:
    """Return a column such that larger means stronger (``-log10`` of probabilities), raising where it has no value."""
    values = pd.to_numeric(links[score], errors="coerce").to_numpy(float, na_value=np.nan)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise ValueError(
            f"`{argument}`: {missing:,} of {len(values):,} rows have no number in column {score!r}. "
            f"Leave them out, e.g. with `links.dropna(subset=[{score!r}])`, or name another `score`."
        )
    if score in PROBABILITIES:
        # a p of 0 is one too small to be held
        return -np.log10(np.maximum(values, np.finfo(float).tiny))
    return values
