from __future__ import annotations

import numpy as np
import pytest

from scminnet.coupling.couple import MANY_LINKS, Side, couple
from scminnet.coupling.trust import LinkAgreement, link_agreement

from .conftest import five_types


def shuffled(side: Side, seed: int) -> Side:
    return side._replace(linked=side.linked[:, np.random.default_rng(seed).permutation(side.linked.shape[1])])


@pytest.mark.parametrize("n_links", [20, MANY_LINKS + 20])
def test_good_links_hold_and_shuffled_ones_do_not(n_links: int) -> None:
    first, second, _ = five_types(n_links)
    weights = np.ones(n_links, np.float32)
    good = link_agreement(first, second, weights)
    assert good.verdict == "holds", good
    assert good.mean > good.shuffled.max() + 0.1
    assert good.by_link.shape == (n_links,)
    wrong = link_agreement(first, shuffled(second, 1), weights)
    assert wrong.verdict != "holds", wrong
    assert wrong.mean < good.mean / 2


def test_the_verdict_is_the_same_for_a_seed_and_changes_nothing() -> None:
    first, second, _ = five_types()
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
    first, second, _ = five_types()
    group = np.arange(len(first.group)) % 2
    found = link_agreement(first._replace(group=group), second, np.ones(20, np.float32))
    assert found.verdict == "holds"


def test_partner_means_follow_the_plan() -> None:
    first, second, _ = five_types()
    coupling = couple(first, second, np.ones(20, np.float32))
    for side, own, other in ((0, first, second), (1, second, first)):
        n, m = len(own.scores), len(other.scores)
        found = coupling.partner_means(side, other.linked)
        every = np.arange(n), np.arange(m)
        plan = coupling.affinities(*every) if side == 0 else coupling.affinities(every[1], every[0]).T
        np.testing.assert_allclose(found, plan @ other.linked / plan.sum(axis=1, keepdims=True), atol=1e-3)
