from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scminnet.tl._bulks import allot, cut, sum_cells


@given(
    n_cells=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    shares=st.lists(st.floats(0.1, 1), min_size=6, max_size=6),
    part=st.floats(0, 1),
)
@settings(max_examples=50, deadline=None)
def test_allotted_bulks_keep_within_limits_and_even_out_sizes(n_cells: list, shares: list, part: float) -> None:
    cells = np.array(n_cells)
    limits = np.maximum(1, np.floor(cells * shares[: len(cells)])).astype(int)
    n_bulks = len(cells) + round(part * (limits.sum() - len(cells)))
    bulks = allot(cells, limits, n_bulks)
    assert bulks.sum() == n_bulks
    assert (bulks >= 1).all()
    assert (bulks <= limits).all()
    # no bulk moved to a group with room would make the largest ones smaller
    for group in np.flatnonzero(bulks > 1):
        room = bulks < limits
        room[group] = False
        assert (cells[group] / (bulks[group] - 1) >= (cells / bulks)[room]).all()


def test_a_row_is_cut_into_pieces_of_equal_size() -> None:
    line = np.random.default_rng(0).uniform(size=(11, 1))
    groups = np.array([0] * 7 + [-1] + [2] * 3)
    bulks = cut(line, groups, np.array([3, 0, 1]), seed=0)
    assert bulks[7] == -1
    assert (bulks[8:] == 3).all()
    assert bulks[np.argsort(line[:7, 0])].tolist() == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asarray])
def test_cells_of_none_are_not_summed(kind) -> None:
    sums = sum_cells(kind(np.arange(8).reshape(4, 2)), np.array([1, -1, 0, 1]), 3)
    assert sums.dtype == np.float32
    np.testing.assert_array_equal(sums.toarray(), [[4, 5], [6, 8], [0, 0]])
