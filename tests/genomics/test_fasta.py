from __future__ import annotations

import gzip
import sys

import numpy as np
import pandas as pd
import pytest

from scminnet.genomics import gc_content, parse_intervals, sequences

PEAKS = parse_intervals(["chr2:0-4", "chr1:1-5", "chr1:8-12", "chr2:4-6"])


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1 first\nACgtTG\nCAGGCA\n>chr2\nAATTNN\n")
    return path


def test_without_pyfaidx_the_error_says_what_to_install(genome, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyfaidx", None)
    with pytest.raises(ImportError, match=r"`genome` needs pyfaidx.*pip install 'scminnet\[genome\]'"):
        gc_content(PEAKS, genome)


def test_sequences_and_their_gc_content(genome) -> None:
    pytest.importorskip("pyfaidx")
    assert list(sequences(PEAKS, genome)) == ["AATT", "CGTT", "GGCA", "NN"]
    np.testing.assert_allclose(gc_content(PEAKS, str(genome)), [0, 0.5, 0.75, np.nan])


@pytest.mark.parametrize(
    ("peaks", "match"),
    [
        (["1:0-2", "chr1:0-2"], "'genome.fa' lacks the chromosomes '1' of the peaks; it has 'chr1', 'chr2'"),
        (["chr1:0-2", "chr2:3-7"], "1 of 2 peaks reach beyond the end .* 'chr2 3 7'"),
    ],
)
def test_a_genome_of_other_peaks(genome, peaks, match) -> None:
    pytest.importorskip("pyfaidx")
    with pytest.raises(ValueError, match=f"`genome`: .*{match}"):
        sequences(parse_intervals(peaks), genome)


def test_files_that_are_no_fasta(genome, tmp_path) -> None:
    pytest.importorskip("pyfaidx")
    with pytest.raises(FileNotFoundError, match=r"`genome`: there is no file .*none\.fa"):
        sequences(PEAKS, tmp_path / "none.fa")
    (tmp_path / "text.fa").write_text("words\n")
    with gzip.open(tmp_path / "genome.fa.gz", "wt") as file:
        file.write(genome.read_text())
    for name in ("text.fa", "genome.fa.gz"):
        with pytest.raises(ValueError, match=f"`genome`: '{name}' can not be read as FASTA"):
            sequences(PEAKS, tmp_path / name)


def test_no_intervals(genome) -> None:
    pytest.importorskip("pyfaidx")
    assert gc_content(PEAKS.head(0), genome).shape == (0,)
    assert isinstance(PEAKS, pd.DataFrame)


FASTA = b">chr1 first\nACgtTG\nCAGGCA\nAC\n>chr2\nAATTNN\n"
ROWS = [["chr1", 14, 12, 6, 7], ["chr2", 6, 35, 6, 7]]


def index(path, rows) -> None:
    path.with_name(path.name + ".fai").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


@pytest.fixture(params=["g.fa", "g.fa.gz"])
def indexed(request, tmp_path):
    """A FASTA file of several blocks, its index, and the bases of chr1."""
    pytest.importorskip("pyfaidx")
    path = tmp_path / request.param
    if path.suffix == ".fa":
        path.write_bytes(FASTA)
        rows = ROWS
    else:
        from Bio import bgzf

        bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 200_000))
        lines = "".join(bases[i : i + 50] + "\n" for i in range(0, len(bases), 50))
        with bgzf.BgzfWriter(str(path)) as file:
            file.write(f">chr1\n{lines}>chr2\nAATTNN\n".encode())
        rows = [["chr1", 200_000, 6, 50, 51], ["chr2", 6, 204_012, 6, 7]]
    list(sequences(PEAKS[PEAKS["end"] < 5], path))
    found = (tmp_path / f"{request.param}.fai").read_text().split("\n")[:-1]
    assert [row.split("\t") for row in found] == [list(map(str, row)) for row in rows]
    return path, rows


@pytest.mark.parametrize("change", [-100, -2, -1, 1, 2, 51, 10**6, 10**13, 10**30, -(10**13)])
@pytest.mark.parametrize("column", [1, 2, 3, 4], ids=["length", "offset", "bases", "width"])
def test_an_index_that_lies(indexed, column: int, change: int) -> None:
    path, rows = indexed
    for i in range(2):
        lying = [list(row) for row in rows]
        lying[i][column] += change
        index(path, lying)
        # the width of a line says nothing where there is one line
        if i == 1 and column > 2 and 6 <= lying[i][3] <= lying[i][4] <= lying[i][3] + 2:
            assert list(sequences(PEAKS[PEAKS["chrom"] == "chr2"], path)) == ["AATT", "NN"]
            continue
        with pytest.raises(ValueError, match=r"`genome`: .*'g\.fa(\.gz)?\.fai'.*Delete"):
            list(sequences(PEAKS[PEAKS["chrom"] == lying[i][0]], path))


@pytest.mark.parametrize("rows", [[], [["chr1"]], [["chr1", "a", "b", "c", "d"]], [*ROWS, *ROWS]])
def test_an_index_that_is_none(indexed, rows: list) -> None:
    path, _ = indexed
    index(path, rows)
    with pytest.raises(ValueError, match=r"`genome`: .*Delete its index 'g\.fa(\.gz)?\.fai', which is made anew"):
        sequences(PEAKS, path)


@pytest.mark.parametrize(
    "text",
    [
        FASTA[:-1],
        FASTA.replace(b"\n", b"\r\n"),
        b">chr1\nACGTTGCAGGCAAC\n\n>chr2\nAATTNN\n\n",
        b">chr1\nACGTTGC\nAGGCAAC\n>chr2 a b\nAATTNN\n",
        b">chr0\n>chr1 " + b"x" * 40_000 + b"\nACGTTGCAGGCAAC\n>chr2\nAATTNN\n",
    ],
)
def test_other_layouts_of_the_same_genome(tmp_path, text: bytes) -> None:
    pytest.importorskip("pyfaidx")
    (tmp_path / "g.fa").write_bytes(text)
    for _ in range(2):
        assert list(sequences(PEAKS, tmp_path / "g.fa")) == ["AATT", "CGTT", "GGCA", "NN"]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("g.fa", gzip.compress(FASTA), "it is compressed. Rename it with the ending '.gz'"),
        ("g.fa.gz", FASTA, "it is not compressed. Rename it without"),
        ("g.fa", b"BZh9" + FASTA, "is compressed with bzip2"),
        ("g.fa", b">chr1\n\xff\xfe\n", "can not be read as FASTA"),
    ],
)
def test_files_that_are_not_what_their_name_says(tmp_path, name: str, content: bytes, match: str) -> None:
    pytest.importorskip("pyfaidx")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"`genome`: '{name}' .*{match}|`genome`: '{name}' {match}"):
        sequences(PEAKS, tmp_path / name)


def test_the_chromosomes_that_lack_are_counted_and_renamed(genome) -> None:
    pytest.importorskip("pyfaidx")
    with pytest.raises(ValueError, match="2 of 3 peaks lie on those it lacks. '1' seems to be its 'chr1'"):
        sequences(parse_intervals(["1:0-2", "1:2-4", "chr2:0-3"]), genome)
