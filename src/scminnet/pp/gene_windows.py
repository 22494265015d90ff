"""Windows at transcript starts: which intervals belong to which genes, with or without decay."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet.genomics import overlaps, windows


def membership(
    intervals: pd.DataFrame,
    starts: pd.DataFrame,
    genes: pd.Index,
    *,
    upstream: int,
    downstream: int,
    gene_body: bool,
    decay: float | None = None,
) -> sparse.csc_matrix:
    """Weigh peaks or fragments for the genes whose windows they overlap.

    Parameters
    ----------
    intervals
        ``chrom``, ``start`` and ``end``, one row per peak or fragment.
    starts
        A TSS table.
    genes
        The distinct genes of ``starts``.
    upstream, downstream, gene_body, decay
        As in :func:`~scminnet.pp.gene_activity`.

    Returns
    -------
    Intervals x genes, float32. Each pair counts once, with its largest weight: 1, or less with distance if ``decay`` is
    set.
    """
    around = windows(starts, upstream=upstream, downstream=downstream, gene_body=gene_body)
    interval, window = overlaps(intervals, around)
    gene = genes.get_indexer(starts["gene"].astype(str))[window]
    weight = np.ones(len(interval), np.float32)
    if decay is not None:
        start, end = _full_weight_region(starts, gene_body)
        before = start[window] + 1 - intervals["end"].to_numpy()[interval]
        beyond = intervals["start"].to_numpy()[interval] - (end[window] - 1)
        weight = np.exp2(-np.maximum(0, np.maximum(before, beyond)) / decay).astype(np.float32)
    # an interval in several windows of one gene counts once
    pair = interval * len(genes) + gene
    order = np.lexsort((-weight, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    shape = (len(intervals), len(genes))
    return sparse.csc_matrix((weight[best], (interval[best], gene[best])), shape=shape)


def _full_weight_region(starts: pd.DataFrame, gene_body: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the region with weight 1: the first transcribed base, or the gene from there on."""
    if not gene_body:
        return starts["tss"].to_numpy(), starts["tss"].to_numpy() + 1
    body = windows(starts, upstream=0, downstream=1, gene_body=True)
    return body["start"].to_numpy(), body["end"].to_numpy()
