"""Components that peaks borrow, beside naive computations of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scminnet.model.data.moments import feature_moments
from scminnet.model.network.borrowed import (
    FEATURES_PER_CELL,
    MIN_SHARE,
    N_BORROWED,
    borrowed_share,
    linked_directions,
    of_standardised,
    with_borrowed,
)
from scminnet.model.network.whitening import Standardisation, Whitened, standardised_deviation, whitened_components

N_FEATURES, N_LINKED = 400, 90


def counts(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rates = np.exp(rng.normal(size=(n, 4)) @ np.random.default_rng(9).normal(size=(4, N_FEATURES)) * 0.4 - 1)
    return rng.poisson(rates).astype(np.float32)


def sums(seed: int = 0) -> sparse.csr_matrix:
    return sparse.random(N_FEATURES, N_LINKED, density=0.02, format="csr", random_state=seed, dtype=np.float32)


def centred(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([part - part.mean(axis=0) for part in parts])


def standardisation(x: np.ndarray) -> Standardisation:
    return Standardisation.of(*feature_moments(x), np.ones(x.shape[1], bool))


def test_fewer_cells_borrow_more() -> None:
    weights = np.full(1000, 0.5, np.float32)
    assert borrowed_share(weights, 10) == MAX_SHARE
    assert borrowed_share(weights, 300) == pytest.approx(MAX_SHARE * 250 / (FEATURES_PER_CELL * 300))
    limit = MAX_SHARE * 250 / (FEATURES_PER_CELL * MIN_SHARE)
    assert borrowed_share(weights, int(limit)) >= MIN_SHARE
    assert borrowed_share(weights, int(limit) + 1) == 0


def test_sums_of_values_are_sums_of_standardised_values() -> None:
    x, linked = counts(60, 0), sums()
    by = standardisation(x)
    found = standardised_deviation(x, by) @ of_standardised(linked, by)
    # z - z0 is zero where x is, and no value is clipped here
    np.testing.assert_allclose(found, x @ linked, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_directions_are_principal_components_of_standardised_sums(kind) -> None:
    parts, linked = [counts(80, 1), counts(50, 2) + 3], sums()
    weights = np.random.default_rng(0).uniform(0.2, 1, N_LINKED).astype(np.float32)
    found = linked_directions([kind(part) for part in parts], linked, weights, 0)
    values = centred([part @ linked for part in parts])
    root = np.sqrt(weights)
    expected = np.linalg.svd(values / np.maximum(values.std(axis=0), 1e-9) * root, full_matrices=False)[2]
    agreement = (expected[:N_BORROWED] * root) / np.linalg.norm(expected[:N_BORROWED] * root, axis=1, keepdims=True)
    unit = found / np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(np.abs((agreement * unit.T).sum(axis=1)), 1, atol=1e-2)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_borrowed_components_are_what_the_own_ones_lack(kind) -> None:
    parts, linked, share, k = [counts(150, 3), counts(90, 4) + 2], sums(), 0.4, 8
    parts = [kind(part) for part in parts]
    own = whitened_components(parts, k, 0)
    directions = np.random.default_rng(0).normal(size=(N_LINKED, 5))
    found = with_borrowed(own, parts, linked, directions, share)
    np.testing.assert_array_equal(found.weights[:, :k], own.weights)
    np.testing.assert_array_equal(found.variances[:k], own.variances)
    scores = centred([np.asarray(part @ found.weights) for part in parts])

    values = centred(
        [np.asarray((part @ linked).todense() if sparse.issparse(part) else part @ linked) for part in parts]
    )
    borrowed = values / np.maximum(values.std(axis=0), 1e-9) @ directions
    borrowed = borrowed / borrowed.std(axis=0)
    rest = borrowed - scores[:, :k] @ np.linalg.lstsq(scores[:, :k], borrowed, rcond=None)[0]
    variances = np.sort(np.linalg.eigvalsh(rest.T @ rest / len(rest)))[::-1]
    np.testing.assert_allclose(found.variances[k:], share * variances, rtol=1e-3)
    covariance = scores.T @ scores / len(scores)
    np.testing.assert_allclose(covariance[k:, :k], 0, atol=2e-3)
    np.testing.assert_allclose(covariance[k:, k:], np.diag(share * variances), atol=2e-3)


def test_linked_features_that_do_not_vary_add_nothing() -> None:
    x, linked = counts(80, 5), sums()
    x[:, np.unique(linked.nonzero()[0])] = 0
    own = whitened_components([x], 4, 0)
    found: Whitened = with_borrowed(own, [x], linked, np.ones((N_LINKED, 3)), 0.5)
    assert not found.weights[:, 4:].any()
    assert np.isfinite(found.weights).all()
    assert np.isfinite(linked_directions([x], linked, np.ones(N_LINKED, np.float32), 0)).all()
