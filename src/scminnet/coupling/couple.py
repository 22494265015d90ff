"""Couples the cells of two modalities without pairs: transport and canonical components in turns.

The first transport compares linked features. Canonical components of the coupled cells then say which directions of the
two modalities go together, and the next transport compares these as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from scminnet.coupling.coupling import Coupling, Points
from scminnet.coupling.metacells import Metacells, averages, find_metacells, unit_rows
from scminnet.coupling.transport import Scalings, sinkhorn

#: From this number of links on, single features are noisy: cells are compared by the links' common components.
MANY_LINKS = 60

#: With few links, metacells reduce the noise of each feature: at most this many per modality, of this many cells each.
MAX_METACELLS = 1000
CELLS_PER_METACELL = 5

#: Common components of many links, canonical components, and transports.
LINK_COMPONENTS = 80
N_CANONICAL = 20
N_TURNS = 4

#: Cost of a partner of another cell type, if both types are known. Costs of other partners are between 0 and 2.
OTHER_TYPE = 1.0

#: Price of a cell without a partner, in units of the cost (``docs/decisions.md``).
RHO = 1.0


#: Entropy of the first transport, which compares linked features only, and of the later ones. Metacells are less noisy
#: than cells, so their partners are told more sharply. That of cells is for ``EPSILON_AT`` cells of each side. Fewer
#: cells lie farther apart, and need more: it falls with the fourth root of their number (``docs/decisions.md``).
FIRST_EPSILON = 0.05
EPSILON_METACELLS = 0.04
EPSILON_CELLS = 0.08
EPSILON_AT = 5000

#: Largest entropy of cells. Fewer than 1,500 cells were not measured.
MAX_EPSILON = 0.11

#: Entropy of cells if pairs alone told of the components. Their partners are told more sharply.
EPSILON_PAIRS = 0.05

#: Weight of the linked features in the later transports, the rest being the canonical components'.
LINK_SHARE = 0.5

#: A coupling knows as much as this number of pairs per component that pairs tell of. Pairs estimate the more poorly,
#: the more components there are (``docs/decisions.md``).
PAIRS_PER_COMPONENT = 25

#: Leading components of each modality that pairs tell of beside coupled cells.
PAIRED_COMPONENTS = 30

#: With this many unpaired cells of each modality, a coupling has its full worth in pairs.
CELLS_OF_FULL_WORTH = 5000

#: A canonical component of correlation s weighs s² / (s² + SHRINKAGE).
SHRINKAGE = 0.03


class Side(NamedTuple):
    """Cells of one modality, as they are coupled."""

    scores: np.ndarray
    """Whitened principal components, cells x components, float32."""
    linked: np.ndarray
    """Standardised linked features, cells x links, float32. Column j is linked to column j of the other side."""
    group: np.ndarray
    """Group of each cell, int64. Cells are coupled within groups."""
    types: np.ndarray
    """Cell type, int64, -1 where unknown."""


class Pairs(NamedTuple):
    """What cells measured in both modalities say of the components."""

    covariance: np.ndarray
    """Covariance of the pairs' whitened scores, components x components. 0 where pairs do not tell."""
    n: int
    """Number of pairs."""

    def share(self, n_unpaired: int) -> float:
        """Return what the pairs count beside a coupling of so many cells, between 0 and 1."""
        return self.n / (self.n + worth_in_pairs(n_unpaired, *self.covariance.shape))


def worth_in_pairs(n_unpaired: int, n_first: int, n_second: int) -> float:
    """Return the number of pairs that know as much of so many components as a coupling of so many cells does."""
    n_components = np.sqrt(min(n_first, PAIRED_COMPONENTS) * min(n_second, PAIRED_COMPONENTS))
    return PAIRS_PER_COMPONENT * float(n_components) * min(1.0, n_unpaired / CELLS_OF_FULL_WORTH)


def couple(
    first: Side,
    second: Side,
    weights: np.ndarray,
    *,
    pairs: Pairs | None = None,
    rho: float | None = RHO,
    seed: int = 0,
) -> Coupling:
    """Couple the cells of two modalities.

    Parameters
    ----------
    first, second
        The cells. Every group has cells of both sides.
    weights
        Weight of each link, above 0, float32.
    pairs
        Pairs beside these cells, which guide the coupling.
    rho
        Price of a cell without a partner. ``None``: every cell finds one.
    seed
        Seed of k-means and of the links' components.
    """
    cells = [_metacells(side, len(weights), seed) for side in (first, second)]
    scores = [averages(side.scores, m) for side, m in zip((first, second), cells, strict=True)]
    linked = [standardise(averages(side.linked, m)) for side, m in zip((first, second), cells, strict=True)]
    types = [_majority_types(side.types, m) for side, m in zip((first, second), cells, strict=True)]
    directions = _link_directions(linked[0], linked[1], weights, seed)
    groups = np.intersect1d(cells[0].group, cells[1].group)
    blocks = [tuple(np.flatnonzero(m.group == g) for m in cells) for g in groups]

    share = pairs.share(min(len(first.scores), len(second.scores))) if pairs is not None else 0.0
    later_epsilon = EPSILON_METACELLS
    if len(weights) >= MANY_LINKS:
        later_epsilon = _epsilon_of_cells(len(first.scores), len(second.scores), share)
    points: list[np.ndarray] = [np.sqrt(np.float32(1 / FIRST_EPSILON)) * d for d in directions]
    epsilon = FIRST_EPSILON
    starts: list[Scalings | None] = [None] * len(blocks)
    for turn in range(N_TURNS):
        plans, scalings = _transport(points, types, cells, blocks, epsilon, rho, starts)
        covariance = _covariance(scores, cells, blocks, plans)
        if pairs is not None:
            covariance = share * pairs.covariance + (1 - share) * covariance
        if turn == N_TURNS - 1:
            break
        left, right = _weighted_components(covariance)
        canonical = unit_rows(scores[0] @ left), unit_rows(scores[1] @ right)
        shares = np.sqrt(np.float32(1 - LINK_SHARE)), np.sqrt(np.float32(LINK_SHARE))
        points = [
            np.hstack([shares[0] * c, shares[1] * d]) / np.sqrt(np.float32(later_epsilon))
            for c, d in zip(canonical, directions, strict=True)
        ]
        # the first transport's scalings are of another epsilon, and no start
        starts = list(scalings) if turn > 0 else [None] * len(blocks)
        epsilon = later_epsilon
    first_points, second_points = (
        Points(m.code, m.size, m.group, p, t, s)
        for m, p, t, s in zip(cells, points, types, _join(scalings, blocks, cells), strict=True)
    )
    return Coupling(
        points=(first_points, second_points),
        epsilon=epsilon,
        type_cost=OTHER_TYPE / epsilon,
        covariance=covariance,
        pairs_share=share,
    )


def standardise(x: np.ndarray) -> np.ndarray:
    """Return each feature with mean 0 and standard deviation 1, clipped at 10; a constant feature is 0."""
    std = x.std(axis=0)
    centred = x - x.mean(axis=0)
    return np.clip(np.divide(centred, std, out=np.zeros_like(centred), where=std > 1e-6), -10, 10).astype(np.float32)


def _metacells(side: Side, n_links: int, seed: int) -> Metacells:
    n = len(side.scores)
    wanted = min(MAX_METACELLS, max(100, n // CELLS_PER_METACELL)) if n_links < MANY_LINKS else n
    return find_metacells(side.scores, side.group, wanted, seed)


def _majority_types(types: np.ndarray, cells: Metacells) -> np.ndarray:
    """Return the most frequent known type of each metacell, -1 if none is known."""
    known = types >= 0
    if not known.any():
        return np.full(len(cells.size), -1)
    counts = np.zeros((len(cells.size), int(types.max()) + 1), np.int64)
    np.add.at(counts, (cells.code[known], types[known]), 1)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)


def _epsilon_of_cells(n_first: int, n_second: int, pairs_share: float) -> float:
    """Return the entropy of the later transports of single cells."""
    n_cells = float(n_first * n_second) ** 0.5
    unpaired = min(EPSILON_CELLS * (EPSILON_AT / n_cells) ** 0.25, MAX_EPSILON)
    return (1 - pairs_share) * unpaired + pairs_share * EPSILON_PAIRS


def _link_directions(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of length 1, whose products compare cells by what both modalities measure."""
    root = np.sqrt(weights).astype(np.float32)
    first, second = first * root, second * root
    if len(weights) >= MANY_LINKS:
        n = min(LINK_COMPONENTS, len(weights))
        u, s, _ = randomized_svd(np.vstack([first, second]), n, random_state=seed)
        first, second = np.split((u * s).astype(np.float32), [len(first)])
        # each side around its own mean, because the modalities' levels differ
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return unit_rows(first), unit_rows(second)


def _transport(
    points: Sequence[np.ndarray],
    types: Sequence[np.ndarray],
    cells: Sequence[Metacells],
    blocks: Sequence[tuple[np.ndarray, ...]],
    epsilon: float,
    rho: float | None,
    starts: Sequence[Scalings | None],
) -> tuple[list[np.ndarray], list[Scalings]]:
    """Couple the metacells of each group."""
    plans, scalings = [], []
    for (rows, columns), start in zip(blocks, starts, strict=True):
        cost = 1 - np.float32(epsilon) * (points[0][rows] @ points[1][columns].T)
        left, right = types[0][rows][:, None], types[1][columns]
        if (left >= 0).any() and (right >= 0).any():
            cost += np.float32(OTHER_TYPE) * ((left != right) & (left >= 0) & (right >= 0))
        a, b = (m.size[at] / m.size[at].sum() for m, at in zip(cells, (rows, columns), strict=True))
        plan, scaling = sinkhorn(cost, a, b, epsilon=epsilon, rho=rho, start=start)
        plans.append(plan)
        scalings.append(scaling)
    return plans, scalings


def _covariance(
    scores: Sequence[np.ndarray],
    cells: Sequence[Metacells],
    blocks: Sequence[tuple[np.ndarray, ...]],
    plans: Sequence[np.ndarray],
) -> np.ndarray:
    """Return the covariance of coupled cells' scores, components x components, each group by its number of cells."""
    total = np.zeros((scores[0].shape[1], scores[1].shape[1]))
    n_cells = sum(m.size.sum() for m in cells)
    for (rows, columns), plan in zip(blocks, plans, strict=True):
        share = (cells[0].size[rows].sum() + cells[1].size[columns].sum()) / n_cells
        left, right = scores[0][rows], scores[1][columns]
        mass = max(float(plan.sum()), 1e-30)
        means = plan.sum(axis=1) @ left / mass, plan.sum(axis=0) @ right / mass
        total += share * (left.T @ (plan @ right) / mass - np.outer(*means))
    return total


def _weighted_components(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the canonical components, each weighted by its correlation."""
    u, s, vt = np.linalg.svd(covariance, full_matrices=False)
    n = min(N_CANONICAL, len(s))
    weight = s[:n] ** 2 / (s[:n] ** 2 + SHRINKAGE)
    weight = weight / max(weight[0], 1e-12)
    return (u[:, :n] * weight).astype(np.float32), (vt[:n].T * weight).astype(np.float32)


def _join(
    scalings: Sequence[Scalings], blocks: Sequence[tuple[np.ndarray, ...]], cells: Sequence[Metacells]
) -> list[np.ndarray]:
    """Put the scalings of all groups into one array per side."""
    joined = [np.zeros(len(m.size), np.float32) for m in cells]
    for block, scaling in zip(blocks, scalings, strict=True):
        for side in (0, 1):
            joined[side][block[side]] = scaling[side]
    return joined


def correlate_columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of each column of ``x`` with that of ``y``, float32; 0 if one is constant."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    lengths = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
    return np.divide((x * y).sum(axis=0), lengths, out=np.zeros_like(lengths), where=lengths > 1e-9).astype(np.float32)
