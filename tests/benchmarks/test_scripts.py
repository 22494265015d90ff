"""Every script of the benchmarks starts by its command, and every text names commands that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
#: Stand-alone files, which run in environments without this package.
ALONE = {BENCHMARKS / "shared" / "resources.py", BENCHMARKS / "accuracy" / "scib_scores.py"}


def scripts() -> list[str]:
    """Return the modules that run as a command."""
    found = []
    for path in sorted(BENCHMARKS.rglob("*.py")):
        if path in ALONE or path.parent.name == "peers" or 'if __name__ == "__main__"' not in path.read_text():
            continue
        relative = path.relative_to(ROOT).with_suffix("")
        found.append(".".join(relative.parts).removesuffix(".__main__"))
    return found


@pytest.mark.parametrize("script", scripts())
def test_a_script_starts(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(script)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{script}.__main__")
    monkeypatch.setattr("sys.argv", [script, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    assert "usage:" in capsys.readouterr().out


def test_commands_in_texts_exist() -> None:
    texts = [ROOT / "README.md", *BENCHMARKS.rglob("*.md"), *BENCHMARKS.rglob("*.py"), *ROOT.glob("docs/**/*.md")]
    named = {name for text in texts for name in re.findall(r"python -m (benchmarks[\w.]*\w)", text.read_text())}
    assert set(scripts()) <= named
    for name in named:
        assert importlib.util.find_spec(name) is not None, name


def test_every_page_of_results_names_its_command() -> None:
    for page in BENCHMARKS.glob("results/*.md"):
        assert re.search(r"`python -m benchmarks\.\w+\.\w+`", page.read_text()), page.name
