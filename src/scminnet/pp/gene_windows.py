"""Which intervals belong to which genes, and how much: windows at transcript starts, with or without decay."""

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
    around = windows(starts, upstream=upstream, downstream=downstream, gene_body=gene_body)
    interval, window = overlaps(intervals, around)
    gene = genes.get_indexer(starts["gene"].astype(str))[window]
    weight = np.ones(len(interval), np.float32)
    if decay is not None:
        start, end = _nearest_place(starts, gene_body)
        before = start[window] + 1 - intervals["end"].to_numpy()[interval]
        beyond = intervals["start"].to_numpy()[interval] - (end[window] - 1)
        weight = np.exp2(-np.maximum(0, np.maximum(before, beyond)) / decay).astype(np.float32)
    # an interval in several windows of one gene counts once
    pair = interval * len(genes) + gene
    order = np.lexsort((-weight, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    shape = (len(intervals), len(genes))
    return sparse.csc_matrix((weight[best], (interval[best], gene[best])), shape=shape)


def _nearest_place(starts: pd.DataFrame, gene_body: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what has weight 1 if met: the first base transcribed, or the gene from there on."""
    if not gene_body:
        return starts["tss"].to_numpy(), starts["tss"].to_numpy() + 1
    body = windows(starts, upstream=0, downstream=1, gene_body=True)
    return body["start"].to_numpy(), body["end"].to_numpy()
