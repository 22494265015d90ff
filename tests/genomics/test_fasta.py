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
