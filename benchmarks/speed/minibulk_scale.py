"""Time and memory of ``tl.minnet_smooth`` and ``tl.minibulk``, for up to half a million cells.

Run from the root of the repository::

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m benchmarks.speed.minibulk_scale --cells 5000 50000 500000

It writes ``minibulk_scale.csv`` and ``minibulk_scale.md``. Times are CPU seconds, which other work on the machine
changes less than clock time.

Nothing is trained. The embedding is a mixture of 20 types of unequal size in 32 dimensions, on the unit sphere as that
of MinNet. Half of the cells have RNA (2,000 genes, 5 % not zero), the other half ATAC (20,000 peaks, 1 % not zero).
The non-zeros are drawn uniformly, which is the worst case for smoothing: near cells share no more of them than others.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn
from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.resources import largest_memory

N_TYPES, N_DIMENSIONS = 20, 32
#: Features of a modality, and non-zeros drawn for each cell.
FEATURES = {"rna": (2_000, 100), "atac": (20_000, 200)}


def simulate(n_cells: int, seed: int = 0) -> MuData:
    """Simulate unpaired cells with a joint embedding and random counts."""
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, N_TYPES + 1)
    centres = rng.normal(size=(N_TYPES, N_DIMENSIONS))
    mod, types = {}, {}
    for m, (n_features, n_draws) in FEATURES.items():
        n = n_cells // 2
        which = rng.choice(N_TYPES, size=n, p=frequency / frequency.sum())
        cells = centres[which] + 0.7 * rng.normal(size=(n, N_DIMENSIONS))
        columns = rng.integers(n_features, size=(n, n_draws), dtype=np.int32)
        counts = sparse.csr_matrix(
            (np.ones(columns.size, dtype=np.float32), columns.ravel(), n_draws * np.arange(n + 1)),
            shape=(n, n_features),
        )
        # a feature drawn twice has a count of 2
        counts.sum_duplicates()
        names = [f"{m}_{i}" for i in range(n)]
        mod[m] = AnnData(
            counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=[f"{m}{i}" for i in range(n_features)])
        )
        mod[m].obsm["X_minnet"] = (cells / np.linalg.norm(cells, axis=1, keepdims=True)).astype(np.float32)
        types[m] = pd.Series([f"type_{i:02d}" for i in which], index=names)
    mdata = MuData(mod)
    mdata.obs["cell_type"] = pd.concat(types.values()).reindex(mdata.obs_names).astype("category")
    return mdata


def peak_gibibytes() -> float:
    """Return the largest memory of this process so far."""
    return largest_memory() / 2**30


def measure(n_cells: int, n_bulks: int) -> dict[str, Any]:
    """Run both steps on one number of cells."""
    mdata = simulate(n_cells)
    row: dict[str, Any] = {"cells": n_cells, "largest type": int(mdata.obs["cell_type"].value_counts().max())}
    row["data, GiB"] = peak_gibibytes()
    start = time.process_time()
    mn.tl.minnet_smooth(mdata, n_neighbors=20)
    row["minnet_smooth, CPU s"] = time.process_time() - start
    row["non-zeros of the sums, million"] = sum(a.layers["smoothed"].nnz for a in mdata.mod.values()) / 1e6
    row["minnet_smooth, GiB"] = peak_gibibytes()
    start = time.process_time()
    bulks = mn.tl.minibulk(mdata, n_bulks, groupby="cell_type", layer="smoothed")
    row["minibulk, CPU s"] = time.process_time() - start
    row["minibulk, GiB"] = peak_gibibytes()
    row["bulks"] = bulks.n_obs
    row["cells left out"] = len(mdata.uns["minibulk"]["left_out"])
    return row


def main() -> None:
    """Measure all numbers of cells."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[5_000, 50_000, 500_000])
    parser.add_argument("--bulks", type=int, default=100)
    arguments = parser.parse_args()

    rows = []
    # each in a process of its own, because the largest memory of a process never falls
    for n_cells in arguments.cells:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (n_cells, arguments.bulks)))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).round(1)
    table.to_csv(RESULTS / "minibulk_scale.csv", index=False)
    shown = table.set_index("cells").T.map("{:,.1f}".format).replace(r"\.0$", "", regex=True)
    shown.columns = [f"{n_cells:,} cells" for n_cells in table["cells"]]
    (RESULTS / "minibulk_scale.md").write_text(
        "# Smoothing and mini-bulks: time and memory\n\n"
        "Simulated embedding and counts, half of the cells RNA (2,000 genes, 5 % not zero), half ATAC (20,000 "
        "peaks, 1 % not zero); 20\n"
        f"neighbours, {arguments.bulks} bulks asked for. GiB is the most memory held until the end of a step, "
        "compilation is part of the "
        "time. Written by\n`python -m benchmarks.speed.minibulk_scale` with one thread.\n\n"
        + shown.to_markdown(stralign="right", disable_numparse=True)
        + "\n"
    )


if __name__ == "__main__":
    main()
