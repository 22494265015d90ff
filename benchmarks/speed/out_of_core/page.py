"""Page of the results, with an extrapolation to sizes that were not run."""

from __future__ import annotations

import os
import platform
from typing import Any

import pandas as pd

from benchmarks.speed.out_of_core.cells import N_FEATURES, STRETCH
from benchmarks.speed.out_of_core.steps import STEPS

#: Numbers of cells of the extrapolation, bytes a second of a network, and how often a step reads each matrix.
ON_PAPER, NETWORK = (1_000_000, 100_000_000), 1e9
READINGS = {"margin graph": 4, "train": 4, "embed": 3, "bulk": 2, "smooth and bulk": 3, "link cells": 3}
#: Modalities that a step reads.
READ = {"margin graph": ("rna",)}


def on_paper(table: pd.DataFrame, cells: int) -> str:
    """Return a table that extrapolates the largest run on files, in proportion to the cells."""
    own = table[table["storage"] == "h5mu"]
    rows = {}
    for step, readings in READINGS.items():
        measured = own[own["step"] == step].sort_values("cells")
        if measured.empty:
            continue
        largest, smallest = measured.iloc[-1], measured.iloc[0]
        n, cpu, memory = largest["cells"], largest["cpu_seconds"], largest["memory_gb"]
        # packages and compilation do not grow with the cells
        share = smallest["cells"] / n
        fixed_cpu, fixed_memory = (
            (
                (small - share * large) / (1 - share)
                for small, large in ((smallest[c], largest[c]) for c in ("cpu_seconds", "memory_gb"))
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


def page(table: pd.DataFrame, comparison: dict[str, Any]) -> str:
    """Return the page of the results so far."""
    order = list(STEPS)
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
            f"## {cells:,} cells, on paper\n\nNot run: a line through the smallest and the largest size measured. "
            "It makes "
            "too much of time, for the code that a large size compiles\ncounts as if it grew with the cells. "
            "Values of "
            f"both modalities take {stored:,.1f} GB at 8 bytes a non-zero, and the counts as much again.\n\n"
            f"{on_paper(table, cells)}\n"
        )
    return (
        "# Data on disk: time and memory\n\n"
        "Simulated paired cells x 2,000 genes (10 % not zero) and 2,000 peaks (6.25 % not zero), values and counts "
        "in one "
        "`.h5mu`. `memory`: read whole by\n`mudata.read`; `h5mu`: opened by `scminnet.read_lazy`; `dask`: the same "
        "as dask "
        "arrays. A process a step; GB is its largest resident memory, packages included. s is\n"
        "the clock's, CPU s all its "
        "threads'. Written by `python -m benchmarks.speed.out_of_core` with one thread on "
        f"{platform.machine()}, {os.cpu_count()} cores shared\nwith other work, Python "
        f"{platform.python_version()}. The files were in the system's cache as far as that reached.\n\n"
        + "\n".join(parts)
    )
