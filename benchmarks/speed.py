"""Speed and memory: margin graph, training, input pipeline, embedding, beside exact and published ways and the machine's limit.

Run from the repository's root, on Linux::

    pip install -e ".[benchmark]"
    python benchmarks/speed.py --data FOLDER --threads 2

writes ``benchmarks/results/speed.csv`` (one row a part, way, number of cells, repeat and measure), ``speed.md`` and ``speed.png``. ``--parts``,
``--sizes`` and ``--repeats`` run a part of it: what was run before stays, and what is run again takes its place. Without ``--data`` all cells are simulated.
Each case (``speed_cases.py``) runs in a process of its own, so that its peak memory is its own. What is compared runs in one process or right after
the other, so compare ratios, not seconds, between machines. ``--device`` is torch's, for training and embedding.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import measured
import pandas as pd
import speed_page

HERE = Path(__file__).parent
RESULTS = HERE / "results"
COLUMNS = ["part", "data", "cells", "threads", "device", "way", "repeat", "measure", "value"]

#: Cells up to which scanpy's dense scaling is run.
MAX_SCANPY = 20_000


def cases(arguments: argparse.Namespace) -> list[tuple[str, str, dict[str, Any]]]:
    """Part, data and settings of each case asked for."""
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
    """Train as published, and by default."""
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


def merged(new: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Put new rows in the place of older ones of the same case."""
    case = ["part", "data", "cells", "threads", "device"]
    if not path.is_file():
        return new
    old = pd.read_csv(path, keep_default_na=False)
    again = pd.MultiIndex.from_frame(old[case]).isin(pd.MultiIndex.from_frame(new[case]))
    if (new["part"] == "training").all():
        # each seed of a preset is a process of its own
        preset = new["way"].iloc[0].split(":")[0]
        again &= (old["repeat"] == new["repeat"].iloc[0]) & old["way"].str.startswith(preset)
    return pd.concat([old[~again], new], ignore_index=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--parts", nargs="+", default=speed_page.PARTS, choices=speed_page.PARTS)
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
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "speed.csv"

    def run(part: str, data: str, settings: dict[str, Any]) -> None:
        threads, device = arguments.threads, arguments.device
        settings = {"threads": threads, "device": device, **settings}
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            used = measured.run(
                [sys.executable, str(HERE / "speed_cases.py"), part, json.dumps(settings)],
                log=log,
                limit=arguments.limit,
                environment={name: str(threads) for name in variables},
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
        merged(rows, path).to_csv(path, index=False, float_format="%.6g")
        print(f"{part}, {data}, {settings['cells']:,} cells: {used.seconds:.0f} s", flush=True)

    if not arguments.page_only:
        for part, data, settings in cases(arguments) + training(arguments) * ("training" in arguments.parts):
            run(part, data, settings)
    speed_page.write(pd.read_csv(path, keep_default_na=False), RESULTS)


if __name__ == "__main__":
    main()
