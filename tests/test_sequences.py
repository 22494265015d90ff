from __future__ import annotations

import sys

import pandas as pd
import pytest

from scminnet.sequences import read_sequences

PEAKS = pd.DataFrame({"chrom": ["chr2", "chr1"], "start": [0, 2], "end": [3, 6]})


def test_intervals_are_zero_based_and_half_open(tmp_path) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    (tmp_path / "g.fa").write_text(">chr1 of a tiny genome\nACGta\nCG\n>chr2\nTTN\n")
    assert read_sequences(PEAKS, tmp_path / "g.fa") == ["TTN", "GTAC"]


@pytest.mark.parametrize(
    ("peaks", "text", "words"),
    [
        (
            PEAKS,
            ">1\nACGTACGT\n>2\nACGT\n",
            "`peaks`: 2 of 2 lie on 'chr2', 'chr1', which `genome` lacks; it has '1', '2'",
        ),
        (PEAKS, ">chr1\nACG\n>chr2\nACGT\n", "`peaks`: 1 reach beyond .* 'chr1:2-6' of 3 bases"),
        (PEAKS, "no sequence\n", "`genome`: 'g.fa'"),
        (PEAKS, "", "`genome`: 'g.fa'"),
    ],
)
def test_bad_input(tmp_path, peaks: pd.DataFrame, text: str, words: str) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    (tmp_path / "g.fa").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_sequences(peaks, tmp_path / "g.fa")
    with pytest.raises(FileNotFoundError, match="`genome`: there is no file"):
        read_sequences(peaks, tmp_path / "none.fa")


def test_gzip_is_not_bgzip(tmp_path) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    import gzip

    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(b">chr1\nACGTACGT\n>chr2\nACGT\n"))
    with pytest.raises(ValueError, match="compress it with bgzip"):
        read_sequences(PEAKS, tmp_path / "g.fa.gz")


def test_missing_package_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyfaidx", None)
    with pytest.raises(ImportError, match=r"pip install 'scminnet\[genome\]'"):
        read_sequences(PEAKS, tmp_path / "g.fa")
