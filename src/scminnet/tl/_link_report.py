"""What a call of ``cre_links`` says of its links: how many there are and were found, and what to do about few."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.logging import logger
from scminnet._core.matrices import Block
from scminnet.tl._correlation import PairValues

#: The rate at which found links are counted.
FDR = 0.05
#: Peaks with a smaller share of non-zero values are like those of single cells.
SPARSE = 0.1


def report(links: pd.DataFrame, values: PairValues, null: str | None, key: str, steps: Sequence[str]) -> None:
    """Log the number of pairs, of links found, and what the values mean for them; ``steps`` of :func:`steps_left`."""
    n_genes = links["gene"].nunique()
    logger.info("%d pairs of %d genes; uns['%s_info'] lists the genes left out", len(links), n_genes, key)
    logger.info("%s", found(links, null, steps))
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


def steps_left(smoothed: Collection[str], modalities: Sequence[str], alternative: str, *, chosen: bool) -> list[str]:
    """Say what can still be done to find more links.

    Parameters
    ----------
    smoothed
        The modalities whose bulks are of smoothed counts.
    modalities
        Those of genes and peaks.
    alternative
        As in :func:`scminnet.tl.cre_links`.
    chosen
        Whether genes were chosen.
    """
    raw = [m for m in modalities if m not in smoothed]
    steps = []
    if raw:
        whose = "" if len(raw) == len(modalities) else f" of {shorten(raw)}"
        steps.append(f"smooth the counts{whose} before `minibulk`")
    if alternative != "greater":
        steps.append("set alternative='greater'")
    steps.append("use more cells")
    if not chosen:
        steps.append("test fewer `genes`")
    return steps


def found(links: pd.DataFrame, null: str | None, steps: Sequence[str]) -> str:
    """Say in one line how many links are significant, and if none is, what to change."""
    if null is None:
        return "links were not tested (`null` is None): rank them by `score`"
    n = int((links["fdr"] <= FDR).sum())
    if n:
        return f"{n:,} of {len(links):,} pairs are links at an FDR of {FDR:.0%}; rank all by `score`"
    listed = " or ".join([", ".join(steps[:-1]), steps[-1]] if len(steps) > 1 else steps)
    return f"0 of {len(links):,} pairs are links at an FDR of {FDR:.0%}: rank them by `score`. To find more, {listed}"
