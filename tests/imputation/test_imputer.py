"""Expected values and intervals against loops, scikit-learn and simulated truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import Ridge

from scminnet.graph.reach import own_distances
from scminnet.imputation.imputer import PENALTY, SPREAD_FLOOR, Donors, Imputer, neighbor_weights
from scminnet.imputation.intervals import POOLED_CELLS, calibrate, factors_of, scaled_errors

K = 7


def donors(rng: np.random.Generator, n: int = 90, *, as_sparse: bool = True, spare: int = 10) -> Donors:
    """Donors whose values have rows that are not used between them."""
    points = rng.normal(size=(n, 3)).astype(np.float32)
    values = rng.poisson(np.exp(0.5 * points @ rng.normal(size=(3, 6)))).astype(np.float32)
    rows = rng.permutation(n + spare)[:n]
    matrix = np.full((n + spare, 6), 1e6, dtype=np.float32)
    matrix[rows] = values
    var = pd.DataFrame(index=[f"g{i}" for i in range(6)])
    other = points + 0.1 * rng.normal(size=points.shape).astype(np.float32)
    return Donors(sparse.csr_matrix(matrix) if as_sparse else matrix, var, rows, points, other)


def naive(cells: Donors, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by loops, and scikit-learn's ridge."""
    matrix = cells.values.toarray() if sparse.issparse(cells.values) else cells.values
    values = matrix[cells.rows].astype(np.float64)
    width = cells.other_points.std(axis=0).mean()
    model = Ridge(alpha=PENALTY * width**2).fit(cells.other_points.astype(np.float64), values)
    mean, spread = np.empty((len(points), 6)), np.empty((len(points), 6))
    for i, point in enumerate(points):
        distance = np.linalg.norm(cells.points - point, axis=1)
        near = np.argsort(distance)[:K]
        weights = np.exp(-2 * (distance[near] / distance[near[-1]]) ** 2)
        weights /= weights.sum()
        average = weights @ values[near]
        guess = (average + model.predict(point[None])[0]) / 2
        mean[i] = np.clip(guess, values.min(axis=0), values.max(axis=0))
        variance = weights @ (values[near] - average) ** 2
        spread[i] = np.sqrt(variance + (SPREAD_FLOOR * values.std(axis=0)) ** 2)
    return mean, spread


@pytest.mark.parametrize("as_sparse", [True, False])
def test_expected_values_are_those_of_a_loop(as_sparse: bool) -> None:
    rng = np.random.default_rng(0)
    cells = donors(rng, as_sparse=as_sparse)
    imputer, points = Imputer(cells, K, 0), rng.normal(size=(20, 3)).astype(np.float32)
    found = imputer.expect(points, imputer.neighbors(points))
    mean, spread = naive(cells, points)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-3, atol=1e-4)
    assert found.mean.dtype == found.spread.dtype == np.float32


def test_a_constant_feature_stays_constant_and_has_no_spread() -> None:
    rng = np.random.default_rng(1)
    cells = donors(rng, as_sparse=False, spare=0)
    cells.values[:, 2] = 3
    imputer, points = Imputer(cells, K, 0), rng.normal(size=(5, 3)).astype(np.float32)
    found = imputer.expect(points, imputer.neighbors(points))
    np.testing.assert_array_equal(found.mean[:, 2], 3)
    np.testing.assert_allclose(found.spread[:, 2], 0, atol=1e-3)


def test_donors_on_one_point_give_their_mean() -> None:
    values = np.arange(40, dtype=np.float32).reshape(20, 2)
    points = np.ones((20, 3), dtype=np.float32)
    cells = Donors(values, pd.DataFrame(index=["a", "b"]), np.arange(20), points, points)
    imputer = Imputer(cells, 19, 0)
    found = imputer.expect(points[:1], imputer.neighbors(points[:1]))
    # 19 of 20 neighbours, and the mean of all
    assert np.isfinite(found.mean).all()
    assert abs(found.mean[0, 0] - values[:, 0].mean()) < 1.5


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_weights_sum_to_one_and_fall_with_distance(k: int, n: int, seed: int) -> None:
    distances = np.sort(np.random.default_rng(seed).exponential(size=(n, k)), axis=1).astype(np.float32)
    weights = neighbor_weights(distances)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (np.diff(weights, axis=1) <= 1e-12).all()


def test_intervals_hold_their_share_of_new_values() -> None:
    rng = np.random.default_rng(2)
    scale = rng.uniform(0.8, 1.25, size=40)
    held_out, new = (np.abs(rng.normal(size=(n, 40)) * scale) for n in (300, 5000))
    found = calibrate(held_out, 0.9)
    within = (new <= found.factors).mean(axis=0)
    assert abs(within.mean() - 0.9) < 0.01
    assert within.min() > 0.82
    assert abs(found.coverage - 0.9) < 0.02


def test_factors_are_each_features_quantile_and_that_of_all() -> None:
    rng = np.random.default_rng(3)
    errors = rng.exponential(size=(39, 4))
    # of 40 cells, the new one among them, 36 are within 90 %
    own = np.sort(errors, axis=0)[35]
    expected = (39 * own + POOLED_CELLS * np.quantile(errors, 0.9)) / (39 + POOLED_CELLS)
    np.testing.assert_allclose(factors_of(errors, 0.9), expected)


def test_a_feature_without_spread_has_no_error() -> None:
    one = np.ones((2, 2), dtype=np.float32)
    found = scaled_errors(one, one * 3, np.array([[2.0, 0], [4, 0]], dtype=np.float32))
    np.testing.assert_array_equal(found, [[1, 0], [0.5, 0]])


def test_own_distances_leave_the_point_out_also_among_duplicates() -> None:
    points = np.array([[0.0, 0], [0, 0], [0, 0], [0, 0], [3, 4], [6, 8]], dtype=np.float32)
    np.testing.assert_allclose(own_distances(points, 2, 0), [0, 0, 0, 0, 5, 7.5], atol=1e-5)
