from __future__ import annotations

import io
import re

import bioframe
import numpy as np
import pandas as pd
import pytest

import scminnet as mn
from scminnet.tl.export_links import FORMATS, INTERACT_AS

INTERACT = re.findall(r"^    (?:string|uint|double) (\w+);", INTERACT_AS, re.MULTILINE)


def make() -> pd.DataFrame:
    """Links upstream and downstream of genes on both strands, not sorted, of two groups."""
    links = pd.DataFrame(
        {
            "gene": ["LEF1", "CD8 A", "LEF1", "MYC"],
            "peak": ["chr4:900-1400", "chr2:5000-5500", "chr4:100-600", "chr10:10-20"],
            "chrom": ["chr4", "chr2", "chr4", "chr10"],
            "start": [900, 5000, 100, 10],
            "end": [1400, 5500, 600, 20],
            "tss": [1200, 2000, 1200, 12],
            "strand": ["+", "-", "+", "-"],
            "distance": [-50, 3249, -850, -3],
            "promoter": [True, False, True, True],
            "r": [0.5, -0.25, 1.0, 0.0],
            "z": [4.0, -2.0, 8.0, 0.0],
            "p": [0.01, 0.1, 0.0001, 1.0],
            "fdr": [0.02, 0.1, 0.0004, 1.0],
            "n_bulks": [30, 30, 30, 30],
            "group": ["CD4 T", "CD4 T", "B", "B"],
        }
    )
    return links


def rows(path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_bed(tmp_path) -> None:
    mn.tl.export_links(make(), tmp_path / "l.bed")
    table = bioframe.read_table(tmp_path / "l.bed", schema="bed6")
    assert table.to_numpy().tolist() == [
        ["chr10", 10, 20, "MYC", 0, "-"],
        ["chr2", 5000, 5500, "CD8_A", 250, "-"],
        ["chr4", 100, 600, "LEF1", 1000, "+"],
        ["chr4", 900, 1400, "LEF1", 500, "+"],
    ]


def test_bedpe(tmp_path) -> None:
    mn.tl.export_links(make(), tmp_path / "l.bedpe", score="p")
    header, *lines = rows(tmp_path / "l.bedpe")
    # https://bedtools.readthedocs.io/en/latest/content/general-usage.html#bedpe-format
    assert header[:10] == [
        "#chrom1",
        "start1",
        "end1",
        "chrom2",
        "start2",
        "end2",
        "name",
        "score",
        "strand1",
        "strand2",
    ]
    assert header[10:] == ["distance", "promoter", "r", "z", "p", "fdr", "n_bulks", "group"]
    assert lines[2][:7] == ["chr4", "100", "600", "chr4", "1200", "1201", "chr4:100-600/LEF1"]
    assert float(lines[2][7]) == pytest.approx(4)
    assert lines[2][8:10] == [".", "+"]
    # what is written is evidence that supports every link
    support = mn.tl.link_support(make(), tmp_path / "l.bedpe", slack=0)
    assert support.pairs["supported"].all()


@pytest.mark.parametrize("format", ["interact", "biginteract"])
def test_interact(tmp_path, format: str) -> None:
    path = tmp_path / f"l.{format}"
    mn.tl.export_links(make(), path)
    lines = rows(path)
    if format == "interact":
        assert lines.pop(0)[0].startswith("track type=interact ")
        assert not (tmp_path / "l.interact.as").exists()
    else:
        assert (tmp_path / "l.biginteract.as").read_text() == INTERACT_AS
    assert len(INTERACT) == 18
    table = pd.DataFrame(lines, columns=INTERACT)
    numbers = [c for c in INTERACT if c.endswith(("Start", "End", "score"))]
    table[numbers] = table[numbers].astype(int)
    assert (table["chromStart"] < table["chromEnd"]).all()
    np.testing.assert_array_equal(table["chromStart"], table[["sourceStart", "targetStart"]].min(axis=1))
    np.testing.assert_array_equal(table["chromEnd"], table[["sourceEnd", "targetEnd"]].max(axis=1))
    assert table["score"].between(0, 1000).all()
    assert table["color"].str.fullmatch("#[0-9a-f]{6}").all()
    assert (table["chrom"] == table["sourceChrom"]).all()
    assert (table["chrom"] == table["targetChrom"]).all()
    assert list(zip(table["chrom"], table["chromStart"], strict=True)) == sorted(
        zip(table["chrom"], table["chromStart"], strict=True)
    )
    assert table.iloc[1].tolist() == (
        ["chr2", 2000, 5500, "chr2:5000-5500/CD8_A", 250, "-0.25", "CD4_T", "#2166ac"]
        + ["chr2", 5000, 5500, "chr2:5000-5500", ".", "chr2", 2000, 2001, "CD8_A", "-"]
    )


def test_longrange(tmp_path) -> None:
    mn.tl.export_links(make(), tmp_path / "l.longrange", score="z")
    lines = rows(tmp_path / "l.longrange")
    assert len(lines) == 8
    assert lines == sorted(lines, key=lambda line: (line[0], int(line[1]), int(line[2])))
    assert len({line[4] for line in lines}) == 8
    assert {line[5] for line in lines} == {"+", "-"}
    both = set()
    for chrom, start, end, mate, _, strand in lines:
        place, value = mate.split(",")
        there, where = place.split(":")
        assert there == chrom
        first, last = map(int, where.split("-"))
        assert int(start) < int(end)
        assert strand == "+" or first <= int(start)
        both.add(((int(start), int(end)), (first, last), float(value)))
    # each link from both of its ends
    assert both == {(b, a, value) for a, b, value in both}
    assert ((5000, 5500), (2000, 2001), -2.0) in both


@pytest.mark.parametrize(
    ("score", "expected"), [("z", [0, 250, 1000, 500]), ("p", [0, 250, 1000, 500]), ("fdr", [0, 294, 1000, 500])]
)
def test_scores_of_other_columns_are_shares_of_the_largest(tmp_path, score: str, expected: list[int]) -> None:
    mn.tl.export_links(make(), tmp_path / "l.bed", score=score)
    found = [int(line[4]) for line in rows(tmp_path / "l.bed")]
    np.testing.assert_allclose(found, expected, atol=1)


def test_categories_sort_as_text(tmp_path) -> None:
    links = make().astype(
        {"chrom": pd.CategoricalDtype(["chr4", "chr2", "chr10"]), "gene": "category", "strand": "category"}
    )
    mn.tl.export_links(links, tmp_path / "a.bed")
    mn.tl.export_links(make(), tmp_path / "b.bed")
    assert (tmp_path / "a.bed").read_text() == (tmp_path / "b.bed").read_text()


def test_format_may_be_named(tmp_path) -> None:
    mn.tl.export_links(make(), tmp_path / "links.txt", format="bed")
    mn.tl.export_links(make(), tmp_path / "links.bed")
    assert (tmp_path / "links.txt").read_text() == (tmp_path / "links.bed").read_text()


def test_a_mudata_and_tables_without_group(tmp_path) -> None:
    bulks = mn.datasets.simulate_multiome(50)
    bulks.uns["cre_links"] = make().drop(columns="group")
    mn.tl.export_links(bulks, tmp_path / "l.biginteract")
    assert {line[6] for line in rows(tmp_path / "l.biginteract")} == {"."}


@pytest.mark.parametrize("format", list(FORMATS))
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, format: str) -> None:
    path = tmp_path / f"l.{format}"
    path.write_text("old")

    def fails(self, file, **kwargs) -> None:
        file.write("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", fails)
    with pytest.raises(KeyboardInterrupt):
        mn.tl.export_links(make(), path)
    assert path.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} <= {path.name, f"{path.name}.as"}


@pytest.mark.parametrize(
    ("links", "name", "options", "error", "words"),
    [
        (
            make(),
            "l.xyz",
            {},
            ValueError,
            "`path` is 'l.xyz', whose ending names no format. .* .bedpe, .* give `format`",
        ),
        (make(), "l.bed", {"format": "gff"}, ValueError, "`format` is 'gff'. Choose one of 'bed'"),
        (make(), "l.bed", {"score": "q"}, ValueError, "`score` is 'q'"),
        (make().drop(columns="tss"), "l.bed", {}, ValueError, "`links` lacks the columns 'tss'"),
        (make().drop(columns="z"), "l.bed", {"score": "z"}, ValueError, "`links` lacks the columns 'z'"),
        (make().assign(r=np.nan), "l.bed", {}, ValueError, "4 of 4 rows have no number in column 'r'"),
        (make().assign(strand="."), "l.bed", {}, ValueError, "column 'strand' holds other values"),
        (make()[:0], "l.bed", {}, ValueError, "`links` has no rows"),
        ("links", "l.bed", {}, TypeError, "`links` is a str"),
        (make(), "none/l.bed", {}, FileNotFoundError, "there is no folder"),
        (make(), "folder.bed", {}, IsADirectoryError, "is the folder"),
    ],
)
def test_bad_input_writes_nothing(
    tmp_path, links, name: str, options: dict, error: type[Exception], words: str
) -> None:
    (tmp_path / "folder.bed").mkdir()
    with pytest.raises(error, match=words):
        mn.tl.export_links(links, tmp_path / name, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.bed"]


def test_written_tables_can_be_read_by_pandas(tmp_path) -> None:
    mn.tl.export_links(make(), tmp_path / "l.bedpe")
    text = (tmp_path / "l.bedpe").read_text()
    again = pd.read_csv(io.StringIO(text), sep="\t")
    np.testing.assert_allclose(np.sort(again["r"]), np.sort(make()["r"]))
