"""Command-line arguments that several benchmarks have."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Literal


def parser(
    doc: str, *, data: Literal["required", "optional"] | None = None, seeds: int | None = None
) -> argparse.ArgumentParser:
    """Return a parser with the arguments that the benchmark shares with others.

    Parameters
    ----------
    doc
        Docstring of the script. Its first line becomes the description.
    data
        Whether ``--data`` is needed. The environment variable ``SCMINNET_DATA`` gives its default.
    seeds
        Default of ``--seeds``. ``None`` leaves out ``--seeds`` and ``--first-seed``.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    if data:
        default = os.environ.get("SCMINNET_DATA")
        made.add_argument(
            "--data",
            type=Path,
            default=default,
            required=data == "required" and default is None,
            help="folder of the data sets (default: $SCMINNET_DATA)",
        )
    if seeds is not None:
        made.add_argument("--seeds", type=int, default=seeds, help=f"number of seeds (default: {seeds})")
        made.add_argument("--first-seed", type=int, default=0, help="first of the seeds (default: 0)")
    return made


def seeds_of(arguments: argparse.Namespace) -> range:
    """Return the seeds that the command line asks for."""
    return range(arguments.first_seed, arguments.first_seed + arguments.seeds)


def quiet() -> None:
    """Show only errors of Lightning."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
