from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scminnet.model.data.sparse_rows import SparseRows, as_row_matrix, take_rows


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
