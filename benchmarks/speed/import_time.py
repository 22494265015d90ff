"""CPU seconds of imports, each in a process of its own, in turns.

Run from the root of the repository::

    python -m benchmarks.speed.import_time

It writes ``import_time.md``. The compiled files of Python exist, as after the first import.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pandas as pd

from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS, versions

RESULT = RESULTS / "import_time.md"

STATEMENTS = ("import scvi", "import scminnet", "from scminnet import tl", "from scminnet import MinNet", "import muon")


def cpu_seconds(statement: str) -> float:
    """CPU seconds of a new Python that runs a statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure all statements."""
    parser = command_line.parser(__doc__)
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
    used = versions("scminnet", "scvi-tools", "muon", "torch")
    RESULT.write_text(
        f"# Importing\n\n{repeats} runs in turns, Python {platform.python_version()}, {used}. Written by "
        "`python -m "
        f"benchmarks.speed.import_time`.\n\n{shown.reset_index().to_markdown(index=False, disable_numparse=True)}\n"
    )
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
