"""Transcription start sites, inferred from the distances between peaks and genes in Cell Ranger's peak annotation.

The annotation, which muon keeps, has neither starts nor strands. Its distances are those of ``bedtools closest -D b``:
the number of bases from the start to the nearest base of the peak (1 for neighbours), negative if the peak lies
upstream. So each peak gives one candidate position of the start if the gene is on +, and another if it is on -. Only on
the gene's own strand do several peaks give the same position, or a position within a peak that contains the start
(distance 0, ``promoter``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_START = ["gene", "chrom", "tss"]


def infer_tss(pairs: pd.DataFrame) -> pd.DataFrame:
    """Infer the starts of genes on which peaks agree.

    Parameters
    ----------
    pairs
        ``gene``, ``chrom``, ``start``, ``end``, ``distance`` and ``peak_type``, one row per gene and peak.

    Returns
    -------
    ``gene``, ``chrom``, ``tss``, ``strand``, in the order of ``pairs``. A start needs two peaks with the same position,
    or a peak that contains it. A gene needs more support on one strand than on the other.
    """
    pairs = pairs.drop_duplicates()
    holding = pairs.loc[
        (pairs["distance"] == 0) & (pairs["peak_type"] == "promoter"), ["gene", "chrom", "start", "end"]
    ]
    candidates = pd.concat([_candidates(pairs[pairs["distance"] != 0], holding, strand) for strand in "+-"])
    support = candidates.pivot_table(index=["gene", "chrom"], columns="strand", values="support", aggfunc="sum")
    # a strand may have no candidate
    support = support.reindex(columns=["+", "-"]).fillna(0)
    strand = pd.Series(np.where(support["+"] > support["-"], "+", "-"), index=support.index, name="winner")
    strand = strand[support["+"] != support["-"]].reset_index()
    starts = candidates.merge(strand, on=["gene", "chrom"])
    starts = starts[(starts["strand"] == starts["winner"]) & (starts["support"] > 0)]
    order = pd.Index(pairs["gene"].unique()).get_indexer(starts["gene"])
    return starts.iloc[np.lexsort((starts["tss"], order))][[*_START, "strand"]].reset_index(drop=True)


def _candidates(pairs: pd.DataFrame, holding: pd.DataFrame, strand: str) -> pd.DataFrame:
    """Return the starts if all genes are on ``strand``, and the support of each by other peaks."""
    size = pairs["distance"].abs()
    peak_is_left = (pairs["distance"] < 0) == (strand == "+")
    starts = pairs[["gene", "chrom"]].assign(tss=np.where(peak_is_left, pairs["end"] - 1 + size, pairs["start"] - size))
    starts = starts[starts["tss"] >= 0].groupby(_START, sort=False).size().rename("n_peaks").reset_index()
    near = starts.merge(holding, on=["gene", "chrom"])
    held = pd.MultiIndex.from_frame(near.loc[(near["start"] <= near["tss"]) & (near["tss"] < near["end"]), _START])
    is_held = pd.MultiIndex.from_frame(starts[_START]).isin(held)
    return starts.assign(strand=strand, support=starts["n_peaks"] - 1 + is_held)
