"""Choice of landmarks for the distances along a graph's shortest paths.

A landmark l gives an upper bound of d(i, j): d(i, l) + d(l, j). The bound is exact if l lies on a shortest path from i
to j. So the landmarks are the cells on most shortest paths between random cells. They are chosen greedily: each next
one lies on most of the paths that are not yet covered. Near cells have too many short paths between them to be covered,
so their exact distances are stored (``geodesic.py``).

Measured on the margin graph of 8,685 mouse cortex cells (SNARE-seq RNA, 35 edges per cell), with 300,000 random pairs,
against Dijkstra's algorithm (for time and memory see ``benchmarks/speed.py``):

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

The lower bound max |d(i, l) - d(l, j)| is about 13 % too low. No mean of the two bounds is better than the upper bound.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from scminnet.graph.paths import distances_from, paths_from

#: Random targets of the paths from each sampled source.
_TARGETS = 256

#: Largest number of cells of a path that are used. Paths have about 20. The limit bounds memory on chain-like graphs.
_MAX_HOPS = 128


def landmark_table(
    graph: sparse.csr_matrix, component: np.ndarray, n_landmarks: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the float32 distances (n, n_landmarks) of each cell to the landmarks of its own component.

    Components share columns, because no path connects them. If a component has fewer cells than there are columns, all
    its cells are landmarks, some of them repeated.
    """
    table = np.full((graph.shape[0], n_landmarks), np.inf, dtype=np.float32)
    by_component = np.argsort(component, kind="stable")
    for cells in np.split(by_component, np.cumsum(np.bincount(component))[:-1]):
        landmarks = choose_landmarks(graph, cells, n_landmarks, rng)
        distances_from(graph, np.resize(landmarks, n_landmarks), table)
    return table


def choose_landmarks(
    graph: sparse.csr_matrix, cells: np.ndarray, n_landmarks: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose greedily the cells that lie on most shortest paths between random cells of a component."""
    n = len(cells)
    if n <= n_landmarks:
        return cells
    paths = _sample_paths(graph, cells, n_landmarks, rng)
    through = paths.T.tocsr()
    open_paths = np.ones(paths.shape[0], dtype=bool)
    n_open = np.bincount(paths.indices, minlength=n)  # open paths through each cell
    # once all paths are covered, the remaining landmarks are random cells
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
    """Sample shortest paths (rows) between random cells, as indices into ``cells`` (columns)."""
    n = len(cells)
    sources = rng.choice(n, n_sources, replace=False)
    targets = rng.integers(n, size=(n_sources, _TARGETS))
    on_path = paths_from(graph, cells[sources], cells[targets], _MAX_HOPS).reshape(n_sources * _TARGETS, _MAX_HOPS)
    path, hop = np.nonzero(on_path >= 0)
    cell = np.searchsorted(cells, on_path[path, hop])
    return sparse.csr_matrix((np.ones(len(path), dtype=bool), (path, cell)), shape=(len(on_path), n))
