"""Shortest paths from some cells of a graph, by Dijkstra's algorithm.

scipy's ``dijkstra`` uses a Fibonacci heap and searches the whole graph. This one uses an indexed heap with four
branches. It takes less than half of the time, stops once enough cells are settled, and lets other threads run.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import get_num_threads, njit
from scipy import sparse

#: Sources at a time. Their float32 distances fill a cache line of a table cells x sources.
_GROUP = 16

#: Searches of near cells at a time.
_NEAR_GROUP = 8192


def distances_from(graph: sparse.csr_matrix, sources: np.ndarray, table: np.ndarray) -> None:
    """Write the distances of all cells from the sources into a table. Cells without a path keep their value.

    Parameters
    ----------
    graph
        Edge lengths above 0, with both directions of each edge.
    sources
        Cells from which distances are measured.
    table
        Cells x sources, float32.
    """

    def run(start: int) -> None:
        group = slice(start, start + _GROUP)
        own = _distances_from(graph.indptr, graph.indices, graph.data, sources[group])
        np.copyto(table[:, group], own.T, where=np.isfinite(own.T))

    _in_threads(run, range(0, len(sources), _GROUP))


def paths_from(graph: sparse.csr_matrix, sources: np.ndarray, targets: np.ndarray, max_hops: int) -> np.ndarray:
    """Return the cells on shortest paths, from the targets back to the sources.

    Parameters
    ----------
    graph
        As in :func:`distances_from`.
    sources
        First cell of each path.
    targets
        Sources x targets. Each target must be reachable from its source.
    max_hops
        Largest number of cells returned per path.

    Returns
    -------
    Sources x targets x ``max_hops``, -1 if a path has fewer cells.
    """
    found = np.full((*targets.shape, max_hops), -1, dtype=np.int64)

    def run(start: int) -> None:
        group = slice(start, start + _GROUP)
        _paths_from(graph.indptr, graph.indices, graph.data, sources[group], targets[group], found[group])

    _in_threads(run, range(0, len(sources), _GROUP))
    return found


def nearest_by_path(graph: sparse.csr_matrix, n_near: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``n_near`` cells nearest to each cell, without the cell itself, and their distances.

    Returns
    -------
    int64 and float32 arrays, cells x ``n_near``, nearest first. -1 if a component has too few cells.
    """
    n = graph.shape[0]
    cells = np.full((n, n_near), -1, dtype=np.int64)
    distances = np.zeros((n, n_near), dtype=np.float32)

    def run(start: int) -> None:
        group = slice(start, start + _NEAR_GROUP)
        _nearest_by_path(graph.indptr, graph.indices, graph.data, start, cells[group], distances[group])

    _in_threads(run, range(0, n, _NEAR_GROUP))
    return cells, distances


def _in_threads(run: Callable[[int], None], starts: range) -> None:
    """Call ``run`` for each start, in as many threads as numba may use. numba's own threads would also set torch's."""
    with ThreadPoolExecutor(get_num_threads()) as pool:
        list(pool.map(run, starts))


@njit(cache=True, nogil=True)
def _distances_from(
    indptr: np.ndarray, neighbors: np.ndarray, lengths: np.ndarray, sources: np.ndarray
) -> np.ndarray:  # pragma: no cover
    n = len(indptr) - 1
    best, previous, place, keys, cells, settled = _workspace(n)
    result = np.full((len(sources), n), np.inf, dtype=np.float32)
    for s in range(len(sources)):
        n_settled, n_open = _search(
            indptr, neighbors, lengths, sources[s], n, best, previous, place, keys, cells, settled
        )
        for cell in settled[:n_settled]:
            result[s, cell] = best[cell]
        _clear(best, place, cells[:n_open], settled[:n_settled])
    return result


@njit(cache=True, nogil=True)
def _paths_from(
    indptr: np.ndarray,
    neighbors: np.ndarray,
    lengths: np.ndarray,
    sources: np.ndarray,
    targets: np.ndarray,
    found: np.ndarray,
) -> None:  # pragma: no cover
    n = len(indptr) - 1
    best, previous, place, keys, cells, settled = _workspace(n)
    for s in range(len(sources)):
        n_settled, n_open = _search(
            indptr, neighbors, lengths, sources[s], n, best, previous, place, keys, cells, settled
        )
        for t in range(targets.shape[1]):
            cell = targets[s, t]
            for hop in range(found.shape[2]):
                found[s, t, hop] = cell
                if cell == sources[s]:
                    break
                cell = previous[cell]
        _clear(best, place, cells[:n_open], settled[:n_settled])


@njit(cache=True, nogil=True)
def _nearest_by_path(
    indptr: np.ndarray,
    neighbors: np.ndarray,
    lengths: np.ndarray,
    first: int,
    near: np.ndarray,
    distances: np.ndarray,
) -> None:  # pragma: no cover
    best, previous, place, keys, cells, settled = _workspace(len(indptr) - 1)
    for row in range(len(near)):
        # the first settled cell is the source
        n_settled, n_open = _search(
            indptr, neighbors, lengths, first + row, near.shape[1] + 1, best, previous, place, keys, cells, settled
        )
        for k in range(1, n_settled):
            near[row, k - 1] = settled[k]
            distances[row, k - 1] = best[settled[k]]
        _clear(best, place, cells[:n_open], settled[:n_settled])


@njit(cache=True, nogil=True)
def _workspace(
    n: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover
    """Allocate the arrays of a search over n cells.

    By cell: distance, previous cell on the path, and place in the heap. Then the keys and cells of the heap, and the
    settled cells.
    """
    return (
        np.full(n, np.inf),
        np.empty(n, dtype=np.int32),
        np.full(n, -1, dtype=np.int32),
        np.empty(n),
        np.empty(n, dtype=np.int32),
        np.empty(n, dtype=np.int32),
    )


@njit(cache=True, nogil=True)
def _clear(
    best: np.ndarray, place: np.ndarray, open_cells: np.ndarray, settled: np.ndarray
) -> None:  # pragma: no cover
    """Reset the cells that a search touched. They are settled or still in the heap."""
    for cell in open_cells:
        best[cell] = np.inf
        place[cell] = -1
    for cell in settled:
        best[cell] = np.inf
        place[cell] = -1


@njit(cache=True, nogil=True)
def _search(
    indptr: np.ndarray,
    neighbors: np.ndarray,
    lengths: np.ndarray,
    source: int,
    n_wanted: int,
    best: np.ndarray,
    previous: np.ndarray,
    place: np.ndarray,
    keys: np.ndarray,
    cells: np.ndarray,
    settled: np.ndarray,
) -> tuple[int, int]:  # pragma: no cover
    """Settle the ``n_wanted`` cells nearest to the source, including itself.

    Returns the number of settled cells and of those still open. ``best`` must be infinite and ``place`` -1 at the
    start.
    """
    best[source], previous[source] = 0.0, -1
    place[source], keys[0], cells[0] = 0, 0.0, source
    n_open, n_settled = 1, 0
    while n_open and n_settled < n_wanted:
        cell, distance = cells[0], keys[0]
        settled[n_settled] = cell
        n_settled += 1
        n_open -= 1
        if n_open:
            # the last cell sinks from the top while the smallest of its four children is smaller
            key, moved, at = keys[n_open], cells[n_open], 0
            while 4 * at + 1 < n_open:
                below = 4 * at + 1
                for other in range(below + 1, min(below + 3, n_open - 1) + 1):
                    if keys[other] < keys[below]:
                        below = other
                if keys[below] >= key:
                    break
                keys[at], cells[at] = keys[below], cells[below]
                place[cells[at]] = at
                at = below
            keys[at], cells[at], place[moved] = key, moved, at
        for edge in range(indptr[cell], indptr[cell + 1]):
            other = neighbors[edge]
            through = distance + lengths[edge]
            if through < best[other]:
                at = place[other]
                if at < 0:
                    at = n_open
                    n_open += 1
                best[other], previous[other] = through, cell
                while at > 0:
                    above = (at - 1) // 4
                    if keys[above] <= through:
                        break
                    keys[at], cells[at] = keys[above], cells[above]
                    place[cells[at]] = at
                    at = above
                keys[at], cells[at], place[other] = through, other, at
    return n_settled, n_open
