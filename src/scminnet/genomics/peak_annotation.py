"""Transcription start sites from the distances that Cell Ranger gives between peaks and genes.

Its peak annotation, which muon keeps, has neither starts nor strands. But its distances are those of ``bedtools closest -D b``: bases from
the start to the peak's nearest base (1 for neighbours), negative where the peak lies upstream. So each peak places the start at one base if the gene is on +,
and at another if it is on -. Only on the gene's own strand do several peaks place it at the same base, or at a base within a peak that
is said to hold it (distance 0, ``promoter``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_START = ["gene", "chrom", "tss"]


def starts_of_peaks(pairs: pd.DataFrame) -> pd.DataFrame:
    """Recover the starts of genes on which peaks agree.

    Parameters
    ----------
    pairs
        ``gene``, ``chrom``, ``start``, ``end``, ``distance`` and ``peak_type``, one row a gene and peak.

    Returns
    -------
    ``gene``, ``chrom``, ``tss``, ``strand``: starts placed alike by two peaks or within a peak that holds the start, of genes of which
    one strand has more of these than the other; in the order of ``pairs``.
    """
    pairs = pairs.drop_duplicates()
    holding = pairs.loc[
        (pairs["distance"] == 0) & (pairs["peak_type"] == "promoter"), ["gene", "chrom", "start", "end"]
    ]
    candidates = pd.concat([_candidates(pairs[pairs["distance"] != 0], holding, strand) for strand in "+-"])
    support = candidates.pivot_table(index=["gene", "chrom"], columns="strand", values="support", aggfunc="sum")
    # a strand with no place left for a start
    support = support.reindex(columns=["+", "-"]).fillna(0)
    strand = pd.Series(np.where(support["+"] > support["-"], "+", "-"), index=support.index, name="winner")
    strand = strand[support["+"] != support["-"]].reset_index()
    starts = candidates.merge(strand, on=["gene", "chrom"])
    starts = starts[(starts["strand"] == starts["winner"]) & (starts["support"] > 0)]
    order = pd.Index(pairs["gene"].unique()).get_indexer(starts["gene"])
    return starts.iloc[np.lexsort((starts["tss"], order))][[*_START, "strand"]].reset_index(drop=True)


def _candidates(pairs: pd.DataFrame, holding: pd.DataFrame, strand: str) -> pd.DataFrame:
    """Return where the starts are if all genes are on ``strand``, and how far peaks agree on each."""
    size = pairs["distance"].abs()
    peak_is_left = (pairs["distance"] < 0) == (strand == "+")
    starts = pairs[["gene", "chrom"]].assign(tss=np.where(peak_is_left, pairs["end"] - 1 + size, pairs["start"] - size))
    starts = starts[starts["tss"] >= 0].groupby(_START, sort=False).size().rename("n_peaks").reset_index()
    near = starts.merge(holding, on=["gene", "chrom"])
    held = pd.MultiIndex.from_frame(near.loc[(near["start"] <= near["tss"]) & (near["tss"] < near["end"]), _START])
    is_held = pd.MultiIndex.from_frame(starts[_START]).isin(held)
    return starts.assign(strand=strand, support=starts["n_peaks"] - 1 + is_held)
