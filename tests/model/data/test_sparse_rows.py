from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import SparseRows, as_row_matrix, take_rows

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


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asarray])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.float32])
def test_rows_come_in_the_order_asked(kind, dtype) -> None:
    dense = np.arange(12).reshape(4, 3).astype(dtype)
    dense[2] = 0
    taken = take_rows(as_row_matrix(kind(dense)), np.array([3, 0, 2]))
    if isinstance(taken, SparseRows):
        assert len(taken.offsets) == 3
        back = np.zeros((3, 3), dtype=np.float32)
        ends = [*taken.offsets.tolist()[1:], len(taken.values)]
        for i, (start, end) in enumerate(zip(taken.offsets.tolist(), ends, strict=True)):
            back[i, taken.columns[start:end].numpy()] = taken.values[start:end].numpy()
    else:
        back = taken.numpy()
    np.testing.assert_array_equal(back, dense[[3, 0, 2]].astype(np.float32))
    assert back.dtype == np.float32


def test_row_matrix_of_a_row_matrix_is_no_copy() -> None:
    csr = sparse.random(5, 4, density=0.5, format="csr", dtype=np.float32, random_state=0)
    assert np.shares_memory(as_row_matrix(csr).data, csr.data)
