"""Time and memory of margin graph, training, input pipeline and embedding, beside exact and published methods.

Run from the root of the repository, on Linux::

    python -m benchmarks.speed.model --data FOLDER --threads 2

It writes ``speed.csv`` (one row a part, way, number of cells, repeat and measure), ``speed.md`` and ``speed.png``.
``--parts``, ``--sizes`` and ``--repeats`` select a part. New cases replace their older rows, and the other rows stay.
Without ``--data`` all cells are simulated. ``--device`` is torch's, for training and embedding.

Each case (``cases``) runs in a process of its own, so that its peak memory is its own. Methods that are compared run in
one process or one after the other. So compare ratios, not seconds, between machines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.shared import command_line, resources, tables
from benchmarks.shared.pages import RESULTS
from benchmarks.speed.model import page

#: Columns that identify a case.
CASE = ["part", "data", "cells", "threads", "device"]
COLUMNS = [*CASE, "way", "repeat", "measure", "value"]

#: Largest number of cells for scanpy's dense scaling.
MAX_SCANPY = 20_000


def cases(arguments: argparse.Namespace) -> list[tuple[str, str, dict[str, Any]]]:
    """Return part, data and settings of each selected case but training."""
    own, n = str(arguments.data or ""), arguments.repeats
    sets = [("simulated", size, None) for size in arguments.sizes]
    cortex = [("snareseq_mouse_cortex", 0, own)] if own and not arguments.simulated_only else []
    found: list[tuple[str, str, dict[str, Any]]] = []
    if "machine" in arguments.parts:
        found.append(("machine", "", {"cells": 0}))
    if "graph" in arguments.parts:
        for data, cells, folder in [*cortex, *sets]:
            small = {"exact": bool(folder) and arguments.all_pairs, "scanpy": bool(folder) or cells <= MAX_SCANPY}
            found.append(
                ("graph", data, {"cells": cells, "repeats": n if cells <= 50_000 else 1, "data": folder, **small})
            )
    if "landmarks" in arguments.parts:
        found += [("landmarks", data, {"cells": c, "repeats": n, "data": f}) for data, c, f in (cortex or sets[:1])]
    for part in ("embedding", "pipeline"):
        if part in arguments.parts:
            found += [(part, data, {"cells": c, "repeats": n}) for data, c, _ in sets]
    return found


def training(arguments: argparse.Namespace) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the cases of training, as published and by default."""
    sets = [] if arguments.real_only else [("simulated", arguments.training_cells, None)]
    if arguments.data and not arguments.simulated_only:
        sets.append(("snareseq_mouse_cortex", 0, str(arguments.data)))
    presets = [("paper", arguments.paper_epochs, 1), ("default", None, arguments.repeats)]
    return [
        ("training", data, {"cells": cells, "data": folder, "seed": seed, "preset": preset, "epochs": epochs})
        for data, cells, folder in sets
        for preset, epochs, repeats in presets
        if preset in arguments.presets
        for seed in range(repeats)
    ]


def merged(new: pd.DataFrame, old: pd.DataFrame | None) -> pd.DataFrame:
    """Return old and new rows. New rows replace older ones of the same case, or of the same preset and seed."""

    def with_training(table: pd.DataFrame) -> pd.DataFrame:
        # each seed of a preset is a case of its own
        training = table["way"].str.split(":").str[0] + ", " + table["repeat"].astype(str)
        return table.assign(training=training.where(table["part"] == "training", ""))

    found = tables.merged(with_training(new), None if old is None else with_training(old), [*CASE, "training"])
    return found.drop(columns="training")


def main() -> None:
    """Run the cases that the command line selects."""
    parser = command_line.parser(__doc__, data="optional")
    parser.add_argument("--parts", nargs="+", default=page.PARTS, choices=page.PARTS)
    parser.add_argument("--sizes", nargs="*", type=int, default=[5_000, 20_000, 100_000], help="simulated cells")
    parser.add_argument("--training-cells", type=int, default=30_000, help="simulated cells to train on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, numba and BLAS")
    parser.add_argument("--device", default="cpu", help="where torch works: cpu, gpu, mps")
    parser.add_argument("--limit", type=float, default=3_600, help="seconds a case may take")
    parser.add_argument("--simulated-only", action="store_true", help="leave the data sets out")
    parser.add_argument("--real-only", action="store_true", help="train on the data sets only")
    parser.add_argument("--presets", nargs="+", default=["paper", "default"], choices=["paper", "default"])
    parser.add_argument("--paper-epochs", type=int, default=35, help="fewer are scaled up to 35")
    parser.add_argument(
        "--all-pairs", action="store_true", help="exact distances of all pairs of the data set's cells as well"
    )
    parser.add_argument("--page-only", action="store_true", help="write the tables and figures of what was measured")
    arguments = parser.parse_args()
    path = RESULTS / "speed.csv"

    def run(part: str, data: str, settings: dict[str, Any]) -> None:
        threads, device = arguments.threads, arguments.device
        settings = {"threads": threads, "device": device, **settings}
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            used = resources.run(
                resources.module_command("benchmarks.speed.model.cases", part, json.dumps(settings)),
                log=log,
                limit=arguments.limit,
                environment=resources.threads(threads),
            )
            lines = log.read_text().splitlines()
        if used.status:
            raise SystemExit(f"{part} of {settings} ended with {used.status}: " + "\n".join(lines[-20:]))
        rows = pd.DataFrame(json.loads(next(line for line in reversed(lines) if line.startswith("[{"))))
        whole = {"way": "whole process", "cells": rows["cells"].iloc[0], "repeat": 0, "measure": "peak_gb"}
        if part == "training":
            whole |= {"way": f"{settings['preset']}: whole process", "repeat": settings["seed"]}
        rows = pd.concat([rows, pd.DataFrame([whole | {"value": used.memory_gb}])], ignore_index=True)
        rows = rows.assign(part=part, data=data, threads=threads, device=device)[COLUMNS]
        old = pd.read_csv(path, keep_default_na=False) if path.is_file() else None
        merged(rows, old).to_csv(path, index=False, float_format="%.6g")
        print(f"{part}, {data}, {settings['cells']:,} cells: {used.seconds:.0f} s", flush=True)

    if not arguments.page_only:
        for part, data, settings in cases(arguments) + training(arguments) * ("training" in arguments.parts):
            run(part, data, settings)
    page.write(pd.read_csv(path, keep_default_na=False), RESULTS)


if __name__ == "__main__":
    main()
