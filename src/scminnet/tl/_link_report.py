"""What a call of ``cre_links`` says of its links: how many there are and were found, and what to do about few."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.logging import logger
from scminnet._core.matrices import Block
from scminnet.tl._correlation import PairValues

#: The rate at which found links are counted.
FDR = 0.05
#: Peaks with a smaller share of non-zero values are like those of single cells.
SPARSE = 0.1


def report(links: pd.DataFrame, values: PairValues, null: str | None, key: str) -> None:
    """Log the number of pairs, of links found, and what the values mean for them."""
    n_genes = links["gene"].nunique()
    logger.info("%d pairs of %d genes; uns['%s_info'] lists the genes left out", len(links), n_genes, key)
    logger.info("%s", found(links, null))
    share = _non_zero(values.peaks)
    if share < SPARSE:
        logger.info(
            "only %.1f %% of the peaks' values are not 0, as in single cells: r is then near 0 for true links too, so "
            "compare `score` or `z`, or sum cells first (`scminnet.tl.minibulk`)",
            100 * share,
        )
    if links["score"].isna().all():
        logger.info("links have no score: the peaks' values are negative; keep their counts in the layer 'counts'")


def _non_zero(peaks: Block) -> float:
    """Share of the values that are not 0."""
    stored = peaks.data if sparse.issparse(peaks) else peaks
    return float(np.count_nonzero(stored)) / max(peaks.shape[0] * peaks.shape[1], 1)


def found(links: pd.DataFrame, null: str | None) -> str:
    """Say in one line how many links are significant, and if none is, what to change."""
    if null is None:
        return "links were not tested (`null` is None): rank them by `score`"
    n = int((links["fdr"] <= FDR).sum())
    if n:
        return f"{n:,} of {len(links):,} pairs are links at an FDR of {FDR:.0%}; rank all by `score`"
    return (
        f"0 of {len(links):,} pairs are links at an FDR of {FDR:.0%}: rank them by `score`. To find more, smooth the "
        "counts before `minibulk`, set alternative='greater', use more cells, or test fewer `genes`"
    )
