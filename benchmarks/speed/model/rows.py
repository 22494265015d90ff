"""Rows that a case measures, and the simulated cells that cases share.

Seconds are CPU seconds of all threads, because they depend least on other work of the machine. ``wall`` is clock time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.shared.resources import memory, reset_peak

#: Features of each modality and share of non-zeros in the simulated cells.
N_FEATURES, DENSITY, N_TYPES = 2_000, 0.1, 10


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
        """Measure the time of a block, and its peak memory beyond what the process held before."""
        before, wall, cpu = reset_peak(), time.perf_counter(), time.process_time()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.add(way, repeat, seconds=cpu * scale, wall=wall * scale)
        if scale == 1:
            self.add(way, repeat, memory_gb=(memory("VmHWM") - before) / 1e9)


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
