"""The score of a link: activity and contact of the peak, as in the activity-by-contact (ABC) model, and correlation.

With A the activity and C the contact, the odds of regulation are a power of

    A^0.5 C C / (sum of C over the genes near the peak)

times the exponential of the correlation's standard score. The last factor, the gene's share of the peak's contacts, is
that of the generalised ABC score :cite:p:`Hecker23`. Correlations enter as in ARC-E2G :cite:p:`Sheth24`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from scminnet.tl._correlation import compiled

#: Exponent of the power law of contact, and the distance in bases below which contact is as at this distance. They are
#: the ABC model's :cite:p:`Fulco19,Nasser21`: ``hic_gamma`` of its average Hi-C, and ``hic_pseudocount_distance``.
GAMMA, NEAREST = 1.024238616787792, 5_000
#: Genes within this distance of a peak share its contacts, in bases.
REACH = 1_000_000
#: Exponent of the activity. It is a square root in the ABC model, too, which multiplies accessibility and H3K27ac.
#: CRISPRi-tested pairs of K562 have AUPRC 0.547 with 0.5, 0.559 with 0.75 and 0.566 with 1. Simulated pairs, where
#: activity says nothing of regulation, are ranked the better the smaller it is.
EXPONENT = 0.5
#: Intercept and slope of the log odds in the CRISPRi-tested pairs of K562, by logistic regression.
INTERCEPT, SLOPE = 1.60, 0.75
#: Weight of the correlation's standard score in the log odds, chosen on simulated cells.
EVIDENCE = 1.25


def power_law(distance: np.ndarray) -> np.ndarray:
    """Contact at a distance in bases, relative to that at 5 kb and below.

    The ABC model's scale (``hic_scale``) is a constant factor and left out.
    """
    return (np.maximum(np.abs(distance), NEAREST) / NEAREST) ** -GAMMA


def contact_total(peaks: pd.DataFrame, starts: pd.DataFrame) -> np.ndarray:
    """Sum each peak's contacts by the power law, over the genes within ``REACH``.

    Parameters
    ----------
    peaks
        ``chrom``, ``start`` and ``end``, one row a peak.
    starts
        ``gene``, ``chrom`` and ``tss``, one row a transcript start. Of a gene with several, the nearest counts.

    Returns
    -------
    float64, one value a peak; 0 where no gene is near.
    """
    chroms = pd.unique(starts["chrom"].astype(str))
    code = pd.Index(chroms).get_indexer(starts["chrom"].astype(str))
    gene, genes = pd.factorize(starts["gene"])
    tss = starts["tss"].to_numpy(np.int64)
    order = np.lexsort((tss, code))
    code, gene, tss = code[order], gene[order].astype(np.int64), tss[order]
    middle = ((peaks["start"] + peaks["end"]) // 2).to_numpy(np.int64)
    of_peak = pd.Index(chroms).get_indexer(peaks["chrom"].astype(str))
    low, high = np.zeros(len(peaks), np.int64), np.zeros(len(peaks), np.int64)
    bounds = np.searchsorted(code, np.arange(len(chroms) + 1))
    for c in range(len(chroms)):
        here = np.flatnonzero(of_peak == c)
        of_chrom = tss[bounds[c] : bounds[c + 1]]
        low[here] = bounds[c] + np.searchsorted(of_chrom, middle[here] - REACH)
        high[here] = bounds[c] + np.searchsorted(of_chrom, middle[here] + REACH, side="right")
    return _contact_total(middle, low, high, tss, gene, len(genes), GAMMA, NEAREST)


@compiled
def _contact_total(
    middle: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    tss: np.ndarray,
    gene: np.ndarray,
    n_genes: int,
    gamma: float,
    nearest: int,
) -> np.ndarray:
    """Sum over genes of the power law at the nearest of the gene's starts ``tss[low[k]:high[k]]``."""
    total = np.zeros(len(middle))
    least, met, seen = np.zeros(n_genes, np.int64), np.zeros(n_genes, np.int64), np.full(n_genes, -1, np.int64)
    for k in range(len(middle)):
        n_met = 0
        for i in range(low[k], high[k]):
            distance = abs(tss[i] - middle[k])
            if seen[gene[i]] != k:
                seen[gene[i]] = k
                least[gene[i]] = distance
                met[n_met] = gene[i]
                n_met += 1
            elif distance < least[gene[i]]:
                least[gene[i]] = distance
        for i in range(n_met):
            total[k] += (max(least[met[i]], nearest) / nearest) ** -gamma
    return total


def contact_share(contact: np.ndarray, distance: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Share of a gene in the contacts of a peak with all genes near it, in (0, 1].

    Parameters
    ----------
    contact
        Contact of the pair.
    distance
        Distance of the pair in bases, by which ``total`` counts the gene.
    total
        What :func:`contact_total` sums for the peak.
    """
    others = np.maximum(total - power_law(distance), 0.0)
    return contact / (contact + others)


def abc_share(strength: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Share of each pair in the activity x contact of all pairs of its gene: the ABC score."""
    total = np.bincount(gene, weights=strength)[gene]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, strength / total, np.nan)


def link_score(
    activity: np.ndarray, contact: np.ndarray, share: np.ndarray, evidence: np.ndarray | float = 0.0
) -> np.ndarray:
    """Combine activity, contact and correlation into a score in (0, 1).

    Parameters
    ----------
    activity
        Accessibility of the peak relative to the mean peak.
    contact
        Contact relative to that at 5 kb.
    share
        Share of the gene in the peak's contacts.
    evidence
        Correlation in standard deviations of unrelated pairs; 0 without one.

    Returns
    -------
    float64; NaN where the activity is negative.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return expit(INTERCEPT + SLOPE * np.log(activity**EXPONENT * contact * share) + EVIDENCE * evidence)
