from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import compare, compare_page
from benchmarks.peers.methods import METHODS, NOTHING, TYPED, Method
from benchmarks.shared.development_sets import DevelopmentSet
from benchmarks.shared.tables import merged, ordered

PERFECT = """
import numpy as np
from exchange import arguments, read_task, write_embedding

given = arguments()
task = read_task(given.task)
assert given.words == ["word"] and bool(task.pairs) is {pairs}
# types' own features, so that cells of a type fall together in both modalities
embedding = {{m: adata.layers["counts"].toarray() for m, adata in task.cells.items()}}
write_embedding(given.out, embedding, task.cells, "numpy")
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Put a method's script beside the real ones, and the method among them."""

    def add(text: str, given: str = NOTHING, **options: object) -> None:
        path = tmp_path / "run_it.py"
        path.write_text(f"import sys; sys.path.insert(0, {str(compare.PEERS)!r})\n" + text)
        monkeypatch.setitem(METHODS, "it", Method(given, str(path), ("word",), **options))

    return add


def run(data: DevelopmentSet, tmp_path: Path) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    return compare.one_run("it", data, 0, folder=tmp_path, limit=600)


@pytest.mark.parametrize("given", [NOTHING, TYPED])
def test_a_method_is_run_and_measured(data: DevelopmentSet, script, tmp_path: Path, given: str) -> None:
    script(PERFECT.format(pairs=given == TYPED), given)
    table, embedding = run(data, tmp_path)
    assert list(table) == compare.COLUMNS
    assert table["reason"].isna().all()
    values = table.set_index(["metric", "modalities"])["value"]
    # types are told apart by both modalities, cells of a type are not
    assert values["label_transfer_accuracy", "rna -> chromatin"] > 0.8
    assert 0.1 < values["foscttm_mean", "rna, chromatin"] < 0.35
    assert ("label_transfer_accuracy of C", "rna -> chromatin") in values
    assert (table["given"] == given).all()
    assert table["versions"].eq(f"numpy {np.__version__}").all()
    assert table["memory_gb"].gt(0.01).all()
    for modality in data.modalities:
        expected = data.test[modality].layers["counts"].toarray()
        np.testing.assert_array_equal(embedding[modality].to_numpy(), expected)


def test_the_reason_of_a_failure_is_a_row(data: DevelopmentSet, script, tmp_path: Path) -> None:
    script("raise SystemExit('no such luck')")
    table, embedding = run(data, tmp_path)
    assert embedding == {}
    assert table["metric"].tolist() == ["failed"]
    assert table["reason"].tolist() == ["no such luck"]
    assert table["value"].isna().all()
    assert table["seconds"].notna().all()


def test_reasons_before_a_run(data: DevelopmentSet, script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script("", second=("adt",))
    assert run(data, tmp_path)[0]["reason"].item() == "made for adt, not for chromatin"
    monkeypatch.setitem(METHODS, "it", Method(NOTHING, missing="gone"))
    assert run(data, tmp_path)[0]["reason"].item() == "gone"


@pytest.mark.parametrize(
    ("change", "reason"), [("np.nan", "the embedding of rna is not finite"), ("0", "all cells of rna are on one point")]
)
def test_an_embedding_without_sense_is_a_failure(
    data: DevelopmentSet, script, tmp_path: Path, change: str, reason: str
) -> None:
    script(PERFECT.format(pairs=False).replace(".toarray()", f".toarray() * {change}"))
    assert run(data, tmp_path)[0]["reason"].item() == reason


def rows(method: str, seed: int, value: float, **columns: object) -> pd.DataFrame:
    row = {"method": method, "data": "pbmc10k_citeseq", "scenario": "standard", "seed": seed, "given": NOTHING}
    row |= {"metric": "foscttm_mean", "modalities": "rna, adt", "value": value, "cpu_seconds": 3.0, "memory_gb": 1.0}
    return pd.DataFrame([row | columns]).reindex(columns=compare.COLUMNS)


def test_what_is_run_again_takes_the_place_of_the_older_run() -> None:
    old = pd.concat([rows("MaxFuse", 0, 0.3), rows("MaxFuse", 1, 0.4), rows("default", 0, 0.1)])
    table = ordered(merged(rows("MaxFuse", 0, 0.2), old, compare.RUN), compare.ORDER, compare.RANKS)
    assert table["method"].tolist() == ["default", "MaxFuse", "MaxFuse"]
    assert table["value"].tolist() == [0.1, 0.2, 0.4]


def test_the_page_has_means_over_seeds_and_reasons(tmp_path: Path) -> None:
    table = pd.concat(
        [
            rows("default", 0, 0.1),
            rows("default", 1, 0.3),
            rows("Harmony", 0, 0.5),
            rows("Harmony", 0, 0.6, metric="label_transfer_accuracy", modalities="rna -> adt"),
            rows("Harmony", 0, 0.8, metric="label_transfer_accuracy", modalities="adt -> rna"),
            rows("SCOT", 0, np.nan, metric="failed", reason="not to be had", cpu_seconds=np.nan),
        ]
    )
    found = compare_page.summary(table).set_index("method")
    assert found.loc["default", "FOSCTTM"] == "0.200 ± 0.141"
    assert found.loc["Harmony", "FOSCTTM"] == "0.500"
    assert found.loc["Harmony", "label transfer"] == "0.700"
    assert found.loc["default", "seeds"] == 2
    assert "SCOT" not in found.index
    reasons = compare_page.failures(table).set_index("method")["reason"]
    assert reasons["SCOT"] == "not to be had"
    # what has no row has not been forgotten
    assert reasons["MaxFuse"] == "not run for this table"
    assert reasons["UINMF"] == METHODS["UINMF"].missing
    assert set(reasons.index) == set(METHODS) - {"default", "Harmony"}
    table["versions"] = np.nan
    full = pd.concat(
        [
            table,
            rows("Harmony", 0, 0.1, metric="silhouette_label"),
            rows("Harmony", 0, 0.1, metric="silhouette_modality"),
        ]
    )
    compare_page.write(full, tmp_path)
    assert "not to be had" in (tmp_path / "compare.md").read_text()
    assert (tmp_path / "compare.png").stat().st_size > 10_000
