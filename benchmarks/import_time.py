"""Seconds that importing takes, each import in a process of its own, in turns.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/import_time.py

writes ``benchmarks/results/import_time.md``. Compiled files of Python are there already, as after the first import.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd

RESULT = Path(__file__).parent / "results" / "import_time.md"

STATEMENTS = ("import scvi", "import scminnet", "from scminnet import tl", "from scminnet import MinNet", "import muon")


def cpu_seconds(statement: str) -> float:
    """CPU seconds of a new Python that runs a statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for statement in STATEMENTS:
        cpu_seconds(statement)
    table = pd.DataFrame([{s: cpu_seconds(s) for s in STATEMENTS} for _ in range(repeats)])
    shown = pd.DataFrame(
        {
            "CPU seconds (median)": table.median().map("{:.2f}".format),
            "range": table.min().map("{:.2f}".format) + " to " + table.max().map("{:.2f}".format),
            "of `import scvi`": (table.div(table["import scvi"], axis=0)).median().map("{:.2f}".format),
        }
    ).rename_axis("statement")
    versions = ", ".join(f"{p} {version(p)}" for p in ("scminnet", "scvi-tools", "muon", "torch"))
    RESULT.write_text(
        f"# Importing\n\n{repeats} runs in turns, Python {platform.python_version()}, {versions}. Written by "
        f"`python benchmarks/import_time.py`.\n\n{shown.reset_index().to_markdown(index=False, disable_numparse=True)}\n"
    )
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
