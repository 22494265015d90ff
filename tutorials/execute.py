"""Executes every notebook of this folder in place; ``--check`` leaves the files as they are, and fails where a notebook does."""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    folder = Path(__file__).parent
    for path in sorted(folder.glob("*.ipynb")):
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(folder)}}).execute()
        if not check:
            for cell in notebook.cells:
                # what packages say to developers on stderr differs from machine to machine
                if "outputs" in cell:
                    cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
                cell.metadata.pop("execution", None)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
