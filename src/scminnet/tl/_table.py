"""The table of links: its columns, and where it is found."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mudata import MuData

from scminnet._validate import shorten

#: Columns that tell which pair a row is about, in every table of links.
PAIR_COLUMNS = ("gene", "peak", "chrom", "start", "end", "tss", "strand", "distance", "promoter")

#: Columns of the table that :func:`scminnet.tl.cre_links` writes.
LINK_COLUMNS = (*PAIR_COLUMNS, "r", "z", "p", "fdr", "n_bulks", "group")

LINKS_KEY = "cre_links"


def link_table(links: Any, argument: str = "links") -> pd.DataFrame:
    """Return a table of links, that of ``uns["cre_links"]`` where a MuData is given, raising unless it tells pairs."""
    if isinstance(links, MuData):
        if LINKS_KEY not in links.uns:
            raise KeyError(
                f"`{argument}`: the MuData has no uns[{LINKS_KEY!r}]. Run `scminnet.tl.cre_links` first, or give a table of links."
            )
        links = links.uns[LINKS_KEY]
    if not isinstance(links, pd.DataFrame):
        raise TypeError(
            f"`{argument}` is a {type(links).__name__}. Give the table of `scminnet.tl.cre_links`, or a MuData that has it."
        )
    missing = [column for column in PAIR_COLUMNS if column not in links.columns]
    if missing:
        raise ValueError(
            f"`{argument}` lacks the columns {shorten(missing)}; it has {shorten(links.columns, 20)}. "
            "Give the table of `scminnet.tl.cre_links`, or rows of it."
        )
    if links.empty:
        raise ValueError(f"`{argument}` has no rows. Give the links of some genes.")
    return links
