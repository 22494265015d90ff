"""Shortest-path distances between any cells of a graph: all of them for few cells, by landmarks for many.

A landmark l gives the upper bound d(i, l) + d(l, j) of d(i, j), which is exact when l lies on a shortest path from i to
j. So the landmarks are the cells that lie on most shortest paths between random cells, chosen greedily: each next one
lies on most of the paths that have none yet. Pairs of near cells, whose shortest paths are too many and too short to be
covered, are stored with their exact distance.

Measured on the margin graph of 8,685 mouse cortex cells (SNARE-seq RNA, 35 edges a cell), 300,000 random pairs, against
Dijkstra (what it costs: ``benchmarks/speed/model``):

=========  ====================================  ===================  ================
landmarks  chosen                                mean relative error  rank correlation
=========  ====================================  ===================  ================
128        at random                             +9.1 %               0.988
128        farthest point next                   +135 %               0.654
128        k-means++                             +12.3 %              0.986
64         on most paths                         +2.7 %               0.992
128        on most paths                         +1.4 %               0.997
256        on most paths                         +0.7 %               0.999
64         on most paths, and 40 near cells      +1.2 %               0.994
128        on most paths, and 40 near cells      +0.4 %               0.998
256        on most paths, and 40 near cells      +0.1 %               0.9997
=========  ====================================  ===================  ================

The lower bound max |d(i, l) - d(l, j)| is about 13 % too low; no mean of the two bounds beats the upper one alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from scminnet._core.arguments import check_count
from scminnet.graph.paths import distances_from, nearest_by_path, paths_from

#: Random cells at the other end of the paths from each sampled cell, for the choice of landmarks.
_TARGETS = 256

#: Cells of a path that count in the choice of landmarks. Paths have about 20; it bounds the memory on chain-like graphs.
_MAX_HOPS = 128

#: Random pairs whose median distance stands for the unknown one.
_UNKNOWN_SAMPLE = 2**14


class GeodesicIndex:
    """Distances along a graph's shortest paths, without the matrix of all of them.

    Parameters
    ----------
    graph
        Symmetric sparse matrix (n, n) of positive edge lengths; what is not stored is no edge.
    n_landmarks
        Landmarks of each connected component. Memory is 4 n ``n_landmarks`` bytes. 128: see the table in this file.
    exact_limit
        Up to this many cells all distances are computed, n² of 4 bytes. 2,000: 16 MB and a few seconds.
    n_near
        Cells nearest to each cell, by path, whose distances are stored exactly.
    seed
        Seed of the choice of landmarks; the same seed gives the same distances.

    Attributes
    ----------
    n
        Number of cells.
    n_landmarks
        Landmarks of each component; 0 when all distances are exact.
    is_exact
        Whether all distances are exact. If not, they are never too short (but for float32 rounding).
    unreachable
        Distance given to two cells without a path between them: the largest finite distance the index holds, be it of
        a landmark or of a near pair.
    unknown
        Distance given to a pair with a cell that is not in the graph (index -1): the median finite distance of a
        random sample of pairs.
    nbytes
        Memory of the stored distances, in bytes.

    Raises
    ------
    TypeError
        ``graph`` is not sparse.
    ValueError
        ``graph`` is not square, not symmetric, has no edges or has lengths that are not positive and finite; or a number
        is out of its range.

    Notes
    -----
    A cell is at distance 0 from itself, but two cells that are not in the graph are at distance ``unknown``. Distances
    are symmetric. ``GeodesicIndex`` is read-only after construction.
    """

    def __init__(
        self,
        graph: sparse.csr_matrix,
        *,
        n_landmarks: int = 128,
        exact_limit: int = 2000,
        n_near: int = 40,
        seed: int = 0,
    ) -> None:
        check_count(n_landmarks, "n_landmarks", minimum=1)
        check_count(exact_limit, "exact_limit", minimum=0)
        check_count(n_near, "n_near", minimum=0)
        graph = _check_graph(graph)
        rng = np.random.default_rng(seed)
        self.n: int = graph.shape[0]
        self.is_exact: bool = self.n <= exact_limit
        self.n_landmarks: int = 0 if self.is_exact else n_landmarks
        self._component: np.ndarray = connected_components(graph, directed=False)[1]
        if self.is_exact:
            distances = dijkstra(graph).astype(np.float32)
            # the two directions of a path add up its edges in another order
            self._all = np.minimum(distances, distances.T)
            largest = self._all[np.isfinite(self._all)].max()
            self.nbytes: int = self._all.nbytes
        else:
            self._table = _landmark_table(graph, self._component, n_landmarks, rng)
            self._near = _near_distances(graph, n_near)
            largest = max(self._table.max(), self._near.data.max(initial=0))
            self.nbytes = self._table.nbytes + sum(
                part.nbytes for part in (self._near.data, self._near.indices, self._near.indptr)
            )
        self.unreachable: float = float(largest)
        self.unknown: float = self._median_distance(rng)

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return the distances of pairs of cells.

        Parameters
        ----------
        i, j
            Integer arrays (p,): cells' rows of the graph, or -1 for a cell that is not in it.

        Returns
        -------
        float32 array (p,): the distance of ``i[0]`` and ``j[0]``, and so on.

        Raises
        ------
        ValueError
            ``i`` and ``j`` differ in length.
        IndexError
            A cell is not an integer from -1 to n - 1.
        """
        i, j = self._check_cells(i, "i"), self._check_cells(j, "j")
        if len(i) != len(j):
            raise ValueError(f"`i` has {len(i)} cells and `j` {len(j)}. Give as many of each, or ask for a block.")
        known_i, known_j = np.maximum(i, 0), np.maximum(j, 0)
        if self.is_exact:
            distances = self._all[known_i, known_j]
        else:
            near = self._near
            distances = _pair_distances(self._table, near.indptr, near.indices, near.data, known_i, known_j)
        return self._define(distances, i, j)

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return the distances of all cells of one array to all of another.

        Parameters
        ----------
        i, j
            Integer arrays of cells: rows of the graph, or -1 for a cell that is not in it.

        Returns
        -------
        float32 array (len(i), len(j)).

        Raises
        ------
        IndexError
            A cell is not an integer from -1 to n - 1.
        """
        i, j = self._check_cells(i, "i"), self._check_cells(j, "j")
        known_i, known_j = np.maximum(i, 0), np.maximum(j, 0)
        if self.is_exact:
            distances = self._all[np.ix_(known_i, known_j)]
        else:
            near = self._near
            # landmarks x cells: the innermost loop then runs over contiguous cells
            columns = np.ascontiguousarray(self._table[known_j].T)
            distances = _over_landmarks(self._table[known_i], columns)
            _put_near(distances, near.indptr, near.indices, near.data, known_i, known_j, self.n)
        return self._define(distances, i[:, None], j[None, :])

    def _define(self, distances: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Fill in what the graph itself does not say; ``i`` and ``j`` broadcast to the shape of ``distances``."""
        distances[self._component[i] != self._component[j]] = self.unreachable
        distances[i == j] = 0
        distances[(i < 0) | (j < 0)] = self.unknown
        return distances

    def _check_cells(self, cells: np.ndarray, argument: str) -> np.ndarray:
        cells = np.asarray(cells)
        if cells.ndim != 1 or not (np.issubdtype(cells.dtype, np.integer) or cells.size == 0):
            raise IndexError(
                f"`{argument}` has shape {cells.shape} and type {cells.dtype}. Give a one-dimensional integer array."
            )
        if cells.size and (cells.min() < -1 or cells.max() >= self.n):
            raise IndexError(
                f"`{argument}` holds cells from {cells.min()} to {cells.max()}. "
                f"Give rows of the graph, 0 to {self.n - 1}, or -1 for a cell that is not in it."
            )
        return cells.astype(np.int64)

    def _median_distance(self, rng: np.random.Generator) -> float:
        self.unknown = 0.0  # no cell of the sample is unknown
        i, j = rng.integers(self.n, size=(2, _UNKNOWN_SAMPLE))
        connected = (i != j) & (self._component[i] == self._component[j])
        return float(np.median(self.pairs(i[connected], j[connected]))) if connected.any() else self.unreachable


def _check_graph(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    if not sparse.issparse(graph):
        raise TypeError(f"`graph` must be a sparse matrix, found {type(graph).__name__}.")
    if graph.shape[0] != graph.shape[1]:
        raise ValueError(f"`graph` has shape {graph.shape}. Give a square matrix, cells x cells.")
    dtype = np.float32 if graph.dtype == np.float32 else np.float64
    graph = sparse.csr_matrix(graph, dtype=dtype, copy=True)
    graph.sum_duplicates()
    if graph.nnz == 0:
        raise ValueError("`graph` has no edges. Give a matrix of edge lengths, such as `pp.margin_graph` writes.")
    wrong = int((~(graph.data > 0) | np.isinf(graph.data)).sum())
    if wrong:
        raise ValueError(f"`graph` has {wrong:,} edges whose length is not positive and finite. Give lengths above 0.")
    back = graph.T.tocsr()
    same_edges = np.array_equal(back.indptr, graph.indptr) and np.array_equal(back.indices, graph.indices)
    if not same_edges or np.abs(back.data - graph.data).max() > 1e-6 * graph.data.max():
        raise ValueError("`graph` is not symmetric. Give each edge in both directions, e.g. `graph.maximum(graph.T)`.")
    return graph


def _landmark_table(
    graph: sparse.csr_matrix, component: np.ndarray, n_landmarks: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the float32 distances (n, n_landmarks) of each cell to the landmarks of its own component.

    Components share columns, for no distance leads from one to another. Where a component has fewer cells than there
    are columns, all its cells are landmarks, some of them repeated.
    """
    table = np.full((graph.shape[0], n_landmarks), np.inf, dtype=np.float32)
    by_component = np.argsort(component, kind="stable")
    for cells in np.split(by_component, np.cumsum(np.bincount(component))[:-1]):
        landmarks = _landmarks(graph, cells, n_landmarks, rng)
        distances_from(graph, np.resize(landmarks, n_landmarks), table)
    return table


def _landmarks(graph: sparse.csr_matrix, cells: np.ndarray, n_landmarks: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the cells that lie on most shortest paths between random cells of a component, greedily."""
    n = len(cells)
    if n <= n_landmarks:
        return cells
    paths = _sample_paths(graph, cells, n_landmarks, rng)
    through = paths.T.tocsr()
    open_paths = np.ones(paths.shape[0], dtype=bool)
    n_open = np.bincount(paths.indices, minlength=n)  # open paths through each cell
    # once every path is covered, the rest are random cells
    priority = rng.permutation(n) / n
    chosen = np.zeros(n_landmarks, dtype=np.int64)
    for k in range(n_landmarks):
        cell = chosen[k] = np.argmax(n_open + priority)
        hit = through.indices[through.indptr[cell] : through.indptr[cell + 1]]
        hit = hit[open_paths[hit]]
        open_paths[hit] = False
        n_open -= np.bincount(paths[hit].indices, minlength=n)
        priority[cell] = -1
    return cells[chosen]


def _sample_paths(
    graph: sparse.csr_matrix, cells: np.ndarray, n_sources: int, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Return the places in ``cells`` (columns) of those on the shortest paths (rows) from random ones to random others."""
    n = len(cells)
    sources = rng.choice(n, n_sources, replace=False)
    targets = rng.integers(n, size=(n_sources, _TARGETS))
    on_path = paths_from(graph, cells[sources], cells[targets], _MAX_HOPS).reshape(n_sources * _TARGETS, _MAX_HOPS)
    path, hop = np.nonzero(on_path >= 0)
    cell = np.searchsorted(cells, on_path[path, hop])
    return sparse.csr_matrix((np.ones(len(path), dtype=bool), (path, cell)), shape=(len(on_path), n))


def _near_distances(graph: sparse.csr_matrix, n_near: int) -> sparse.csr_matrix:
    """Return the exact float32 distances of each cell and the ``n_near`` cells nearest to it, symmetric."""
    n = graph.shape[0]
    cells, distances = nearest_by_path(graph, n_near)
    found = cells >= 0
    indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    near = sparse.csr_matrix((distances[found], cells[found], indptr), shape=(n, n))
    near = near.maximum(near.T).tocsr()  # a pair is stored when either cell is near the other
    near.sort_indices()
    return near


@njit(cache=True, nogil=True)
def _pair_distances(
    table: np.ndarray,
    near_indptr: np.ndarray,
    near_cells: np.ndarray,
    near_distances: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
) -> np.ndarray:  # pragma: no cover
    result = np.empty(len(i), dtype=np.float32)
    for p in range(len(i)):
        shortest = np.float32(np.inf)
        for landmark in range(table.shape[1]):
            shortest = min(shortest, table[i[p], landmark] + table[j[p], landmark])
        for entry in range(near_indptr[i[p]], near_indptr[i[p] + 1]):
            if near_cells[entry] == j[p]:
                shortest = near_distances[entry]
        result[p] = shortest
    return result


@njit(cache=True, nogil=True)
def _over_landmarks(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Return the distances over the nearest landmark between cells x landmarks and landmarks x cells.

    Eight landmarks a round: the results are then read and written an eighth as often, which is what takes the time.
    """
    n, m = len(rows), columns.shape[1]
    last = rows.shape[1] - 1
    result = np.empty((n, m), dtype=np.float32)
    for a in range(n):
        for b in range(m):
            result[a, b] = np.inf
        for k0 in range(0, last + 1, 8):
            # the last landmark again where there are no more
            k1, k2, k3, k4 = min(k0 + 1, last), min(k0 + 2, last), min(k0 + 3, last), min(k0 + 4, last)
            k5, k6, k7 = min(k0 + 5, last), min(k0 + 6, last), min(k0 + 7, last)
            d0, d1, d2, d3 = rows[a, k0], rows[a, k1], rows[a, k2], rows[a, k3]
            d4, d5, d6, d7 = rows[a, k4], rows[a, k5], rows[a, k6], rows[a, k7]
            for b in range(m):
                first = min(
                    min(d0 + columns[k0, b], d1 + columns[k1, b]), min(d2 + columns[k2, b], d3 + columns[k3, b])
                )
                other = min(
                    min(d4 + columns[k4, b], d5 + columns[k5, b]), min(d6 + columns[k6, b], d7 + columns[k7, b])
                )
                result[a, b] = min(result[a, b], min(first, other))
    return result


@njit(cache=True, nogil=True)
def _put_near(
    result: np.ndarray,
    near_indptr: np.ndarray,
    near_cells: np.ndarray,
    near_distances: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    n: int,
) -> None:  # pragma: no cover
    """Put the exact distances of near pairs into a block."""
    # where each cell last stands in j, and where the same cell stands before that
    last = np.full(n, -1, dtype=np.int64)
    before = np.empty(len(j), dtype=np.int64)
    for b in range(len(j)):
        before[b] = last[j[b]]
        last[j[b]] = b
    for a in range(len(i)):
        for entry in range(near_indptr[i[a]], near_indptr[i[a] + 1]):
            b = last[near_cells[entry]]
            while b >= 0:
                result[a, b] = near_distances[entry]
                b = before[b]
