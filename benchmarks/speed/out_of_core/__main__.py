"""Time and memory of every step on a MuData on disk, for up to a million cells.

Run from the root of the repository::

    export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
    python -m benchmarks.speed.out_of_core FOLDER --cells 100000 --storages memory h5mu
    python -m benchmarks.speed.out_of_core FOLDER --cells 1000000 --storages h5mu

It adds to ``out_of_core.csv`` and writes ``out_of_core.md``. FOLDER takes the files, 7 GB for a million cells, and is
not emptied. ``--steps`` runs some steps alone, each with the files of the steps before it.

Every step is a process of its own. Its largest resident memory includes Python and packages (0.6 GB). The cells are
simulated chunk by chunk and never held together: paired, of 20 types of unequal size and 4 batches, with 2,000 genes
(10 % not zero) and 2,000 peaks (6.25 % not zero). Genes and their peaks follow the cells' hidden programmes. Training
is that of the default recipe, with one pass over the cells from 102,400 cells on. The unpaired steps have cells of
their own, half of which have RNA and half 30,000 peaks; these are held in memory while they are simulated.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import pandas as pd

from benchmarks.shared import command_line, resources
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import merged
from benchmarks.speed.out_of_core.page import page
from benchmarks.speed.out_of_core.steps import ONCE, SIMULATED, STEPS, differences

COLUMNS = ["cells", "step", "storage", "seconds", "cpu_seconds", "memory_gb"]


def main() -> None:
    """Run the steps that the command line selects."""
    parser = command_line.parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, required=True)
    parser.add_argument("--storages", nargs="+", choices=("memory", "h5mu", "dask"), default=["h5mu"])
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=None)
    parser.add_argument("--compare", action="store_true", help="also compare h5mu with memory")
    parser.add_argument("--limit", type=float, default=3600, help="seconds a step may take")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder / str(arguments.cells)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            STEPS[arguments.step](folder, arguments.storages[0])
        return

    csv, json_path = RESULTS / "out_of_core.csv", RESULTS / "out_of_core.json"
    for step in arguments.steps or STEPS:
        for storage in ["h5mu"] if step in ONCE else arguments.storages:
            if step in SIMULATED and arguments.steps is None and (folder / SIMULATED[step]).exists():
                continue
            log = folder / f"{storage}.{step.replace(' ', '_')}.log"
            began = time.strftime("%H:%M:%S")
            options = ("--cells", arguments.cells, "--storages", storage, "--step", step)
            command = resources.module_command("benchmarks.speed.out_of_core", arguments.folder, *options)
            used = resources.run(command, log=log, limit=arguments.limit)
            row = {"cells": arguments.cells, "step": step, "storage": storage, **used._asdict()}
            print(began, row, flush=True)
            if used.status != 0:
                raise SystemExit(f"{step} over {storage} failed: see {log}")
            old = pd.read_csv(csv) if csv.exists() else None
            table = merged(pd.DataFrame([row])[COLUMNS], old, ["cells", "step", "storage"])
            table.round(2).to_csv(csv, index=False)
    if arguments.compare:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = differences(folder, "h5mu")
        json_path.write_text(json.dumps({"cells": arguments.cells, "values": found}, indent=1) + "\n")
    comparison = json.loads(json_path.read_text()) if json_path.exists() else {}
    (RESULTS / "out_of_core.md").write_text(page(pd.read_csv(csv), comparison))


if __name__ == "__main__":
    main()
