"""Memory of gene activity for 100,000 cells x 100,000 peaks at 2 % density, compared with the size of the counts.

Run from the root of the repository::

    python -m benchmarks.speed.gene_activity_memory

It writes ``gene_activity_memory.md`` and needs about 6 GB of free memory. The counts are simulated and summed in a
process of their own. Its largest resident memory includes Python, packages, counts and result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn
from benchmarks.shared import command_line, resources
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.resources import largest_memory

RESULT = RESULTS / "gene_activity_memory.md"

DENSITY = 0.02
N_GENES = 20_000

#: Bases between the starts of peaks, and how long a peak is.
SPACING, LENGTH = 3_000, 500

#: Gene activity's arguments, by the name of the variant.
VARIANTS = {
    "2 kb upstream": {},
    "2 kb on both sides, halved every 500 bases": {"downstream": 2_000, "decay": 500},
}


def simulate(n_cells: int, n_peaks: int) -> tuple[MuData, pd.DataFrame]:
    """Simulate counts with as many peaks in every cell, one in each stretch of 1 / DENSITY peaks, and gene starts."""
    rng = np.random.default_rng(0)
    stretch = round(1 / DENSITY)
    per_cell = n_peaks // stretch
    indices = np.empty((n_cells, per_cell), dtype=np.int32)
    data = np.empty((n_cells, per_cell), dtype=np.float32)
    for start in range(0, n_cells, 1_000):
        rows = slice(start, start + 1_000)
        shape = indices[rows].shape
        indices[rows] = np.arange(0, n_peaks, stretch)[:per_cell] + rng.integers(stretch, size=shape)
        data[rows] = rng.integers(1, 3, size=shape)
    indptr = np.arange(n_cells + 1, dtype=np.int64) * per_cell
    counts = sparse.csr_matrix((data.ravel(), indices.ravel(), indptr.astype(np.int32)), shape=(n_cells, n_peaks))
    starts = np.arange(n_peaks, dtype=np.int64) * SPACING
    names = [f"chr1:{start}-{start + LENGTH}" for start in starts]
    atac = AnnData(counts, var=pd.DataFrame(index=names), obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
    tss = pd.DataFrame({"gene": [f"gene{i}" for i in range(N_GENES)], "chrom": "chr1", "strand": "+"})
    return MuData({"atac": atac}), tss.assign(tss=rng.integers(0, n_peaks * SPACING, N_GENES))


def measure(n_cells: int, n_peaks: int, variant: str) -> dict[str, float]:
    """Simulate counts, compute gene activity and return time and memory."""
    packages = largest_memory()
    mdata, tss = simulate(n_cells, n_peaks)
    counts = mdata["atac"].X
    size = counts.data.nbytes + counts.indices.nbytes + counts.indptr.nbytes
    made = largest_memory()
    start = time.process_time()
    mn.pp.gene_activity(mdata, tss, **VARIANTS[variant])
    seconds = time.process_time() - start
    activity = mdata["activity"]
    return {
        "variant": variant,
        "genes": activity.n_vars,
        "non-zeros of the result": activity.X.nnz,
        "counts, GB": size / 1e9,
        "packages, GB": packages / 1e9,
        "before, GB": made / 1e9,
        "peak, GB": largest_memory() / 1e9,
        "peak / counts": largest_memory() / size,
        "CPU seconds": seconds,
    }


def main() -> None:
    """Measure all variants."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--peaks", type=int, default=100_000)
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.cells, arguments.peaks, arguments.measure)))
        return
    rows = []
    for variant in VARIANTS:
        size = ("--cells", arguments.cells, "--peaks", arguments.peaks)
        rows.append(resources.json_of("benchmarks.speed.gene_activity_memory", *size, "--measure", variant))
    table = pd.DataFrame(rows)
    text = table.to_markdown(index=False, floatfmt=".2f", intfmt=",")
    RESULT.write_text(
        f"# Memory of gene activity\n\n{arguments.cells:,} cells x {arguments.peaks:,} peaks at {DENSITY:.0%} "
        "density "
        f"({arguments.cells * int(arguments.peaks * DENSITY):,} non-zeros, float32 with int32 indices), "
        f"{N_GENES:,} genes. The peak is the "
        "largest resident memory of the whole process, packages and counts included. Written by "
        f"`python -m benchmarks.speed.gene_activity_memory` on {platform.machine()} with {os.cpu_count()} cores, "
        "Python "
        f"{platform.python_version()}.\n\n{text}\n"
    )
    print(text)
    worst = table["peak / counts"].max()
    if worst > 3:
        raise SystemExit(f"the peak is {worst:.2f} times the counts, more than 3")


if __name__ == "__main__":
    main()
