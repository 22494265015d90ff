"""The command ``scminnet``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

DEMO = """\
Run the main job and show what comes out.

Without --data: simulates a paired reference (RNA + ATAC) and a query from other batches,
learns from the reference, embeds the query's modalities apart, carries labels from one to
the other, and reports how well this went. With --data: the same on your paired cells.

examples:
  scminnet demo
  scminnet demo --data cells.h5mu --modalities rna adt --labels-key cell_type --batch-key donor
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 well, 1 bad data, 2 bad arguments)."""
    parser = argparse.ArgumentParser(
        prog="scminnet", description="One space for single-cell modalities that were measured in different cells."
    )
    parser.add_argument("--version", action="version", version=f"scminnet {version('scminnet')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    given = parser.parse_args(arguments)
    return given.run(given)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="run the main job on simulated or on your own paired data",
        description=DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = demo.add_argument_group("your data")
    data.add_argument("--data", type=Path, metavar="FILE.h5mu", help="your paired cells")
    data.add_argument("--modalities", nargs="+", metavar="NAME", help="modalities of --data, e.g. rna adt")
    data.add_argument("--labels-key", metavar="COLUMN", help="column of obs with the cells' types")
    data.add_argument("--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites")
    data.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="the query: .h5mu with other cells, or a text file with the names of cells of --data to hold out; "
        "default: 30 %% of the cells, whole batches where there are four or more",
    )
    demo.add_argument("--out", type=Path, default=Path("minnet-demo"), help="folder for the results (%(default)s)")
    demo.add_argument("--cells", type=_at_least(200), default=4000, help="cells to simulate (%(default)s)")
    demo.add_argument("--preset", choices=["default", "paper"], default="default", help="recipe (%(default)s)")
    demo.add_argument("--max-epochs", type=_at_least(1), help="passes over the reference (the preset's)")
    demo.add_argument("--seed", type=_at_least(0), default=0, help="(%(default)s)")
    demo.add_argument("--threads", type=_at_least(1), default=1, help="threads of torch and numba (%(default)s)")
    demo.add_argument("--no-progress", action="store_true", help="no progress bars")
    demo.set_defaults(run=_run_demo, parser=demo)


def _at_least(minimum: int) -> type:
    def parse(text: str) -> int:
        number = int(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{number} is less than {minimum}")
        return number

    parse.__name__ = "whole number"
    return parse


def _run_demo(given: argparse.Namespace) -> int:
    of_data = {name: getattr(given, name) for name in ("modalities", "labels_key", "batch_key", "test")}
    if given.data is None and any(value is not None for value in of_data.values()):
        given.parser.error("--modalities, --labels-key, --batch-key and --test describe --data, which is missing")
    if given.data is not None and (len(given.modalities or []) < 2 or given.labels_key is None):
        given.parser.error("--data needs --modalities (two names or more) and --labels-key")
    for path in (given.data, given.test):
        if path is not None and not path.is_file():
            given.parser.error(f"there is no file {path}")

    # what other packages say to developers is not for the user of a command
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", module="lightning")

    # numba's first parallel function sets torch's threads as well; its own number is read when it is imported
    if "numba" not in sys.modules:
        os.environ["NUMBA_NUM_THREADS"] = str(given.threads)

    # heavy imports come after the arguments are known to be right
    import logging

    import matplotlib as mpl
    import torch

    from scminnet import _compat
    from scminnet import demo as job

    mpl.use("Agg")
    torch.set_num_threads(given.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with _compat.new_mudata_manner():
        try:
            if given.data is None:
                work = job.simulated_job(given.cells, given.seed)
            else:
                work = job.user_job(given.data, **of_data, seed=given.seed)
            report = job.run(
                work,
                given.out,
                lambda text: print(text, file=sys.stderr, flush=True),
                max_epochs=given.max_epochs,
                preset=given.preset,
                progress=not given.no_progress,
                seed=given.seed,
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            # a KeyError prints its text in quotes
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            print(f"scminnet: {text}", file=sys.stderr)
            return 1
    print(report.to_string(index=False, float_format="{:.3f}".format))
    print(
        f"everything is in {given.out.resolve()}: report.csv, query.h5mu, model, and umap, confusion and history as .png and .pdf"
    )
    return 0
