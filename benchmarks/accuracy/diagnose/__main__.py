"""Verdicts of ``MinNet.diagnose`` on good and on damaged queries, beside the damage that these suffer.

Run from the root of the repository::

    python -m benchmarks.accuracy.diagnose --data FOLDER --seeds 3

It writes ``diagnose.csv`` (one row a reference, query, seed, check and modality) and ``diagnose.md``. ``--references``
selects a part. New runs replace their older rows, and the other rows stay.

Models are trained on the training split. Queries are the test cells, whole or damaged in known ways, or cells of other
tissues (``queries``). ``diagnose`` gets the modalities as unpaired, except for the check ``pairs``. The true pairs and
the labels serve to measure the damage. ``--split validation`` uses validation cells held out of the training split, on
which limits may be chosen. It prints the tables and writes nothing.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator

import pandas as pd
import torch

import scminnet as mn
from benchmarks.accuracy.diagnose.damage import measure
from benchmarks.accuracy.diagnose.page import page, summary
from benchmarks.accuracy.diagnose.queries import Case, references
from benchmarks.shared import command_line
from benchmarks.shared.development_sets import DevelopmentSet, validation_split
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import merged, ordered

TABLE = RESULTS / "diagnose.csv"
#: Columns that identify a run.
RUN = ["reference", "seed"]
COLUMNS = ["reference", "query", "seed", "check", "modality", "value", "expected", "verdict"]


def run(name: str, make: Callable[[int], tuple[DevelopmentSet, Iterator[Case]]], seed: int) -> pd.DataFrame:
    """Train on a reference and measure all of its queries."""
    data, cases = make(seed)
    # after scanpy's first numba function, which sets torch's threads
    torch.set_num_threads(1)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    table = pd.concat([measure(model, case) for case in cases], ignore_index=True)
    return table.assign(reference=name, seed=seed)


def main() -> None:
    """Measure the references that the command line selects."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--references", nargs="+", help="names of references to run (all)")
    arguments = parser.parse_args()
    command_line.quiet()
    logging.getLogger("scminnet").setLevel(logging.WARNING)
    # raw counts are given on purpose
    warnings.filterwarnings("ignore", message="the values of .* are whole numbers")

    found = references(arguments.data, validation_split if arguments.split == "validation" else lambda data: data)
    unknown = set(arguments.references or []) - set(found)
    if unknown:
        parser.error(f"no reference {sorted(unknown)}; there are {list(found)}")
    parts = []
    for seed in command_line.seeds_of(arguments):
        for name in arguments.references or found:
            start = time.perf_counter()
            parts.append(run(name, found[name], seed))
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            table = pd.concat(parts, ignore_index=True)[COLUMNS].round(4)
            if arguments.split == "validation":
                print(summary(parts[-1]).to_string(index=False), flush=True)
                continue
            # after each run, so that an interruption loses one
            old = pd.read_csv(TABLE) if TABLE.is_file() else None
            table = ordered(merged(table, old, RUN), RUN, {"reference": list(found)})
            table.to_csv(TABLE, index=False)
            (RESULTS / "diagnose.md").write_text(page(table))


if __name__ == "__main__":
    main()
