"""Simulated cells on disk: written chunk by chunk, and opened in memory or lazily."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import scminnet as mn

N_TYPES, N_BATCHES, N_PROGRAMMES, N_FEATURES = 20, 4, 12, 2_000
#: In each cell, one of this many neighbouring features is not zero.
STRETCH = {"rna": 10, "atac": 16}
#: Of unpaired cells.
PEAKS_PER_GENE = 15
#: Cells that are simulated at a time, and cells of a chunk of a dask array.
CHUNK = 10_000


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
    """Draw the counts of some cells. In each stretch one feature is not zero, depending on the cell's programmes."""
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


def peaks_around(genes: pd.DataFrame) -> pd.DataFrame:
    """Return ``PEAKS_PER_GENE`` peaks for each gene: one at its start, the others every 6 kb downstream."""
    gene, number = np.divmod(np.arange(len(genes) * PEAKS_PER_GENE), PEAKS_PER_GENE)
    starts = genes["tss"].to_numpy()[gene] + 6_000 * number
    chrom = genes["chrom"].to_numpy()[gene]
    return pd.DataFrame(index=[f"{c}:{s}-{s + 500}" for c, s in zip(chrom, starts, strict=True)])


def accessibility_of(hidden: np.ndarray, batches: np.ndarray, seed: int) -> sparse.csr_matrix:
    """Draw the accessibility of peaks around genes: each of a cell's genes opens some of its peaks."""
    counts = counts_of(hidden, batches, "rna", seed)
    n_open = 3
    number = np.random.default_rng((seed, 4)).integers(PEAKS_PER_GENE, size=(counts.nnz, n_open))
    columns = (counts.indices[:, None] * PEAKS_PER_GENE + number).ravel()
    found = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), columns.astype(np.int32), counts.indptr * n_open),
        (counts.shape[0], N_FEATURES * PEAKS_PER_GENE),
    )
    found.sum_duplicates()
    return found


def log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale cells to 10,000 counts, log(1 + x)."""
    scaled = sparse.diags(1e4 / np.asarray(counts.sum(axis=1)).ravel()) @ counts
    return sparse.csr_matrix(scaled.log1p(), dtype=np.float32)


def places() -> dict[str, pd.DataFrame]:
    """Return genes every 100 kb on ten chromosomes, and a peak 20 kb upstream of each."""
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


def simulate_unpaired(folder: Path, n_cells: int) -> None:
    """Write cells of which one half has RNA, and the other accessibility."""
    obs, hidden = programmes(n_cells)
    batches = obs["batch"].cat.codes.to_numpy()
    genes = places()["rna"]
    half = n_cells // 2
    parts = {}
    for m, var, begin, draw in (
        ("rna", genes, 0, lambda rows, seed: counts_of(hidden[rows], batches[rows], "rna", seed)),
        ("atac", peaks_around(genes), half, lambda rows, seed: accessibility_of(hidden[rows], batches[rows], seed)),
    ):
        starts = range(begin, begin + half, CHUNK)
        matrix = sparse.vstack(
            [log_normalised(draw(slice(s, min(s + CHUNK, begin + half)), s)) for s in starts], format="csr"
        )
        parts[m] = AnnData(matrix, obs.iloc[begin : begin + half], var)
    mdata = MuData(parts)
    mdata.obs["cell_type"] = obs["cell_type"]
    mdata.write(folder / "unpaired.h5mu")


def opened(folder: Path, storage: str) -> MuData:
    """Open the cells as a user would."""
    if storage == "memory":
        import mudata

        return mudata.read(folder / "cells.h5mu")
    return mn.read_lazy(folder / "cells.h5mu", dask=storage == "dask", chunk_cells=CHUNK)


def embedded(folder: Path, storage: str) -> MuData:
    """Open the cells with the embedding that an earlier step wrote."""
    mdata = opened(folder, storage)
    for m, adata in mdata.mod.items():
        adata.obsm["X_minnet"] = np.load(folder / f"{storage}.{m}.npy")
    return mdata
