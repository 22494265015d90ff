from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom

import scminnet as mn
from scminnet.genomics.motifs import Motif
from scminnet.tl._stratified import tail

SITE = "TGACGTCATT"


def motif(word: str, name: str) -> Motif:
    return Motif(name, name.upper(), 20.0 * (np.array(list("ACGT"))[:, None] == np.array(list(word))) + 0.1)


@pytest.fixture
def genome(tmp_path):
    """A FASTA file with a motif planted in most linked peaks on either strand, and links to them."""
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    rng = np.random.default_rng(0)
    n, width = 200, 120
    bases = rng.choice(list("ACGT"), n * width)
    other = SITE.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    for i in range(60):
        if i % 4:
            at = i * width + int(rng.integers(0, width - len(SITE)))
            bases[at : at + len(SITE)] = list(SITE if i % 2 else other)
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(bases) + "\n")
    start = np.arange(n) * width
    links = pd.DataFrame({"gene": "g", "chrom": "chr1", "start": start, "end": start + width, "r": 0.5})
    # each peak is linked to two genes, significantly to one of them or to none
    fdr = np.where(np.arange(n) < 60, 0.01, 0.5)
    links = pd.concat([links.assign(fdr=fdr), links.assign(gene="h", fdr=0.9)], ignore_index=True)
    return tmp_path / "g.fa", links


def test_the_planted_motif_is_found(genome) -> None:
    path, links = genome
    motifs = [motif("GATTACAGAT", "absent"), motif(SITE, "creb"), motif("CCGGAAGTCA", "ets")]
    table = mn.tl.motif_enrichment(links, path, motifs=motifs, n_gc_bins=4)
    assert list(table.columns) == (
        [
            "motif",
            "gene",
            "n_linked",
            "n_linked_with",
            "n_background",
            "n_background_with",
            "expected",
            "fold",
            "p",
            "fdr",
        ]
    )
    best = table.iloc[0]
    assert (best["motif"], best["gene"]) == ("creb", "CREB")
    assert (best["n_linked"], best["n_background"]) == (60, 140)
    assert best["n_linked_with"] >= 45
    assert best["fdr"] < 1e-10
    assert best["fold"] > 2
    assert (table["p"][1:] > 0.01).all()
    bulks = mn.datasets.simulate_multiome(50)
    bulks.uns["cre_links"] = links
    pd.testing.assert_frame_equal(mn.tl.motif_enrichment(bulks, path, motifs=motifs, n_gc_bins=4), table)
    # the same sets of peaks, given apart
    apart = mn.tl.motif_enrichment(links[:60], path, max_fdr=None, background=links, motifs=motifs, n_gc_bins=4)
    pd.testing.assert_frame_equal(apart, table)


def test_one_bin_is_fishers_test(genome) -> None:
    path, links = genome
    row = mn.tl.motif_enrichment(links, path, motifs=[motif(SITE, "creb")], n_gc_bins=1).iloc[0]
    a, b = row["n_linked_with"], row["n_background_with"]
    expected = fisher_exact([[a, b], [60 - a, 140 - b]], alternative="greater").pvalue
    assert row["p"] == pytest.approx(expected)
    assert row["expected"] == pytest.approx(60 * (a + b) / 200)


def test_gc_alone_is_no_enrichment(tmp_path) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    rng = np.random.default_rng(0)
    # linked peaks are richer in GC, and so in any motif of G and C
    gc = np.concatenate([rng.uniform(0.5, 0.7, 150), rng.uniform(0.3, 0.7, 600)])
    peaks = ["".join(rng.choice(list("ACGT"), 200, p=[(1 - g) / 2, g / 2, g / 2, (1 - g) / 2])) for g in gc]
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(peaks) + "\n")
    start = 200 * np.arange(750)
    links = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 200, "fdr": np.arange(750) >= 150})
    motifs = [motif("GCGCGG", "gc")]
    apart = mn.tl.motif_enrichment(links, tmp_path / "g.fa", motifs=motifs, pvalue=1e-3)
    together = mn.tl.motif_enrichment(links, tmp_path / "g.fa", motifs=motifs, pvalue=1e-3, n_gc_bins=1)
    assert together["p"][0] < 1e-3
    assert apart["p"][0] > 0.01


def test_the_other_strand_of_the_genome_gives_the_same_table(tmp_path) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    n, width = 100, 80
    # A and G are frequent on one strand, T and C on the other
    forward = "".join(np.random.default_rng(0).choice(list("ACGT"), n * width, p=[0.5, 0.05, 0.35, 0.1]))
    reverse = forward.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    start = np.arange(n) * width
    links = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + width, "fdr": np.arange(n) >= 30})
    mirrored = links.assign(start=n * width - links["end"], end=n * width - links["start"])
    motifs = [Motif("soft", "SOFT", np.random.default_rng(1).uniform(0.5, 5, (4, 8)))]
    tables = []
    for name, sequence, table in (("forward", forward, links), ("reverse", reverse, mirrored)):
        (tmp_path / f"{name}.fa").write_text(f">chr1\n{sequence}\n")
        tables.append(mn.tl.motif_enrichment(table, tmp_path / f"{name}.fa", motifs=motifs, pvalue=1e-3))
    assert 0 < tables[0]["n_background_with"][0] < 70
    pd.testing.assert_frame_equal(*tables)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_tail_equals_drawing_from_the_bins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = rng.integers(1, 8, 3)
    holding, drawn = rng.integers(0, total + 1), rng.integers(0, total + 1)
    densities = [hypergeom(t, h, d).pmf(np.arange(8)) for t, h, d in zip(total, holding, drawn, strict=True)]
    joint = densities[0][:, None, None] * densities[1][:, None] * densities[2]
    sums = np.add.outer(np.add.outer(np.arange(8), np.arange(8)), np.arange(8))
    for found in range(min(holding.sum(), drawn.sum()) + 1):
        assert tail(found, total, holding, drawn) == pytest.approx(joint[sums >= found].sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"links": 3}, TypeError, "`links` is a int"),
        ({"links": pd.DataFrame({"chrom": ["chr1"]})}, ValueError, "`links` lacks the columns 'start', 'end', 'fdr'"),
        ({"max_fdr": 2}, ValueError, "`max_fdr` is 2"),
        ({"max_fdr": 0.001}, ValueError, "`max_fdr` is 0.001, which none of the 400 links reaches"),
        ({"max_fdr": 1}, ValueError, "`background`: no peak is left"),
        ({"max_fdr": None}, ValueError, "`background` is None, and so is `max_fdr`"),
        ({"background": "x.bed"}, TypeError, "`background` is a str"),
        (
            {"background": pd.DataFrame({"chrom": ["chr9"], "start": [1], "end": [2]})},
            ValueError,
            "lacks the chromosomes 'chr9' of the peaks",
        ),
        ({"genome": "none.fa"}, FileNotFoundError, "`genome`: there is no file"),
        ({"motifs": "none.meme"}, FileNotFoundError, "`motifs`: there is no file"),
        ({"motifs": []}, TypeError, r"`motifs` is \[\]\. Give a file"),
        ({"motifs": [motif(SITE, "creb"), "creb"]}, TypeError, "`motifs` is .* a list of `scminnet.motifs.Motif`"),
        ({"motifs": 3}, TypeError, "`motifs` is 3"),
        ({"pvalue": 0}, ValueError, "`pvalue` is 0"),
        ({"n_gc_bins": 0}, ValueError, "`n_gc_bins` is 0"),
    ],
)
def test_bad_input(genome, change: dict, error: type[Exception], words: str) -> None:
    path, links = genome
    arguments = {"links": links, "genome": path, "motifs": [motif(SITE, "creb")]} | change
    with pytest.raises(error, match=words):
        mn.tl.motif_enrichment(**arguments)


def test_links_without_fdr(genome) -> None:
    path, links = genome
    with pytest.raises(ValueError, match="`links` has no value in column 'fdr'"):
        mn.tl.motif_enrichment(links.assign(fdr=np.nan), path)


def test_missing_package_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "Bio", None)
    links = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 9], "end": [5, 14], "fdr": [0.0, 1.0]})
    with pytest.raises(
        ImportError,
        match=r"`motifs`: reading matrices needs Biopython. Install it with `pip install 'scminnet\[genome\]'`",
    ):
        mn.tl.motif_enrichment(links, tmp_path / "g.fa")
