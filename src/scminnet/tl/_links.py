"""What the functions that take links have in common: where the table is, and whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._validate import shorten

#: ``uns`` key under which ``cre_links`` leaves its table.
LINKS_KEY = "cre_links"

#: Columns of which a smaller value is a stronger link.
PROBABILITIES = ("p", "fdr")


def link_table(links: Any, columns: Sequence[str], argument: str = "links") -> pd.DataFrame:
    """Return the table of links with a fresh index and its names as text, raising unless it has rows and ``columns``.

    Parameters
    ----------
    links
        The table, or a MuData with ``uns["cre_links"]``.
    columns
        Columns that are needed.
    argument
        What the error text calls the links.
    """
    if isinstance(links, MuData):
        if LINKS_KEY not in links.uns:
            raise KeyError(
                f"`{argument}` is a MuData without uns[{LINKS_KEY!r}]; its uns has [{shorten(links.uns, 10)}]. "
                "Call `scminnet.tl.cre_links` on it first, or give a table of links."
            )
        links = links.uns[LINKS_KEY]
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
