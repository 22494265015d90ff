from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy.stats import fisher_exact

import scminnet as mn
from scminnet.tl._stratified import enrichment

N = 400


def links(seed: int = 0) -> pd.DataFrame:
    """Pairs of 400 peaks, each with two genes; the first 100 peaks are linked, nearer and more open than others."""
    rng = np.random.default_rng(seed)
    start = np.arange(N) * 1000
    is_linked = np.arange(N) < 100
    near = np.where(rng.random(N) < np.where(is_linked, 0.8, 0.3), 5_000, 80_000)
    peaks = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 200, "distance": -near})
    peaks["activity"] = np.where(near == 5_000, 2.0, 0.5)
    first = peaks.assign(gene=[f"g{i}" for i in range(N)], fdr=np.where(is_linked, 0.01, 0.6))
    first["score"] = np.where(is_linked, 0.9, 0.1) + 0.05 * rng.random(N)
    second = peaks.assign(gene="far", fdr=0.9, score=0.01, distance=140_000)
    return pd.concat([first, second], ignore_index=True)


def bed(table: pd.DataFrame, rows: np.ndarray, name: str = "x") -> pd.DataFrame:
    """One base within each of some peaks."""
    return pd.DataFrame(
        {"chrom": "chr1", "start": table["start"].iloc[rows] + 50, "end": table["start"].iloc[rows] + 51, "name": name}
    )


def test_regions_in_linked_peaks_are_found_and_those_near_genes_are_not() -> None:
    table = links()
    rng = np.random.default_rng(1)
    inside = rng.choice(100, 40, replace=False)
    near = np.flatnonzero(table["distance"][:N] == -5_000)
    close = rng.choice(near, 120, replace=False)
    result = mn.tl.region_enrichment(table, {"in links": bed(table, inside), "near genes": bed(table, close)})
    assert list(result["regions"]) == ["in links", "near genes"]
    assert result["p"][0] < 1e-8
    assert result["n_linked_with"][0] == 40
    assert set(result["genes"][0].split(", ")) <= {f"g{i}" for i in inside}
    # enriched only because linked peaks are near genes
    plain = mn.tl.region_enrichment(table, bed(table, close), n_bins=1).iloc[0]
    matched = result.iloc[1]
    assert plain["p"] < 1e-4
    assert matched["p"] > 0.01
    assert abs(matched["fold"] - 1) < abs(plain["fold"] - 1)


def test_one_bin_is_fishers_exact_test() -> None:
    table = links()
    row = mn.tl.region_enrichment(table, bed(table, np.arange(80, 140)), n_bins=1).iloc[0]
    counts = [[20, 80], [40, 260]]
    assert [row["n_linked_with"], row["n_background_with"]] == [20, 40]
    assert row["p"] == pytest.approx(fisher_exact(counts, alternative="greater").pvalue, rel=1e-6)
    assert row["expected"] == pytest.approx(100 * 60 / N)


def test_the_null_is_uniform_enough() -> None:
    table, rng = links(), np.random.default_rng(2)
    sets = {str(i): bed(table, rng.choice(N, 60, replace=False)) for i in range(200)}
    p = mn.tl.region_enrichment(table, sets)["p"]
    # p of counts is conservative
    assert (p <= 0.05).mean() < 0.1
    assert (p <= 0.5).mean() > 0.3


def test_files_names_and_the_best_links(tmp_path: Path) -> None:
    table = links()
    both = pd.concat([bed(table, np.arange(0, 30), "height"), bed(table, np.arange(200, 260), "weight")])
    path = tmp_path / "traits.bed.gz"
    with gzip.open(path, "wt") as file:
        file.write("# variants\ntrack name=x\n")
        both.to_csv(file, sep="\t", header=False, index=False)
    result = mn.tl.region_enrichment(table, path, name_key="name", n_top=50)
    assert list(result["regions"]) == ["height", "weight"]
    assert result["n_linked"].tolist() == [50, 50]
    assert result["n_regions"].tolist() == [30, 60]
    assert mn.tl.region_enrichment(table, path, n_top=50)["regions"].tolist() == ["traits.bed.gz"]


def test_bulks_are_taken_as_well() -> None:
    bulks = MuData({"rna": AnnData(np.ones((2, 1)))})
    bulks.uns["cre_links"] = links()
    found = bulks.uns["cre_links"][["chrom", "start", "end"]].head(30)
    result = mn.tl.region_enrichment(bulks, found, n_top=40)
    assert result["n_linked_with"][0] > 0


def test_strata_are_compared_within() -> None:
    strata = np.repeat([0, 1], 50)
    has_it = strata == 0
    chosen = (strata == 0) & (np.arange(100) % 2 == 0)
    found = enrichment(has_it, chosen, strata)
    assert (found.found, found.expected, found.p) == (25, 25.0, 1.0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"regions": 3}, TypeError, "`regions`"),
        ({"regions": {}}, ValueError, "`regions` is empty"),
        ({"regions": "no.bed"}, FileNotFoundError, "no file 'no.bed'"),
        ({"name_key": "trait"}, ValueError, "`name_key` is 'trait', which `regions` lacks"),
        ({"max_fdr": 0.001}, ValueError, "give `n_top`"),
        ({"max_fdr": 2.0}, ValueError, "`max_fdr` is 2.0"),
        ({"n_top": 0}, ValueError, "`n_top` is 0"),
        ({"n_top": 10_000}, ValueError, "all 400 peaks are linked"),
        ({"n_bins": 0}, ValueError, "`n_bins` is 0"),
        ({"score": "no"}, ValueError, "`score` is 'no'"),
    ],
)
def test_bad_input(change: dict, error: type[Exception], message: str) -> None:
    table = links()
    with pytest.raises(error, match=message):
        mn.tl.region_enrichment(**{"links": table, "regions": bed(table, np.arange(9))} | change)


def test_bad_files_and_other_chromosomes(tmp_path: Path) -> None:
    table = links()
    path = tmp_path / "a.bed"
    path.write_text("chr1\t5\t10\nchr1\tx\t20\n")
    with pytest.raises(ValueError, match="line 2 of 'a.bed'"):
        mn.tl.region_enrichment(table, path)
    path.write_text("chr1\t5\n")
    with pytest.raises(ValueError, match="line 1 of 'a.bed' has fewer than three fields"):
        mn.tl.region_enrichment(table, path)
    with pytest.raises(ValueError, match="chromosome"):
        mn.tl.region_enrichment(table, bed(table, np.arange(9)).assign(chrom="chr2"))
