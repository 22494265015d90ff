"""Procedures that ``link_power`` compares with the package's: they do what their names say."""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.downstream.link_power import by_stages, learned_weights, share_as_large, single_effects, within_types


def test_p_is_the_share_of_the_null() -> None:
    null = np.array([-3.0, -1.0, 0.0, 2.0])
    np.testing.assert_allclose(share_as_large(np.array([2.0, 2.5]), null, "greater"), [2 / 5, 1 / 5])
    np.testing.assert_allclose(share_as_large(np.array([2.0, -2.5]), null, "two-sided"), [3 / 5, 2 / 5])


def test_genes_come_first_in_stages() -> None:
    p = np.array([1e-6, 0.9, 0.9, 0.2, 0.3, 0.5])
    np.testing.assert_array_equal(by_stages(p, np.repeat([0, 1], 3)), [True, False, False, False, False, False])
    assert not by_stages(np.full(6, 0.5), np.repeat([0, 1], 3)).any()


def test_learned_weights_call_more_where_links_are() -> None:
    rng = np.random.default_rng(0)
    contact = rng.random(4000)
    true = (contact > 0.9) & (rng.random(4000) < 0.8)
    p = stats.norm.sf(rng.normal(size=4000) + 2.5 * true)
    called = learned_weights(p, contact)
    unweighted = stats.false_discovery_control(p) <= 0.05
    assert called[true].mean() > unweighted[true].mean() + 0.1
    assert (~true)[called].mean() < 0.1
    assert not learned_weights(rng.uniform(0.01, 1, 4000), contact).any()
    assert not learned_weights(np.full(4000, 0.9), contact).any()


def test_single_effects_find_the_peak_that_has_one() -> None:
    rng = np.random.default_rng(0)
    peaks = rng.normal(size=(200, 6))
    # the first two peaks are nearly one
    peaks[:, 1] = peaks[:, 0] + 0.05 * rng.normal(size=200)
    gene = 0.6 * peaks[:, 3] - 0.5 * peaks[:, 0] + rng.normal(size=200)
    unit = [values / np.linalg.norm(values, axis=0) for values in (peaks - peaks.mean(axis=0), gene - gene.mean())]
    found = single_effects(*unit)
    assert found[3] > 0.9
    # either of the first two, and together as good as one
    assert -1.2 < found[0] + found[1] < -0.7
    assert np.abs(found[[2, 4, 5]]).max() < 0.5


def test_residuals_within_types_have_no_means() -> None:
    rng = np.random.default_rng(0)
    types = np.repeat(np.eye(3), 5, axis=0)
    rest = within_types(rng.normal(size=(15, 4)) + types @ rng.normal(size=(3, 4)), types)
    np.testing.assert_allclose(types.T @ rest, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(rest, axis=0), 1)
