from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from scminnet.graph import paths
from scminnet.graph.paths import distances_from, nearest_by_path, paths_from


def random_graph(n: int, n_edges: int, seed: int, dtype: type = np.float64) -> sparse.csr_matrix:
    """Edges between random cells: often several components, and cells alone."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(n, size=(2, n_edges))
    graph = sparse.coo_matrix((rng.integers(1, 9, n_edges) / 4, (i, j)), shape=(n, n)).tocsr()
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph.maximum(graph.T).tocsr().astype(dtype)


@given(st.integers(2, 60), st.integers(1, 250), st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=100, deadline=None)
def test_distances_are_scipys(n, n_edges, seed, dtype):
    graph = random_graph(n, n_edges, seed, dtype)
    sources = np.random.default_rng(seed).integers(n, size=20)  # more than a group, some twice
    table = np.full((n, 20), np.inf, dtype=np.float32)
    distances_from(graph, sources, table)
    np.testing.assert_array_equal(table, dijkstra(graph.astype(float), indices=sources).T)


def test_cells_without_a_path_keep_their_entry():
    graph = sparse.csr_matrix(np.array([[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=float))
    table = np.full((4, 1), 7, dtype=np.float32)
    distances_from(graph, np.array([1]), table)
    np.testing.assert_array_equal(table[:, 0], [2, 0, 7, 7])


@given(st.integers(2, 50), st.integers(1, 200), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_paths_are_as_long_as_the_distance(n, n_edges, seed):
    graph = random_graph(n, n_edges, seed)
    rng = np.random.default_rng(seed)
    sources = rng.integers(n, size=18)
    exact = dijkstra(graph, indices=sources)
    targets = np.stack([rng.choice(np.flatnonzero(np.isfinite(d)), size=5) for d in exact])
    found = paths_from(graph, sources, targets, n)
    for source, ends, rows, distances in zip(sources, targets, found, exact, strict=True):
        for end, row in zip(ends, rows, strict=True):
            path = row[row >= 0]
            assert path[0] == end
            assert path[-1] == source
            assert (row[len(path) :] == -1).all()
            assert sum(graph[a, b] for a, b in zip(path[1:], path[:-1], strict=True)) == distances[end]


def test_long_paths_are_cut():
    line = sparse.diags([np.ones(9)], [1], shape=(10, 10)).tocsr()
    found = paths_from((line + line.T).tocsr(), np.array([0]), np.array([[9, 1]]), 3)
    np.testing.assert_array_equal(found, [[[9, 8, 7], [1, 0, -1]]])


@given(st.integers(2, 60), st.integers(1, 250), st.integers(0, 10**6), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_near_cells_are_the_nearest(n, n_edges, seed, n_near):
    graph = random_graph(n, n_edges, seed)
    cells, distances = nearest_by_path(graph, n_near)
    exact = dijkstra(graph)
    for cell in range(n):
        own = cells[cell][cells[cell] >= 0]
        assert cell not in own
        assert len(set(own)) == len(own) == min(n_near, np.isfinite(exact[cell]).sum() - 1)
        np.testing.assert_array_equal(distances[cell, : len(own)], exact[cell, own])
        np.testing.assert_array_equal(distances[cell, : len(own)], np.sort(exact[cell])[1 : len(own) + 1])


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_change_nothing(n_threads, monkeypatch):
    graph = random_graph(400, 1600, 0)
    tables = np.full((2, 400, 40), np.inf, dtype=np.float32)
    distances_from(graph, np.arange(40), tables[0])
    near = nearest_by_path(graph, 7)
    monkeypatch.setattr(paths, "get_num_threads", lambda: n_threads)
    monkeypatch.setattr(paths, "_NEAR_GROUP", 64)
    distances_from(graph, np.arange(40), tables[1])
    np.testing.assert_array_equal(tables[0], tables[1])
    for one, other in zip(near, nearest_by_path(graph, 7), strict=True):
        np.testing.assert_array_equal(one, other)
