from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from benchmarks.downstream import crispri
from benchmarks.downstream.crispri_table import NEEDED, FormatError, read_table
from benchmarks.shared.bootstrap import average_precision, cluster_weights


def table(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Tested pairs of two cell types, in which near and accessible elements regulate."""
    rng = np.random.default_rng(seed)
    gene = rng.integers(0, 40, n)
    distance = np.exp(rng.uniform(np.log(1_000), np.log(900_000), n)).astype(int)
    dhs = rng.gamma(1, 5, n)
    middle = 2_000_000 * (gene + 1) + distance
    odds = 3 * dhs / 5 * (np.maximum(distance, 5000) / 5000.0) ** -1.2
    found = {
        "chrom": "chr1",
        "chromStart": middle - 250,
        "chromEnd": middle + 250,
        "chrTSS": "chr1",
        "startTSS": 2_000_000 * (gene + 1),
        "endTSS": 2_000_000 * (gene + 1) + 1,
        "measuredGeneSymbol": [f"g{i}" for i in gene],
        "measuredGeneEnsemblId": [f"ENSG{i}" for i in gene],
        "CellType": np.where(np.arange(n) % 2, "Jurkat", "WTC11"),
        "Regulated": np.where(rng.random(n) < odds / (1 + odds), "TRUE", "FALSE"),
        "ValidConnection": "TRUE",
        "distanceToTSS": distance,
        "DHS.RPM": dhs,
        "H3K27ac.RPM": rng.gamma(1, 5, n),
        "chromosomes": "x",
    }
    made = pd.DataFrame(found)
    made.loc[made["chromStart"] > 40_000_000, ["chrom", "chrTSS"]] = "chr2"
    return made


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    monkeypatch.delenv("SCMINNET_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["crispri", *map(str, arguments)])
    crispri.main()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_line_a_score(tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "other.tsv.gz"
    table().to_csv(path, sep="\t", index=False)
    lines = run(monkeypatch, capsys, "--table", path, "--bootstraps", 50)
    names = [line["score"] for line in lines]
    assert {"distance", "DHS x power law", crispri.SCORE} <= set(names)
    truth = read_table(path).pairs
    for line in lines:
        assert line["pairs"] == 300
        assert line["interval"][0] <= line["auprc"] <= line["interval"][1]
        assert set(line["distance"]) == {"0-10 kb", "10-100 kb", "> 100 kb"}
        assert sum(part["pairs"] for part in line["distance"].values()) == 300
        assert set(line["cell_types"]) == {"Jurkat", "WTC11"}
    expected = average_precision_score(truth["regulated"], -truth["distance"])
    assert lines[0]["auprc"] == pytest.approx(expected, abs=1e-4)
    area = {line["score"]: line["auprc"] for line in lines}
    assert area[crispri.SCORE] > area["distance"] > area["DHS"]


def test_genes_share_contacts(tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "other.tsv"
    table().to_csv(path, sep="\t", index=False)
    genes = tmp_path / "genes_hg38.bed"
    pairs = table().drop_duplicates("measuredGeneEnsemblId")
    rows = [
        f"{p.chrTSS}\t{p.startTSS}\t{p.startTSS + 900}\t{p.measuredGeneSymbol}\t0\t+\t{p.measuredGeneEnsemblId}"
        for p in pairs.itertuples()
    ]
    genes.write_text("\n".join(rows) + "\n")
    alone = run(monkeypatch, capsys, "--table", path, "--bootstraps", 1)
    assert alone == run(monkeypatch, capsys, "--table", path, "--genes", genes, "--bootstraps", 1)
    # a gene at every element takes the contacts of the others
    more = [f"chr1\t{m}\t{m + 9}\tnew{m}\t0\t+\tENSGx{m}" for m in table()["chromStart"]]
    genes.write_text("\n".join([*rows, *more]) + "\n")
    assert alone != run(monkeypatch, capsys, "--table", path, "--bootstraps", 1)


@pytest.mark.parametrize("column", NEEDED)
def test_a_missing_column_is_named(tmp_path: Path, monkeypatch, capsys, column: str) -> None:
    path = tmp_path / "other.tsv"
    table().drop(columns=column).to_csv(path, sep="\t", index=False)
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, capsys, "--table", path)
    assert stopped.value.code == 2
    assert f"lacks the columns ['{column}']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("Regulated", "maybe", "'Regulated' holds values other than TRUE and FALSE"),
        ("distanceToTSS", "far", "1 rows of column 'distanceToTSS' are no numbers, e.g. .'far'"),
        ("DHS.RPM", "-1", "no element or a negative DHS.RPM"),
        ("chromEnd", "3", "no element"),
    ],
)
def test_odd_values_are_shown(tmp_path: Path, column: str, value: str, text: str) -> None:
    odd = table().astype(str)
    odd.loc[5, column] = value
    odd.to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    with pytest.raises(FormatError, match=text):
        read_table(tmp_path / "other.tsv")


def test_pairs_without_a_value_or_not_valid_are_counted(tmp_path: Path) -> None:
    some = table()
    some["DHS.RPM"] = some["DHS.RPM"].astype(object)
    some.loc[:4, "DHS.RPM"] = "NA"
    some.loc[10:12, "ValidConnection"] = "overlaps potential promoter"
    some.to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    read = read_table(tmp_path / "other.tsv")
    assert read.left_out == {"no DHS.RPM": 5, "overlaps potential promoter": 3}
    assert len(read.pairs) == 292
    assert read.pairs["regulated"].dtype == bool


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="there is no file"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(FormatError, match="can not be read"):
        read_table(tmp_path / "empty.tsv")
    with gzip.open(tmp_path / "cut.tsv.gz", "wb") as file:
        file.write(b"a\tb\n1\t2\n" * 1000)
    whole = (tmp_path / "cut.tsv.gz").read_bytes()
    (tmp_path / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="can not be read"):
        read_table(tmp_path / "cut.tsv.gz")


def test_average_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.random(200) < 0.2
    score = rng.integers(0, 20, 200) + outcome  # ties
    weights = cluster_weights(rng.integers(0, 30, 200), 10, seed=1)
    assert (weights[0] == 1).all()
    expected = [average_precision_score(outcome, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(average_precision(outcome, score, weights), expected, rtol=1e-9)
