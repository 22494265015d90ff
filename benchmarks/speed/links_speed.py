"""Time and memory of links between genes and peaks, beside straightforward ways to compute them.

Run from the root of the repository, on Linux::

    python -m benchmarks.speed.links_speed

It writes ``links_speed.csv`` and ``links_speed.md``. The data are simulated: cells of 10 types whose genes and peaks
follow six programmes, single or summed to bulks. Each way runs several times in a process of its own. Its memory is the
peak of the first run beyond what the process held before. The straightforward ways are

- *full matrix*: rank all genes and peaks, multiply all with all, and take the pairs in windows. For single cells, where
  the ranks alone take gigabytes, it uses a part of the peaks and is scaled up;
- *loop*: for each gene find the peaks in its window with pandas, and call ``scipy.stats.spearmanr`` for each. It uses a
  part of the genes and is scaled up.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from benchmarks.shared import command_line, resources
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.resources import memory, reset_peak

UPSTREAM = 150_000
N_CHROMOSOMES, CHROMOSOME = 20, 75_000_000

#: Parts that are computed and scaled up: peaks of the full matrix for single cells, and genes of the loop.
FULL_PEAKS, LOOP_GENES = 2_000, 40


def simulate(folder: Path, n_cells: int, n_genes: int, n_peaks: int, n_bulks: int) -> None:
    """Write matrices of cells and bulks, the peaks and the transcript starts."""
    rng = np.random.default_rng(0)
    types = np.sort(rng.integers(10, size=n_cells))
    programmes = rng.normal(size=(10, 6))[types] + 0.3 * rng.normal(size=(n_cells, 6))
    bulk = np.minimum(np.arange(n_cells) * n_bulks // n_cells, n_bulks - 1)
    sums = sparse.csr_matrix((np.ones(n_cells, np.float32), (bulk, np.arange(n_cells))), shape=(n_bulks, n_cells))
    for modality, n, density in (("rna", n_genes, 0.12), ("atac", n_peaks, 0.03)):
        blocks = []
        for columns in np.array_split(np.arange(n), max(1, n // 2_000)):
            rates = np.exp(0.4 * programmes @ rng.normal(size=(6, len(columns))) + rng.normal(-0.5, 1, len(columns)))
            blocks.append(sparse.csc_matrix(rng.poisson(density * rates).astype(np.float32)))
        cells = sparse.hstack(blocks, format="csr")
        for name, counts in (("cells", cells), ("bulks", sums @ cells)):
            depth = np.asarray(counts.sum(axis=1)).ravel()
            normalised = sparse.csr_matrix(sparse.diags((np.median(depth) / depth).astype(np.float32)) @ counts)
            normalised.data = np.log1p(normalised.data)
            sparse.save_npz(folder / f"{name}_{modality}.npz", normalised, compressed=False)
    chrom, start = rng.integers(N_CHROMOSOMES, size=n_peaks), rng.integers(CHROMOSOME, size=n_peaks)
    names = [f"chr{c + 1}:{s}-{s + 500}" for c, s in zip(chrom, start, strict=True)]
    peaks = pd.DataFrame({"chrom": [f"chr{c + 1}" for c in chrom], "start": start, "end": start + 500}, index=names)
    peaks[~peaks.index.duplicated()].to_pickle(folder / "peaks.pkl")
    starts = {
        "gene": [f"g{i}" for i in range(n_genes)],
        "chrom": [f"chr{c + 1}" for c in rng.integers(N_CHROMOSOMES, size=n_genes)],
        "tss": rng.integers(CHROMOSOME, size=n_genes),
        "strand": rng.choice(["+", "-"], n_genes),
    }
    pd.DataFrame(starts).to_pickle(folder / "tss.pkl")


def in_window(peaks: pd.DataFrame, middle: pd.Series, row: Any) -> np.ndarray:
    """Return the rows of the peaks in the window of a transcript start, found with pandas."""
    distance = (middle - row.tss) * (1 if row.strand == "+" else -1)
    return np.flatnonzero((peaks["chrom"] == row.chrom) & (distance >= -UPSTREAM) & (distance <= 0))


#: A function that returns seconds (scaled up) and pairs, and the factor by which it is scaled up.
Way = tuple[Callable[[], tuple[float, int]], float]


def ours(folder: Path, name: str, null: str | None) -> Way:
    """Call the function of the package."""
    from anndata import AnnData
    from mudata import MuData

    import scminnet as mn

    tss, peaks = pd.read_pickle(folder / "tss.pkl"), pd.read_pickle(folder / "peaks.pkl")
    modalities = {}
    for modality, names in (("rna", tss["gene"]), ("atac", peaks.index)):
        adata = AnnData(sparse.load_npz(folder / f"{name}_{modality}.npz")[:, : len(names)])
        adata.var_names = list(names)
        modalities[modality] = adata
    mdata = MuData(modalities)

    def call() -> tuple[float, int]:
        start = time.process_time()
        mn.tl.cre_links(mdata, tss, null=null)
        return time.process_time() - start, len(mdata.uns["cre_links"])

    # the first call of a process loads compiled code from files
    mn.tl.cre_links(mdata, tss, tss["gene"][:20], null=null)
    return call, 1.0


def full_matrix(folder: Path, name: str) -> Way:
    """Multiply all genes with all peaks."""
    tss, peaks = pd.read_pickle(folder / "tss.pkl"), pd.read_pickle(folder / "peaks.pkl")
    rna, atac = (sparse.load_npz(folder / f"{name}_{m}.npz") for m in ("rna", "atac"))
    part = len(peaks) if name == "bulks" else min(FULL_PEAKS, len(peaks))
    scale = len(peaks) / part
    atac = atac[:, :part]

    def ranks(matrix: sparse.csr_matrix) -> np.ndarray:
        ranked = stats.rankdata(matrix.toarray(), axis=0)
        ranked -= ranked.mean(axis=0)
        with np.errstate(invalid="ignore"):
            return ranked / np.linalg.norm(ranked, axis=0)

    def call() -> tuple[float, int]:
        times = [time.process_time()]
        genes = ranks(rna)
        times.append(time.process_time())
        correlations = genes.T @ ranks(atac)
        times.append(time.process_time())
        middle = (peaks["start"] + peaks["end"]) // 2
        found = []
        for gene, row in enumerate(tss.itertuples()):
            near = in_window(peaks, middle, row)
            near = near[near < part]
            found.append(pd.DataFrame({"gene": row.gene, "peak": peaks.index[near], "r": correlations[gene, near]}))
        pairs = len(pd.concat(found))
        of_genes, of_peaks, of_windows = np.diff([*times, time.process_time()])
        return of_genes + of_peaks * scale + of_windows, pairs

    return call, scale


def loop(folder: Path, name: str) -> Way:
    """Loop over genes and peaks."""
    tss, peaks = pd.read_pickle(folder / "tss.pkl"), pd.read_pickle(folder / "peaks.pkl")
    rna, atac = (sparse.load_npz(folder / f"{name}_{m}.npz").tocsc() for m in ("rna", "atac"))
    part = min(LOOP_GENES, len(tss))

    def call() -> tuple[float, int]:
        start = time.process_time()
        middle = (peaks["start"] + peaks["end"]) // 2
        rows = []
        for gene, row in enumerate(tss.head(part).itertuples()):
            expression = rna[:, [gene]].toarray().ravel()
            for peak in in_window(peaks, middle, row):
                r = stats.spearmanr(expression, atac[:, [peak]].toarray().ravel())[0]
                rows.append({"gene": row.gene, "peak": peaks.index[peak], "r": r})
        pairs = len(pd.DataFrame(rows))
        return (time.process_time() - start) * len(tss) / part, pairs

    return call, len(tss) / part


WAYS = {
    "scminnet, r": lambda folder, name: ours(folder, name, None),
    "scminnet, r, z, p": lambda folder, name: ours(folder, name, "matched"),
    "full matrix, r": full_matrix,
    "loop, r": loop,
}


def measure(way: str, folder: Path, name: str, repeats: int) -> None:
    """Print CPU seconds of each run, pairs and peak memory as JSON."""
    call, factor = WAYS[way](folder, name)
    before = reset_peak()
    seconds, peak = [], 0
    for _ in range(repeats):
        taken, pairs = call()
        seconds.append(taken)
        peak = peak or memory("VmHWM") - before
    print(json.dumps({"seconds": seconds, "pairs": pairs, "scaled": factor, "peak": peak}))


def main() -> None:
    """Measure all ways."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--peaks", type=int, default=100_000)
    parser.add_argument("--bulks", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=3, metavar=("WAY", "FOLDER", "DATA"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        way, folder, name = given.measure
        measure(way, Path(folder), name, given.repeats)
        return

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), given.cells, given.genes, given.peaks, given.bulks)
        for name in ("bulks", "cells"):
            for way in WAYS:
                result = resources.json_of(
                    "benchmarks.speed.links_speed",
                    *("--repeats", given.repeats, "--measure", way, folder, name),
                    environment=resources.threads(1),
                )
                for seconds in result["seconds"]:
                    rows.append(
                        {"data": name, "way": way, "seconds": seconds, "peak_mb": result["peak"] / 1e6}
                        | {"pairs": result["pairs"], "scaled_by": result["scaled"]}
                    )
                print(f"{name}, {way}: {np.median(result['seconds']):.2f} s, {result['peak'] / 1e6:.0f} MB", flush=True)
    table = pd.DataFrame(rows)
    table.round({"seconds": 4, "peak_mb": 1, "scaled_by": 2}).to_csv(RESULTS / "links_speed.csv", index=False)

    summary = (
        table.groupby(["data", "way"], sort=False)
        .agg(
            seconds=("seconds", "median"),
            low=("seconds", "min"),
            high=("seconds", "max"),
            peak=("peak_mb", "first"),
            scaled=("scaled_by", "first"),
        )
        .reset_index()
    )
    base = summary[summary["way"] == "scminnet, r"].set_index("data")["seconds"]
    shown = pd.DataFrame(
        {
            "data": summary["data"],
            "way": summary["way"],
            "seconds (median)": summary["seconds"].map("{:.3g}".format),
            "range": summary["low"].map("{:.3g}".format) + " to " + summary["high"].map("{:.3g}".format),
            "times `scminnet, r`": (summary["seconds"] / summary["data"].map(base)).map("{:.3g}".format),
            "peak memory, MB": summary["peak"].map("{:,.0f}".format),
            "scaled up": summary["scaled"].map(lambda factor: "no" if factor == 1 else f"x {factor:.3g}"),
        }
    )
    pairs = int(table.loc[table["way"] == "scminnet, r", "pairs"].iloc[0])
    (RESULTS / "links_speed.md").write_text(
        "# Links: time and memory\n\n"
        f"{given.genes:,} genes x {given.peaks:,} peaks, {pairs:,} pairs in windows of 150 kb; {given.bulks} "
        f"bulks, and {given.cells:,} single cells. "
        f"CPU seconds of one thread, {given.repeats}\nruns of each way in a process of its own, "
        f"{platform.machine()}, Python {platform.python_version()}. "
        "Memory is the peak of the first run less what the process held\n"
        "before it; of a way that is scaled up, that of the part. Written by "
        "`python -m benchmarks.speed.links_speed`, which says\nwhat the ways are.\n\n"
        + shown.to_markdown(index=False, disable_numparse=True)
        + "\n"
    )


if __name__ == "__main__":
    main()
