from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from scminnet.model.data.moments import feature_moments

matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 12), st.integers(1, 5)),
    elements=st.one_of(st.just(0.0), st.floats(0, 100, width=32)),
)


@given(matrix=matrices)
@settings(deadline=None)  # the first example compiles
def test_moments_match_numpy_for_sparse_and_dense(matrix: np.ndarray) -> None:
    mean, std = matrix.mean(0, dtype=np.float64), matrix.std(0, ddof=1, dtype=np.float64)
    std[std <= 1e-7 * mean] = 0
    for kind in (matrix, sparse.csr_matrix(matrix)):
        found = feature_moments(kind)
        np.testing.assert_allclose(found[0], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[1], std, rtol=1e-3, atol=1e-5)
        assert all(f.dtype == np.float32 for f in found)


def test_moments_survive_a_large_mean() -> None:
    values = (1e4 + np.random.default_rng(0).normal(size=(500, 1))).astype(np.float32)
    for kind in (values, sparse.csr_matrix(values)):
        assert feature_moments(kind)[1][0] == pytest.approx(values.astype(float).std(ddof=1), rel=1e-3)


def test_a_constant_feature_has_no_deviation() -> None:
    assert feature_moments(np.full((7, 2), 0.1, dtype=np.float32))[1].tolist() == [0.0, 0.0]
