"""Shortest-path distances between any cells of a graph: exact for few cells, by landmarks for many."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from scminnet._core.arguments import check_count
from scminnet.graph.landmarks import landmark_table
from scminnet.graph.paths import nearest_by_path

#: Random pairs whose median distance is used for unknown cells.
_UNKNOWN_SAMPLE = 2**14


class GeodesicIndex:
    """Distances along a graph's shortest paths, without the matrix of all distances.

    Parameters
    ----------
    graph
        Symmetric sparse matrix (n, n) of positive edge lengths. Entries that are not stored are no edges.
    n_landmarks
        Landmarks of each connected component. Memory is 4 n ``n_landmarks`` bytes. For the default of 128 see the table
        in ``graph/landmarks.py``.
    exact_limit
        Up to this many cells all distances are computed, which takes 4 n² bytes. The default of 2,000 takes 16 MB and
        a few seconds.
    n_near
        Number of cells nearest to each cell, by path, whose exact distances are stored.
    seed
        Seed of the choice of landmarks. The same seed gives the same distances.

    Attributes
    ----------
    n
        Number of cells.
    n_landmarks
        Landmarks of each component. 0 if all distances are exact.
    is_exact
        Whether all distances are exact. If not, they are never too short (except for float32 rounding).
    unreachable
        Distance of two cells without a path between them: the largest finite distance in the index, of a landmark or of
        a near pair.
    unknown
        Distance of a pair with a cell that is not in the graph (index -1): the median finite distance of a random
        sample of pairs.
    nbytes
        Memory of the stored distances, in bytes.

    Raises
    ------
    TypeError
        ``graph`` is not sparse.
    ValueError
        ``graph`` is not square or not symmetric, has no edges, or has lengths that are not positive and finite. Or a
        number is out of its range.

    Notes
    -----
    A cell has distance 0 from itself. Two cells that are not in the graph have distance ``unknown``. Distances are
    symmetric. ``GeodesicIndex`` is read-only after construction.
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
            # the two directions of a path add its edges in different order, so rounding differs
            self._all = np.minimum(distances, distances.T)
            largest = self._all[np.isfinite(self._all)].max()
            self.nbytes: int = self._all.nbytes
        else:
            self._table = landmark_table(graph, self._component, n_landmarks, rng)
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
            Integer arrays (p,): rows of the cells in the graph, or -1 for a cell that is not in it.

        Returns
        -------
        float32 array (p,): the distance of ``i[0]`` and ``j[0]``, and so on.

        Raises
        ------
        ValueError
            ``i`` and ``j`` differ in length.
        IndexError
            A value is not an integer from -1 to n - 1.
        """
        i, j = self._check_cells(i, "i"), self._check_cells(j, "j")
        if len(i) != len(j):
            raise ValueError(f"`i` has {len(i)} cells and `j` {len(j)}. Give equally many, or use `block`.")
        known_i, known_j = np.maximum(i, 0), np.maximum(j, 0)
        if self.is_exact:
            distances = self._all[known_i, known_j]
        else:
            near = self._near
            distances = _pair_distances(self._table, near.indptr, near.indices, near.data, known_i, known_j)
        return self._set_undefined(distances, i, j)

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return the distances of all cells of one array to all cells of another.

        Parameters
        ----------
        i, j
            Integer arrays: rows of the cells in the graph, or -1 for a cell that is not in it.

        Returns
        -------
        float32 array (len(i), len(j)).

        Raises
        ------
        IndexError
            A value is not an integer from -1 to n - 1.
        """
        i, j = self._check_cells(i, "i"), self._check_cells(j, "j")
        known_i, known_j = np.maximum(i, 0), np.maximum(j, 0)
        if self.is_exact:
            distances = self._all[np.ix_(known_i, known_j)]
        else:
            near = self._near
            # landmarks x cells, so that the innermost loop runs over contiguous memory
            columns = np.ascontiguousarray(self._table[known_j].T)
            distances = _over_landmarks(self._table[known_i], columns)
            _put_near(distances, near.indptr, near.indices, near.data, known_i, known_j, self.n)
        return self._set_undefined(distances, i[:, None], j[None, :])

    def _set_undefined(self, distances: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Set the distances that the graph does not define. ``i`` and ``j`` broadcast to the shape of ``distances``."""
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
        raise TypeError(f"`graph` is a {type(graph).__name__}. Give a sparse matrix.")
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


def _near_distances(graph: sparse.csr_matrix, n_near: int) -> sparse.csr_matrix:
    """Return the exact float32 distances of each cell and its ``n_near`` nearest cells, symmetric."""
    n = graph.shape[0]
    cells, distances = nearest_by_path(graph, n_near)
    found = cells >= 0
    indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    near = sparse.csr_matrix((distances[found], cells[found], indptr), shape=(n, n))
    near = near.maximum(near.T).tocsr()  # a pair is stored if either cell is near the other
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
    """Return the shortest distances over a landmark, from cells x landmarks and landmarks x cells.

    Eight landmarks are processed per round, because reading and writing the results takes most of the time.
    """
    n, m = len(rows), columns.shape[1]
    last = rows.shape[1] - 1
    result = np.empty((n, m), dtype=np.float32)
    for a in range(n):
        for b in range(m):
            result[a, b] = np.inf
        for k0 in range(0, last + 1, 8):
            # repeat the last landmark if there are no more
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
    """Write the exact distances of near pairs into a block."""
    # position of each cell's last occurrence in j, and of the occurrence before each position
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
