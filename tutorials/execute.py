"""Executes the notebooks of this folder in place, all or those named, e.g. ``03 05``.

``--check`` leaves the files as they are, and fails where a notebook does. Cells tagged ``real-data`` run where
``$SCMINNET_DATA`` names the folder of the data sets; elsewhere they are passed over and keep their outputs.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent

#: A temporary folder, whose name is another in each run.
TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w+")


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in a fresh kernel."""
    has_data = bool(os.environ.get("SCMINNET_DATA"))
    client = NotebookClient(
        notebook,
        timeout=1200,
        resources={"metadata": {"path": str(FOLDER)}},
        skip_cells_with_tag="" if has_data else "real-data",
        # twice the dots of a screen: figures are drawn as small as they are printed
        extra_arguments=["--InlineBackend.figure_formats={'retina'}"],
    )
    client.execute()


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Take out what differs from machine to machine: when cells ran, and what packages say to developers on stderr."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr"
            ]
            for output in cell.outputs:
                if "text" in output:
                    output.text = TEMPORARY.sub("folder", output.text)
        cell.metadata.pop("execution", None)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help="how the names of notebooks begin; none: all"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    # a backend chosen for scripts would leave the notebooks without figures
    os.environ.pop("MPLBACKEND", None)
    paths = [
        path
        for path in sorted(FOLDER.glob("*.ipynb"))
        if path.name.startswith(tuple(arguments.names or [""]))
    ]
    if not paths:
        parser.error(f"no notebook's name begins with {' or '.join(arguments.names)}")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        began = time.perf_counter()
        execute(notebook)
        print(f"{path.name}: {time.perf_counter() - began:.0f} s", flush=True)
        if not arguments.check:
            tidy(notebook)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
