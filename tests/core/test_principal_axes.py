from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from scminnet._core import principal_axes as _principal
from scminnet._core.principal_axes import principal_axes, sums_of_products
from scminnet.model.network import whitening
from scminnet.pp.margin_graph import build_margin_graph


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(900, 12)) * np.linspace(3, 1, 12) + rng.normal(size=12)).astype(np.float32)


def test_axes_are_those_of_pca(values):
    sums = sum(sums_of_products(block) for block in np.split(values, [100, 350]))
    variances, loadings, mean = principal_axes(sums, len(values), 5)
    pca = PCA(5, svd_solver="full").fit(values.astype(float))
    np.testing.assert_allclose(variances, pca.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(np.abs((loadings.T * pca.components_).sum(axis=1)), 1, rtol=1e-5)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5)
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(5)] > 0).all()


def test_components_of_few_and_of_many_cells_agree(values, monkeypatch):
    whole = whitening.whitened_components([sparse.csr_matrix(values)], 6, 0, ridge=0.01).weights
    monkeypatch.setattr(whitening, "MAX_COVARIANCE_FEATURES", 0)
    monkeypatch.setattr(whitening, "CELLS_PER_FEATURE", 1000)
    iterated = whitening.whitened_components([sparse.csr_matrix(values)], 6, 0, ridge=0.01).weights
    np.testing.assert_allclose(whole.T @ whole, iterated.T @ iterated, atol=1e-4)
    np.testing.assert_allclose(np.abs(whole), np.abs(iterated), atol=1e-3)


def test_margin_graph_of_few_and_of_many_cells_agree(monkeypatch):
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.exp(rng.normal(size=(600, 4)) @ rng.normal(size=(4, 40)) / 2))
    matrix, batches = sparse.csr_matrix(np.log1p(counts).astype(np.float32)), rng.integers(3, size=600)
    assert len(counts) > _principal.CELLS_PER_FEATURE * counts.shape[1]
    by_covariance = build_margin_graph(matrix, batches, n_pcs=8)
    monkeypatch.setattr("scminnet.pp.scaled_pca.CELLS_PER_FEATURE", 1000)
    by_products = build_margin_graph(matrix, batches, n_pcs=8)
    np.testing.assert_allclose(by_covariance.pca, by_products.pca, atol=2e-3)
    assert abs(by_covariance.distances - by_products.distances).max() < 0.02
