"""Statistics that compare a query with the reference. Pure functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scminnet.metrics.mixing import mixing_of

#: Neighbours in which modalities are counted, and the fewest cells of a type and modality that are used.
MIXING_NEIGHBORS = 10
MIN_PER_TYPE = 5

#: With fewer features a correlation means nothing.
MIN_FEATURES = 3

#: Mixing is averaged over this many draws of equally many cells of each modality.
MIXING_DRAWS = 5


class Typed(NamedTuple):
    """Embedded cells and their predicted types."""

    embedding: np.ndarray
    """Cells x n_latent."""
    types: np.ndarray
    """Code of each cell's type."""


class Mixing(NamedTuple):
    """Mixing of modalities in the query and in the reference, measured in the same way."""

    query: float
    reference: float


def level_correlation(mean: np.ndarray, reference_mean: np.ndarray) -> float | None:
    """Correlate the features' means with the reference's. ``None`` for too few or constant means."""
    a, b = mean.astype(np.float64), reference_mean.astype(np.float64)
    if len(a) < MIN_FEATURES or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def expected_level_correlation(mean: np.ndarray, std: np.ndarray, n_cells: int) -> float:
    """Compute the :func:`level_correlation` expected for ``n_cells`` drawn from the reference.

    By chance, the mean of a feature over n cells has its variance divided by n. This limits the correlation if the
    features hardly differ in their means, like proteins after CLR over cells.
    """
    if len(mean) < MIN_FEATURES:
        return 0.0
    between = float(mean.var(dtype=np.float64))
    chance = float(np.square(std, dtype=np.float64).mean()) / n_cells
    return float(np.sqrt(between / (between + chance))) if between > 0 else 0.0


def level_ratio(mean: np.ndarray, reference_mean: np.ndarray) -> float | None:
    """Divide the sum of the features' means by the reference's. ``None`` if that is 0."""
    total = reference_mean.sum(dtype=np.float64)
    return float(mean.sum(dtype=np.float64) / total) if total > 0 else None


def modality_mixing(first: Typed, second: Typed, ref_first: Typed, ref_second: Typed, *, seed: int) -> Mixing | None:
    """Measure how well cells of two modalities mix, in the query and in the reference.

    Mixing is the share of the other modality among the nearest neighbours, as a multiple of chance: 1 is perfect, 0 is
    none. It is measured within each predicted type, so that modalities of different composition can mix. It depends on
    the number of cells, so each of the four groups contributes as many cells as the smallest has. The mean over types
    is weighted by the smaller number of cells in the query.

    Parameters
    ----------
    first, second
        The query's cells in each modality.
    ref_first, ref_second
        The reference's cells in each modality. No cell may be in both.
    seed
        Seed of the draws.

    Returns
    -------
    Mixing, or ``None`` if no type has ``MIN_PER_TYPE`` cells in all groups.
    """
    rng = np.random.default_rng(seed)
    groups = (first, second, ref_first, ref_second)
    shares, weights = [], []
    for code in np.unique(first.types):
        rows = [np.flatnonzero(group.types == code) for group in groups]
        n = min(map(len, rows))
        if n < MIN_PER_TYPE:
            continue
        drawn = [
            [group.embedding[rng.choice(r, n, replace=False)] for group, r in zip(groups, rows, strict=True)]
            for _ in range(MIXING_DRAWS)
        ]
        shares.append(np.mean([[_mixing(a, b), _mixing(c, d)] for a, b, c, d in drawn], axis=0))
        weights.append(min(len(rows[0]), len(rows[1])))
    return Mixing(*(float(v) for v in np.average(shares, axis=0, weights=weights))) if shares else None


def _mixing(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mixing of two sets of equally many points."""
    n = len(a)
    return mixing_of(np.concatenate([a, b]), np.repeat([0, 1], n), min(MIXING_NEIGHBORS, n - 1), seed=0)
