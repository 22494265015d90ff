"""Motifs that linked peaks hold more often than other peaks of the same GC content."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData
from scipy.stats import false_discovery_control

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_fraction
from scminnet.genomics import parse_intervals
from scminnet.genomics import sequences as read_sequences
from scminnet.genomics.link_table import link_table
from scminnet.genomics.motifs import Motif, find_motifs, read_motifs
from scminnet.tl._stratified import enrichment

_PLACE = ["chrom", "start", "end"]


@check_types
def motif_enrichment(
    links: pd.DataFrame | MuData,
    genome: str | os.PathLike[str],
    *,
    max_fdr: float | None = 0.05,
    background: pd.DataFrame | None = None,
    motifs: str | os.PathLike[str] | Sequence[Motif] | None = None,
    pvalue: float = 5e-5,
    n_gc_bins: int = 10,
) -> pd.DataFrame:
    """Find the motifs that linked peaks hold more often than background peaks.

    A peak holds a motif when the motif's score passes a threshold at some position of either strand. Random sequence of
    the peaks' composition passes it at one position with the probability ``pvalue``. Motifs rich in GC are more
    frequent in peaks rich in GC, such as promoters. Peaks are therefore compared within bins of GC content.

    Parameters
    ----------
    links
        The MuData of bulks after ``cre_links``, or its table.
    genome
        FASTA file of the peaks' genome, plain or compressed with bgzip. Its index (``.fai``) is made beside it.
    max_fdr
        Peaks with a link of at most this ``fdr`` are the linked ones. ``None``: all peaks of the table, and
        ``background`` is then needed. To take positive links only, give ``links[links["r"] > 0]``.
    background
        Table of the peaks to compare with, e.g. ``mdata["atac"].var``; those that are linked are left out. ``None``:
        the table's other peaks, which lie near genes as the linked ones do.
    motifs
        File in MEME or JASPAR format, or a list of :class:`scminnet.motifs.Motif`. ``None``: the 746 matrices that muon
        ships, JASPAR CORE of vertebrates.
    pvalue
        Probability of a hit at one position of one strand of random sequence; 5e-5, the default of motifmatchr.
    n_gc_bins
        Bins of GC content, cut at quantiles of the linked peaks. 1: GC content is ignored.

    Returns
    -------
    A table, one row a motif, the smallest ``p`` first. Nothing is written into a MuData.

    ``motif``, ``gene``
        The motif's id, and the name of the factor.
    ``n_linked``, ``n_background``
        Peaks of each kind.
    ``n_linked_with``, ``n_background_with``
        Those that hold the motif.
    ``expected``
        Linked peaks that would hold it at the rates of all peaks of their bins.
    ``fold``
        ``n_linked_with / expected``.
    ``p``, ``fdr``
        As in the notes, and the false discovery rate by Benjamini and Hochberg.

    Raises
    ------
    ImportError
        pyfaidx is not installed, or Biopython, which reads motifs (the extra ``genome`` brings both).
    TypeError
        ``links`` or ``background`` is no table, or ``motifs`` neither a path nor a list of motifs.
    KeyError
        ``links`` is a MuData without links.
    FileNotFoundError
        ``genome`` or ``motifs`` is the path of no file.
    ValueError
        The table lacks columns or rows. ``fdr`` is missing. No peak is linked, or none is left as background.
        Chromosomes are not in the genome or end before the peaks. A file can not be read. A parameter is out of its
        range.

    Notes
    -----
    p is the probability of as many or more linked peaks with the motif, if the linked peaks were drawn at random from
    the peaks of their bins. It is hypergeometric in each bin; the sum over bins is by convolution. With one bin it is
    Fisher's one-sided exact test.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.tl.motif_enrichment(bulks, "hg38.fa").head(10)  # doctest: +SKIP
    """
    table = link_table(links, [*_PLACE, *(["fdr"] if max_fdr is not None else [])])
    if not 0 < pvalue < 1:
        raise ValueError(f"`pvalue` is {pvalue!r}. Give a number between 0 and 1.")
    check_count(n_gc_bins, "n_gc_bins")
    linked, others = _peaks(table, max_fdr, background)
    matrices = _matrices(motifs)

    sequences = list(read_sequences(pd.concat([linked, others], ignore_index=True), genome))
    is_linked = np.arange(len(sequences)) < len(linked)
    counts = np.array([[s.count(base) for base in "ACGT"] for s in sequences])
    if not counts.any():
        raise ValueError("`genome` has nothing but N where the peaks lie. Take a genome that is not masked with N.")
    composition = counts.sum(axis=0) / counts.sum()
    # either strand may be read
    composition = (composition + composition[::-1]) / 2
    gc = counts[:, 1:3].sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    edges = np.unique(np.quantile(gc[is_linked], np.arange(1, n_gc_bins) / n_gc_bins))
    bins = np.searchsorted(edges, gc, side="right")
    holds = find_motifs(sequences, matrices, composition, pvalue=pvalue)

    rows = []
    for motif, with_it in zip(matrices, holds.T, strict=True):
        found = enrichment(with_it, is_linked, bins)
        rows.append(
            {
                "motif": motif.id,
                "gene": motif.name,
                "n_linked": len(linked),
                "n_linked_with": found.found,
                "n_background": len(others),
                "n_background_with": int(with_it.sum()) - found.found,
                "expected": found.expected,
                "p": found.p,
            }
        )
    result = pd.DataFrame(rows)
    fold = (result["n_linked_with"] / result["expected"]).where(result["expected"] > 0)
    result.insert(result.columns.get_loc("p"), "fold", fold)
    result["fdr"] = false_discovery_control(result["p"])
    return result.sort_values("p", kind="stable", ignore_index=True)


def _matrices(motifs: str | os.PathLike[str] | Sequence[Motif] | None) -> list[Motif]:
    if motifs is None or isinstance(motifs, (str, os.PathLike)):
        return read_motifs(motifs)
    matrices = [m for m in motifs if isinstance(m, Motif)] if isinstance(motifs, Sequence) else []
    if not matrices or len(matrices) < len(motifs):
        raise TypeError(
            f"`motifs` is {motifs!r:.80}. Give a file in MEME or JASPAR format, a list of `scminnet.motifs.Motif`, "
            "or None."
        )
    return matrices


def _peaks(
    table: pd.DataFrame, max_fdr: float | None, background: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the distinct linked peaks and the distinct peaks of the background."""
    peaks = parse_intervals(table[_PLACE], argument="links")
    if max_fdr is None:
        if background is None:
            raise ValueError("`background` is None, and so is `max_fdr`: every peak is linked. Give one of the two.")
        chosen = np.ones(len(table), dtype=bool)
    else:
        check_fraction(max_fdr, "max_fdr", upper_open=False)
        fdr = table["fdr"].to_numpy(float, na_value=np.nan)
        if np.isnan(fdr).all():
            raise ValueError(
                "`links` has no value in column 'fdr'. Call `cre_links` with a null, or select links and give "
                "`max_fdr=None` with a `background`."
            )
        chosen = fdr <= max_fdr
        if not chosen.any():
            raise ValueError(f"`max_fdr` is {max_fdr}, which none of the {len(table):,} links reaches. Raise it.")
    linked = peaks[chosen].drop_duplicates(ignore_index=True)
    if background is not None and not isinstance(background, pd.DataFrame):
        raise TypeError(f"`background` is a {type(background).__name__}. Give a table of intervals.")
    others = peaks if background is None else parse_intervals(background, argument="background")
    others = others.drop_duplicates(ignore_index=True)
    others = others[~pd.MultiIndex.from_frame(others).isin(pd.MultiIndex.from_frame(linked))]
    if others.empty:
        raise ValueError(
            "`background`: no peak is left beside the linked ones. Give a table with more peaks, or lower `max_fdr`."
        )
    return linked, others
