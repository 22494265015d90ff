"""Time of ``tl.match_cells`` for cells of two modalities that share an embedding.

Run from the root of the repository::

    python -m benchmarks.speed.matching

It writes ``matching.md``. The embedding is simulated in 32 dimensions, with 20 types in other proportions in each
modality.
"""

from __future__ import annotations

import platform
import time

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn
from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS, versions
from scminnet.tl.match_cells import METHODS


def simulate(n_cells: int, seed: int) -> MuData:
    """Simulate the embedding of cells of two modalities. No cell is in both."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 32))
    states = rng.normal(size=(8, 32)) / 4
    modalities = {}
    for modality in ("rna", "atac"):
        types = rng.choice(20, n_cells, p=rng.dirichlet(np.full(20, 3.0)))
        cells = centres[types] + rng.normal(size=(n_cells, 8)) @ states + 0.1 * rng.normal(size=(n_cells, 32))
        adata = AnnData(
            sparse.csr_matrix((n_cells, 1)), obs=pd.DataFrame(index=[f"{modality}{i}" for i in range(n_cells)])
        )
        adata.var_names = [modality]
        adata.obsm["X_minnet"] = (cells / np.linalg.norm(cells, axis=1, keepdims=True)).astype(np.float32)
        modalities[modality] = adata
    return MuData(modalities)


def main() -> None:
    """Measure all methods."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[2_000, 10_000], help="cells of each modality")
    arguments = parser.parse_args()
    # numba compiles the neighbour search once
    mn.tl.match_cells(simulate(5_000, 1), "rna", "atac")
    rows = []
    for n_cells in arguments.cells:
        mdata = simulate(n_cells, 0)
        for method in METHODS:
            start, used = time.perf_counter(), time.process_time()
            mn.tl.match_cells(mdata, "rna", "atac", method=method)
            seconds = {"seconds": time.perf_counter() - start, "CPU seconds": time.process_time() - used}
            found = mdata.uns["match"]
            pairs = {"pairs": len(found["matches"]), "RNA cells matched": n_cells - found["n_unmatched"]["rna"]}
            rows.append({"cells": f"{n_cells:,} x {n_cells:,}", "method": method} | seconds | pairs)
    table = pd.DataFrame(rows).round({"seconds": 1, "CPU seconds": 1})
    print(table.to_string(index=False))
    used = versions("scminnet", "scipy", "pynndescent")
    (RESULTS / "matching.md").write_text(
        "# Time of matching cells\n\n"
        "Simulated cells of 20 types in other proportions in each modality, 32 dimensions, 20 neighbours. CPU "
        "seconds are what a free core would "
        f"take. Written by\n`python -m benchmarks.speed.matching` (Python {platform.python_version()}, {used}).\n\n"
        + table.to_markdown(index=False)
        + "\n"
    )


if __name__ == "__main__":
    main()
