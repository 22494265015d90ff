from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

import scminnet as mn
from scminnet.genomics import parse_intervals
from scminnet.genomics.build_check import promoters


@pytest.fixture(scope="module")
def simulated():
    return mn.datasets.simulate_multiome(60, n_genes=900, n_peaks=2700, seed=2)


@pytest.fixture(scope="module")
def tss(simulated) -> pd.DataFrame:
    return simulated["rna"].var.rename_axis("gene").reset_index()


def test_starts_have_peaks_more_often_than_other_places(simulated, tss) -> None:
    peaks = parse_intervals(simulated["atac"].var)
    found = promoters(peaks, tss)
    assert found.differ
    assert found.n == 900
    middle = ((peaks["start"] + peaks["end"]) // 2).groupby(peaks["chrom"]).apply(np.array)
    at = [
        (np.abs(middle[chrom] - start) <= 1000).any() for chrom, start in tss[["chrom", "tss"]].itertuples(index=False)
    ]
    assert found.starts == pytest.approx(np.mean(at))


@pytest.mark.parametrize("shift", [20_000, 500_000])
def test_shifted_annotations_and_other_builds_are_told(simulated, tss, shift: int) -> None:
    peaks = parse_intervals(simulated["atac"].var)
    shifted = promoters(peaks, tss.assign(tss=tss["tss"] + shift + 7_777))
    assert not shifted.differ
    assert "different genome builds" in str(shifted)


def test_too_little_to_tell() -> None:
    peaks = parse_intervals(["chr1:100-200", "chr1:5000000-5000100"])
    starts = pd.DataFrame({"gene": ["a", "b"], "chrom": ["chr1", "chr9"], "tss": [2_000_000, 5]})
    assert promoters(peaks, starts).differ
    assert promoters(peaks, starts.tail(1)) == (0, 0, 0)


def test_links_warn_of_a_wrong_build(simulated, tss, caplog) -> None:
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)
    try:
        mn.tl.cre_links(simulated, tss, null=None, copy=True)
        assert "genome builds" not in caplog.text
        mn.tl.cre_links(simulated, tss.assign(tss=tss["tss"] + 27_777), null=None, copy=True)
        assert "genome builds" in caplog.text
    finally:
        logger.removeHandler(caplog.handler)
