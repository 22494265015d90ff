"""The documentation keeps up with the code."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

#: Columns of a block of code, which is as wide as the text beside it.
WIDTH = 88
#: Words of the longest sentence that can be read once.
WORDS = 32

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not part of a source distribution")


@pytest.mark.parametrize("part", ["datasets", "metrics", "model", "pl", "pp", "tl"])
def test_the_api_page_lists_all_that_is_public(part: str) -> None:
    names = import_module(f"scminnet.{part}").__all__
    listed = re.findall(
        r"^   (?:\w+\.)*(\w+)$", "".join(p.read_text() for p in (DOCS / "api").glob("*.md")), re.MULTILINE
    )
    assert sorted(set(names) - set(listed) - {"PRESETS"}) == []


def test_the_api_page_lists_what_users_call_and_no_parts() -> None:
    page = (DOCS / "api" / "index.md").read_text()
    for part in ("datasets", "metrics", "pl", "pp", "tl"):
        assert [name for name in import_module(f"scminnet.{part}").__all__ if f"   {name}\n" not in page] == []
    assert "SiameseModule" not in page


def test_every_page_of_the_user_guide_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text()
    pages = [page.stem for page in (DOCS / "user_guide").glob("[a-z]*.md")]
    assert [page for page in pages if f"user_guide/{page}\n" not in index] == []


def pages() -> dict[str, str]:
    """The text of every page that a person wrote, by path: markdown, and the markdown of the notebooks."""
    paths = [ROOT / "README.md", ROOT / "tutorials" / "README.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")]
    found = {str(p.relative_to(ROOT)): p.read_text() for p in paths if not p.name.startswith("_") and p.is_file()}
    for path in (ROOT / "tutorials").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found[path.name] = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return found


def sentences(text: str) -> list[str]:
    """The sentences of a page, without code, formulas, tables and addresses."""
    text = re.sub(r"^( *)(`{3,}|:{3,}).*?^\1\2$|^---\n.*?^---$", "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$", " formula. ", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$\n]+\$|`[^`\n]+`|\{[\w:-]+\}", "x", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|:#]|\d+\.)\s)", text)
    prose = [" ".join(block.split()) for block in blocks if not block.lstrip().startswith(("|", "#", "<", "```"))]
    return [s for block in prose for s in re.split(r"(?<=[.!?:])[\"*)]*\s+(?=\S)", block)]


def code_lines(text: str) -> list[str]:
    """The lines of a page's blocks of code."""
    found, fence = [], None
    for line in text.splitlines():
        mark = re.match(r" *(`{3,})", line)
        if fence is None and mark:
            # directives such as figures are no code
            fence = (mark[1], "{" not in line)
        elif fence is not None and line.strip() == fence[0]:
            fence = None
        elif fence is not None and fence[1]:
            found.append(line)
    return found


def test_blocks_of_code_fit_the_column() -> None:
    wide = [f"{name}: {line}" for name, text in pages().items() for line in code_lines(text) if len(line) > WIDTH]
    assert wide == []


def test_no_sentence_must_be_read_twice() -> None:
    long = [
        f"{name}: {len(sentence.split())} words: {sentence}"
        for name, text in pages().items()
        for sentence in sentences(text)
        if len(sentence.split()) > WORDS
    ]
    assert long == []


def test_one_namespace_is_documented() -> None:
    named = [name for name, text in pages().items() if "mu.tl." in text]
    assert named == ["docs/user_guide/own_embedding.md"]


def test_the_drawing_of_the_method_is_not_stale() -> None:
    done = subprocess.run([sys.executable, DOCS / "drawing.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ('<script src="https://cdn.jsdelivr.net/npm/mathjax/tex.js"></script>', 1),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', 1),
        ('<img alt="a" src="http://example.org/a.png">', 1),
        ("@font-face { src: url(https://example.org/a.woff) }", 1),
        ('<link rel="canonical" href="https://example.org"><a href="https://example.org">read</a>', 0),
        ('<script src="_static/a.js"></script><img src="_images/a.png">', 0),
    ],
)
def test_what_a_page_loads_from_a_network_is_found(text: str, n: int) -> None:
    check = runpy.run_path(str(DOCS / "check_html.py"))["loaded_from_elsewhere"]
    assert len(check(text)) == n
