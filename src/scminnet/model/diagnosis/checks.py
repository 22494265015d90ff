"""Statistics that tell a query like the reference from others; pure functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scminnet.graph.neighbors import nearest_neighbors

#: Neighbours among which the modalities are counted, and the fewest cells of a type and modality that are looked at.
MIXING_NEIGHBORS = 10
MIN_PER_TYPE = 5

#: Fewer features than this have no correlation worth the name.
MIN_FEATURES = 3

#: Draws of equally many cells of each modality that mixing is averaged over.
MIXING_DRAWS = 5


class Typed(NamedTuple):
    """Embedded cells with the types that the network takes them for."""

    embedding: np.ndarray
    """Cells x n_latent."""
    types: np.ndarray
    """Codes."""


class Mixing(NamedTuple):
    """How modalities mix in two sets of cells, measured alike."""

    query: float
    reference: float


def level_correlation(mean: np.ndarray, reference_mean: np.ndarray) -> float | None:
    """Correlate the features' means with the reference's; ``None`` where they are too few or alike."""
    a, b = mean.astype(np.float64), reference_mean.astype(np.float64)
    if len(a) < MIN_FEATURES or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def expected_level_correlation(mean: np.ndarray, std: np.ndarray, n_cells: int) -> float:
    """Expect :func:`level_correlation` of so many cells drawn from the reference.

    Means of n cells vary by chance with the variance of a feature divided by n. Where the features hardly differ in their means
    (proteins after CLR over cells), this is what limits the correlation.
    """
    if len(mean) < MIN_FEATURES:
        return 0.0
    between = float(mean.var(dtype=np.float64))
    chance = float(np.square(std, dtype=np.float64).mean()) / n_cells
    return float(np.sqrt(between / (between + chance))) if between > 0 else 0.0


def level_ratio(mean: np.ndarray, reference_mean: np.ndarray) -> float | None:
    """Divide the sum of the features' means by the reference's; ``None`` where that is nothing."""
    total = reference_mean.sum(dtype=np.float64)
    return float(mean.sum(dtype=np.float64) / total) if total > 0 else None


def modality_mixing(first: Typed, second: Typed, ref_first: Typed, ref_second: Typed, *, seed: int) -> Mixing | None:
    """Measure how cells of two modalities lie among each other, in a query and in the reference.

    Within each type, as the network calls it, so that modalities of unlike composition can mix. As many cells are drawn from each of the
    four groups as the smallest has, for the share of the other modality among the nearest neighbours depends on their
    number. 1: as many as by chance; 0: none. The mean over types is weighted by the query's smaller number.

    Parameters
    ----------
    first, second
        The query's cells in either modality.
    ref_first, ref_second
        Cells of the reference in either modality; no cell may be in both.
    seed
        Seed of the draws.

    Returns
    -------
    Mixing, or ``None`` where no type has ``MIN_PER_TYPE`` cells in all groups.
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
    """Share of the other set among the neighbours of equally many points of each, as a multiple of chance."""
    n = len(a)
    neighbors = nearest_neighbors(np.concatenate([a, b]), min(MIXING_NEIGHBORS, n - 1)).indices
    of_b = np.arange(2 * n) >= n
    return float((of_b[neighbors] != of_b[:, None]).mean() * (2 * n - 1) / n)
