"""The null of the links: a gene's correlations with peaks on other chromosomes, and how a pair compares with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.spatial import KDTree

from scminnet.tl._correlation import Columns, compiled, correlate_all, correlate_pairs

#: Peaks from which backgrounds are taken, drawn from all.
POOL = 5_000
#: Fewest background peaks: fewer give no reliable standard deviation.
MIN_BACKGROUND = 30
#: Background correlations whose z form the null distribution in all, and at least for each gene.
N_CALIBRATION, MIN_CALIBRATION = 500_000, 100
#: Genes whose background correlations are in memory at a time.
_BLOCK = 128

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


def false_discovery_rate(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's rate over the values that are not NaN."""
    rate, tested = np.full(len(p), np.nan), ~np.isnan(p)
    if tested.any():
        rate[tested] = stats.false_discovery_control(p[tested])
    return rate


class Background(NamedTuple):
    """Where the background of a pair is taken from."""

    #: columns of the peaks that it may be of; they vary
    pool: np.ndarray
    #: chromosome of every column
    chrom: np.ndarray
    #: what peaks are matched by, (columns, covariates), scaled alike
    covariates: np.ndarray
    #: peaks of a background: the nearest of the pool on other chromosomes, or all where these are fewer
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
    r: np.ndarray,
    n: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    x: Columns,
    y: Columns,
    background: Background,
    *,
    nonzero: bool,
    alternative: str = "two-sided",
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Score each pair against the correlations of its gene with matched peaks on other chromosomes.

    Parameters
    ----------
    r, n
        Correlations of the pairs, and the number of observations of each.
    first, second
        Columns of the pairs in ``x`` (genes) and ``y`` (peaks).
    x, y
        The columns.
    background
        What the pairs are compared with.
    nonzero
        As in :func:`~scminnet.tl._correlation.correlate_pairs`.
    alternative
        ``"two-sided"``, or ``"greater"`` for correlations above the background only.
    seed
        Seed of the draw of background correlations that make up the null.

    Returns
    -------
    z is the distance of Fisher's transformation of r from the background's mean, in standard deviations of the
    background. p is the share of background correlations, scored in the same way against their own backgrounds, whose z
    lies as far from 0 (is as large). Both are NaN where a background has fewer than two correlations.

    Raises
    ------
    ValueError
        Other chromosomes hold fewer than ``MIN_BACKGROUND`` peaks of the pool.
    """
    rng = np.random.default_rng(seed)
    pool, covariates = background.pool, background.covariates
    # codes compare faster than names
    names, chrom = np.unique(background.chrom, return_inverse=True)
    z = np.empty(len(r))
    scores: list[np.ndarray] = []
    per_gene = max(MIN_CALIBRATION, -(-N_CALIBRATION // len(np.unique(first))))
    for here in np.unique(chrom[second]):
        members = pool[chrom[pool] != here]
        if len(members) < MIN_BACKGROUND:
            raise ValueError(
                f"`null` is 'matched', but only {len(members)} peaks that vary lie on other chromosomes than "
                f"{str(names[here])!r}; {MIN_BACKGROUND} are needed. Keep the peaks of all chromosomes, or choose "
                "'theoretical' or None."
            )
        tree = KDTree(covariates[members])
        size = min(background.size, len(members) - 1)
        drawn = rng.permutation(len(members))[:per_gene]
        near_drawn = _without_own(tree.query(covariates[members[drawn]], size + 1)[1], drawn)
        pairs = np.flatnonzero(chrom[second] == here)
        peaks, peak = np.unique(second[pairs], return_inverse=True)
        near = tree.query(covariates[peaks], size)[1]
        genes, gene = np.unique(first[pairs], return_inverse=True)
        for start in range(0, len(genes), _BLOCK):
            block = genes[start : start + _BLOCK]
            correlations, counts = _all_correlations(x, y, block, members, nonzero=nonzero)
            rows = np.flatnonzero((gene >= start) & (gene < start + _BLOCK))
            at = pairs[rows]
            z[at] = _scores(fisher(r[at]), n[at], correlations, gene[rows] - start, near, peak[rows])

            row, column = (index.ravel() for index in np.indices((len(block), len(drawn))))
            own = row, drawn[column]
            scores.append(_scores(correlations[own], counts[own], correlations, row, near_drawn, column))
    null = np.concatenate(scores)
    far = (lambda values: values) if alternative == "greater" else np.abs
    null = np.sort(far(null[~np.isnan(null)]))
    as_far = len(null) - np.searchsorted(null, far(z))
    return z, np.where(np.isnan(z), np.nan, (1 + as_far) / (1 + len(null)))


def _all_correlations(
    x: Columns, y: Columns, genes: np.ndarray, peaks: np.ndarray, *, nonzero: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Fisher's transformation of each gene's correlations, (genes, peaks), and their numbers of observations."""
    shape = len(genes), len(peaks)
    if nonzero:
        r, n = correlate_pairs(x, y, np.repeat(genes, len(peaks)), np.tile(peaks, len(genes)), nonzero=True)
        return fisher(r).reshape(shape), n.reshape(shape)
    return fisher(correlate_all(x, y, genes, peaks)), np.broadcast_to(x.values.shape[0], shape)


def _scores(
    values: np.ndarray, n: np.ndarray, correlations: np.ndarray, gene: np.ndarray, near: np.ndarray, peak: np.ndarray
) -> np.ndarray:
    """Distance of values from their backgrounds ``correlations[gene, near[peak]]`` in standard deviations."""
    mean, deviation = _moments_at(correlations, gene, near, peak)
    # correlations of n independent observations vary by 1 / (n - 1) at least; few sparse peaks may show less by chance
    return (values - mean) / np.maximum(deviation, 1 / np.sqrt(np.maximum(n - 1, 1)))


def _without_own(near: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Drop from each row its own number, or the last where it is not in the row for a tie."""
    keep = near != own[:, None]
    keep[keep.all(axis=1), -1] = False
    return near[keep].reshape(len(near), -1)


@compiled
def _moments_at(
    values: np.ndarray, gene: np.ndarray, near: np.ndarray, peak: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of ``values[gene[k], near[peak[k]]]`` without NaN; NaN of fewer than two."""
    mean, deviation = np.empty(len(gene)), np.empty(len(gene))
    for k in range(len(gene)):
        total, squares, count = 0.0, 0.0, 0
        for i in range(near.shape[1]):
            value = values[gene[k], near[peak[k], i]]
            if not np.isnan(value):
                total += value
                squares += value * value
                count += 1
        mean[k], deviation[k] = np.nan, np.nan
        if count > 1:
            mean[k] = total / count
            deviation[k] = np.sqrt(max(squares - total * mean[k], 0.0) / (count - 1))
    return mean, deviation
