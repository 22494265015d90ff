from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import PCA

from scminnet.pp.combat import LinearCorrection, batch_moments, combat
from scminnet.pp.scaled_pca import scaled_pca


def values(seed: int, n_cells: int = 90, n_features: int = 40, n_batches: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Sparse log-normalised values with an effect of the batch on each feature; batches in random order."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n_cells) % n_batches)
    rate = rng.gamma(1, 1, n_features) * rng.gamma(2, 0.5, (n_batches, n_features))[codes]
    X = np.log1p(rng.poisson(rate)).astype(np.float32)
    X[0] += 0.5  # no feature is constant
    return X, codes


def scanpy_combat(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    obs = pd.DataFrame({"batch": pd.Categorical(codes.astype(str))}, index=np.arange(len(codes)).astype(str))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sc.pp.combat(AnnData(X.astype(np.float64), obs=obs), key="batch", inplace=False))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n_batches=st.integers(2, 5), n_features=st.integers(3, 40))
def test_the_lines_are_scanpys_combat(seed, n_batches, n_features):
    X, codes = values(seed, n_features=n_features, n_batches=n_batches)
    slope, intercept = combat(batch_moments(sparse.csr_matrix(X), codes))
    np.testing.assert_allclose(slope[codes] * X + intercept[codes], scanpy_combat(X, codes), rtol=1e-9, atol=1e-9)


def test_moments_are_those_of_each_batch(monkeypatch):
    monkeypatch.setattr("scminnet.pp.combat._BLOCK", 7)
    X, codes = values(0)
    X[:, 1] = 3.3
    sizes, means, variances = batch_moments(sparse.csr_matrix(X), codes)
    for batch in range(3):
        own = X[codes == batch].astype(np.float64)
        assert sizes[batch] == len(own)
        np.testing.assert_allclose(means[batch], own.mean(axis=0))
        np.testing.assert_allclose(variances[batch], own.var(axis=0), atol=1e-12)
    assert (variances[:, 1] == 0).all()


@pytest.mark.parametrize(("limit", "n_pcs"), [(10, 5), (1.2, 5), (1.2, 40)])
@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_components_are_those_of_the_dense_matrix(monkeypatch, limit, n_pcs, corrected, lazy):
    monkeypatch.setattr("scminnet.pp.scaled_pca._BLOCK", 7)
    X, codes = values(1)
    moments = batch_moments(sparse.csr_matrix(X), codes)
    dense = X.astype(np.float64)
    correction = LinearCorrection(np.ones_like(moments.means), np.zeros_like(moments.means))
    if corrected:
        correction, dense = combat(moments), scanpy_combat(X, codes)
    dense = np.clip((dense - dense.mean(axis=0)) / dense.std(axis=0, ddof=1), -limit, limit)
    assert (limit == 10) == (abs(dense) < limit).all()
    expected = PCA(n_pcs, svd_solver="full").fit_transform(dense)
    # the features lie backwards among others
    matrix = sparse.csr_matrix(np.hstack([np.ones_like(X), X[:, ::-1]]))
    features = np.arange(X.shape[1], 2 * X.shape[1])[::-1]
    if lazy:
        # from their covariance
        matrix = pytest.importorskip("dask.array").from_array(matrix, chunks=(11, -1), asarray=False)
    found = scaled_pca(matrix, features, codes, moments, correction, n_pcs, limit=limit, seed=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4 if lazy else 2e-5)
