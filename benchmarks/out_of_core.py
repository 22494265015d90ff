"""Time and memory of every step over a MuData on disk: written, trained on, embedded, smoothed, bulked and linked, up to a million cells.

Run from the repository's root::

    pip install -e ".[benchmark]"
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/out_of_core.py FOLDER --cells 100000 --storages memory h5mu
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/out_of_core.py FOLDER --cells 1000000 --storages h5mu

adds to ``benchmarks/results/out_of_core.csv`` and writes ``out_of_core.md``. FOLDER takes the files, 7 GB for a million cells, and is not emptied. ``--steps``
runs some steps alone; each begins from what those before it have left in the folder.

Every step is a process of its own, of which the operating system tells the largest resident memory: all of it, Python and packages included (0.6 GB).
The cells are simulated chunk by chunk and never held together: paired, of 20 types of unequal size and 4 batches, 2,000 genes of which 10 % are not
zero and 2,000 peaks of which 6.25 % are not zero, normalised in ``X`` and counts in a layer. Genes and their peaks follow the cells' hidden
programmes. Training is the default recipe's, one pass over the cells from 102,400 cells on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from measured import run
from mudata import MuData
from scipy import sparse

import scminnet as mn

RESULTS = Path(__file__).parent / "results"

N_TYPES, N_BATCHES, N_PROGRAMMES, N_FEATURES = 20, 4, 12, 2_000
#: One feature of so many neighbouring ones is not zero in a cell.
STRETCH = {"rna": 10, "atac": 16}
#: Cells simulated at a time, and opened at a time as dask arrays.
CHUNK = 10_000

N_BULKS = 500


def programmes(n_cells: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return types and batches of all cells, and their hidden programmes (cells, programmes), float32."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, N_TYPES + 1)
    types = rng.choice(N_TYPES, n_cells, p=frequency / frequency.sum())
    batches = rng.integers(N_BATCHES, size=n_cells)
    centres = rng.normal(size=(N_TYPES, N_PROGRAMMES)).astype(np.float32)
    hidden = centres[types] + 0.4 * rng.standard_normal((n_cells, N_PROGRAMMES), dtype=np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(types, [f"type_{i:02d}" for i in range(N_TYPES)]),
            "batch": pd.Categorical.from_codes(batches, [f"batch_{i}" for i in range(N_BATCHES)]),
        },
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    return obs, hidden


def counts_of(hidden: np.ndarray, batches: np.ndarray, modality: str, seed: int) -> sparse.csr_matrix:
    """Draw the counts of some cells: in each stretch of features one, the likelier the more the cell's programmes favour it."""
    # a gene and the peak of its number have the same weights but for noise
    shared = np.random.default_rng(1).normal(size=(N_PROGRAMMES, N_FEATURES)).astype(np.float32)
    own = np.random.default_rng(2 + len(modality))
    weights = shared + 0.5 * own.normal(size=shared.shape).astype(np.float32)
    effect = 0.5 * own.normal(size=(N_BATCHES, N_FEATURES)).astype(np.float32)
    rng = np.random.default_rng((seed, len(modality)))
    stretch = STRETCH[modality]
    noise = -np.log(rng.standard_exponential((len(hidden), N_FEATURES), dtype=np.float32))
    favour = (hidden @ weights * 0.5 + effect[batches] + noise).reshape(len(hidden), -1, stretch)
    columns = favour.argmax(axis=2) + stretch * np.arange(favour.shape[1])
    values = 1 + rng.poisson(0.7, columns.shape)
    offsets = np.arange(len(hidden) + 1) * columns.shape[1]
    return sparse.csr_matrix(
        (values.ravel().astype(np.float32), columns.ravel().astype(np.int32), offsets), (len(hidden), N_FEATURES)
    )


def log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale cells to 10,000 counts, log(1 + x)."""
    scaled = sparse.diags(1e4 / np.asarray(counts.sum(axis=1)).ravel()) @ counts
    return sparse.csr_matrix(scaled.log1p(), dtype=np.float32)


def places() -> dict[str, pd.DataFrame]:
    """Genes every 100 kb on ten chromosomes, and a peak 20 kb before each."""
    number = np.arange(N_FEATURES)
    chrom, tss = [f"chr{i}" for i in 1 + number % 10], 200_000 + number // 10 * 100_000
    genes = pd.DataFrame({"chrom": chrom, "tss": tss, "strand": "+"}, index=[f"gene_{i}" for i in number])
    starts = tss - 20_000
    names = [f"{c}:{s}-{s + 500}" for c, s in zip(chrom, starts, strict=True)]
    return {"rna": genes, "atac": pd.DataFrame(index=names)}


def simulate(folder: Path, n_cells: int) -> None:
    """Write the cells into the folder, as dask arrays whose chunks are simulated while they are written."""
    import dask.array as da
    from dask import delayed

    obs, hidden = programmes(n_cells)
    batches = obs["batch"].cat.codes.to_numpy()
    empty = sparse.csr_matrix((0, 0), dtype=np.float32)

    def chunk(modality: str, start: int, change: Callable[[sparse.csr_matrix], sparse.csr_matrix]) -> sparse.csr_matrix:
        rows = slice(start, start + CHUNK)
        return change(counts_of(hidden[rows], batches[rows], modality, start))

    def matrix(modality: str, change: Callable[[sparse.csr_matrix], sparse.csr_matrix]) -> Any:
        return da.concatenate(
            [
                da.from_delayed(
                    delayed(chunk)(modality, start, change),
                    (min(CHUNK, n_cells - start), N_FEATURES),
                    meta=empty,
                )
                for start in range(0, n_cells, CHUNK)
            ]
        )

    names = pd.DataFrame(index=obs.index)
    mdata = MuData(
        {
            m: AnnData(matrix(m, log_normalised), names, var, layers={"counts": matrix(m, sparse.csr_matrix)})
            for m, var in places().items()
        }
    )
    mdata.obs = obs
    mdata.write(folder / "cells.h5mu")


def opened(folder: Path, storage: str) -> MuData:
    """Open the cells as a user would."""
    if storage == "memory":
        import mudata

        return mudata.read(folder / "cells.h5mu")
    return mn.read_lazy(folder / "cells.h5mu", dask=storage == "dask", chunk_cells=CHUNK)


def embedded(folder: Path, storage: str) -> MuData:
    """Open the cells with the embedding that the step before left."""
    mdata = opened(folder, storage)
    for m, adata in mdata.mod.items():
        adata.obsm["X_minnet"] = np.load(folder / f"{storage}.{m}.npy")
    return mdata


def graph(folder: Path, storage: str) -> None:
    """Build the margin graph and keep it."""
    mdata = opened(folder, storage)
    mn.pp.margin_graph(mdata, batch_key="batch")
    sparse.save_npz(folder / f"{storage}.graph.npz", mdata["rna"].obsp["margin_graph_distances"], compressed=False)


def train(folder: Path, storage: str) -> None:
    """Train the default recipe with this graph."""
    mdata = opened(folder, storage)
    mdata["rna"].obsp["distances"] = sparse.load_npz(folder / f"{storage}.graph.npz")
    mdata["rna"].uns["margin_graph"] = {"distances_key": "distances"}
    mdata.uns["margin_graph"] = {"modality": "rna"}
    mn.MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    model = mn.MinNet(mdata)
    model.train(accelerator="cpu", enable_progress_bar=False)
    model.save(str(folder / f"{storage}.model"), overwrite=True)


def embed(folder: Path, storage: str) -> None:
    """Embed all cells of either modality."""
    mdata = opened(folder, storage)
    model = mn.MinNet.load(folder / f"{storage}.model", adata=False)
    model.embed(mdata)
    for m, adata in mdata.mod.items():
        np.save(folder / f"{storage}.{m}.npy", adata.obsm["X_minnet"])


def bulk(folder: Path, storage: str) -> None:
    """Sum the counts of near cells."""
    mn.tl.minibulk(embedded(folder, storage), N_BULKS, groupby="cell_type", layer="counts")


def smooth_and_bulk(folder: Path, storage: str) -> None:
    """Smooth over 20 neighbours, and sum the smoothed counts of near cells; of data on disk, the smoothed counts are never made."""
    mdata = embedded(folder, storage)
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts")
    bulks = mn.tl.minibulk(mdata, N_BULKS, groupby="cell_type", layer="smoothed")
    bulks.write(folder / f"{storage}.bulks.h5mu")


def smooth_and_write(folder: Path, storage: str) -> None:
    """Smooth the counts of RNA over 20 neighbours, and write the sums."""
    mdata = embedded(folder, storage)
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts", modalities=["rna"])
    adata = mdata["rna"]
    AnnData(adata.layers["smoothed"], adata.obs, adata.var).write(folder / f"{storage}.smoothed.h5ad")


def link(folder: Path, storage: str) -> None:
    """Link the genes over the bulks."""
    import mudata

    bulks = mudata.read(folder / f"{storage}.bulks.h5mu")
    mn.tl.cre_links(bulks, places()["rna"].rename_axis("gene").reset_index())
    bulks.uns["cre_links"].to_csv(folder / f"{storage}.links.csv", index=False)


def link_cells(folder: Path, storage: str) -> None:
    """Link the genes over single cells."""
    mdata = opened(folder, storage)
    mn.tl.cre_links(mdata, places()["rna"].rename_axis("gene").reset_index(), method="pearson", null="theoretical")
    mdata.uns["cre_links"].to_csv(folder / f"{storage}.cell_links.csv", index=False)


STEPS: dict[str, Callable[[Path, str], None]] = {
    "margin graph": graph,
    "train": train,
    "embed": embed,
    "bulk": bulk,
    "smooth and bulk": smooth_and_bulk,
    "smooth RNA and write the sums": smooth_and_write,
    "link bulks": link,
    "link cells": link_cells,
}

SIMULATE = "simulate and write"

#: Numbers of cells that are extrapolated to; bytes a second of a network; and how often a step reads a matrix of each modality it uses, checks included.
ON_PAPER, NETWORK = (1_000_000, 100_000_000), 1e9
READINGS = {"margin graph": 4, "train": 4, "embed": 3, "bulk": 2, "smooth and bulk": 3, "link cells": 3}
#: Modalities that a step reads.
READ = {"margin graph": ("rna",)}

COLUMNS = ["cells", "step", "storage", "seconds", "cpu_seconds", "memory_gb"]


def differences(folder: Path, storage: str) -> dict[str, float]:
    """Say how far the results over a storage are from those in memory."""
    found = {}
    for m in ("rna", "atac"):
        ours, theirs = (np.load(folder / f"{s}.{m}.npy") for s in (storage, "memory"))
        found[f"embedding of {m}, median cosine"] = float(np.median(np.einsum("ij,ij->i", ours, theirs)))
    model = mn.MinNet.load(folder / "memory.model", adata=False)
    for m in ("rna", "atac"):
        ours, theirs = (model.get_latent_representation(opened(folder, s), modality=m) for s in (storage, "memory"))
        found[f"one model's embedding of {m}, largest difference"] = float(np.abs(ours - theirs).max())
    ours, theirs = (pd.read_csv(folder / f"{s}.cell_links.csv") for s in (storage, "memory"))
    found["links over cells, largest difference of r"] = float((ours["r"] - theirs["r"]).abs().max())
    # the same embedding, so that the bulks are of the same cells
    mdata = embedded(folder, "memory")
    expected = _bulk_sums(mdata)
    lazy = opened(folder, storage)
    for m, adata in lazy.mod.items():
        adata.obsm["X_minnet"] = mdata[m].obsm["X_minnet"]
    for m, sums in _bulk_sums(lazy).items():
        found[f"bulks of smoothed {m}, largest difference"] = float(abs(sums - expected[m]).max())
    return found


def _bulk_sums(mdata: MuData) -> dict[str, sparse.csr_matrix]:
    mn.tl.minnet_smooth(mdata, n_neighbors=20, layer="counts")
    bulks = mn.tl.minibulk(mdata, N_BULKS, groupby="cell_type", layer="smoothed")
    return {m: bulks[m].layers["counts"] for m in bulks.mod}


def on_paper(table: pd.DataFrame, cells: int) -> str:
    """Extrapolate the largest run over files, in proportion to the cells: a table in markdown."""
    own = table[table["storage"] == "h5mu"]
    rows = {}
    for step, readings in READINGS.items():
        measured = own[own["step"] == step].sort_values("cells")
        if measured.empty:
            continue
        largest, smallest = measured.iloc[-1], measured.iloc[0]
        n, cpu, memory = largest["cells"], largest["cpu_seconds"], largest["memory_gb"]
        # what does not grow: packages, compilation
        share = smallest["cells"] / n
        fixed_cpu, fixed_memory = (
            (
                (small - share * large) / (1 - share)
                for small, large in ((smallest[c], largest[c]) for c in COLUMNS[-2:])
            )
            if share < 1
            else (0.0, 0.6)
        )
        times = cells / n
        stored = sum(8 * N_FEATURES / STRETCH[m] for m in READ.get(step, STRETCH)) * cells
        rows[step] = {
            "measured at": f"{n:,}",
            "CPU hours": f"{max(cpu - fixed_cpu, 0) * times / 3600:,.2g}",
            "GB in one process": f"{max(memory - fixed_memory, 0) * times + fixed_memory:,.1f}",
            "read, GB": f"{readings * stored / 1e9:,.0f}",
            "hours at 1 GB/s": f"{readings * stored / NETWORK / 3600:,.2g}",
        }
    return pd.DataFrame(rows).T.rename_axis("step").to_markdown(stralign="right", disable_numparse=True)


def write_table(table: pd.DataFrame, comparison: dict[str, Any]) -> None:
    """Write what is known so far."""
    order = [SIMULATE, *STEPS]
    parts = []
    for cells, own in table.groupby("cells"):
        wide = own.pivot(index="step", columns="storage", values=["seconds", "cpu_seconds", "memory_gb"])
        wide = wide.reindex([step for step in order if step in wide.index])
        names = {"seconds": "s", "cpu_seconds": "CPU s", "memory_gb": "GB"}
        wide.columns = [f"{storage}, {names[kind]}" for kind, storage in wide.columns]
        shown = wide.map(lambda v: "" if pd.isna(v) else f"{v:,.0f}" if v >= 100 else f"{v:,.1f}")
        parts.append(f"## {cells:,} cells\n\n{shown.to_markdown(stralign='right', disable_numparse=True)}\n")
    if comparison:
        lines = [f"| {name} | {value:.3g} |" for name, value in comparison["values"].items()]
        parts.append(
            f"## h5mu against memory, {comparison['cells']:,} cells\n\n| | |\n|:--|--:|\n" + "\n".join(lines) + "\n"
        )
    for cells in ON_PAPER:
        if cells <= table["cells"].max():
            continue
        stored = sum(8 * N_FEATURES / stretch for stretch in STRETCH.values()) * cells / 1e9
        parts.append(
            f"## {cells:,} cells, on paper\n\nNot run: a line through the smallest and the largest size measured. It makes too much of time, for the code that a large size compiles\n"
            f"counts as if it grew with the cells. Values of both modalities take {stored:,.1f} GB at 8 bytes a non-zero, and the counts as much again.\n\n{on_paper(table, cells)}\n"
        )
    (RESULTS / "out_of_core.md").write_text(
        "# Data on disk: time and memory\n\n"
        "Simulated paired cells x 2,000 genes (10 % not zero) and 2,000 peaks (6.25 % not zero), values and counts in one `.h5mu`. `memory`: read whole by\n"
        "`mudata.read`; `h5mu`: opened by `scminnet.read_lazy`; `dask`: the same as dask arrays. A process a step; GB is its largest resident memory, packages included. s is\n"
        f"the clock's, CPU s all its threads'. Written by `python benchmarks/out_of_core.py` with one thread on {platform.machine()}, {os.cpu_count()} cores shared\n"
        f"with other work, Python {platform.python_version()}. The files were in the system's cache as far as that reached.\n\n"
        + "\n".join(parts)
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, required=True)
    parser.add_argument("--storages", nargs="+", choices=("memory", "h5mu", "dask"), default=["h5mu"])
    parser.add_argument("--steps", nargs="+", choices=(SIMULATE, *STEPS), default=None)
    parser.add_argument("--compare", action="store_true", help="also compare h5mu with memory")
    parser.add_argument("--limit", type=float, default=3600, help="seconds a step may take")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder / str(arguments.cells)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if arguments.step == SIMULATE:
                simulate(folder, arguments.cells)
            else:
                STEPS[arguments.step](folder, arguments.storages[0])
        return

    RESULTS.mkdir(exist_ok=True)
    csv, json_path = RESULTS / "out_of_core.csv", RESULTS / "out_of_core.json"
    steps = arguments.steps or [SIMULATE, *STEPS]
    for step in steps:
        for storage in ["h5mu"] if step == SIMULATE else arguments.storages:
            if step == SIMULATE and arguments.steps is None and (folder / "cells.h5mu").exists():
                continue
            command = [sys.executable, __file__, str(arguments.folder), "--cells", str(arguments.cells)]
            log = folder / f"{storage}.{step.replace(' ', '_')}.log"
            began = time.strftime("%H:%M:%S")
            used = run([*command, "--storages", storage, "--step", step], log=log, limit=arguments.limit)
            row = {"cells": arguments.cells, "step": step, "storage": storage, **used._asdict()}
            print(began, row, flush=True)
            if used.status != 0:
                raise SystemExit(f"{step} over {storage} failed: see {log}")
            rows = pd.read_csv(csv).to_dict("records") if csv.exists() else []
            rows = [r for r in rows if (r["cells"], r["step"], r["storage"]) != (row["cells"], step, storage)]
            pd.DataFrame([*rows, row])[COLUMNS].round(2).to_csv(csv, index=False)
    if arguments.compare:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = differences(folder, "h5mu")
        json_path.write_text(json.dumps({"cells": arguments.cells, "values": found}, indent=1) + "\n")
    write_table(pd.read_csv(csv), json.loads(json_path.read_text()) if json_path.exists() else {})


if __name__ == "__main__":
    main()
