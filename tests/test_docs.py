"""The documentation keeps up with the code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not part of a source distribution")


@pytest.mark.parametrize("part", ["datasets", "metrics", "model", "pl", "pp", "tl"])
def test_the_api_page_lists_all_that_is_public(part: str) -> None:
    names = import_module(f"scminnet.{part}").__all__
    page = (DOCS / "api" / "index.md").read_text()
    assert [name for name in names if name not in page] == []


def test_every_page_of_the_user_guide_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text()
    pages = [page.stem for page in (DOCS / "user_guide").glob("[a-z]*.md")]
    assert [page for page in pages if f"user_guide/{page}\n" not in index] == []
