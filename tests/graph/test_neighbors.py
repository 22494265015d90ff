from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from scminnet.graph import neighbors as module
from scminnet.graph.neighbors import Neighbors, connectivities, nearest_neighbors


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 5))


@pytest.fixture
def approximate(monkeypatch):
    """Send even small data through pynndescent."""
    monkeypatch.setattr(module, "EXACT_PAIRS", 0)


def test_a_line_by_hand():
    found = nearest_neighbors(np.array([[0.0], [1.0], [3.0], [7.0]]), 2)
    np.testing.assert_array_equal(found.indices, [[1, 2], [0, 2], [1, 0], [2, 1]])
    np.testing.assert_array_equal(found.distances, [[1, 3], [1, 2], [2, 3], [4, 6]])
    assert found.indices.dtype == np.int64
    assert found.distances.dtype == np.float32


def test_ties_come_in_the_order_of_index():
    # 3 is equally far from all others, more of them than are asked for
    square = np.array([[1.0, 0], [0, 1], [-1, 0], [0, 0], [0, -1]])
    found = nearest_neighbors(square, 3)
    np.testing.assert_array_equal(found.indices[3], [0, 1, 2])
    np.testing.assert_array_equal(found.indices[0], [3, 1, 4])


@given(
    arrays(np.float64, st.tuples(st.integers(3, 12), st.integers(1, 3)), elements=st.integers(-3, 3).map(float)),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_exact_is_the_sorted_list_of_all_others(X, data):
    k = data.draw(st.integers(1, len(X) - 1))
    found = nearest_neighbors(X, k)
    for row in range(len(X)):
        distance = np.sqrt(((X - X[row]) ** 2).sum(axis=1))
        expected = sorted((distance[other], other) for other in range(len(X)) if other != row)[:k]
        assert [index for _, index in expected] == list(found.indices[row])
        np.testing.assert_allclose([d for d, _ in expected], found.distances[row], rtol=1e-6)


def test_exact_agrees_with_sklearn(points, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 1500)  # several chunks, the last one short
    distances, indices = NearestNeighbors(n_neighbors=8, algorithm="kd_tree").fit(points).kneighbors()
    found = nearest_neighbors(points, 8)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)
    query = points[:30] + 0.1
    distances, indices = NearestNeighbors(n_neighbors=8, algorithm="kd_tree").fit(points).kneighbors(query)
    found = nearest_neighbors(points, 8, query=query)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_amid_more_duplicates_than_candidates(dtype):
    X = (np.random.default_rng(0).normal(size=(300, 3)) + 100).astype(dtype)
    X[50:120] = X[0]
    found = nearest_neighbors(X, 10)
    np.testing.assert_array_equal(found.indices[0], np.arange(50, 60))
    np.testing.assert_array_equal(found.indices[53], [0, 50, 51, 52, *range(54, 60)])
    np.testing.assert_array_equal(found.distances[0], 0)
    all_pairs = module._brute_force(X, X, np.arange(300), 10)
    np.testing.assert_array_equal(found.indices, all_pairs[0])
    np.testing.assert_array_equal(found.distances, all_pairs[1])


def test_a_query_point_may_find_itself(points):
    found = nearest_neighbors(points, 1, query=points)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(200))
    np.testing.assert_array_equal(found.distances, 0)


def test_all_the_others_can_be_asked_for(points):
    found = nearest_neighbors(points, 199)
    assert all(set(row) == set(range(200)) - {i} for i, row in enumerate(found.indices))
    assert nearest_neighbors(points, 200, query=points[:1]).indices.shape == (1, 200)


def test_approximate_finds_nearly_all_and_repeats(points, approximate):
    exact = module._exact(points, points, np.arange(200), 10)[0]
    found = nearest_neighbors(points, 10, seed=3)
    again = nearest_neighbors(points, 10, seed=3)
    np.testing.assert_array_equal(found.indices, again.indices)
    np.testing.assert_array_equal(found.distances, again.distances)
    recall = (found.indices[:, :, None] == exact[:, None, :]).any(axis=1).mean()
    assert recall > 0.95
    assert not (found.indices == np.arange(200)[:, None]).any()
    assert (np.diff(found.distances, axis=1) >= 0).all()
    assert found.indices.dtype == np.int64
    assert found.distances.dtype == np.float32
    expected = np.linalg.norm(points[:, None] - points[found.indices], axis=2)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-4)


def test_approximate_leaves_the_row_itself_out_amid_duplicates(approximate):
    X = np.random.default_rng(0).normal(size=(300, 3))
    X[:120] = X[0]
    found = nearest_neighbors(X, 10)
    assert not (found.indices == np.arange(300)[:, None]).any()
    assert (found.indices >= 0).all()
    assert all(len(set(row)) == 10 for row in found.indices)
    np.testing.assert_allclose(found.distances[:120], 0, atol=1e-5)


def test_what_pynndescent_misses_is_searched_exactly(points, monkeypatch, approximate):
    pynndescent = pytest.importorskip("pynndescent")

    class Half:
        def __init__(self, X, **_):
            indices = np.tile(np.arange(len(X))[:, None], (1, 4))
            indices[:, 1:] = -1
            self.neighbor_graph = indices, np.full((len(X), 4), np.inf, dtype=np.float32)

    monkeypatch.setattr(pynndescent, "NNDescent", Half)
    found = nearest_neighbors(points, 3)
    np.testing.assert_array_equal(found.indices, module._exact(points, points, np.arange(200), 3)[0])


@pytest.mark.parametrize("n_neighbors", [0, -1, 2.5, True, 200, None])
def test_wrong_number_of_neighbors(points, n_neighbors):
    with pytest.raises(ValueError, match="`n_neighbors`"):
        nearest_neighbors(points, n_neighbors)


def test_wrong_points(points):
    with pytest.raises(ValueError, match="`n_neighbors` is 201"):
        nearest_neighbors(points, 201, query=points)
    with pytest.raises(ValueError, match="`query` has 4 columns"):
        nearest_neighbors(points, 3, query=points[:, :4])
    with pytest.raises(ValueError, match="`X` holds NaN"):
        nearest_neighbors(np.where(points > 2, np.nan, points), 3)
    with pytest.raises(ValueError, match="`query` holds NaN"):
        nearest_neighbors(points, 3, query=np.full((2, 5), np.inf))


@pytest.mark.parametrize("n_neighbors", [1, 3, 15])
def test_connectivities_agree_with_umap_learn(points, n_neighbors):
    from umap.umap_ import fuzzy_simplicial_set

    points = np.concatenate([points, np.repeat(points[:2], 12, axis=0)])  # duplicates: more than neighbours, or fewer
    n = len(points)
    found = nearest_neighbors(points, n_neighbors)
    expected, _, _ = fuzzy_simplicial_set(
        X=sparse.coo_matrix((n, 1)),
        n_neighbors=n_neighbors + 1,
        random_state=None,
        metric="euclidean",
        # the point itself comes first and counts
        knn_indices=np.column_stack([np.arange(n), found.indices]),
        knn_dists=np.column_stack([np.zeros(n, dtype=np.float32), found.distances]),
    )
    # umap-learn seeks each cell's bandwidth until the sum of its connectivities is right to 1e-5
    np.testing.assert_allclose(connectivities(found, n).toarray(), expected.toarray(), atol=1e-5)


def test_connectivities_are_umaps_formula(points):
    found = nearest_neighbors(points, 10)
    graph = connectivities(found, 200)
    assert isinstance(graph, sparse.csr_matrix)
    assert graph.dtype == np.float32
    assert abs(graph - graph.T).max() == 0
    assert graph.diagonal().max() == 0
    assert graph.data.min() > 0
    assert graph.data.max() <= 1
    # the formula, written out: exp(-(d - rho) / sigma) with sum log2(k), joined by a + b - ab
    for row in (0, 7):
        d = found.distances[row].astype(float)
        low, high = 1e-6, 100.0
        for _ in range(200):
            sigma = (low + high) / 2
            total = np.exp(-np.maximum(d - d[0], 0) / sigma).sum()
            low, high = (low, sigma) if total > np.log2(11) else (sigma, high)
        one_way = np.exp(-(d - d[0]) / sigma)
        for other, weight in zip(found.indices[row], one_way, strict=True):
            if row not in found.indices[other]:
                assert graph[row, other] == pytest.approx(weight, abs=1e-3)
            else:
                assert graph[row, other] >= weight - 1e-3
    # the nearest neighbour is joined with certainty
    np.testing.assert_allclose(graph[np.arange(200), found.indices[:, 0]], 1)


def test_connectivities_need_neighbors_of_the_same_points(points):
    with pytest.raises(ValueError, match="`neighbors`"):
        connectivities(nearest_neighbors(points, 3), 201)
    with pytest.raises(ValueError, match="`neighbors`"):
        connectivities(Neighbors(np.array([[5], [0]]), np.ones((2, 1), np.float32)), 2)
