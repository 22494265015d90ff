"""Couplings of cells whose partners are known."""

from __future__ import annotations

import numpy as np
import pytest

from scminnet.coupling.couple import (
    EPSILON_PAIRS,
    MANY_LINKS,
    Pairs,
    Side,
    correlate_columns,
    couple,
    standardise,
)
from scminnet.coupling.coupling import Coupling

from .conftest import Truth, two_views


def canonical_foscttm(truth: Truth, covariance: np.ndarray) -> float:
    """Return the mean share of cells that are closer than the true partner, in the canonical components."""
    u, s, vt = np.linalg.svd(covariance, full_matrices=False)
    rows = [truth.first.scores @ (u * s), truth.second.scores @ (vt.T * s)]
    rows = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows]
    cosines = rows[0][truth.order] @ rows[1].T
    own = cosines.diagonal()
    return float(((cosines > own[:, None]).mean() + (cosines > own).mean()) / 2)


def whole(coupling: Coupling) -> np.ndarray:
    """Return the affinities of all cells."""
    return coupling.affinities(*(np.arange(len(points.code)) for points in coupling.points))


def test_partners_are_found_without_pairs(n_links: int) -> None:
    truth = two_views(n_links)
    coupling = couple(truth.first, truth.second, truth.weights)
    assert (n_links < MANY_LINKS) == (len(coupling.points[0].size) < 400)  # metacells, or single cells
    found = canonical_foscttm(truth, coupling.covariance)
    assert found < 0.1
    # the affinity of true partners is above that of others
    affinity = whole(coupling)[truth.order]
    other = affinity[:, np.random.default_rng(0).permutation(400)]
    assert (affinity.diagonal() > other.diagonal()).mean() > 0.8


def test_few_cells_have_more_entropy_and_metacells_the_same(monkeypatch) -> None:
    monkeypatch.setattr("scminnet.coupling.couple.MAX_EPSILON", 1.0)
    many, few = two_views(MANY_LINKS + 5), two_views(12)

    def epsilon(truth: Truth, n: int) -> float:
        sides = [Side(*(values[:n] for values in side)) for side in (truth.first, truth.second)]
        return couple(*sides, truth.weights).epsilon

    assert epsilon(many, 100) / epsilon(many, 400) == pytest.approx(2**0.5)
    assert epsilon(few, 100) == epsilon(few, 400)
    monkeypatch.undo()
    assert epsilon(many, 100) == epsilon(many, 400)


def test_pairs_lower_the_entropy() -> None:
    truth = two_views(MANY_LINKS + 5)
    sides = [Side(*(values[:300] for values in side)) for side in (truth.first, truth.second)]
    x, y = (side.scores - side.scores.mean(axis=0) for side in sides)

    def epsilon(n_pairs: int) -> float:
        pairs = Pairs(x.T @ y / (len(x) - 1), n_pairs)
        return couple(*sides, truth.weights, pairs=pairs).epsilon

    assert EPSILON_PAIRS < epsilon(1000) < epsilon(100) < couple(*sides, truth.weights).epsilon


def test_canonical_components_improve_on_few_noisy_links(monkeypatch) -> None:
    truth = two_views(12, noise=1.5)
    after = canonical_foscttm(truth, couple(truth.first, truth.second, truth.weights).covariance)
    monkeypatch.setattr("scminnet.coupling.couple.N_TURNS", 1)
    first = canonical_foscttm(truth, couple(truth.first, truth.second, truth.weights).covariance)
    assert after < first - 0.005


def test_shuffled_links_couple_worse(n_links: int) -> None:
    truth = two_views(n_links)
    shuffled = truth.second.linked[:, np.random.default_rng(1).permutation(n_links)]
    wrong = couple(truth.first, truth.second._replace(linked=shuffled), truth.weights)
    right = couple(truth.first, truth.second, truth.weights)
    # by chance wrong links may join some types rightly
    assert canonical_foscttm(truth, wrong.covariance) > canonical_foscttm(truth, right.covariance) + 0.15


def test_cells_of_different_groups_have_no_affinity(n_links: int) -> None:
    truth = two_views(n_links)
    donor = np.random.default_rng(2).integers(0, 3, 400)
    first, second = truth.first._replace(group=donor), truth.second._replace(group=donor[truth.order])
    coupling = couple(first, second, truth.weights)
    affinity = whole(coupling)
    same = first.group[:, None] == second.group
    assert (affinity[~same] == 0).all()
    assert (affinity[same] > 0).mean() > 0.9
    for side, own, other in ((0, first.group, second.group), (1, second.group, first.group)):
        partners = coupling.draw_partners(side, 5, seed=0)
        assert (other[partners] == own[:, None]).all()
    assert canonical_foscttm(truth, coupling.covariance) < 0.2


def cross_type_share(coupling: Coupling, first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of the affinity that joins cells of different types."""
    affinity = whole(coupling)
    affinity = affinity / affinity.sum(axis=1, keepdims=True)
    return float(affinity[first[:, None] != second].sum() / affinity.sum())


def test_types_known_on_both_sides_keep_types_apart(n_links: int) -> None:
    truth = two_views(n_links, noise=2.0)
    of_second = truth.types[truth.order]
    blind = couple(truth.first, truth.second, truth.weights)
    told = couple(truth.first._replace(types=truth.types), truth.second._replace(types=of_second), truth.weights)
    without, with_types = (cross_type_share(c, truth.types, of_second) for c in (blind, told))
    assert with_types < without - 0.03
    # one side's types alone say nothing of a cost
    one_side = couple(truth.first._replace(types=truth.types), truth.second, truth.weights)
    np.testing.assert_array_equal(whole(one_side), whole(blind))


def test_a_coupling_follows_from_its_seed(n_links: int) -> None:
    truth = two_views(n_links, n=700)
    runs = [couple(truth.first, truth.second, truth.weights, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].covariance, runs[1].covariance)
    for a, b in zip(*(run.points for run in runs), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_sides_take_turns(n_links: int) -> None:
    truth = two_views(n_links)
    coupling = couple(truth.first, truth.second, truth.weights)
    turned = couple(truth.second, truth.first, truth.weights)
    # k-means and the randomised components see the sides in the same way, so only rounding differs
    share = np.corrcoef(whole(coupling).ravel(), whole(turned).T.ravel())[0, 1]
    assert share > 0.9


def test_a_link_of_more_weight_counts_more() -> None:
    truth = two_views(12)
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(400, 12)).astype(np.float32) for _ in range(2)]
    first, second = (
        side._replace(linked=np.hstack([side.linked, x]))
        for side, x in zip((truth.first, truth.second), noise, strict=True)
    )
    equal, right = np.ones(24, np.float32), np.repeat(np.float32([1, 0.01]), 12)
    found = [canonical_foscttm(truth, couple(first, second, w).covariance) for w in (equal, right)]
    assert found[1] < found[0]


def test_constant_features_are_zero_and_others_are_clipped() -> None:
    x = np.zeros((400, 2), np.float32)
    x[:, 0] = 7
    x[0, 1] = 100
    found = standardise(x)
    assert (found[:, 0] == 0).all()
    assert found[0, 1] == 10
    np.testing.assert_allclose(correlate_columns(x, x), [0, 1], atol=1e-6)


@pytest.mark.parametrize("sizes", [(60, 700), (700, 60)])
def test_sides_of_unequal_size(n_links: int, sizes: tuple[int, int]) -> None:
    truth = two_views(n_links, n=760)
    first = Side(*(part[: sizes[0]] for part in truth.first))
    second = Side(*(part[: sizes[1]] for part in truth.second))
    coupling = couple(first, second, truth.weights)
    assert whole(coupling).shape == sizes
    # judged by all cells
    assert canonical_foscttm(truth, coupling.covariance) < 0.25
