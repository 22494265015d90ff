"""How far a coupling can be trusted, judged without any truth.

Feature links that are left out of a coupling tell whether it holds: a left-out feature must agree with its linked
feature across coupled cells, and more so than by shuffled links.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from scminnet.coupling.couple import MANY_LINKS, RHO, Side, correlate_columns, couple, standardise

#: Cells of each side that are coupled to judge the links.
MAX_CELLS = 1000

#: The links are left out in this many parts. Few links are left out in more parts, because each of them counts.
PARTS_MANY_LINKS, PARTS_FEW_LINKS = 4, 8

#: Couplings by shuffled links. Their agreement varies more with few links, and costs less.
SHUFFLES_MANY_LINKS, SHUFFLES_FEW_LINKS = 5, 10

#: Largest probability of the agreement by chance at which links hold, and at which they may hold.
HOLDS, MAY_HOLD = 0.01, 0.1


class LinkAgreement(NamedTuple):
    """Whether feature links that were left out of the coupling agree."""

    by_link: np.ndarray
    """Correlation of each link's features across cells that were coupled without it, float32, (links,)."""
    shuffled: np.ndarray
    """Mean correlation by shuffled links, float64, (shuffles,)."""

    @property
    def mean(self) -> float:
        """Mean correlation of the links."""
        return float(self.by_link.mean())

    @property
    def p_value(self) -> float:
        """Probability that shuffled links agree at least as well, by Student's t distribution."""
        n = len(self.shuffled)
        deviation = max(float(self.shuffled.std(ddof=1)) * np.sqrt(1 + 1 / n), 1e-6)
        return float(student.sf((self.mean - self.shuffled.mean()) / deviation, n - 1))

    @property
    def verdict(self) -> str:
        """``"holds"``, ``"uncertain"`` or ``"fails"``."""
        p = self.p_value
        return "holds" if p < HOLDS else "uncertain" if p < MAY_HOLD else "fails"


def link_agreement(
    first: Side, second: Side, weights: np.ndarray, *, rho: float | None = RHO, seed: int = 0
) -> LinkAgreement:
    """Couple a sample of cells without some of the links, and compare the features of these links.

    Each part of the links is left out once. Then all is repeated with shuffled links.

    Parameters
    ----------
    first, second, weights, rho
        As in :func:`~scminnet.coupling.couple.couple`, with at least two links.
    seed
        Seed of the sample, of the parts and of the shuffles.
    """
    rng = np.random.default_rng(seed)
    first, second = _sample(first, second, rng)
    many = len(weights) >= MANY_LINKS
    n_parts = PARTS_MANY_LINKS if many else min(PARTS_FEW_LINKS, len(weights))
    by_link = _left_out(first, second, weights, n_parts, rho, seed)
    shuffled = []
    for i in range(SHUFFLES_MANY_LINKS if many else SHUFFLES_FEW_LINKS):
        mixed = second._replace(linked=second.linked[:, _derangement(len(weights), rng)])
        shuffled.append(_left_out(first, mixed, weights, n_parts, rho, seed + 1 + i).mean(dtype=np.float64))
    return LinkAgreement(by_link, np.array(shuffled))


def _sample(first: Side, second: Side, rng: np.random.Generator) -> tuple[Side, Side]:
    """Draw cells of the groups that both samples have."""
    sampled = []
    for side in (first, second):
        n = len(side.scores)
        sampled.append(_take(side, np.sort(rng.permutation(n)[:MAX_CELLS])))
    common = np.intersect1d(sampled[0].group, sampled[1].group)
    taken = [_take(side, np.flatnonzero(np.isin(side.group, common))) for side in sampled]
    left, right = (
        side._replace(scores=side.scores - side.scores.mean(axis=0), linked=standardise(side.linked)) for side in taken
    )
    return left, right


def _take(side: Side, cells: np.ndarray) -> Side:
    return Side(*(values[cells] for values in side))


def _derangement(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return an order in which no number keeps its place."""
    order = rng.permutation(n)
    moved = np.empty(n, np.int64)
    moved[order] = np.roll(order, 1)
    return moved


def _left_out(first: Side, second: Side, weights: np.ndarray, n_parts: int, rho: float | None, seed: int) -> np.ndarray:
    """Return the agreement of each link, across cells coupled without it and a part of the others."""
    sides = first, second
    part = np.random.default_rng(seed).permutation(len(weights)) % n_parts
    agreement = np.zeros(len(weights), np.float32)
    for i in range(n_parts):
        out = part == i
        kept = [side._replace(linked=side.linked[:, ~out]) for side in sides]
        coupling = couple(kept[0], kept[1], weights[~out], rho=rho, seed=seed)
        both = [
            correlate_columns(sides[s].linked[:, out], coupling.partner_means(s, sides[1 - s].linked[:, out]))
            for s in (0, 1)
        ]
        agreement[out] = np.mean(both, axis=0)
    return agreement
