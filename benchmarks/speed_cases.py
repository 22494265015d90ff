"""Cases of ``speed.py``: each runs in a process of its own and prints, as one line of JSON, rows of way, cells, repeat, measure and value.

Seconds are CPU seconds of all threads, which other work on the machine disturbs least; ``wall`` is what a clock shows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.stats import spearmanr

#: Features of each modality, and share of non-zeros, of the data that embedding and input pipeline are measured on.
N_FEATURES, DENSITY, N_TYPES = 2_000, 0.1, 10

#: Cells that the network is trained on before it embeds; the embedding's time does not depend on what it learnt.
N_REFERENCE = 3_000

#: Sources of the exact search where all of them would take too long; it is scaled up.
N_SOURCES = 500

#: Cells at one end of the pairs that approximate distances are held against exact ones over; at the other end are all cells.
N_CHECKED = 200

Row = dict[str, Any]


class Rows:
    """Rows of a case."""

    def __init__(self, cells: int) -> None:
        self.cells, self.rows = cells, []

    def add(self, way: str, repeat: int, **values: float) -> None:
        """Add what was measured of one way."""
        for measure, value in values.items():
            self.rows.append(
                {"way": way, "cells": self.cells, "repeat": repeat, "measure": measure, "value": float(value)}
            )

    @contextmanager
    def timed(self, way: str, repeat: int, scale: float = 1.0) -> Iterator[None]:
        """Time what is inside, and its peak memory beyond what the process held before."""
        before, wall, cpu = reset_peak(), time.perf_counter(), time.process_time()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.add(way, repeat, seconds=cpu * scale, wall=wall * scale)
        if scale == 1:
            self.add(way, repeat, memory_gb=(memory("VmHWM") - before) / 1e9)


def memory(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def reset_peak() -> int:
    """Forget the peak so far; return what the process holds."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def simulated_values(n_cells: int, types: np.ndarray, seed: int) -> sparse.csr_matrix:
    """Log-normalised values of cells x ``N_FEATURES`` whose features have a level in each type."""
    rng = np.random.default_rng(seed)
    stretch, per_cell = round(1 / DENSITY), round(N_FEATURES * DENSITY)
    level = rng.gamma(1, 1, (N_TYPES, N_FEATURES)).astype(np.float32)
    indices = np.empty((n_cells, per_cell), dtype=np.int32)
    data = np.empty((n_cells, per_cell), dtype=np.float32)
    for start in range(0, n_cells, 10_000):
        rows = slice(start, start + 10_000)
        indices[rows] = np.arange(per_cell) * stretch + rng.integers(stretch, size=indices[rows].shape)
        data[rows] = np.log1p(1 + rng.poisson(level[types[rows, None], indices[rows]]))
    indptr = np.arange(n_cells + 1, dtype=np.int32) * per_cell
    return sparse.csr_matrix((data.ravel(), indices.ravel(), indptr), shape=(n_cells, N_FEATURES))


def simulated_pair(n_cells: int, seed: int) -> Any:
    """Two modalities of cells of several types."""
    from anndata import AnnData
    from mudata import MuData

    types = np.random.default_rng(seed).integers(N_TYPES, size=n_cells)
    mdata = MuData({m: AnnData(simulated_values(n_cells, types, i)) for i, m in enumerate(("rna", "atac"))})
    mdata.obs["cell_type"] = pd.Categorical(types.astype(str))
    return mdata


def machine(rows: Rows, threads: int, **_: Any) -> None:
    """Bandwidth of a copy and rate of matrix products, which no program can beat."""
    import torch

    # per CPU second of one thread, as everything else here
    a = np.ones(2**26, dtype=np.float32)
    b = np.empty_like(a)
    for size in (2_048, 256):
        left, right = torch.ones(2_048, size), torch.ones(size, size)
        for repeat in range(5):
            start = time.process_time()
            n = max(1, 2_048 // size) ** 2
            for _ in range(n):
                left @ right
            seconds = time.process_time() - start
            rows.add(f"product of {size} columns", repeat, gflops=2 * n * 2_048 * size * size / seconds / 1e9)
    for repeat in range(5):
        start = time.process_time()
        np.copyto(b, a)
        rows.add("copy", repeat, gb_per_second=2 * a.nbytes / (time.process_time() - start) / 1e9)


def cortex_values(data: str) -> tuple[Any, np.ndarray]:
    """Log-normalised RNA of SNARE-seq cortex, and its batches."""
    import development_sets
    from mudata import read_h5mu

    source = read_h5mu(Path(data) / "snareseq_mouse_cortex.h5mu")
    rna = source["rna"].copy()
    development_sets.lognormalise(rna)
    return rna.X, source.obs["batch"].to_numpy()


def graph(rows: Rows, repeats: int, data: str | None, exact: bool, scanpy: bool, **_: Any) -> None:
    """Margin graph and landmark distances of one number of cells, beside exact shortest paths and scanpy's graph."""
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
    """How far landmark distances are from exact ones."""
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
    """The same steps as scanpy has them: dense scaling, PCA, neighbours and connectivities."""
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
    """Landmarks each of which is the cell farthest from those before."""
    chosen = [rng.choice(cells)]
    nearest = np.full(graph.shape[0], np.inf)
    while len(chosen) < min(n, len(cells)):
        nearest = np.minimum(nearest, dijkstra(graph, indices=chosen[-1]))
        chosen.append(cells[np.argmax(nearest[cells])])
    return np.array(chosen)


def at_random(graph: sparse.csr_matrix, cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Landmarks drawn uniformly."""
    return rng.choice(cells, min(n, len(cells)), replace=False)


def landmarks(rows: Rows, repeats: int, data: str | None, **_: Any) -> None:
    """Error and cost by the number of landmarks and by how they are chosen."""
    from scminnet.graph import landmarks as module
    from scminnet.graph.geodesic import GeodesicIndex
    from scminnet.pp.margin_graph import build_margin_graph

    values, batches = (
        cortex_values(data) if data else (simulated_values(rows.cells, np.arange(rows.cells) % N_TYPES, 0), None)
    )
    rows.cells = values.shape[0]
    lengths = build_margin_graph(values, batches).distances
    sources = np.random.default_rng(1).choice(rows.cells, N_CHECKED, replace=False)
    exact = dijkstra(lengths.astype(np.float64), indices=sources)
    ours = module.choose_landmarks
    for way, choice in (("on most paths", ours), ("at random", at_random), ("farthest point next", farthest_first)):
        module.choose_landmarks = choice
        for n_near in (0, 40):
            for n_landmarks in (8, 16, 32, 64, 128, 256):
                for repeat in range(repeats):
                    start = time.process_time()
                    index = GeodesicIndex(lengths, n_landmarks=n_landmarks, n_near=n_near, seed=repeat)
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
    module.choose_landmarks = ours


def trained(device: str, **changes: Any) -> Any:
    """A model of simulated cells."""
    import scminnet as mn

    reference = simulated_pair(N_REFERENCE, 0)
    mn.MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type")
    model = mn.MinNet(reference, **changes)
    model.train(2, accelerator=device, enable_progress_bar=False)
    return model


def embedding(rows: Rows, repeats: int, device: str, **_: Any) -> None:
    """Cells embedded a second, in both modalities, beside a dense array of standardised values."""
    import torch

    from scminnet.model.inference.forward_pass import MAX_CELLS_FOR_HIDDEN_STATISTICS

    model = trained(device)
    query = simulated_pair(rows.cells, 1)
    rows.add("scminnet", 0, input_gb=sum(part.X.data.nbytes * 2 for part in query.mod.values()) / 1e9)
    layers = [model.module.encoder(m) for m in query.mod]
    sampled = min(rows.cells, MAX_CELLS_FOR_HIDDEN_STATISTICS) / rows.cells
    products = sum(
        round(N_FEATURES * DENSITY) * layer.input.weight.shape[1] * 2
        # each hidden layer for its own moments and those after it, of some cells, and once for the embedding
        + sum(
            2 * (1 + sampled * (len(layer.layers) - i)) * hidden.linear.weight.numel()
            for i, hidden in enumerate(layer.layers)
        )
        + 2 * (model.module.embedding_head.weight.numel() + model.module.label_head.weight.numel())
        for layer in layers
    )
    # the values are read for their moments and for the input layer
    rows.add(
        "at least",
        0,
        gflop=products * rows.cells / 1e9,
        gb=2 * sum(part.X.data.nbytes * 2 for part in query.mod.values()) / 1e9,
    )
    model.embed(query[:100].copy())
    for repeat in range(repeats):
        with rows.timed("scminnet", repeat):
            model.embed(query)
        with rows.timed("reference's statistics", repeat):
            model.embed(query, statistics="reference")
    if rows.cells > 20_000:
        return

    def dense() -> None:
        """As published: dense values, standardised whole, through the network."""
        with torch.inference_mode():
            for modality, adata in query.mod.items():
                values = adata.X.toarray()
                values = np.clip((values - values.mean(axis=0)) / (values.std(axis=0, ddof=1) + 1e-12), -10, 10)
                layer = model.module.encoder(modality).input
                projected = torch.from_numpy(values).to(layer.weight.device) @ layer.weight + layer.bias
                model.module.inference({modality: projected}, projected=True)

    for repeat in range(repeats):
        with rows.timed("dense values", repeat):
            dense()


def pipeline(rows: Rows, repeats: int, device: str, **_: Any) -> None:
    """Where the time of a training step goes, and cells a second."""
    import torch

    import scminnet as mn
    from scminnet.graph.geodesic import GeodesicIndex
    from scminnet.model.training.pair_data import PairDataset
    from scminnet.model.training.training_plan import SiameseTrainingPlan

    reference = simulated_pair(rows.cells, 0)
    mn.MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type")
    mn.pp.margin_graph(reference)
    spent: dict[str, float] = {}
    parts = (
        (PairDataset, "__getitem__", "input"),
        (GeodesicIndex, "block", "of it distances"),
        (SiameseTrainingPlan, "training_step", "forward and losses"),
        (torch.Tensor, "backward", "backward"),
        (torch.optim.Optimizer, "zero_grad", "zero_grad"),
    )
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in parts]

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            spent[part] = spent.get(part, 0) + time.process_time() - start
            return result

        return call

    for layer in ("canonical", "learned"):
        for repeat in range(repeats):
            model = mn.MinNet(reference, input_layer=layer, seed=repeat)
            clock = Clock()
            spent.clear()
            for (owner, name, function), (_, _, part) in zip(originals, parts, strict=True):
                setattr(owner, name, timed(function, part))
            try:
                model.train(
                    6,
                    accelerator=device,
                    train_size=1.0,
                    enable_progress_bar=False,
                    callbacks=[clock.callback()],
                    seed=repeat,
                )
            finally:
                for owner, name, function in originals:
                    setattr(owner, name, function)
            steps = clock.steps
            way = f"input layer {layer}"
            rows.add(way, repeat, cells_per_second=rows.cells * clock.epochs / clock.wall)
            rows.add(way, repeat, step_ms=clock.cpu / steps * 1e3)
            # the parts also ran in the first epoch, which the clock leaves out: compiled code is read there
            share = clock.epochs / (clock.epochs + 1)
            for part, seconds in spent.items():
                rows.add(f"{way}: {part}", repeat, step_ms=seconds * share / steps * 1e3)


class Clock:
    """Time of all training epochs but the first."""

    def __init__(self) -> None:
        self.steps = self.epochs = 0
        self.cpu = self.wall = 0.0

    def callback(self) -> Any:
        """The callback that reads the clock."""
        from lightning.pytorch.callbacks import Callback

        clock = self

        class Reader(Callback):
            def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
                self.started = time.process_time(), time.perf_counter(), trainer.global_step

            def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
                if trainer.current_epoch > 0:
                    cpu, wall, step = self.started
                    clock.cpu += time.process_time() - cpu
                    clock.wall += time.perf_counter() - wall
                    clock.steps += trainer.global_step - step
                    clock.epochs += 1

        return Reader()


def training(rows: Rows, data: str | None, device: str, seed: int, preset: str, epochs: int | None, **_: Any) -> None:
    """Graph and training together, with the FOSCTTM of held-out cells after each epoch."""
    import scminnet as mn

    mdata, modalities, labels_key, batch_key = training_set(data, rows.cells)
    rows.cells = mdata.n_obs
    published = preset == "paper"
    if published:
        for modality in modalities:
            mdata.mod[modality].X = mdata.mod[modality].X.toarray()
    mn.MinNet.setup_mudata(mdata, modalities, labels_key=labels_key, batch_key=batch_key)
    module = importlib.import_module("scminnet.model.training.train")
    index = module.GeodesicIndex

    def exact_index(graph: sparse.csr_matrix, **kwargs: Any) -> Any:
        began = time.process_time()
        some = np.random.default_rng(seed).choice(graph.shape[0], N_SOURCES // 2, replace=False)
        with rows.timed("paper: exact distances", seed, scale=graph.shape[0] / len(some)):
            dijkstra(graph.astype(np.float64), indices=some)
        # margins come from landmarks: only the time of exact ones is asked for
        made = index(graph, **kwargs)
        rows.add("paper: in place of exact distances", seed, seconds=time.process_time() - began)
        return made

    if published:
        module.GeodesicIndex = exact_index
    model = mn.MinNet(mdata, preset=preset, seed=seed)
    watch = Watch()
    start = time.process_time()
    try:
        # the same cells are held out for both
        model.train(
            epochs,
            accelerator=device,
            train_size=0.8,
            enable_progress_bar=False,
            callbacks=[watch.callback(start)],
            seed=seed,
        )
    finally:
        module.GeodesicIndex = index
    rows.add(f"{preset}: before the first step", seed, seconds=watch.first_step)
    for epoch, (seconds, foscttm) in watch.found.items():
        rows.add(f"{preset}: epoch {epoch}", seed, seconds=seconds, foscttm=foscttm)


def training_set(data: str | None, n_cells: int) -> tuple[Any, tuple[str, str], str, str | None]:
    """Training cells of SNARE-seq cortex, or simulated ones."""
    if data:
        import development_sets

        found = development_sets.load("snareseq_mouse_cortex", Path(data))
        return found.train, found.modalities, found.labels_key, found.batch_key
    import scminnet as mn

    mdata = mn.datasets.simulate_multiome(n_cells, n_genes=1_000, n_peaks=2_000)
    mn.pp.normalize(mdata)
    return mdata, ("rna", "atac"), "cell_type", "batch"


class Watch:
    """FOSCTTM of held-out cells by epoch, and the time until then without what measuring took."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[float, float]] = {}
        self.first_step = 0.0

    def callback(self, start: float) -> Any:
        """The callback that measures."""
        import torch
        from lightning.pytorch.callbacks import Callback

        from scminnet.metrics.foscttm import foscttm
        from scminnet.model.data.sparse_rows import take_rows

        watch = self

        class Measure(Callback):
            measuring = 0.0

            def on_train_start(self, *_: Any) -> None:
                watch.first_step = time.process_time() - start

            def on_train_epoch_end(self, trainer: Any, plan: Any) -> None:
                began = time.process_time()
                dataset, cells = trainer.datamodule.dataset, trainer.datamodule.val_idx
                plan.module.eval()
                with torch.inference_mode():
                    embedded = []
                    for i, modality in enumerate(dataset.modalities):
                        x = take_rows(dataset.matrices[modality], dataset.positions[cells, i]).to(plan.device)
                        out = plan.module.inference({modality: x}, projected=dataset.projected)
                        embedded.append(plan.module.position(out["embedding"][modality]).cpu().numpy())
                plan.module.train()
                value = foscttm(*embedded).mean
                watch.found[trainer.current_epoch] = began - start - self.measuring, value
                self.measuring += time.process_time() - began

        return Measure()


CASES = {case.__name__: case for case in (machine, graph, landmarks, embedding, pipeline, training)}


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("settings", type=json.loads)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    settings = arguments.settings
    rows = Rows(settings.pop("cells"))
    if arguments.case in ("embedding", "pipeline", "training", "machine"):
        import torch

        import scminnet as mn

        mn.MinNet  # noqa: B018  imported before the number of threads is set, for numba sets it as well
        torch.set_num_threads(settings["threads"])
    CASES[arguments.case](rows, **settings)
    print(json.dumps(rows.rows), file=sys.__stdout__)


if __name__ == "__main__":
    main()
