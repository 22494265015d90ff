"""Which cells lack a partner, because the other modality has no cells like them.

Two signs tell. The transport's price of a cell is high if similar cells of the other side are missing. It tells with
few links. With many links, costs of all partners are nearly equal, as those of chromatin are. Then the second sign
tells: the linked features that distinguish a cluster of cells from all others should distinguish cells of the other
side, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from scminnet.coupling.couple import MANY_LINKS, Side
from scminnet.coupling.coupling import Coupling
from scminnet.coupling.metacells import Metacells, averages, find_metacells

#: Cells of a cluster, and the price above the typical one from which a cluster has no partner (``docs/decisions.md``).
CELLS_PER_CLUSTER = 60
MAX_CLUSTERS = 40
NO_PARTNER = 0.15

#: Leading components that clusters are found in to compare their features, and cells of a cluster of the other side.
LEADING_COMPONENTS = 8
CELLS_OF_OTHERS = 40

#: Halvings of the links. A counterpart is chosen by one half and judged by the other.
HALVINGS = 16

#: Ridge of what other clusters explain of a cluster, in units of their mean sum of squares.
RIDGE = 0.3

#: Only clusters are judged whose own features are so many times as strong as the mean cluster's. Parts of a type or of
#: a batch differ in what one modality alone shows.
DISTINCT = 1.5

#: A cluster lacks a partner if its counterpart has less than this share of what counterparts typically have of a
#: cluster's own features, with this probability of error.
SHARE_OF_TYPICAL = 0.5
NO_COUNTERPART = 0.05


class Partners(NamedTuple):
    """Whether the cells of one side have partners."""

    price: np.ndarray
    """How much dearer than typical each cell's partners are, float32, in units of the cost."""
    p_value: np.ndarray
    """Probability of so weak a counterpart if there were one, float32. NaN if the cell's cluster was not judged."""

    @property
    def unmatched(self) -> np.ndarray:
        """Whether each cell lacks a partner, bool."""
        return (self.price > NO_PARTNER) | (self.p_value < NO_COUNTERPART)


def find_partners(
    coupling: Coupling, sides: tuple[Side, Side], weights: np.ndarray, seed: int = 0
) -> tuple[Partners, Partners]:
    """Tell of each side's cells whether they have partners.

    Single cells are noisy, so all cells of a cluster of similar ones get the same values.

    Parameters
    ----------
    coupling, sides
        A coupling, and the cells it was found for.
    weights
        Weight of each link, as in :func:`~scminnet.coupling.couple.couple`.
    seed
        Seed of the clusters and of the halvings.
    """
    prices = partner_prices(coupling, sides, seed)
    if len(weights) >= MANY_LINKS:
        p_values = tuple(counterpart_p_values(own, other, weights, seed) for own, other in (sides, sides[::-1]))
    else:
        p_values = tuple(np.full(len(price), np.nan, np.float32) for price in prices)
    return Partners(prices[0], p_values[0]), Partners(prices[1], p_values[1])


def partner_prices(coupling: Coupling, sides: tuple[Side, Side], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return by side how much dearer than typical a cell's partners are, float32, in units of the cost.

    The transport gives each cell a price (its dual variable). It is high if similar cells of the other side are
    missing, or serve others.
    """
    found = []
    for points, side in zip(coupling.points, sides, strict=True):
        price = points.scaling[points.code].astype(np.float64) * coupling.epsilon
        groups = np.unique(side.group)
        for group in groups:
            # prices of two groups have no common zero
            at = side.group == group
            price[at] -= np.median(price[at])
        clusters = _clusters(side.scores, CELLS_PER_CLUSTER, seed)
        found.append(averages(price[:, None].astype(np.float32), clusters)[clusters.code, 0])
    return found[0], found[1]


def counterpart_p_values(own: Side, other: Side, weights: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return for each cell the probability of so weak a counterpart if there were one, float32.

    The own features of a cluster are what other clusters do not explain of its mean linked features. Of the other
    side's clusters, the one that agrees best over half of the links is the counterpart. Over the other half, its
    product with the own features is compared with that of the cluster itself. The ratio of both differs by modality,
    so half of the typical ratio is expected. A t test over links tells whether a cluster has less. Clusters that are
    hardly distinct are not judged: NaN.
    """
    root = np.sqrt(weights)
    clusters = _clusters(own.scores[:, :LEADING_COMPONENTS], CELLS_PER_CLUSTER, seed)
    others = _clusters(other.scores[:, :LEADING_COMPONENTS], CELLS_OF_OTHERS, seed)
    means, of_others = _means(own.linked * root, clusters), _means(other.linked * root, others)
    noise = _noise_of_means(own.linked * root, clusters)
    of_itself, of_counterpart = np.zeros(means.shape), np.zeros(means.shape)
    rng = np.random.default_rng(seed)
    for _ in range(HALVINGS):
        half = rng.permutation(len(weights)) % 2 == 0
        features = np.zeros(means.shape)
        for part in (half, ~half):
            features[:, part] = own_features(means[:, part])
        # a mean's noise is part of its own features, so it adds its variance
        of_itself += features * means - noise
        for chosen in (half, ~half):
            counterpart = (features[:, chosen] @ of_others[:, chosen].T).argmax(axis=1)
            of_counterpart[:, ~chosen] += features[:, ~chosen] * of_others[counterpart][:, ~chosen]
    strength = of_itself.sum(axis=1)
    p_values = np.full(len(strength), np.nan, np.float32)
    # clusters without features of their own tell nothing of what is typical
    certain = t_statistics(of_itself) > 2
    if certain.any():
        ratio = of_counterpart[certain].sum(axis=1) / strength[certain]
        typical = weighted_median(ratio, clusters.size[certain])
        judged = certain & (strength > DISTINCT * np.average(strength, weights=clusters.size))
        # if nothing has a counterpart, the coupling as a whole fails
        if typical > 0:
            lacking = t_statistics(of_counterpart - SHARE_OF_TYPICAL * typical * of_itself)
            p_values[judged] = student.cdf(lacking[judged], len(weights) - 1)
    return p_values[clusters.code]


def own_features(means: np.ndarray) -> np.ndarray:
    """Return what ridge regression on all other rows does not explain of each row, all around the mean of the others.

    Around the mean of all rows, a row would be the negative sum of the others.
    """
    n = len(means)
    if n < 2:
        return np.zeros_like(means)
    products, coefficients = means @ means.T, np.zeros((n, n))
    for i in range(n):
        others = np.arange(n) != i
        around = np.eye(n) - others / (n - 1)
        centred = around @ products @ around.T
        among_others = centred[np.ix_(others, others)]
        penalty = max(RIDGE * among_others.trace() / (n - 1), 1e-12)
        explained = np.linalg.solve(among_others + penalty * np.eye(n - 1), centred[others, i])
        coefficients[i] = around[i] - explained @ around[others]
    return coefficients @ means


def t_statistics(terms: np.ndarray) -> np.ndarray:
    """Return the sum of each row in units of its standard error."""
    errors = terms.std(axis=1) * np.sqrt(terms.shape[1])
    return np.divide(terms.sum(axis=1), errors, out=np.zeros(len(terms)), where=errors > 0)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the smallest value that half of the weight does not exceed."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def _clusters(scores: np.ndarray, n_cells: int, seed: int) -> Metacells:
    n = int(np.clip(len(scores) // n_cells, 1, MAX_CLUSTERS))
    return find_metacells(scores, np.zeros(len(scores), np.int64), n, seed)


def _means(linked: np.ndarray, clusters: Metacells) -> np.ndarray:
    """Return the clusters' means around that of all cells, float64."""
    return averages(linked, clusters).astype(np.float64) - linked.mean(axis=0)


def _noise_of_means(linked: np.ndarray, clusters: Metacells) -> np.ndarray:
    """Return the variance of each mean, float64."""
    variances = averages(linked**2, clusters) - averages(linked, clusters).astype(np.float64) ** 2
    return variances / np.maximum(clusters.size - 1, 1)[:, None]
