"""Memory and time of the margin graph for 100,000 cells, with each batch correction.

Run from the root of the repository::

    pip install -e ".[benchmark,harmony]"
    python -m benchmarks.speed.margin_graph_memory

It writes ``margin_graph_memory.md``. Each graph is built in a process of its own. Its largest resident memory includes
Python, packages, values and graph.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time

import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.shared import command_line, resources
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.resources import largest_memory
from scminnet.pp.margin_graph import build_margin_graph

RESULT = RESULTS / "margin_graph_memory.md"

CORRECTIONS = {"none": None, "combat": "combat", "harmony": "harmony"}

N_GENES, N_TYPES, N_BATCHES, DENSITY = 5_000, 10, 4, 0.08


def simulate(n_cells: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Simulate log-normalised values of several types with batch effects. Return the values and the batches."""
    rng = np.random.default_rng(0)
    stretch = round(1 / DENSITY)
    per_cell = N_GENES // stretch
    centre = rng.gamma(1, 1, (N_TYPES, N_GENES)).astype(np.float32)
    effect = rng.gamma(4, 0.25, (N_BATCHES, N_GENES)).astype(np.float32)
    types, batches = rng.integers(N_TYPES, size=n_cells), rng.integers(N_BATCHES, size=n_cells)
    indices = np.empty((n_cells, per_cell), dtype=np.int32)
    data = np.empty((n_cells, per_cell), dtype=np.float32)
    for start in range(0, n_cells, 2_000):
        rows = slice(start, start + 2_000)
        indices[rows] = np.arange(per_cell) * stretch + rng.integers(stretch, size=indices[rows].shape)
        rate = (centre[types[rows, None], indices[rows]]) * effect[batches[rows, None], indices[rows]]
        data[rows] = np.log1p(1 + rng.poisson(rate))
    indptr = np.arange(n_cells + 1, dtype=np.int32) * per_cell
    return sparse.csr_matrix((data.ravel(), indices.ravel(), indptr), shape=(n_cells, N_GENES)), batches


def measure(n_cells: int, correction: str) -> dict[str, float | str]:
    """Build one graph and return time and memory."""
    values, batches = simulate(n_cells)
    before = largest_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    build_margin_graph(values, batches, batch_correction=CORRECTIONS[correction])
    return {
        "batch correction": correction,
        "values, GB": (values.data.nbytes + values.indices.nbytes + values.indptr.nbytes) / 1e9,
        "before, GB": before / 1e9,
        "peak, GB": largest_memory() / 1e9,
        "CPU seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - wall,
    }


def main() -> None:
    """Measure all batch corrections."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--measure", choices=CORRECTIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.cells, arguments.measure)))
        return
    module, size = "benchmarks.speed.margin_graph_memory", ("--cells", arguments.cells)
    rows = [resources.json_of(module, *size, "--measure", correction) for correction in CORRECTIONS]
    text = pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f")
    RESULT.write_text(
        f"# Memory and time of the margin graph\n\n{arguments.cells:,} simulated cells of {N_BATCHES} batches x "
        f"{N_GENES:,} genes at "
        f"{DENSITY:.0%} density, with the defaults (2,000 genes, 50 components, 20 neighbours). The peak is the "
        "largest resident memory "
        "of the whole process, packages and values included. Written by `python -m "
        "benchmarks.speed.margin_graph_memory` on "
        f"{platform.machine()} with {os.cpu_count()} cores, shared with other work, Python "
        f"{platform.python_version()}.\n\n{text}\n"
    )
    print(text)


if __name__ == "__main__":
    main()
