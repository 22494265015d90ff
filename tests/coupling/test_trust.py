from __future__ import annotations

import numpy as np
import pytest

from scminnet.coupling.couple import MANY_LINKS, Side, couple, standardise
from scminnet.coupling.trust import NO_PARTNER, LinkAgreement, link_agreement, partner_prices

N_TYPES = 5


def sides(n_links: int = 20, n: int = 300, missing: int | None = None, seed: int = 0) -> tuple[Side, Side, np.ndarray]:
    """Cells of five types on either side, and the first side's types. The second side may lack a type."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_TYPES, 8))
    loadings = rng.normal(size=(8, n_links))
    made, types = [], []
    for side in (0, 1):
        own = rng.integers(N_TYPES, size=n)
        if side and missing is not None:
            own = own[own != missing]
        state = centres[own] + 0.4 * rng.normal(size=(len(own), 8))
        scores = state @ rng.normal(size=(8, 12)) + 0.3 * rng.normal(size=(len(own), 12))
        linked = state @ loadings + rng.normal(size=(len(own), n_links))
        whitened = (scores - scores.mean(axis=0)) / scores.std(axis=0)
        made.append(
            Side(
                whitened.astype(np.float32),
                standardise(linked.astype(np.float32)),
                np.zeros(len(own), np.int64),
                np.full(len(own), -1),
            )
        )
        types.append(own)
    return made[0], made[1], types[0]


def shuffled(side: Side, seed: int) -> Side:
    return side._replace(linked=side.linked[:, np.random.default_rng(seed).permutation(side.linked.shape[1])])


@pytest.mark.parametrize("n_links", [20, MANY_LINKS + 20])
def test_good_links_hold_and_shuffled_ones_do_not(n_links: int) -> None:
    first, second, _ = sides(n_links)
    weights = np.ones(n_links, np.float32)
    good = link_agreement(first, second, weights)
    assert good.verdict == "holds", good
    assert good.mean > good.shuffled.max() + 0.1
    assert good.by_link.shape == (n_links,)
    wrong = link_agreement(first, shuffled(second, 1), weights)
    assert wrong.verdict != "holds", wrong
    assert wrong.mean < good.mean / 2


def test_the_verdict_is_the_same_for_a_seed_and_changes_nothing() -> None:
    first, second, _ = sides()
    before = first.linked.copy()
    once, again = (link_agreement(first, second, np.ones(20, np.float32), seed=3) for _ in range(2))
    np.testing.assert_array_equal(once.by_link, again.by_link)
    np.testing.assert_array_equal(once.shuffled, again.shuffled)
    np.testing.assert_array_equal(first.linked, before)


def test_limits_of_the_verdict() -> None:
    shuffles = np.array([-0.01, 0.0, 0.01, 0.02, -0.02])

    def verdict(mean: float) -> str:
        return LinkAgreement(np.full(4, mean, np.float32), shuffles).verdict

    assert verdict(0.2) == "holds"
    assert verdict(0.04) == "uncertain"
    assert verdict(0.01) == verdict(-0.3) == "fails"
    equal = LinkAgreement(np.zeros(4, np.float32), np.zeros(5))
    assert equal.verdict == "fails"


def test_groups_that_one_side_lacks_are_left_out() -> None:
    first, second, _ = sides()
    group = np.arange(len(first.group)) % 2
    found = link_agreement(first._replace(group=group), second, np.ones(20, np.float32))
    assert found.verdict == "holds"


@pytest.mark.parametrize("n_links", [20, MANY_LINKS + 20])
def test_a_missing_type_is_flagged_and_others_are_not(n_links: int) -> None:
    weights = np.ones(n_links, np.float32)
    first, second, types = sides(n_links, n=600, missing=2, seed=1)
    price, of_second = partner_prices(couple(first, second, weights), (first, second))
    assert (price[types == 2] > NO_PARTNER).mean() > 0.8
    assert (price[types != 2] > NO_PARTNER).mean() < 0.05
    assert (of_second > NO_PARTNER).mean() < 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_missing_type_is_dearer_than_others(seed: int) -> None:
    first, second, types = sides(n=600, missing=2, seed=seed)
    price = partner_prices(couple(first, second, np.ones(20, np.float32)), (first, second))[0]
    assert np.median(price[types == 2]) > np.quantile(price[types != 2], 0.9)


@pytest.mark.parametrize("n_links", [20, MANY_LINKS + 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_equal_types_have_partners(n_links: int, seed: int) -> None:
    first, second, _ = sides(n_links, n=600, seed=seed)
    for price in partner_prices(couple(first, second, np.ones(n_links, np.float32)), (first, second)):
        assert (price > NO_PARTNER).mean() < 0.05


def test_partner_means_follow_the_plan() -> None:
    first, second, _ = sides()
    coupling = couple(first, second, np.ones(20, np.float32))
    for side, own, other in ((0, first, second), (1, second, first)):
        n, m = len(own.scores), len(other.scores)
        found = coupling.partner_means(side, other.linked)
        every = np.arange(n), np.arange(m)
        plan = coupling.affinities(*every) if side == 0 else coupling.affinities(every[1], every[0]).T
        np.testing.assert_allclose(found, plan @ other.linked / plan.sum(axis=1, keepdims=True), atol=1e-3)
