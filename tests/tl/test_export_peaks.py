from __future__ import annotations

import pandas as pd
import pytest

import scminnet as mn

PEAKS = pd.DataFrame({"chrom": ["chr2", "chr1", "chr2"], "start": [50, 10, 50], "end": [90, 20, 90]})


def rows(path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_bed6_with_a_name_a_peak(tmp_path) -> None:
    mn.tl.export_peaks(PEAKS, tmp_path / "p.bed")
    assert rows(tmp_path / "p.bed") == [
        ["chr1", "10", "20", "chr1:10-20", "0", "+"],
        ["chr2", "50", "90", "chr2:50-90", "0", "+"],
    ]


def test_background_leaves_the_peaks_out(tmp_path) -> None:
    var = pd.DataFrame(index=["chr1:10-20", "chr1:30-40", "chr3-1-2"])
    mn.tl.export_peaks(PEAKS, tmp_path / "p.bed", background=var)
    assert [line[3] for line in rows(tmp_path / "p.background.bed")] == ["chr1:30-40", "chr3:1-2"]


def test_a_mudata_gives_its_links(tmp_path) -> None:
    bulks = mn.datasets.simulate_multiome(50)
    bulks.uns["cre_links"] = PEAKS
    mn.tl.export_peaks(bulks, tmp_path / "p.bed")
    assert len(rows(tmp_path / "p.bed")) == 2


@pytest.mark.parametrize(
    ("peaks", "options", "error", "words"),
    [
        ([1], {}, TypeError, "`peaks` is a list"),
        (PEAKS[:0], {}, ValueError, "`peaks` has no rows"),
        (PEAKS.assign(end=0), {}, ValueError, "`peaks`: 3 of 3 .* are not intervals"),
        (PEAKS, {"background": "b.bed"}, TypeError, "`background` is a str"),
        (PEAKS, {"background": PEAKS}, ValueError, "`background` holds no interval that is not among `peaks`"),
        (PEAKS, {"background": pd.DataFrame(index=["x"])}, ValueError, "`background`: 1 of 1 names are not intervals"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, peaks, options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        mn.tl.export_peaks(peaks, tmp_path / "p.bed", **options)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mn.tl.export_peaks(PEAKS, tmp_path / "none" / "p.bed")
