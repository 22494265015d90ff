"""Components that peaks borrow, beside naive computations of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scminnet.coupling.linked_features import LinkedFeatures
from scminnet.model.data.moments import feature_moments
from scminnet.model.network.borrowed import (
    FEATURES_PER_CELL,
    MAX_SHARE,
    MIN_SHARE,
    N_BORROWED,
    borrowed_share,
    linked_directions,
    of_standardised,
    with_borrowed,
)
from scminnet.model.network.canonical import Components, fit_projections
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


def fitted_components(n_cells: int) -> tuple[Components, Standardisation, sparse.csr_matrix, np.ndarray]:
    """Fit the components of few cells' sparse peaks, beside 600 cells' genes. Also return cells that were held out."""
    rng = np.random.default_rng(0)
    n_genes, n_peaks = 120, 3000
    loadings = rng.normal(size=(5, n_genes))
    latent = {"rna": rng.normal(size=(600, 5)), "atac": rng.normal(size=(n_cells + 500, 5))}
    genes = np.exp(latent["rna"] @ loadings * 0.3 + rng.normal(size=(600, n_genes)) * 0.3).astype(np.float32)
    gene_of_peak = rng.integers(n_genes, size=n_peaks)
    opens = 0.01 * np.exp(0.4 * (latent["atac"] @ loadings)[:, gene_of_peak])
    peaks = sparse.csr_matrix((rng.random(opens.shape) < opens).astype(np.float32))
    matrices = {"rna": genes, "atac": peaks[:n_cells]}
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    links = sparse.csr_matrix((np.ones(n_peaks, np.float32), (gene_of_peak, np.arange(n_peaks))))
    found: dict[str, Components] = {}

    def couple(components: dict[str, Components], _: object) -> dict[tuple[str, str], np.ndarray]:
        found.update(components)
        return {("rna", "atac"): np.eye(*(components[m].weights.shape[1] for m in matrices))}

    positions = np.full((600 + n_cells, 2), -1)
    positions[:600, 0], positions[600:, 1] = np.arange(600), np.arange(n_cells)
    are_peaks = {"rna": np.zeros(n_genes, bool), "atac": np.ones(n_peaks, bool)}
    linked = {("rna", "atac"): LinkedFeatures.of(links)}
    fit_projections(
        matrices, moments, are_peaks, positions, n_components=20, n_canonical=5, seed=0, couple=couple, linked=linked
    )
    assert found["rna"].weights.shape[1] == found["rna"].n_own
    by = Standardisation.of(*moments["atac"], are_peaks["atac"])
    return found["atac"], by, peaks[n_cells:], latent["atac"][n_cells:]


def test_new_cells_of_few_peaks_lie_better_on_borrowed_components() -> None:
    components, by, peaks, latent = fitted_components(100)
    assert components.n_own == 20
    assert components.weights.shape[1] == 20 + N_BORROWED
    scores = standardised_deviation(peaks, by) @ components.weights
    scores, latent = scores - scores.mean(axis=0), latent - latent.mean(axis=0)
    left = [
        np.square(latent - x @ np.linalg.lstsq(x, latent, rcond=None)[0]).sum() / np.square(latent).sum()
        for x in (scores[:, :20], scores)
    ]
    assert left[1] < 0.7 * left[0]


def test_many_cells_borrow_nothing() -> None:
    components, *_ = fitted_components(7000)
    assert components.weights.shape[1] == components.n_own == 20
