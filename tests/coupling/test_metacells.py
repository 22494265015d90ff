from __future__ import annotations

import numpy as np
import pytest

from scminnet.coupling.metacells import averages, find_metacells, unit_rows


def clustered(n: int = 300, n_clusters: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Cells in clusters far from each other, and their clusters."""
    rng = np.random.default_rng(0)
    code = rng.integers(0, n_clusters, n)
    scores = np.eye(n_clusters)[code] * 20 + rng.normal(size=(n, n_clusters))
    return scores.astype(np.float32), code


def test_cells_of_a_metacell_are_alike() -> None:
    scores, code = clustered()
    found = find_metacells(scores, np.zeros(300, np.int64), 30, seed=0)
    for metacell in range(len(found.size)):
        assert len(np.unique(code[found.code == metacell])) == 1


@pytest.mark.parametrize("n", [1, 17, 60])
def test_metacells_are_numbered_whole_and_within_groups(n: int) -> None:
    scores, _ = clustered()
    group = np.repeat([7, -1, 3], [10, 90, 200])
    found = find_metacells(scores, group, n, seed=0)
    # no number is left out, no metacell is empty, every group has at least one
    np.testing.assert_array_equal(np.unique(found.code), np.arange(len(found.size)))
    np.testing.assert_array_equal(found.size, np.bincount(found.code))
    np.testing.assert_array_equal(found.group[found.code], group)
    assert set(found.group) == {7, -1, 3}
    assert len(found.size) <= n + 3


def test_no_more_cells_than_metacells_stand_for_themselves() -> None:
    scores, _ = clustered(20)
    group = np.arange(20) % 2
    found = find_metacells(scores, group, 20, seed=0)
    np.testing.assert_array_equal(found.code, np.arange(20))
    np.testing.assert_array_equal(found.group, group)
    assert (found.size == 1).all()


def test_metacells_follow_directions_and_the_seed() -> None:
    scores, _ = clustered()
    group = np.zeros(300, np.int64)
    first, again = (find_metacells(scores, group, 30, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.code, again.code)
    assert not np.array_equal(first.code, find_metacells(scores, group, 30, seed=5).code)
    longer = scores * np.random.default_rng(1).choice([0.5, 2, 4], (300, 1)).astype(np.float32)
    np.testing.assert_array_equal(first.code, find_metacells(longer, group, 30, seed=4).code)


def test_averages_match_a_loop() -> None:
    scores, _ = clustered()
    found = find_metacells(scores, np.arange(300) % 2, 25, seed=0)
    expected = [scores[found.code == k].mean(axis=0) for k in range(len(found.size))]
    means = averages(scores, found)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-4)


def test_unit_rows_leave_zeros() -> None:
    x = np.array([[3, 4], [0, 0], [0, -2]], np.float32)
    np.testing.assert_allclose(unit_rows(x), [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)
