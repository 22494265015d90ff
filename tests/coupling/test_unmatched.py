"""Cells of a type that the other side lacks have no partner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge

from scminnet.coupling.couple import MANY_LINKS, Side, couple
from scminnet.coupling.unmatched import (
    NO_COUNTERPART,
    NO_PARTNER,
    RIDGE,
    Partners,
    counterpart_p_values,
    find_partners,
    own_features,
    partner_prices,
    t_statistics,
    weighted_median,
)

from .conftest import five_types


def partners(first: Side, second: Side) -> tuple[Partners, Partners]:
    weights = np.ones(first.linked.shape[1], np.float32)
    return find_partners(couple(first, second, weights), (first, second), weights)


@pytest.mark.parametrize("n_links", [20, MANY_LINKS + 20])
def test_a_missing_type_is_flagged_and_others_are_not(n_links: int) -> None:
    first, second, types = five_types(n_links, n=600, missing=2, seed=1)
    own, other = partners(first, second)
    assert own.unmatched[types == 2].mean() > 0.8
    assert own.unmatched[types != 2].mean() < 0.05
    assert other.unmatched.mean() < 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_missing_type_is_dearer_than_others(seed: int) -> None:
    first, second, types = five_types(n=600, missing=2, seed=seed)
    price = partner_prices(couple(first, second, np.ones(20, np.float32)), (first, second))[0]
    assert np.median(price[types == 2]) > np.quantile(price[types != 2], 0.9)


@pytest.mark.parametrize("seed", [0, 1])
def test_noisy_links_flag_a_missing_type_where_prices_do_not(seed: int) -> None:
    first, second, types = five_types(600, n=600, missing=2, seed=seed, noise=8.0, distinct=2.0)
    own, other = partners(first, second)
    assert (own.price < NO_PARTNER).all()
    assert own.unmatched[types == 2].mean() > 0.8
    assert own.unmatched[types != 2].mean() < 0.1
    assert other.unmatched.mean() < 0.1


@pytest.mark.parametrize(
    ("n_links", "noise", "distinct"), [(20, 1.0, 1.0), (MANY_LINKS + 20, 1.0, 1.0), (600, 12.0, 1.0), (600, 8.0, 2.0)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_equal_types_have_partners(n_links: int, noise: float, distinct: float, seed: int) -> None:
    for own in partners(*five_types(n_links, n=600, seed=seed, noise=noise, distinct=distinct)[:2]):
        assert own.unmatched.mean() < 0.05


def test_few_links_have_prices_only() -> None:
    own, _ = partners(*five_types(MANY_LINKS - 1)[:2])
    assert np.isnan(own.p_value).all()
    own, _ = partners(*five_types(MANY_LINKS, distinct=2.0)[:2])
    judged = ~np.isnan(own.p_value)
    assert 0 < judged.mean() < 1
    assert ((own.p_value[judged] >= 0) & (own.p_value[judged] <= 1)).all()


def test_a_coupling_by_wrong_links_flags_no_type_by_its_features() -> None:
    first, second, _ = five_types(600, n=600, distinct=2.0)
    wrong = second._replace(linked=second.linked[:, np.random.default_rng(0).permutation(600)])
    assert (counterpart_p_values(first, wrong, np.ones(600, np.float32)) < NO_COUNTERPART).mean() < 0.2


def test_features_that_are_constant_or_cells_of_one_cluster_flag_nothing() -> None:
    first, second, _ = five_types(100, n=60)
    weights = np.ones(100, np.float32)
    assert np.isnan(counterpart_p_values(first, second, weights)).all()
    first, second, _ = five_types(100, n=400, distinct=2.0)
    empty = second._replace(linked=np.zeros_like(second.linked))
    assert np.isnan(counterpart_p_values(first, empty, weights)).all()
    assert np.isnan(counterpart_p_values(empty, first, weights)).all()


def test_partners_follow_from_the_seed() -> None:
    first, second, _ = five_types(600, n=600, distinct=2.0, noise=8.0)
    weights = np.ones(600, np.float32)
    once, again, other = (counterpart_p_values(first, second, weights, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other, equal_nan=True)


def test_own_features_are_the_residuals_of_ridge_regression() -> None:
    means = np.random.default_rng(0).normal(size=(6, 40))
    for i, found in enumerate(own_features(means)):
        others = np.delete(means, i, axis=0)
        others, row = others - others.mean(axis=0), means[i] - others.mean(axis=0)
        fitted = Ridge(alpha=RIDGE * (others**2).sum() / 5, fit_intercept=False).fit(others.T, row)
        np.testing.assert_allclose(found, row - fitted.predict(others.T), atol=1e-9)
    np.testing.assert_array_equal(own_features(means[:1]), 0)


def test_t_statistics_are_those_of_scipy() -> None:
    terms = np.random.default_rng(0).normal(0.1, size=(5, 80))
    # scipy's variance has one degree of freedom less
    expected = stats.ttest_1samp(terms, 0, axis=1).statistic * np.sqrt(80 / 79)
    np.testing.assert_allclose(t_statistics(terms), expected)
    np.testing.assert_array_equal(t_statistics(np.zeros((2, 5))), 0)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=12))
def test_a_weighted_median_is_that_of_repeated_values(pairs: list[tuple[int, int]]) -> None:
    values, weights = (np.array(x, dtype=float) for x in zip(*pairs, strict=True))
    repeated = np.sort(np.repeat(values, weights.astype(int)))
    assert weighted_median(values, weights) == repeated[(len(repeated) - 1) // 2]
