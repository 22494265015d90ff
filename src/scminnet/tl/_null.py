"""The null of the links: what peaks of other chromosomes would have in a peak's place, and how a pair compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.spatial import KDTree

from scminnet.tl._conditional import in_place
from scminnet.tl._correlation import Columns, correlate_pairs

#: Peaks from which backgrounds are taken, drawn from all.
POOL = 5_000
#: Fewest peaks on other chromosomes: fewer say little of all.
MIN_BACKGROUND = 30
#: Background correlations that make up the null distribution; at least one a pair.
N_NULL = 250_000
#: Columns whose nearest peaks of the pool are in memory at a time.
_BLOCK = 4_096

#: Correlations are cut here before Fisher's transformation, which would make 1 infinite.
_LARGEST = 0.9999


def fisher(r: np.ndarray) -> np.ndarray:
    """Fisher's transformation: the inverse hyperbolic tangent."""
    return np.arctanh(np.clip(r, -_LARGEST, _LARGEST))


def fisher_variance(n: np.ndarray | int, method: str) -> np.ndarray:
    """Variance of Fisher's transformation over n independent observations.

    1 / (n - 3) for Pearson; 1.06 / (n - 3) for Spearman :cite:p:`Fieller57`. Infinite up to three observations.
    """
    with np.errstate(divide="ignore"):
        return (1.06 if method == "spearman" else 1.0) / np.maximum(np.asarray(n) - 3, 0)


def theoretical_null(
    r: np.ndarray, n: np.ndarray, method: str, alternative: str = "two-sided"
) -> tuple[np.ndarray, np.ndarray]:
    """Score correlations as those of independent observations: z and p of the normal distribution."""
    z = fisher(r) / np.sqrt(fisher_variance(n, method))
    return z, stats.norm.sf(z) if alternative == "greater" else 2 * stats.norm.sf(np.abs(z))


def false_discovery_rate(p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Benjamini and Hochberg's rate over the values that are not NaN.

    With weights, p counts as p / weight, the weights having mean 1 :cite:p:`Genovese06`.
    """
    rate, tested = np.full(len(p), np.nan), ~np.isnan(p)
    if tested.any():
        relative = 1.0 if weight is None else weight[tested] / weight[tested].mean()
        rate[tested] = stats.false_discovery_control(np.minimum(p[tested] / relative, 1))
    return rate


class Background(NamedTuple):
    """Where the background of a pair is taken from."""

    #: columns of the peaks that it may be of; they vary
    pool: np.ndarray
    #: chromosome of every column
    chrom: np.ndarray
    #: what peaks are matched by, (columns, covariates), scaled alike
    covariates: np.ndarray
    #: peaks of a background: the nearest of the pool, or all where these are fewer
    size: int


@dataclass(frozen=True, eq=False)
class Pool:
    """The peaks that backgrounds are taken from, the same for every group of observations.

    Attributes
    ----------
    used
        The peaks in use, in pairs or in the pool, as positions among all peaks. Columns are numbered along them.
    members
        Columns of the peaks in the pool.
    chrom
        Chromosome of every column.
    gc
        GC content of every column, or ``None`` to match by accessibility only.
    size
        Peaks of a background.
    """

    used: np.ndarray
    members: np.ndarray
    chrom: np.ndarray
    gc: np.ndarray | None
    size: int

    def background(self, totals: np.ndarray, norm: np.ndarray) -> Background:
        """Choose the peaks that vary, to be matched by quantiles of their accessibility and GC content.

        Parameters
        ----------
        totals
            Accessibility of all peaks, summed over the observations.
        norm
            Spread of every column; 0 where it is constant.
        """
        covariates = [stats.rankdata(totals)[self.used] / len(totals)]
        if self.gc is not None:
            covariates.append(stats.rankdata(self.gc) / len(self.gc))
        members = self.members[norm[self.members] > 0]
        return Background(members, self.chrom, np.column_stack(covariates), self.size)


def draw_pool(n_peaks: int, seed: int) -> np.ndarray:
    """Draw the peaks of the pool, as positions among all peaks."""
    return np.random.default_rng(seed).permutation(n_peaks)[:POOL]


def matched_null(
    values: np.ndarray,
    r: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    x: Columns,
    y: Columns,
    background: Background,
    *,
    nonzero: bool,
    alternative: str = "greater",
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Compare each pair with what peaks on other chromosomes would have in the place of its peak.

    Parameters
    ----------
    values
        What is compared: conditional correlations of the pairs, or with ``nonzero`` the z of :func:`theoretical_null`,
        because each correlation is over observations of its own number.
    r
        Correlations of the pairs.
    first, second
        Columns of the pairs in ``x`` (genes) and ``y`` (peaks).
    x, y
        The columns.
    background
        What the pairs are compared with.
    nonzero
        As in :func:`~scminnet.tl._correlation.correlate_pairs`.
    alternative
        ``"two-sided"``, or ``"greater"`` for values above the background only.
    seed
        Seed of the draw of the other peaks.

    Returns
    -------
    z is the distance of the value from the mean of its background, in standard deviations of the background. The
    background is what the peaks of the pool that are most like the pair's peak have in the place of any pair's peak. p
    is the share of all values in place whose z, against their own backgrounds, lies as far from 0 (is as large). Both
    are NaN where a background has fewer than two values or no spread.

    Raises
    ------
    ValueError
        Other chromosomes hold fewer than ``MIN_BACKGROUND`` peaks of the pool.
    """
    others = _draw_others(second, background, seed)
    if nonzero:
        pairs = np.repeat(first, others.shape[1])
        in_places, _ = theoretical_null(*correlate_pairs(x, y, pairs, others.ravel(), nonzero=True), "pearson")
    else:
        in_places = in_place(r, first, second, others, x, y).ravel()
    mean, deviation = _matched_moments(others.ravel(), in_places, background)
    null = (in_places - mean[others.ravel()]) / deviation[others.ravel()]
    z = (values - mean[second]) / deviation[second]
    far = (lambda distance: distance) if alternative == "greater" else np.abs
    null = np.sort(far(null[~np.isnan(null)]))
    as_far = len(null) - np.searchsorted(null, far(z))
    return z, np.where(np.isnan(z), np.nan, (1 + as_far) / (1 + len(null)))


def _draw_others(second: np.ndarray, background: Background, seed: int) -> np.ndarray:
    """Draw peaks of the pool on other chromosomes for each pair, (pairs, peaks a pair)."""
    rng = np.random.default_rng(seed)
    # codes compare faster than names
    names, chrom = np.unique(background.chrom, return_inverse=True)
    n_each = min(-(-N_NULL // len(second)), POOL)
    others = np.empty((len(second), n_each), dtype=np.int64)
    for here in np.unique(chrom[second]):
        members = background.pool[chrom[background.pool] != here]
        if len(members) < MIN_BACKGROUND:
            raise ValueError(
                f"`null` is 'matched', but only {len(members)} peaks that vary lie on other chromosomes than "
                f"{str(names[here])!r}; {MIN_BACKGROUND} are needed. Keep the peaks of all chromosomes, or choose "
                "'theoretical' or None."
            )
        pairs = np.flatnonzero(chrom[second] == here)
        others[pairs] = members[rng.integers(len(members), size=(len(pairs), n_each))]
    return others


def _matched_moments(peaks: np.ndarray, values: np.ndarray, background: Background) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the values of the peaks of the pool that are most like each column."""
    n = len(background.covariates)
    defined = ~np.isnan(values)
    peaks, values = peaks[defined], values[defined]
    # number, sum and sum of squares of each column's values
    sums = np.column_stack([np.bincount(peaks, weights=values**power, minlength=n) for power in (0, 1, 2)])
    pool = background.pool
    tree, size = KDTree(background.covariates[pool]), min(background.size, len(pool))
    matched = np.empty((n, 3))
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        near = pool[tree.query(background.covariates[block], size)[1]]
        matched[block] = sums[near].sum(axis=1)
    n_matched, total, squares = matched.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n_matched
        variance = (squares - n_matched * mean**2) / (n_matched - 1)
        # rounding leaves equal values a variance
        spread = variance > 1e-12 * squares / n_matched
        return np.where(spread, mean, np.nan), np.where(spread, np.sqrt(np.maximum(variance, 0)), np.nan)
