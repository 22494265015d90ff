"""The pairs of genes and peaks over one group of bulks: which are defined, their null, and their score."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.matrices import Block
from scminnet.genomics import gc_content
from scminnet.tl._activity_contact import abc_share, contact_share, contact_total, link_score, power_law
from scminnet.tl._conditional import conditional_correlation
from scminnet.tl._contacts import measured_contact
from scminnet.tl._correlation import Correlated, PairValues
from scminnet.tl._null import Pool, matched_null, theoretical_null
from scminnet.tl._observations import Features, Observations


def read_pool(
    peaks: pd.DataFrame, pairs: pd.DataFrame, drawn: np.ndarray, genome: str | os.PathLike[str] | None, size: int
) -> Pool:
    """Describe the peaks of the pairs and those drawn for backgrounds; with a ``genome`` also their GC content."""
    used = np.union1d(pairs["peak"], drawn)
    gc = None if genome is None else _gc_content(peaks.iloc[used], genome)
    return Pool(used, np.searchsorted(used, drawn), peaks["chrom"].to_numpy()[used], gc, size)


def _gc_content(peaks: pd.DataFrame, genome: str | os.PathLike[str]) -> np.ndarray:
    """GC content of peaks, raising where a peak has no known base."""
    gc = gc_content(peaks, genome)
    unknown = np.isnan(gc)
    if unknown.any():
        raise ValueError(
            f"`genome`: {int(unknown.sum()):,} peaks hold no known base, e.g. {shorten(peaks.index[unknown], 3)}. "
            "Give the genome build of the peaks, or leave these peaks out."
        )
    return gc


def read_values(observed: Observations, pairs: pd.DataFrame, pool: Pool, method: str, *, nonzero: bool) -> PairValues:
    """Read the values of the genes of the pairs, and of the peaks in use."""
    genes = pairs["gene"].unique()
    return PairValues(
        genes=observed.genes.columns(genes),
        peaks=observed.peaks.columns(pool.used),
        first=np.searchsorted(genes, pairs["gene"]),
        second=np.searchsorted(pool.used, pairs["peak"]),
        method=method,
        nonzero=nonzero,
    )


def given_others(correlated: Correlated, values: PairValues) -> np.ndarray:
    """Return correlations given the other peaks of the gene. With ``nonzero``, each is over other rows: as they are."""
    r = correlated.r
    return r if values.nonzero else conditional_correlation(r, values.first, values.second, correlated.peaks)


def significance(
    correlated: Correlated,
    given: np.ndarray,
    values: PairValues,
    null: str | None,
    alternative: str,
    pool: Pool,
    peaks: Features,
    rows: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Compare correlations over the bulks ``rows`` with a null.

    Parameters
    ----------
    correlated, given, values
        The correlations, what :func:`given_others` makes of them, and the values they were computed from.
    null, alternative, seed
        As in :func:`scminnet.tl.cre_links`.
    pool
        Where backgrounds are taken from.
    peaks, rows
        All peaks, and the bulks over which their accessibility is summed.

    Returns
    -------
    z and p of each pair; NaN without a null, or where the correlation is not defined.
    """
    defined = np.isfinite(correlated.r)
    z, p = np.full(len(defined), np.nan), np.full(len(defined), np.nan)
    r, n = correlated.r[defined], correlated.n[defined]
    if null == "theoretical":
        z[defined], p[defined] = theoretical_null(r, n, values.method, alternative)
    elif null == "matched" and defined.any():
        z[defined], p[defined] = matched_null(
            theoretical_null(r, n, values.method)[0] if values.nonzero else given[defined],
            r,
            values.first[defined],
            values.second[defined],
            correlated.genes,
            correlated.peaks,
            pool.background(peaks.totals(rows), correlated.peaks.norm),
            nonzero=values.nonzero,
            alternative=alternative,
            seed=seed,
        )
    return z, p


def read_contact(pairs: pd.DataFrame, starts: pd.DataFrame, contacts: pd.DataFrame | None) -> pd.DataFrame:
    """Return ``contact`` and ``contact_share`` of each pair, by the power law or by measured ``contacts``."""
    distance = pairs["distance"].to_numpy()
    contact = power_law(distance) if contacts is None else measured_contact(pairs, contacts)
    peaks = pairs[["peak", "chrom", "start", "end"]].drop_duplicates("peak")
    total = pd.Series(contact_total(peaks, starts), index=peaks["peak"].to_numpy())
    share = contact_share(contact, distance, total.loc[pairs["peak"]].to_numpy())
    return pd.DataFrame({"contact": contact, "contact_share": share})


def regulation(
    pairs: pd.DataFrame,
    correlated: Correlated,
    given: np.ndarray,
    values: PairValues,
    accessibility: Block,
    contact: pd.DataFrame,
) -> pd.DataFrame:
    """Score each pair by activity, contact and correlation.

    Parameters
    ----------
    pairs
        ``gene`` as a position.
    correlated, given, values
        The correlations, what :func:`given_others` makes of them, and the values they were computed from.
    accessibility
        Bulks x the peaks in use.
    contact
        What :func:`read_contact` returns.

    Returns
    -------
    ``r_conditional``, ``activity``, ``contact``, ``contact_share``, ``abc`` and ``score``, one row a pair.
    """
    r = correlated.r
    spread = np.sqrt(np.mean(given[np.isfinite(given)] ** 2)) if np.isfinite(given).any() else 0.0
    totals = np.asarray(accessibility.sum(axis=0), dtype=np.float64).ravel()
    of_table = np.unique(values.second[np.isfinite(r)])
    mean = totals[of_table].mean() if len(of_table) else 0.0
    activity = totals[values.second] / mean if mean > 0 else np.full(len(pairs), np.nan)
    activity = np.where(activity >= 0, activity, np.nan)
    strength = activity * contact["contact"].to_numpy()
    # pairs without a correlation are no candidates
    abc = abc_share(np.where(np.isfinite(r), strength, 0), pairs["gene"].to_numpy())
    evidence = given / spread if spread > 0 else 0.0
    score = link_score(activity, contact["contact"].to_numpy(), contact["contact_share"].to_numpy(), evidence)
    return contact.assign(r_conditional=given, activity=activity, abc=abc, score=score)


def why_undefined(correlated: Correlated, values: PairValues) -> dict[int, str]:
    """Say of each gene none of whose pairs has a correlation why, by its column in ``values.genes``."""
    norm = correlated.genes.norm
    n_defined = np.bincount(values.first, weights=np.isfinite(correlated.r), minlength=len(norm))
    peaks = "too few bulks have both it and a peak" if values.nonzero else "its peaks are constant over the bulks"
    return {
        gene: peaks if norm[gene] > 0 else "constant over the bulks" for gene in np.flatnonzero(n_defined == 0).tolist()
    }
