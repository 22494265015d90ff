"""The transport against Sinkhorn's algorithm as one writes it down: float64, logarithms, many iterations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from scminnet.coupling.transport import Scalings, sinkhorn

EPSILON = 0.3


def naive(
    cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float, rho: float | None, n: int = 500
) -> np.ndarray:
    """Return the plan that minimises cost, entropy relative to ``a b``, and the price of lost mass."""
    log_a, log_b, kernel = np.log(a.astype(float)), np.log(b.astype(float)), -cost.astype(float) / epsilon
    power = 1.0 if rho is None else rho / (rho + epsilon)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(n):
        f = -power * logsumexp(kernel + g + log_b, axis=1)
        g = -power * logsumexp(kernel + f[:, None] + log_a[:, None], axis=0)
    return np.exp(kernel + (f + log_a)[:, None] + g + log_b)


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    masses = [rng.uniform(1, 5, n).astype(np.float32) for n in (40, 25)]
    a, b = (m / m.sum() for m in masses)
    return rng.uniform(0, 2, (40, 25)).astype(np.float32), a, b


@pytest.mark.parametrize("rho", [None, 0.1, 1.0])
def test_plan_is_that_of_the_naive_algorithm(problem, rho: float | None) -> None:
    cost, a, b = problem
    plan, _ = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho)
    expected = naive(cost, a, b, EPSILON, rho)
    assert plan.dtype == np.float32
    np.testing.assert_allclose(plan, expected, rtol=0.01, atol=1e-7)


def test_balanced_marginals_are_the_masses(problem) -> None:
    cost, a, b = problem
    plan, _ = sinkhorn(cost, a, b, epsilon=EPSILON)
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-3)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-3)


def test_a_lower_price_and_a_higher_cost_leave_more_mass_unmatched(problem) -> None:
    cost, a, b = problem
    cost[0] = 2.5
    lost = {}
    for rho in (0.1, 1.0, 10.0):
        plan, _ = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho)
        lost[rho] = 1 - plan.sum(axis=1) / a
        assert lost[rho][0] > lost[rho][1:].max()
    assert lost[0.1].mean() > lost[1.0].mean() > lost[10.0].mean()


@pytest.mark.parametrize("rho", [None, 1.0])
def test_logarithm_of_the_plan_is_masses_scalings_and_cost(problem, rho: float | None) -> None:
    cost, a, b = problem
    plan, scalings = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho)
    told = np.log(a)[:, None] + np.log(b) + scalings.first[:, None] + scalings.second - cost / EPSILON
    np.testing.assert_allclose(np.log(plan), told, atol=2e-4)


@pytest.mark.parametrize("rho", [None, 1.0])
def test_a_warm_start_ends_at_the_same_plan(problem, rho: float | None, monkeypatch) -> None:
    cost, a, b = problem
    cold, scalings = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho)
    elsewhere = Scalings(*(s + np.linspace(-1, 1, len(s), dtype=np.float32) for s in scalings))
    plan, _ = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho, start=elsewhere)
    np.testing.assert_allclose(plan, cold, rtol=0.01, atol=1e-7)
    # from where the plan is known, one iteration is enough
    monkeypatch.setattr("scminnet.coupling.transport.MAX_ITERATIONS", 1)
    warm, _ = sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho, start=scalings)
    np.testing.assert_allclose(warm, cold, rtol=0.01, atol=1e-7)
    assert np.abs(sinkhorn(cost, a, b, epsilon=EPSILON, rho=rho)[0] / cold - 1).max() > 0.02


def test_the_largest_cost_of_the_coupling_stays_within_float32(problem) -> None:
    # opposite directions of different types, at the smallest entropy that the coupling uses
    cost, a, b = problem
    cost[:, 0], cost[0] = 3.0, 3.0
    for rho in (None, 1.0):
        plan, scalings = sinkhorn(cost, a, b, epsilon=0.05, rho=rho)
        assert np.isfinite(plan).all()
        assert all(np.isfinite(s).all() for s in scalings)
