"""Where results are written, and what each page says about its environment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

#: Tables, pages and figures of all benchmarks. The documentation includes the pages by their names.
RESULTS = Path(__file__).parents[1] / "results"


def versions(*packages: str) -> str:
    """Return packages with their installed versions, separated by commas."""
    return ", ".join(f"{package} {version(package)}" for package in packages)
