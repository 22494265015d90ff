"""The notebooks as they are committed; ``tutorials/execute.py --check`` runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="the tutorials are not part of a source distribution")


def outputs(path: Path) -> list[dict]:
    return [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]


def test_notebooks_are_numbered_and_listed() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{i:02}_" for i in range(1, len(NOTEBOOKS) + 1)]
    readme, page = ((ROOT / place).read_text() for place in ("tutorials/README.md", "docs/tutorials.md"))
    for path in NOTEBOOKS:
        assert f"({path.name})" in readme
        assert f" <tutorials/{path.stem}>\n" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_run_from_start_to_end(path: Path) -> None:
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    assert None not in counts
    own = [n for cell, n in zip(code, counts, strict=True) if "real-data" not in cell["metadata"].get("tags", [])]
    assert own == sorted(own)
    assert not [output for output in outputs(path) if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_nothing_of_the_machine(path: Path) -> None:
    text = json.dumps([{**output, "data": {**output.get("data", {}), "image/png": ""}} for output in outputs(path)])
    assert not re.search(r"/(home|root|Users|work|mnt|tmp)/|site-packages", text)
