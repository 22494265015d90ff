"""The command ``scminnet``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from scminnet.cli import demo, embed, fit, integrate, links

EPILOG = """\
integrate cells of two modalities, with or without paired cells:
  scminnet integrate cells.h5mu --modalities rna atac --tss genes.gtf.gz -o out

train a model on a paired reference, embed a query, link genes and peaks:
  scminnet fit reference.h5mu --modalities rna atac --labels-key cell_type -o model
  scminnet embed model query.h5mu -o embedded.h5mu
  scminnet links embedded.h5mu --tss genes.gtf.gz -o links.tsv

Progress goes to stderr, results go to stdout as JSON. Exit codes: 0 success, 1 unusable data,
2 wrong arguments, 130 interrupted (Ctrl-C), 143 terminated. Output is complete or not written.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return the exit code (0 success, 1 bad data, 2 bad arguments, 130 interrupted)."""
    parser = argparse.ArgumentParser(
        prog="scminnet",
        description="Embeds single-cell modalities measured in different cells in one space.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"scminnet {version('scminnet')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (integrate, fit, embed, links, demo):
        command.add(commands)
    with _robust_stdout():
        given = parser.parse_args(arguments)
        given.command_line = shlex.join(["scminnet", *(sys.argv[1:] if arguments is None else arguments)])
        return given.run(given)


@contextmanager
def _robust_stdout() -> Iterator[None]:
    """Print any name in any locale, and end quietly if nobody reads to the end."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            # otherwise Python fails in its own last flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
