"""The report that every command writes beside its output."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import say

#: Commands whose output is a folder of results, which also holds the report.
INTO_FOLDER = ("integrate", "demo")


def report_path(given: argparse.Namespace) -> Path:
    """Return where the report goes: into a folder of results, else beside the file or the model."""
    out = Path(given.out)
    into_folder = given.parser.prog.split()[-1] in INTO_FOLDER
    return out / "report.html" if into_folder else out.with_name(f"{out.stem}.report.html")


def write_report(given: argparse.Namespace, data: Any, **known: Any) -> None:
    """Write the report, unless ``--no-report`` is given. ``data`` and ``known`` are as in :func:`scminnet.report`."""
    if given.no_report:
        return
    from scminnet.reporting import report

    say("writing the report ...")
    path = report_path(given)
    report(data, path, command=given.command_line, seed=given.seed, title=given.parser.prog, **known)
    say(f"report: {path.resolve()}")
