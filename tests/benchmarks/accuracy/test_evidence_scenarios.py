"""What each scenario leaves, and what is measured of it. The network is not trained."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import evidence_scenarios
from benchmarks.accuracy.evidence import Embedded, Source, unpaired
from benchmarks.accuracy.evidence_scenarios import BALANCED, MISSING, RUN, page, run, scenarios
from benchmarks.shared.development_sets import DevelopmentSet

NAME = "snareseq_mouse_cortex"


@pytest.fixture
def source(data: DevelopmentSet, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Cells of three types, of which B is the second most frequent."""
    monkeypatch.setitem(MISSING, NAME, ("B",))
    cells = data.train.copy()
    cells.mod["atac"] = cells.mod.pop("chromatin")
    names = cells["rna"].obs_names.to_numpy()
    types = data.train.obs["kind_of_cell"].astype(str)
    return Source(cells, "atac", types, names[:0], names, {})


def given(source: Source, kind: str, key: str) -> evidence_scenarios.Given:
    return scenarios(NAME)[kind][key](source, source.test, np.random.default_rng(0))


def counts(source: Source, names: np.ndarray) -> pd.Series:
    return source.types.loc[names].value_counts()


def test_scenarios_take_cells_of_one_side_only(source: Source) -> None:
    everyone = counts(source, source.test)
    for kind, key, thin in (
        ("test", "no B", "atac"),
        ("test", "types 1:10, fewer of RNA", "rna"),
        ("test", "types 1:10, fewer of atac", "atac"),
        ("all", "cells 1:20, fewer of RNA", "rna"),
        ("all", "cells 1:20, fewer of atac", "atac"),
    ):
        found = given(source, kind, key).cells
        full = "atac" if thin == "rna" else "rna"
        np.testing.assert_array_equal(found[full], source.test)
        kept = counts(source, found[thin])
        if key == "no B":
            assert kept.equals(everyone.drop("B"))
        elif kind == "test":
            assert kept["B"] == round(everyone["B"] / 10)
            assert kept.drop("B").equals(everyone.drop("B"))
        else:
            assert kept.sum() == len(source.test) // 20
    for kind in ("test", "all"):
        assert set(given(source, kind, BALANCED).cells) == {"rna", "atac"}
    few = given(source, "all", "a twentieth of both").cells
    np.testing.assert_array_equal(few["rna"], few["atac"])
    assert len(few["rna"]) == len(source.test) // 20
    assert given(source, "test", "a third of the links").links == pytest.approx(1 / 3)
    assert given(source, "test", "no B").missing == "B"


class Model:
    """Flags every B of RNA, and one more cell."""

    def __init__(self, source: Source, names: pd.Index) -> None:
        is_b = source.types.loc[names.str.removesuffix(", rna")].eq("B").to_numpy(copy=True)
        is_b[np.flatnonzero(~is_b)[0]] = True
        self.flags = pd.DataFrame({"modality": "rna", "unmatched": is_b}, index=names)

    def embed(self) -> None:
        """Cells are embedded already."""

    def unmatched_cells(self) -> pd.DataFrame:
        return self.flags

    def diagnose(self) -> SimpleNamespace:
        rows = [("partners", "rna", "borderline"), ("partners", "atac", "inside"), ("near", "rna", "inside")]
        return SimpleNamespace(table=pd.DataFrame(rows, columns=["check", "modality", "verdict"]))


def test_flags_are_those_of_the_missing_type_and_of_others(source: Source) -> None:
    cells = unpaired(source, source.train, source.test, 0)
    rng = np.random.default_rng(0)
    for m in ("rna", "atac"):
        types = source.types.loc[cells[m].obs_names.str.removesuffix(f", {m}")]
        place = types.map({"A": 0.0, "B": 40.0, "C": 8.0}).to_numpy()[:, None]
        cells[m].obsm["X_minnet"] = (place + rng.normal(0, 0.5, (len(place), 3))).astype(np.float32)
    b = (source.types.loc[cells["atac"].obs_names.str.removesuffix(", atac")] == "B").to_numpy()
    cells = evidence_scenarios.together({"rna": cells["rna"].copy(), "atac": cells["atac"][~b].copy()})
    found = evidence_scenarios.flagged(Model(source, cells["rna"].obs_names), cells, source, "B")
    assert found["without partner"] == found["unassigned"] == found["without match"] == 1
    assert found["others without partner"] == pytest.approx(1 / (len(source.test) - b.sum()))
    assert found["others unassigned"] < 0.2
    assert found["diagnose warns"] == 1
    assert found["others without match"] < 0.2


def test_a_scenario_is_measured_beside_the_balanced_case(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    places = pd.DataFrame(rng.normal(size=(len(source.test), 3)), index=source.test)
    noise = {BALANCED: 0.1, "no B": 0.5}
    monkeypatch.setattr(evidence_scenarios, "fit", lambda *_: (None, None))
    monkeypatch.setattr(evidence_scenarios, "flagged", lambda *_: {"others unassigned": 0.5, "diagnose warns": 1.0})
    tables, beside = [], None
    for key, amount in noise.items():
        moved = places + amount * rng.normal(size=places.shape)
        embedded = {"model": Embedded(places, moved), "linear": Embedded(places, moved)}
        monkeypatch.setattr(evidence_scenarios, "embed", lambda *_, found=embedded: found)
        rows, beside = run(source, scenarios(NAME)["test"][key], source.test, 0, beside)
        tables.append(rows.assign(**dict(zip(RUN, (NAME, "test", key, 0), strict=True))))
    values = tables[1].query("method == 'model'").set_index("metric")["value"]
    assert values["cells"] == (source.types != "B").sum()
    assert values["foscttm"] > 2 * values["balanced foscttm"] > 0
    text = page(pd.concat(tables))
    assert f"{values['foscttm'] / values['balanced foscttm']:.2f}" in text
    assert "| no B " in text
