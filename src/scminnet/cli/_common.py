"""Shared by all commands: arguments, silencing of other packages, results and errors."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

#: Exit code of a program that was stopped by Ctrl-C.
INTERRUPTED = 130


def new_command(commands: Any, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
    """Add a command whose description is printed unchanged."""
    return commands.add_parser(
        name, help=help, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_common(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], dict[str, Any] | None]) -> None:
    """Add the arguments of every command. ``run`` does the work and returns what is printed as JSON."""
    parser.add_argument("--seed", type=at_least(0), default=0, help="(%(default)s)")
    parser.add_argument("--no-report", action="store_true", help="write no report.html")
    parser.add_argument("--threads", type=at_least(1), default=1, help="threads of torch and numba (%(default)s)")
    parser.set_defaults(run=lambda given: _run(run, given), parser=parser)


def add_output(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """Add ``-o`` and ``--overwrite``."""
    parser.add_argument("-o", "--out", type=Path, required=True, metavar=metavar, help=help)
    parser.add_argument("--overwrite", action="store_true", help="replace existing output")


def at_least(minimum: int) -> Callable[[str], int]:
    """Return an argument type: whole numbers of at least ``minimum``."""

    def parse(text: str) -> int:
        number = int(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{number} is less than {minimum}")
        return number

    parse.__name__ = "whole number"
    return parse


def check_paths(given: argparse.Namespace, *inputs: Path | None) -> None:
    """Exit with 2 unless the inputs exist and the output may be written."""
    for path in inputs:
        if path is not None and not path.exists():
            given.parser.error(f"there is no file {path}")
    out = getattr(given, "out", None)
    if out is not None and hasattr(given, "overwrite"):
        if not out.absolute().parent.is_dir():
            given.parser.error(f"there is no folder {out.absolute().parent} for --out")
        if out.exists() and not given.overwrite:
            given.parser.error(f"{out} exists; give another --out, or --overwrite")


def say(text: str) -> None:
    """Print to stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Silence messages of other packages that only developers can use, and set the number of threads."""
    # numba's first parallel function also sets torch's threads; both read their number at import
    for module, variable in (("numba", "NUMBA_NUM_THREADS"), ("torch", "OMP_NUM_THREADS")):
        if module not in sys.modules:
            os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)

    # slow imports come after the check of the arguments
    import logging

    import matplotlib as mpl

    from scminnet._core import compat

    mpl.use("Agg")
    # these loggers by name, because Lightning sets the level of their parents when it is imported later
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero", "scvi.data"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # stdout is for results only
    with redirect_stdout(sys.stderr), warnings.catch_warnings(), compat.mudata_0_4_behaviour():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="lightning")
        # only the text, because a line of code means nothing to a user of the command line
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


def _run(run: Callable[[argparse.Namespace], dict[str, Any] | None], given: argparse.Namespace) -> int:
    try:
        result = run(given)
    except (ValueError, KeyError, TypeError, OSError) as error:
        # str() of a KeyError has quotes
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        say(f"scminnet: {text}")
        return 1
    except KeyboardInterrupt:
        say("scminnet: interrupted")
        return INTERRUPTED
    if result is not None:
        print(json.dumps(result, indent=2))
    return 0
