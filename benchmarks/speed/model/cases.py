"""One case in a process of its own: ``python -m benchmarks.speed.model.cases CASE SETTINGS``.

It prints its rows of way, cells, repeat, measure and value as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings

from benchmarks.speed.model.embedding import embedding, machine
from benchmarks.speed.model.graph import graph, landmarks
from benchmarks.speed.model.rows import Rows
from benchmarks.speed.model.training import pipeline, training

CASES = {case.__name__: case for case in (machine, graph, landmarks, embedding, pipeline, training)}


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("settings", type=json.loads)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    settings = arguments.settings
    rows = Rows(settings.pop("cells"))
    if arguments.case in ("embedding", "pipeline", "training", "machine"):
        import torch

        import scminnet as mn

        mn.MinNet  # noqa: B018  imported before the number of threads is set, because numba sets it too
        torch.set_num_threads(settings["threads"])
    CASES[arguments.case](rows, **settings)
    print(json.dumps(rows.rows), file=sys.__stdout__)


if __name__ == "__main__":
    main()
