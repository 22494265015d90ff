"""Which intervals belong to which genes, and how much: windows at transcript starts, with or without decay."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from scminnet.genomics import overlaps


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
    """Weigh peaks or fragments for the genes whose windows they meet.

    Parameters
    ----------
    intervals
        ``chrom``, ``start`` and ``end``, one row a peak or fragment.
    starts
        A TSS table.
    genes
        The distinct genes of ``starts``.
    upstream, downstream, gene_body, decay
        As in :func:`~scminnet.pp.gene_activity`.

    Returns
    -------
    Intervals x genes, float32. Each pair counts once, by its largest weight: 1, or with ``decay`` less the farther apart.
    """
    forward = (starts["strand"] == "+").to_numpy()
    first = starts["tss"].to_numpy()
    # what has weight 1 if met: the first base transcribed, or the gene from there on
    start, end = first, first + 1
    if gene_body:
        start = np.where(forward, start, np.minimum(start, starts["start"]))
        end = np.where(forward, np.maximum(end, starts["end"]), end)
    # on - the window is mirrored at the first base transcribed, not at its left edge
    left = np.where(forward, first - upstream, first + 1 - downstream)
    right = np.where(forward, first + downstream, first + 1 + upstream)
    if gene_body:
        left, right = np.minimum(left, start), np.maximum(right, end)
    windows = pd.DataFrame({"chrom": starts["chrom"].to_numpy(), "start": left, "end": right})
    interval, window = overlaps(intervals, windows)
    gene = genes.get_indexer(starts["gene"].astype(str))[window]
    weight = np.ones(len(interval), np.float32)
    if decay is not None:
        before = start[window] + 1 - intervals["end"].to_numpy()[interval]
        beyond = intervals["start"].to_numpy()[interval] - (end[window] - 1)
        weight = np.exp2(-np.maximum(0, np.maximum(before, beyond)) / decay).astype(np.float32)
    # an interval in several windows of one gene counts once
    pair = interval * len(genes) + gene
    order = np.lexsort((-weight, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    shape = (len(intervals), len(genes))
    return sparse.csc_matrix((weight[best], (interval[best], gene[best])), shape=shape)
