"""Cases of the margin graph: its time, and time and error of landmark distances, beside exact ones and scanpy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.stats import spearmanr

from benchmarks.shared import development_sets
from benchmarks.speed.model.rows import N_TYPES, Rows, simulated_values

#: Sources of the exact search if all would take too long. Its time is scaled up.
N_SOURCES = 500

#: Cells whose approximate distances to all cells are compared with exact ones.
N_CHECKED = 200


def cortex_values(data: str) -> tuple[Any, np.ndarray]:
    """Log-normalised RNA of SNARE-seq cortex, and its batches."""
    from mudata import read_h5mu

    source = read_h5mu(Path(data) / "snareseq_mouse_cortex.h5mu")
    rna = source["rna"].copy()
    development_sets.lognormalise(rna)
    return rna.X, source.obs["batch"].to_numpy()


def graph(rows: Rows, repeats: int, data: str | None, exact: bool, scanpy: bool, **_: Any) -> None:
    """Measure margin graph and landmark distances, beside exact shortest paths and scanpy's graph."""
    from scminnet.graph.geodesic import GeodesicIndex
    from scminnet.pp.margin_graph import build_margin_graph

    if data:
        values, batches = cortex_values(data)
        rows.cells = values.shape[0]
    else:
        batches = None
        types = np.random.default_rng(0).integers(N_TYPES, size=rows.cells)
        values = simulated_values(rows.cells, types, 0)
    for repeat in range(repeats):
        # the first run of a process also imports and compiles
        with rows.timed("graph" if repeat else "graph, first in a process", max(repeat - 1, 0)):
            made = build_margin_graph(values, batches)
    for repeat in range(repeats):
        with rows.timed("distances", repeat):
            index = GeodesicIndex(made.distances, seed=repeat)
    rng = np.random.default_rng(1)
    lengths = made.distances.astype(np.float64)
    sources = rng.choice(rows.cells, min(N_CHECKED, rows.cells), replace=False)
    compare(rows, index, dijkstra(lengths, indices=sources), sources)
    for repeat in range(repeats):
        some = rng.choice(
            rows.cells, min(N_SOURCES // 5 if rows.cells > 50_000 else N_SOURCES, rows.cells), replace=False
        )
        with rows.timed("exact, scipy, scaled up", repeat, scale=rows.cells / len(some)):
            dijkstra(lengths, indices=some)
    if exact:
        with rows.timed("exact, scipy, all pairs", 0):
            dijkstra(lengths)
    if scanpy:
        beside_scanpy(rows, repeats, values)
    block = rng.choice(rows.cells, 256, replace=False)
    for repeat in range(repeats):
        start = time.process_time()
        for _ in range(100):
            index.block(block, block)
        rows.add("distances of a batch", repeat, milliseconds=(time.process_time() - start) * 10)


def compare(rows: Rows, index: Any, exact: np.ndarray, sources: np.ndarray) -> None:
    """Measure the errors of landmark distances."""
    found = index.block(sources, np.arange(index.n))
    pairs = np.isfinite(exact) & (exact > 0)
    near = pairs & (exact < (1 - 1e-6) * np.sort(exact, axis=1)[:, 40:41])
    rows.add(
        "distances",
        0,
        mean_relative_error=(found[pairs] / exact[pairs] - 1).mean(),
        rank_correlation=spearmanr(found[pairs], exact[pairs]).statistic,
        largest_relative_error_of_near=np.abs(found[near] / exact[near] - 1).max(),
    )


def beside_scanpy(rows: Rows, repeats: int, values: sparse.csr_matrix) -> None:
    """Measure the steps in scanpy: dense scaling, PCA, neighbours and connectivities."""
    import scanpy as sc
    from anndata import AnnData

    for repeat in range(repeats):
        adata = AnnData(values.copy())
        with rows.timed("graph, scanpy" if repeat else "graph, scanpy, first in a process", max(repeat - 1, 0)):
            sc.pp.highly_variable_genes(adata, n_top_genes=2_000)
            adata = adata[:, adata.var["highly_variable"]].copy()
            sc.pp.scale(adata, max_value=10)
            sc.pp.pca(adata, n_comps=50)
            sc.pp.neighbors(adata, n_neighbors=21)


def farthest_first(graph: sparse.csr_matrix, cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Choose landmarks one by one, each the cell that is farthest from those before."""
    chosen = [rng.choice(cells)]
    nearest = np.full(graph.shape[0], np.inf)
    while len(chosen) < min(n, len(cells)):
        nearest = np.minimum(nearest, dijkstra(graph, indices=chosen[-1]))
        chosen.append(cells[np.argmax(nearest[cells])])
    return np.array(chosen)


def at_random(graph: sparse.csr_matrix, cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Choose landmarks uniformly at random."""
    return rng.choice(cells, min(n, len(cells)), replace=False)


def landmarks(rows: Rows, repeats: int, data: str | None, **_: Any) -> None:
    """Measure error and time by the number of landmarks and by the way of choosing them."""
    from scminnet.graph import geodesic
    from scminnet.graph import landmarks as choosing
    from scminnet.pp.margin_graph import build_margin_graph

    values, batches = (
        cortex_values(data) if data else (simulated_values(rows.cells, np.arange(rows.cells) % N_TYPES, 0), None)
    )
    rows.cells = values.shape[0]
    lengths = build_margin_graph(values, batches).distances
    sources = np.random.default_rng(1).choice(rows.cells, N_CHECKED, replace=False)
    exact = dijkstra(lengths.astype(np.float64), indices=sources)
    ours = choosing.choose_landmarks
    for way, choice in (("on most paths", ours), ("at random", at_random), ("farthest point next", farthest_first)):
        choosing.choose_landmarks = choice
        for n_near in (0, 40):
            for n_landmarks in (8, 16, 32, 64, 128, 256):
                for repeat in range(repeats):
                    start = time.process_time()
                    index = geodesic.GeodesicIndex(lengths, n_landmarks=n_landmarks, n_near=n_near, seed=repeat)
                    seconds = time.process_time() - start
                    found, pairs = index.block(sources, np.arange(rows.cells)), exact > 0
                    pairs &= np.isfinite(exact)
                    rows.add(
                        f"{way}; {n_landmarks} landmarks; {n_near} near",
                        repeat,
                        seconds=seconds,
                        mean_relative_error=(found[pairs] / exact[pairs] - 1).mean(),
                        rank_correlation=spearmanr(found[pairs][::11], exact[pairs][::11]).statistic,
                    )
    choosing.choose_landmarks = ours
