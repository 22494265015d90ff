from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from scminnet.graph.geodesic import GeodesicIndex


def graph_of(n: int, edges: list[tuple[int, int, float]]) -> sparse.csr_matrix:
    i, j, length = (np.array(column) for column in zip(*edges, strict=True))
    return sparse.csr_matrix((np.r_[length, length].astype(float), (np.r_[i, j], np.r_[j, i])), shape=(n, n))


def random_graph(n: int, seed: int, per_cell: int = 4) -> sparse.csr_matrix:
    """Points in the plane, each joined to its nearest: with few neighbours it falls into several components."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    d = np.linalg.norm(x[:, None] - x[None], axis=2) + 0.01
    np.fill_diagonal(d, np.inf)
    near = np.argsort(d, axis=1)[:, :per_cell]
    rows = np.repeat(np.arange(n), per_cell)
    graph = sparse.csr_matrix((d[rows, near.ravel()], (rows, near.ravel())), shape=(n, n))
    return graph.maximum(graph.T).tocsr()


@pytest.fixture(params=[True, False], ids=["exact", "landmarks"])
def limit(request) -> int:
    return 2000 if request.param else 0


# 0 -1- 1 -2- 2 -1- 3 and a detour 0 -5- 3; 4 -3- 5 apart
SMALL = graph_of(6, [(0, 1, 1), (1, 2, 2), (2, 3, 1), (0, 3, 5), (4, 5, 3)])


def test_by_hand(limit):
    index = GeodesicIndex(SMALL, exact_limit=limit, n_landmarks=8)
    far = 4  # the largest distance, 0 to 3
    expected = [
        [0, 1, 3, 4, far, far],
        [1, 0, 2, 3, far, far],
        [3, 2, 0, 1, far, far],
        [4, 3, 1, 0, far, far],
        [far, far, far, far, 0, 3],
        [far, far, far, far, 3, 0],
    ]
    np.testing.assert_array_equal(index.block(np.arange(6), np.arange(6)), expected)
    assert index.unreachable == 4
    assert index.is_exact == (limit > 0)
    assert index.n == 6
    assert index.n_landmarks == (0 if index.is_exact else 8)
    assert index.nbytes >= (6 * 6 * 4 if index.is_exact else 6 * 8 * 4)


def test_the_unknown_distance_is_the_median_of_connected_pairs():
    triangle = graph_of(4, [(0, 1, 1), (1, 2, 1), (0, 2, 1)])  # and a cell on its own
    assert GeodesicIndex(triangle).unknown == 1
    path = graph_of(3, [(0, 1, 1), (1, 2, 4)])  # distances 1, 4 and 5
    assert GeodesicIndex(path).unknown == 4
    assert GeodesicIndex(path, exact_limit=0).unknown == 4


def test_cells_that_are_not_in_the_graph(limit):
    index = GeodesicIndex(SMALL, exact_limit=limit)
    u, far = index.unknown, index.unreachable
    assert 0 < u <= far
    cells = np.array([-1, 0, -1, 0, 4])
    expected = np.array([[u] * 5, [u, 0, u, 0, far], [u] * 5, [u, 0, u, 0, far], [u, far, u, far, 0]], dtype=np.float32)
    np.testing.assert_array_equal(index.block(cells, cells), expected)
    np.testing.assert_array_equal(
        index.pairs(np.array([-1, -1, 5, 5]), np.array([-1, 5, 5, 4])), [*[np.float32(u)] * 2, 0, 3]
    )


def test_empty_arrays(limit):
    index = GeodesicIndex(SMALL, exact_limit=limit)
    assert index.pairs(np.array([], int), np.array([], int)).shape == (0,)
    assert index.block(np.array([], int), np.arange(3)).shape == (0, 3)
    assert index.block(np.arange(3), []).shape == (3, 0)


def test_exact_is_dijkstra():
    graph = random_graph(150, 0)
    index = GeodesicIndex(graph)
    assert index.is_exact
    expected = dijkstra(graph)
    found = index.block(np.arange(150), np.arange(150))
    connected = np.isfinite(expected)
    np.testing.assert_allclose(found[connected], expected[connected], rtol=1e-6)
    assert (found[~connected] == index.unreachable).all()
    assert index.unreachable == np.float32(expected[connected].max())


@given(st.integers(5, 60), st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 12), st.integers(0, 8))
@settings(max_examples=80, deadline=None)
def test_landmark_distances_are_symmetric_upper_bounds_exact_for_near_pairs(n, seed, per_cell, n_landmarks, n_near):
    graph = random_graph(n, seed, min(per_cell, n - 1))
    index = GeodesicIndex(graph, exact_limit=0, n_landmarks=n_landmarks, n_near=n_near, seed=seed)
    assert not index.is_exact
    expected = dijkstra(graph)
    cells = np.arange(n)
    found = index.block(cells, cells)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), 0)
    np.testing.assert_array_equal(index.pairs(np.repeat(cells, n), np.tile(cells, n)).reshape(n, n), found)
    connected = np.isfinite(expected)
    assert (found[connected] >= expected[connected] * (1 - 1e-5)).all()
    assert (found[~connected] == np.float32(index.unreachable)).all()
    # the cell itself is the first of its nearest
    for cell in cells:
        nearest = np.argsort(expected[cell], kind="stable")[1 : n_near + 1]
        nearest = nearest[np.isfinite(expected[cell, nearest])]
        np.testing.assert_allclose(found[cell, nearest], expected[cell, nearest], rtol=1e-5)
    if n_landmarks >= n:
        np.testing.assert_allclose(found[connected], expected[connected], rtol=1e-5)


@given(st.integers(5, 40), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_exact_distances_are_a_metric_and_follow_a_renaming_of_cells(n, seed):
    graph = random_graph(n, seed, 4)
    index = GeodesicIndex(graph)
    cells = np.arange(n)
    d = index.block(cells, cells).astype(float)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None, :, :] + 1e-5).all()  # d(a,c) <= d(a,b) + d(b,c)
    order = np.random.default_rng(seed).permutation(n)
    renamed = GeodesicIndex(graph[order][:, order])
    np.testing.assert_allclose(renamed.block(cells, cells), index.block(order, order), rtol=1e-6)


def test_landmarks_on_the_paths_are_nearly_exact():
    graph = random_graph(600, 1, 8)
    index = GeodesicIndex(graph, exact_limit=0, n_landmarks=64, n_near=20)
    expected = dijkstra(graph)
    pairs = np.isfinite(expected) & (expected > 0)
    error = index.block(np.arange(600), np.arange(600))[pairs] / expected[pairs] - 1
    assert error.mean() < 0.014  # 0.0118; with random landmarks 0.0185


def test_each_component_has_its_landmarks():
    # 20 separate paths of 10 cells with only 3 landmarks each: the ends of a path are still known exactly
    edges = [(10 * p + c, 10 * p + c + 1, 1.0) for p in range(20) for c in range(9)]
    index = GeodesicIndex(graph_of(200, edges), exact_limit=0, n_landmarks=3, n_near=1)
    first = 10 * np.arange(20)
    np.testing.assert_array_equal(index.pairs(first, first + 9), 9)
    assert index.unreachable >= 9
    assert index.pairs(np.array([0]), np.array([15])) == np.float32(index.unreachable)


def test_a_path_longer_than_the_choice_looks_at(limit):
    n = 500
    index = GeodesicIndex(graph_of(n, [(c, c + 1, 1.0) for c in range(n - 1)]), exact_limit=limit, n_landmarks=8)
    d = index.block(np.arange(n), np.arange(n))
    assert np.isfinite(d).all()
    np.testing.assert_array_equal(d[0, :20], np.arange(20))


def test_cells_named_several_times(limit):
    index = GeodesicIndex(random_graph(60, 2), exact_limit=limit, n_landmarks=4, n_near=6)
    cells = np.arange(60)
    whole = index.block(cells, cells)
    i, j = np.random.default_rng(0).integers(60, size=(2, 200))
    np.testing.assert_array_equal(index.block(i, j), whole[np.ix_(i, j)])


def test_the_same_seed_gives_the_same_distances():
    graph, cells = random_graph(300, 3), np.arange(300)

    def distances(seed: int) -> np.ndarray:
        return GeodesicIndex(graph, exact_limit=0, n_landmarks=8, n_near=5, seed=seed).block(cells, cells)

    np.testing.assert_array_equal(distances(1), distances(1))
    assert (distances(1) != distances(2)).any()


def test_the_graph_is_not_changed(limit):
    graph = SMALL.copy()
    GeodesicIndex(graph, exact_limit=limit)
    assert (graph != SMALL).nnz == 0
    for kind in (sparse.csc_matrix, sparse.csr_array, sparse.coo_matrix):
        assert GeodesicIndex(kind(SMALL), exact_limit=limit).pairs(np.array([0]), np.array([3])) == 4


@pytest.mark.parametrize(
    ("graph", "error", "match"),
    [
        (np.ones((3, 3)), TypeError, "`graph` is a ndarray"),
        (sparse.csr_matrix((3, 4)), ValueError, "`graph` has shape"),
        (sparse.csr_matrix((3, 3)), ValueError, "`graph` has no edges"),
        (sparse.csr_matrix(np.triu(np.ones((3, 3)), 1)), ValueError, "`graph` is not symmetric"),
        (graph_of(2, [(0, 1, -1.0)]), ValueError, "`graph` has 2 edges"),
        (graph_of(2, [(0, 1, 0.0)]), ValueError, "`graph` has 2 edges"),
        (graph_of(2, [(0, 1, np.nan)]), ValueError, "`graph` has 2 edges"),
        (graph_of(2, [(0, 1, np.inf)]), ValueError, "`graph` has 2 edges"),
    ],
)
def test_wrong_graphs(graph, error, match):
    with pytest.raises(error, match=match):
        GeodesicIndex(graph)


@pytest.mark.parametrize(("argument", "value"), [("n_landmarks", 0), ("exact_limit", -1), ("n_near", 1.5)])
def test_wrong_numbers(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        GeodesicIndex(SMALL, **{argument: value})


def test_wrong_cells(limit):
    index = GeodesicIndex(SMALL, exact_limit=limit)
    for wrong in (np.array([6]), np.array([-2]), np.array([0.0]), np.array([[0]]), np.array([True])):
        with pytest.raises(IndexError, match="`j`"):
            index.block(np.array([0]), wrong)
    with pytest.raises(ValueError, match="`i` has 2 cells and `j` 1"):
        index.pairs(np.array([0, 1]), np.array([0]))
