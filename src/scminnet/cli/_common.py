"""Shared by all commands: arguments, silencing of other packages, results and errors."""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from scminnet._core.outputs import is_standard_output

#: Exit codes: the data can not be used; the program was stopped by Ctrl-C.
FAILED, INTERRUPTED = 1, 130


def new_command(commands: Any, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
    """Add a command whose description is printed unchanged."""
    return commands.add_parser(
        name, help=help, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_common(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], dict[str, Any] | str]) -> None:
    """Add the arguments of every command. ``run`` does the work and returns what is printed, a dictionary as JSON."""
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="seed of all random steps (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=at_least(1), default=1, metavar="N", help="CPU threads to use (default: %(default)s)"
    )
    parser.add_argument("--no-report", action="store_true", help="write no report.html (default: write one)")
    parser.set_defaults(run=lambda given: _run(run, given), parser=parser)


def add_output(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """Add ``-o`` and ``--overwrite``."""
    parser.add_argument("-o", "--out", type=Path, required=True, metavar=metavar, help=help)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists (default: refuse)")


def add_unlabeled(parser: Any) -> None:
    """Add ``--unlabeled-category``."""
    parser.add_argument(
        "--unlabeled-category",
        nargs="+",
        default=["Unknown"],
        metavar="NAME",
        help="labels of cells without a label, beside missing values, e.g. nan unassigned (default: Unknown)",
    )


def at_least(minimum: int) -> Callable[[str], int]:
    """Return an argument type: whole numbers of at least ``minimum``."""

    def parse(text: str) -> int:
        number = int(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{number} is less than {minimum}")
        return number

    parse.__name__ = "whole number"
    return parse


def check_inputs(given: argparse.Namespace, inputs: Mapping[str, Path | None]) -> None:
    """Exit with 2 unless each input exists and can be read.

    Parameters
    ----------
    given
        The arguments.
    inputs
        By argument, the file or folder; ``None``: not given.
    """
    for argument, path in inputs.items():
        if path is None:
            continue
        try:
            found = path.stat()
        except OSError as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            given.parser.error(f"{argument}: {'there is no file' if missing else error.strerror} {path}")
        if not os.access(path, os.R_OK):
            given.parser.error(f"{argument}: {path} can not be read: permission denied")
        if stat.S_ISREG(found.st_mode) and not found.st_size:
            given.parser.error(f"{argument}: {path} is empty")


def check_names(given: argparse.Namespace) -> None:
    """Exit with 2 unless ``given.modalities`` names two modalities or more, each once."""
    names = given.modalities
    if len(names) < 2:
        given.parser.error("--modalities needs two names or more, e.g. --modalities rna atac")
    if len(set(names)) < len(names):
        given.parser.error(f"--modalities names one modality twice: {' '.join(names)}")


def say(text: str) -> None:
    """Print a line to stderr, if anyone listens."""
    if sys.stderr is not None:
        with suppress(OSError):
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
    for name in (*compat.LIGHTNING_LOGGERS, "scvi.data"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # stdout is for results only; a closed stderr is None
    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(sys.stderr or nowhere),
        warnings.catch_warnings(),
        compat.mudata_0_4_behaviour(),
    ):
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", module="lightning")
        # only the text, because a line of code means nothing to a user of the command line
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


#: Errors about data, files or the machine. Others are faults of scminnet, and show where.
ERRORS = (ValueError, KeyError, TypeError, OSError, ImportError, MemoryError)


def _run(run: Callable[[argparse.Namespace], dict[str, Any] | str], given: argparse.Namespace) -> int:
    try:
        with _stopped_by_signals():
            result = run(given)
    except ERRORS as error:
        # str() of a KeyError has quotes
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        say(f"scminnet: {' '.join(str(text).split()) or type(error).__name__}")
        return FAILED
    except KeyboardInterrupt:
        say("scminnet: interrupted")
        return INTERRUPTED
    try:
        text = result if isinstance(result, str) else json.dumps(result, indent=2)
        # with a table in stdout, the result goes where the progress goes
        if "out" in given and is_standard_output(given.out):
            say(text)
        else:
            print(text, flush=True)
    except OSError as error:
        say(f"scminnet: the result can not be printed: {error.strerror}. Files are complete.")
        return FAILED
    return 0


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let other signals that end a program leave as little behind as Ctrl-C does. Exit with 128 and the number."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        say(f"scminnet: stopped by {signal.Signals(number).name}")
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # under nohup SIGHUP is ignored, and stays so
    changed = {number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, before in changed.items():
            signal.signal(number, before)
