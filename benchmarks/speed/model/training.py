"""Cases of the training: the time of a step and its parts, and the accuracy of held-out cells over time."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from benchmarks.shared import development_sets
from benchmarks.speed.model.graph import N_SOURCES
from benchmarks.speed.model.rows import Rows, simulated_pair


def pipeline(rows: Rows, repeats: int, device: str, **_: Any) -> None:
    """Measure the parts of a training step, and cells a second."""
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
            # the parts also ran in the first epoch, which the clock leaves out because compiled code is loaded there
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
    """Measure graph and training together, and the FOSCTTM of held-out cells after each epoch."""
    import scminnet as mn

    mdata, modalities, labels_key, batch_key = training_set(data, rows.cells)
    rows.cells = mdata.n_obs
    published = preset == "paper"
    if published:
        for modality in modalities:
            mdata.mod[modality].X = mdata.mod[modality].X.toarray()
    mn.MinNet.setup_mudata(mdata, modalities, labels_key=labels_key, batch_key=batch_key)
    module = importlib.import_module("scminnet.model.training.margin_distances")
    index = module.GeodesicIndex

    def exact_index(graph: sparse.csr_matrix, **kwargs: Any) -> Any:
        began = time.process_time()
        some = np.random.default_rng(seed).choice(graph.shape[0], N_SOURCES // 2, replace=False)
        with rows.timed("paper: exact distances", seed, scale=graph.shape[0] / len(some)):
            dijkstra(graph.astype(np.float64), indices=some)
        # the margins come from landmarks, because only the time of exact distances is measured
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
    """Return the training cells of SNARE-seq cortex, or simulated ones."""
    if data:
        found = development_sets.load("snareseq_mouse_cortex", Path(data))
        return found.train, found.modalities, found.labels_key, found.batch_key
    import scminnet as mn

    mdata = mn.datasets.simulate_multiome(n_cells, n_genes=1_000, n_peaks=2_000)
    mn.pp.normalize(mdata)
    return mdata, ("rna", "atac"), "cell_type", "batch"


class Watch:
    """FOSCTTM of held-out cells by epoch, and the training time until then."""

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
