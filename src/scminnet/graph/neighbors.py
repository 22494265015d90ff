"""Nearest neighbours of points, and the fuzzy graph UMAP makes of them. The only place that calls pynndescent."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial.distance import cdist

from scminnet._validate import check_count, check_embedding

#: Pairs of points up to which neighbours are searched exactly (4,096 points among themselves): there the search takes
#: about a second, while pynndescent spends longer on compiling itself and may miss neighbours.
EXACT_PAIRS = 4096**2

#: Distances held at a time by the exact search (32 MiB).
_CHUNK_PAIRS = 2**22

#: Neighbours a point in pynndescent's own graph (its default), and how far beyond the best a query looks. Of the 10
#: nearest of 2,000 mouse cortex cells among 8,309 (20 PCs), 99 % are found; 90 % with a graph of 11 and the default of 0.1.
_MIN_GRAPH = 30
_EPSILON = 0.2

#: Points up to which the search is exact for any number of queries: too few for pynndescent's graph.
_TINY = 64


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbours of n points, the nearest first.

    Attributes
    ----------
    indices
        int64 array (n, k): rows of the searched points.
    distances
        float32 array (n, k): Euclidean distances, ascending along each row.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_neighbors(X: np.ndarray, n_neighbors: int, *, query: np.ndarray | None = None, seed: int = 0) -> Neighbors:
    """Find the nearest rows of a matrix by Euclidean distance.

    Up to ``EXACT_PAIRS`` pairs (4,096 points among themselves) the search is exact, and equally near rows come in the
    order of their index. Above, pynndescent finds the neighbours approximately.

    Parameters
    ----------
    X
        Array (n, d) of the points searched.
    n_neighbors
        Neighbours a point.
    query
        Array (m, d) of the points whose neighbours are wanted. ``None``: those of every row of ``X`` among the other
        rows; the row itself is never its own neighbour, a duplicate of it may be.
    seed
        Seed of the approximate search. The same seed gives the same neighbours, as long as numba runs the same number
        of threads.

    Returns
    -------
    Neighbors of the m (or n) points.

    Raises
    ------
    ValueError
        An argument is no finite numeric matrix, the two differ in their number of columns, or there are fewer than
        ``n_neighbors`` rows to choose from.
    """
    X = check_embedding(X, "X")
    if query is not None:
        query = check_embedding(query, "query")
        if query.shape[1] != X.shape[1]:
            raise ValueError(
                f"`query` has {query.shape[1]} columns and `X` {X.shape[1]}. Give both in the same coordinates."
            )
    available = len(X) - (query is None)
    check_count(n_neighbors, "n_neighbors")
    if n_neighbors > available:
        raise ValueError(
            f"`n_neighbors` is {n_neighbors}, but there are only {available} points to choose from. "
            f"Give at most {available}."
        )
    points = X if query is None else query
    own = np.arange(len(X)) if query is None else None
    if len(points) * len(X) <= EXACT_PAIRS or len(X) <= _TINY:
        return Neighbors(*_exact(X, points, own, n_neighbors))
    return Neighbors(*_approximate(X, query, n_neighbors, seed))


def _exact(X: np.ndarray, points: np.ndarray, own: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Search all rows of ``X``; ``own[p]`` is the row that is point p itself, to be left out."""
    indices = np.empty((len(points), k), dtype=np.int64)
    distances = np.empty((len(points), k), dtype=np.float32)
    step = max(1, _CHUNK_PAIRS // len(X))
    for start in range(0, len(points), step):
        chunk = slice(start, start + step)
        # cdist takes differences: unlike the faster x² + y² - 2xy it gives duplicates the distance 0 and ties equality
        d = cdist(points[chunk], X)
        rows = np.arange(len(d))
        if own is not None:
            d[rows, own[chunk]] = np.inf
        kth = np.partition(d, k - 1, axis=1)[:, k - 1 : k]
        row, column = np.nonzero(d <= kth)
        order = np.lexsort((column, d[row, column], row))
        picked = order[np.searchsorted(row, rows)[:, None] + np.arange(k)]
        indices[chunk] = column[picked]
        distances[chunk] = d[rows[:, None], indices[chunk]]
    return indices, distances


def _approximate(X: np.ndarray, query: np.ndarray | None, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    # the import alone takes seconds, which small data need not pay
    from pynndescent import NNDescent

    X = np.ascontiguousarray(X, dtype=np.float32)
    index = NNDescent(X, metric="euclidean", n_neighbors=min(max(k + 1, _MIN_GRAPH), len(X)), random_state=seed)
    if query is None:
        indices, distances = (found[:, :k] for found in _without_self(*index.neighbor_graph))
        points, own = X, np.arange(len(X))
    else:
        points, own = np.ascontiguousarray(query, dtype=np.float32), None
        indices, distances = index.query(points, k=k, epsilon=_EPSILON)
    indices, distances = indices.astype(np.int64), distances.astype(np.float32)
    # pynndescent marks with -1 what it did not find, which happens amid many duplicates
    lacking = np.flatnonzero((indices < 0).any(axis=1))
    if len(lacking):
        own = None if own is None else own[lacking]
        indices[lacking], distances[lacking] = _exact(X, points[lacking], own, k)
    return indices, distances


def _without_self(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row's own index, which need not come first amid duplicates, or else the farthest neighbour."""
    drop = indices == np.arange(len(indices))[:, None]
    drop[~drop.any(axis=1), -1] = True
    shape = (len(indices), indices.shape[1] - 1)
    return indices[~drop].reshape(shape), distances[~drop].reshape(shape)


def connectivities(neighbors: Neighbors, n_obs: int) -> sparse.csr_matrix:
    """Turn the neighbours of points among themselves into UMAP's fuzzy graph.

    Parameters
    ----------
    neighbors
        Neighbours of ``n_obs`` points among themselves, from :func:`nearest_neighbors` without ``query``.
    n_obs
        Number of points.

    Returns
    -------
    float32 matrix (n_obs, n_obs), symmetric, with values in (0, 1] and nothing on the diagonal.

    Raises
    ------
    ValueError
        ``neighbors`` is not of ``n_obs`` points among themselves.
    """
    if len(neighbors.indices) != n_obs or neighbors.indices.max(initial=0) >= n_obs:
        raise ValueError(
            f"`neighbors` holds {len(neighbors.indices)} points and indices up to {neighbors.indices.max(initial=0)}, "
            f"which does not fit `n_obs`={n_obs}. Give the neighbours of the points among themselves."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # umap tells that it lacks tensorflow, which nothing here needs
        from umap.umap_ import fuzzy_simplicial_set

    # UMAP expects each point as its own first neighbour, and counts it in n_neighbors
    knn_indices = np.column_stack([np.arange(n_obs), neighbors.indices])
    knn_dists = np.column_stack([np.zeros(n_obs, dtype=np.float32), neighbors.distances])
    graph, _, _ = fuzzy_simplicial_set(
        X=sparse.coo_matrix((n_obs, 1)),  # only its number of rows is looked at, given the neighbours
        n_neighbors=knn_indices.shape[1],
        random_state=None,
        metric="euclidean",
        knn_indices=knn_indices,
        knn_dists=knn_dists,
    )
    graph = sparse.csr_matrix(graph, dtype=np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph
