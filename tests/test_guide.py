"""The user guide's code runs from the top of its pages to their ends, on fewer cells and with a short training."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scminnet as mn

GUIDE = Path(__file__).parents[1] / "docs" / "user_guide"

#: Pages whose code goes on where that of the one before ended.
PAGES = ("integrate", "annotate", "impute", "enhancers", "compare", "diagnose", "metrics", "own_embedding")

#: Blocks that need other packages, a network or much time.
ELSEWHERE = ("run_autotune", "HubModel", "pull_from", "pair_strategy")

pytestmark = pytest.mark.skipif(not GUIDE.is_dir(), reason="the documentation is not part of this distribution")


def blocks(page: str) -> list[str]:
    text = (GUIDE / f"{page}.md").read_text()
    found = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for block in found if not any(word in block for word in ELSEWHERE)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    simulate, train = mn.datasets.simulate_multiome, mn.MinNet.train

    @functools.wraps(simulate)
    def fewer(n_cells: int = 2000, **arguments: Any) -> Any:
        return simulate(min(n_cells, 800), **{"n_types": 4, "n_genes": 150, "n_peaks": 500, **arguments})

    @functools.wraps(train)
    def shorter(self: mn.MinNet, max_epochs: int | None = None, **arguments: Any) -> None:
        train(self, 3, **{"enable_progress_bar": False, "accelerator": "cpu", **arguments})

    monkeypatch.setattr(mn.datasets, "simulate_multiome", fewer)
    monkeypatch.setattr(mn.MinNet, "train", shorter)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {"mn": mn}

    def execute(page: str) -> None:
        if page == "own_embedding":
            for name in ("rna", "atac"):
                names[f"{name}_embedding"] = rng.normal(size=(names["mdata"][name].n_obs, 5))
        if page == "hyperparameters":
            names["ref"] = fewer()
            mn.pp.normalize(names["ref"])
            mn.MinNet.setup_mudata(names["ref"], ["rna", "atac"], labels_key="cell_type", batch_key="batch")
        for block in blocks(page):
            exec(compile(block, f"{page}.md", "exec"), names)
            plt.close("all")

    return execute


def test_how_to_pages_run_one_after_the_other(run: Any) -> None:
    for page in PAGES:
        run(page)


@pytest.mark.parametrize("page", ["hyperparameters", "margin_graph"])
def test_pages_that_begin_anew(run: Any, page: str) -> None:
    run(page)
