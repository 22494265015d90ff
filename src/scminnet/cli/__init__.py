"""The command ``scminnet``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version

from scminnet.cli import demo, embed, fit, links

EPILOG = """\
a model from a paired reference, an embedding of a query, links of genes and peaks:
  scminnet fit reference.h5mu --modalities rna atac --labels-key cell_type -o model
  scminnet embed model query.h5mu -o embedded.h5mu
  scminnet links embedded.h5mu --tss genes.gtf.gz -o links.tsv

Progress goes to stderr, results as JSON to stdout. Exit codes: 0 well, 1 data that cannot be
used, 2 wrong arguments, 130 interrupted. Whatever is written is whole or not there.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 well, 1 bad data, 2 bad arguments, 130 interrupted)."""
    parser = argparse.ArgumentParser(
        prog="scminnet",
        description="One space for single-cell modalities that were measured in different cells.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"scminnet {version('scminnet')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (fit, embed, links, demo):
        command.add(commands)
    given = parser.parse_args(arguments)
    return given.run(given)
