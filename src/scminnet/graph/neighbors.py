"""Nearest neighbours of points, and the fuzzy graph UMAP makes of them. The only place that calls pynndescent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from scminnet._core.arguments import check_count
from scminnet._core.embeddings import check_embedding

#: Pairs of points up to which neighbours are searched exactly (50,000 points among themselves): the search takes as long as pynndescent spends on
#: importing and compiling itself, once a process (``benchmarks/speed/model``), and misses no neighbour.
EXACT_PAIRS = 50_000**2

#: Candidates of the exact search beyond the neighbours wanted.
_SPARE = 4

#: Squared distances from matrix products are this share of the largest squared norm from the true ones at most.
_ROUNDING = 1e-12

#: Coordinates of candidates held at a time by the exact search (32 MiB), and distances by the search through all points.
_CHUNK = 2**22

#: Neighbours a point in pynndescent's own graph (its default), and how far beyond the best a query looks. Of the 10
#: nearest of 2,000 mouse cortex cells among 8,309 (20 PCs), 99 % are found; 90 % with a graph of 11 and the default of 0.1.
_MIN_GRAPH = 30
_EPSILON = 0.2

#: UMAP's: rounds of bisection, its tolerance, and the smallest width of a kernel as a share of the mean distance.
_BISECTIONS = 64
_BISECTION_TOLERANCE = 1e-5
_MIN_SIGMA = 1e-3

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

    Up to ``EXACT_PAIRS`` pairs (50,000 points among themselves) the search is exact, and equally near rows come in the
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
    """Search all rows of ``X``; ``own[p]`` is the row that is point p itself, to be left out.

    Matrix products find some candidates more than are wanted, in less than a tenth of the time that differences take. Their distances are
    then computed from differences, which give duplicates the distance 0 and ties equality.
    """
    n_candidates = k + _SPARE
    if n_candidates >= len(X):
        return _through_all(X, points, own, k)
    X, points = (np.ascontiguousarray(a, dtype=np.result_type(X, points, np.float32)) for a in (X, points))
    candidates = NearestNeighbors(n_neighbors=n_candidates, algorithm="brute").fit(X)
    candidates = candidates.kneighbors(points, return_distance=False)
    candidates.sort(axis=1)
    indices = np.empty((len(points), k), dtype=np.int64)
    distances = np.empty((len(points), k), dtype=np.float32)
    in_doubt = np.zeros(len(points), dtype=bool)
    tolerance = _ROUNDING * max(np.square(a, dtype=np.float64).sum(axis=1).max() for a in (X, points))
    step = max(1, _CHUNK // (n_candidates * X.shape[1]))
    for start in range(0, len(points), step):
        chunk = slice(start, start + step)
        found = candidates[chunk]
        difference = X[found].astype(np.float64) - points[chunk, None]
        squared = np.einsum("pcd,pcd->pc", difference, difference)
        farthest = squared.max(axis=1)
        if own is not None:
            squared[found == own[chunk, None]] = np.inf
        # stable, over ascending indices
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        indices[chunk] = np.take_along_axis(found, order, axis=1)
        squared = np.take_along_axis(squared, order, axis=1)
        distances[chunk] = np.sqrt(squared)
        # a row that is no candidate may be as near as the last one that is
        in_doubt[chunk] = farthest - squared[:, -1] <= tolerance
    rows = np.flatnonzero(in_doubt)
    if len(rows):
        indices[rows], distances[rows] = _through_all(X, points[rows], None if own is None else own[rows], k)
    return indices, distances


def _through_all(X: np.ndarray, points: np.ndarray, own: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Search by the differences to all rows of ``X``."""
    indices = np.empty((len(points), k), dtype=np.int64)
    distances = np.empty((len(points), k), dtype=np.float32)
    step = max(1, _CHUNK // len(X))
    for start in range(0, len(points), step):
        chunk = slice(start, start + step)
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
    one_way = sparse.csr_matrix(
        (
            _memberships(neighbors.distances).ravel(),
            neighbors.indices.ravel(),
            np.arange(n_obs + 1) * neighbors.indices.shape[1],
        ),
        shape=(n_obs, n_obs),
    )
    back = one_way.T.tocsr()
    # either of two independent events: a + b - ab
    graph = sparse.csr_matrix(one_way + back - one_way.multiply(back), dtype=np.float32)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def _memberships(distances: np.ndarray) -> np.ndarray:
    """Return how strongly each point is joined to its neighbours, as UMAP's ``fuzzy_simplicial_set`` has it.

    Not umap-learn's own, which compiles for seconds in each process what is a dozen lines: exp(-(d - rho) / sigma), where rho is the distance to
    the nearest neighbour that is no duplicate, and sigma lets the strengths sum to log2(k + 1). The tests compare both.
    """
    n, k = distances.shape
    positive = distances > 0
    nearest = np.where(positive.any(axis=1), distances[np.arange(n), positive.argmax(axis=1)], 0)
    beyond = np.maximum(distances - nearest[:, None], 0).astype(np.float64)
    target = np.log2(k + 1)
    sigma, low, high = np.ones(n), np.zeros(n), np.full(n, np.inf)
    open_rows = np.arange(n)
    for _ in range(_BISECTIONS):
        excess = np.exp(-beyond[open_rows] / sigma[open_rows, None]).sum(axis=1) - target
        apart = np.abs(excess) >= _BISECTION_TOLERANCE
        open_rows, excess = open_rows[apart], excess[apart]
        if not len(open_rows):
            break
        wide = excess > 0
        high[open_rows[wide]] = sigma[open_rows[wide]]
        low[open_rows[~wide]] = sigma[open_rows[~wide]]
        middle = (low[open_rows] + high[open_rows]) / 2
        sigma[open_rows] = np.where(np.isinf(middle), 2 * sigma[open_rows], middle)
    # UMAP counts the point itself, at distance 0, among its neighbours; a point amid duplicates has the mean over all points
    mean = distances.mean(axis=1, dtype=np.float64) * k / (k + 1)
    sigma = np.maximum(sigma, _MIN_SIGMA * np.where(nearest > 0, mean, mean.mean()))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(beyond > 0, np.exp(-beyond / sigma[:, None]), 1).astype(np.float32)
