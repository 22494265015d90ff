from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from scminnet.tl._correlation import correlate_pairs, prepare

NAIVE = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}
FORMS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "array": sparse.csr_array, "dense": np.asarray}


def naive(x: np.ndarray, y: np.ndarray, method: str) -> float:
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return np.nan
    return NAIVE[method](x, y)[0]


def matrix(
    rng: np.random.Generator, n: int, columns: int, density: float, *, counts: bool, negative: bool
) -> np.ndarray:
    values = rng.integers(1, 4, (n, columns)) if counts else rng.uniform(0.1, 3, (n, columns))
    if negative:
        values = values * rng.choice([-1, 1], (n, columns))
    values = np.where(rng.random((n, columns)) < density, values, 0)
    # constant columns, zero and not
    values[:, 0], values[:, 1] = 0, 2
    return values.astype(np.int64 if counts else np.float32)


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 30),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    counts=st.booleans(),
    negative=st.booleans(),
    method=st.sampled_from(list(NAIVE)),
    form=st.sampled_from(list(FORMS)),
)
@settings(max_examples=60, deadline=None)
def test_pairs_equal_scipy_on_dense_columns(seed, n, density, counts, negative, method, form) -> None:
    rng = np.random.default_rng(seed)
    x, y = (matrix(rng, n, k, density, counts=counts, negative=negative) for k in (5, 6))
    first, second = (index.ravel() for index in np.indices((5, 6)))
    order = rng.permutation(len(first))
    first, second = first[order], second[order]
    expected = [naive(x[:, i], y[:, j], method) for i, j in zip(first, second, strict=True)]
    columns = [prepare(FORMS[form](values), method) for values in (x, y)]
    found, n_rows = correlate_pairs(*columns, first, second)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (n_rows == n).all()


@given(
    seed=st.integers(0, 10_000), n=st.integers(3, 25), density=st.sampled_from([0.3, 0.6, 1.0]), counts=st.booleans()
)
@settings(max_examples=40, deadline=None)
def test_nonzero_correlates_over_rows_in_which_both_are(seed, n, density, counts) -> None:
    rng = np.random.default_rng(seed)
    x, y = (matrix(rng, n, k, density, counts=counts, negative=False) for k in (4, 5))
    first, second = (index.ravel() for index in np.indices((4, 5)))
    columns = [prepare(sparse.csr_matrix(values), "pearson") for values in (x, y)]
    found, n_rows = correlate_pairs(*columns, first, second, nonzero=True)
    for k, (i, j) in enumerate(zip(first, second, strict=True)):
        both = (x[:, i] > 0) & (y[:, j] > 0)
        expected = naive(x[both, i], y[both, j], "pearson") if both.sum() >= 3 else np.nan
        np.testing.assert_allclose(found[k], expected, atol=1e-6)
        assert n_rows[k] == both.sum()


@pytest.mark.parametrize("method", list(NAIVE))
def test_stored_zeros_and_split_entries_are_what_they_stand_for(method) -> None:
    values = np.array([[1.0, 0], [0, 2], [3, 1], [2, 5]])
    rows, columns = np.nonzero(np.ones((4, 2)))
    stored = sparse.csr_matrix(
        (np.append(values.ravel() / 2, values.ravel() / 2), (np.tile(rows, 2), np.tile(columns, 2))), shape=(4, 2)
    )
    before = stored.data.copy()
    found, _ = correlate_pairs(prepare(stored, method), prepare(stored, method), np.array([0]), np.array([1]))
    np.testing.assert_allclose(found, naive(values[:, 0], values[:, 1], method))
    np.testing.assert_array_equal(stored.data, before)


def test_memory_follows_the_nonzeros() -> None:
    values = sparse.random(2000, 3000, 0.001, format="csr", random_state=0)
    assert prepare(values, "spearman").values.nnz == values.nnz


def test_a_column_far_from_zero_keeps_its_precision() -> None:
    rng = np.random.default_rng(0)
    x = 1e4 + rng.normal(size=(50, 1))
    y = x + rng.normal(size=(50, 1))
    found, _ = correlate_pairs(prepare(x, "pearson"), prepare(y, "pearson"), np.array([0]), np.array([0]))
    np.testing.assert_allclose(found[0], stats.pearsonr(x[:, 0], y[:, 0])[0], atol=1e-6)


@pytest.mark.parametrize("method", list(NAIVE))
def test_rounding_does_not_make_a_constant_column_vary(method) -> None:
    x, y = np.full((10, 1), 0.1), np.arange(10.0)[:, None]
    # numpy's sum and, from 3.12 on, Python's may come out even
    assert reduce(add, [0.1] * 10) / 10 != 0.1
    found, _ = correlate_pairs(prepare(x, method), prepare(y, method), np.array([0]), np.array([0]))
    assert np.isnan(found[0])
