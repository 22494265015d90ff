from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse.csgraph import dijkstra

from benchmarks.speed.model import __main__ as speed
from benchmarks.speed.model import graph as graph_cases
from benchmarks.speed.model import page
from benchmarks.speed.model.rows import Rows, simulated_values
from scminnet.graph import geodesic
from scminnet.graph.geodesic import GeodesicIndex


def rows(part: str, cells: int, **values: tuple[str, int, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(values.values(), columns=["way", "repeat", "measure", "value"])
    return table.assign(part=part, data="simulated", cells=cells, threads=1, device="cpu")[speed.COLUMNS]


def test_what_is_run_again_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "speed.csv"
    old = [
        rows("graph", 5, a=("distances", 0, "seconds", 1.0), b=("distances", 1, "seconds", 2.0)),
        rows("graph", 9, a=("distances", 0, "seconds", 3.0)),
        rows("training", 5, a=("paper: epoch 0", 0, "seconds", 4.0)),
        rows("training", 5, a=("default: epoch 0", 0, "seconds", 5.0)),
        rows("training", 5, a=("default: epoch 0", 1, "seconds", 6.0)),
    ]

    def write(new: pd.DataFrame) -> None:
        before = pd.read_csv(path, keep_default_na=False) if path.is_file() else None
        speed.merged(new, before).to_csv(path, index=False)

    for table in old:
        write(table)
    assert sorted(pd.read_csv(path)["value"]) == [1, 2, 3, 4, 5, 6]
    # a case of graphs as a whole, a training by preset and seed
    write(rows("graph", 5, a=("distances", 0, "seconds", 7.0)))
    write(rows("training", 5, a=("default: epoch 0", 1, "seconds", 8.0)))
    assert sorted(pd.read_csv(path)["value"]) == [3, 4, 5, 7, 8]


def test_training_is_scaled_to_the_paper_s_epochs():
    table = pd.concat(
        [
            rows(
                "training",
                5,
                a=("paper: exact distances", 0, "seconds", 100.0),
                b=("paper: in place of exact distances", 0, "seconds", 3.0),
                c=("paper: before the first step", 0, "seconds", 5.0),
                d=("paper: epoch 0", 0, "seconds", 7.0),
                e=("paper: epoch 0", 0, "foscttm", 0.4),
            ),
            rows(
                "training",
                5,
                a=("default: epoch 0", 0, "seconds", 2.0),
                b=("default: epoch 0", 0, "foscttm", 0.2),
                c=("default: epoch 1", 0, "seconds", 4.0),
                d=("default: epoch 1", 0, "foscttm", 0.1),
                e=("default: before the first step", 0, "seconds", 1.0),
            ),
        ],
        ignore_index=True,
    )
    text = page._training(table)
    # 5 - 3 before, 100 of exact distances, 35 epochs of 2 seconds; the whole default takes 4
    assert "| 172 " in text
    assert "| 43 " in text


def test_growth_is_the_slope_of_logarithms():
    table = pd.concat([rows("graph", n, a=("distances", 0, "seconds", 2e-6 * n**1.5)) for n in (100, 1000, 5000)])
    assert "1.50" in page._growth(table)


@pytest.mark.parametrize("choose", [graph_cases.farthest_first, graph_cases.at_random])
def test_other_choices_of_landmarks_are_of_the_component(choose):
    rng = np.random.default_rng(0)
    values = simulated_values(60, rng.integers(10, size=60), 0)
    assert values.has_canonical_format
    from scminnet.pp.margin_graph import build_margin_graph

    graph = build_margin_graph(values, n_neighbors=5, n_pcs=10).distances.astype(float)
    cells = np.flatnonzero(np.isfinite(dijkstra(graph, indices=0)))
    chosen = choose(graph, cells, 8, rng)
    assert len(set(chosen)) == 8
    assert set(chosen) <= set(cells)


def test_errors_are_those_of_the_index():
    values = simulated_values(200, np.arange(200) % 10, 0)
    from scminnet.pp.margin_graph import build_margin_graph

    graph = build_margin_graph(values, n_neighbors=8, n_pcs=10).distances
    found = Rows(200)
    sources = np.arange(20)
    graph_cases.compare(found, GeodesicIndex(graph), dijkstra(graph.astype(float), indices=sources), sources)
    measures = {row["measure"]: row["value"] for row in found.rows}
    assert abs(measures["mean_relative_error"]) < 1e-6  # 200 cells: exact
    assert measures["rank_correlation"] == pytest.approx(1)


def test_landmarks_of_all_choices_are_measured(monkeypatch: pytest.MonkeyPatch):
    found = Rows(300)
    monkeypatch.setattr(graph_cases, "N_CHECKED", 20)
    # few cells have exact distances, without landmarks
    monkeypatch.setattr(geodesic, "GeodesicIndex", partial(GeodesicIndex, exact_limit=100))
    graph_cases.landmarks(found, 1, None)
    table = pd.DataFrame(found.rows)
    errors = table[table["measure"] == "mean_relative_error"].set_index("way")["value"]
    assert len(errors) == 3 * 2 * 6
    assert errors["on most paths; 8 landmarks; 0 near"] < errors["farthest point next; 8 landmarks; 0 near"]
