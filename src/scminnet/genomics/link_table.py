"""The table of links: its columns, its key in a MuData, and the strength of a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import check_choice, shorten

#: Columns that describe the pair of gene and peak, in every table of links.
PAIR_COLUMNS = ("gene", "peak", "chrom", "start", "end", "tss", "strand", "distance", "promoter")

#: Columns of the table that :func:`scminnet.tl.cre_links` writes.
LINK_COLUMNS = (
    *(*PAIR_COLUMNS, "r", "z", "p", "fdr", "n_bulks", "group"),
    *("r_conditional", "activity", "contact", "contact_share", "abc", "score"),
)

#: Columns by which links can be ranked, and the columns of these whose values lie in [-1, 1].
RANKINGS, SHARES = ("score", "abc", "r", "r_conditional", "z", "p", "fdr"), ("score", "abc", "r")

#: ``uns`` key of the table that :func:`scminnet.tl.cre_links` writes.
LINKS_KEY = "cre_links"

#: Columns in which a smaller value means a stronger link.
PROBABILITIES = ("p", "fdr")


def link_table(links: Any, columns: Sequence[str], argument: str = "links", *, key: str = LINKS_KEY) -> pd.DataFrame:
    """Return the table of links with a new index and names as text. Raise unless it has rows and ``columns``.

    Parameters
    ----------
    links
        The table, or a MuData with ``uns[key]``.
    columns
        Required columns.
    argument
        Name of the argument in error messages.
    key
        Key of the table in a MuData.
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
            f"`{argument}` is a {type(links).__name__}. "
            "Give the MuData of bulks after `scminnet.tl.cre_links`, or its table of links."
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


def ranking(links: pd.DataFrame | MuData, score: str | None, *, key: str = LINKS_KEY) -> str:
    """Return the column to rank by: ``score`` as given; for ``None`` ``"score"`` if the table has it, or ``"r"``."""
    if score is not None:
        check_choice(score, RANKINGS, "score")
        return score
    table = links.uns.get(key) if isinstance(links, MuData) else links
    return "score" if "score" in getattr(table, "columns", ()) else "r"


def link_strength(links: pd.DataFrame, score: str, argument: str = "links") -> np.ndarray:
    """Return a column in which larger means stronger (``-log10`` of probabilities). Raise if a value is missing."""
    values = pd.to_numeric(links[score], errors="coerce").to_numpy(float, na_value=np.nan)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise ValueError(
            f"`{argument}`: {missing:,} of {len(values):,} rows have no number in column {score!r}. "
            f"Remove them, e.g. with `links.dropna(subset=[{score!r}])`, or name another `score`."
        )
    if score in PROBABILITIES:
        # a p of 0 is an underflow
        return -np.log10(np.maximum(values, np.finfo(float).tiny))
    return values
