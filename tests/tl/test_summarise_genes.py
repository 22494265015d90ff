from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import scminnet as mn


def links() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "group": np.where(np.arange(n) % 2, "T", "B"),
            "gene": [f"g{i % 5}" for i in range(n)],
            "peak": [f"p{i}" for i in range(n)],
            "distance": rng.integers(-100_000, 0, n),
            "score": rng.random(n),
            "r": rng.uniform(-1, 1, n),
            "fdr": rng.random(n) / 5,
        }
    )


def test_rows_are_those_of_a_loop() -> None:
    table = links()
    result = mn.tl.summarise_genes(table, min_distance=20_000)
    far = table[table["distance"].abs() >= 20_000]
    assert len(result) == len(far[["group", "gene"]].drop_duplicates())
    for row in result.itertuples():
        own = far[(far["group"] == row.group) & (far["gene"] == row.gene)]
        best = own.loc[own["score"].idxmax()]
        assert row.n_peaks == len(own)
        assert row.n_significant == (own["fdr"] <= 0.05).sum()
        assert row.potential == pytest.approx(own["score"].sum())
        assert (row.best_peak, row.best_score, row.best_distance) == (best["peak"], best["score"], best["distance"])
    assert all(part["potential"].is_monotonic_decreasing for _, part in result.groupby("group"))


def test_negative_values_count_nothing_and_columns_may_be_missing() -> None:
    table = links().drop(columns=["fdr", "score", "group"])
    result = mn.tl.summarise_genes(table)
    assert list(result) == ["gene", "n_peaks", "potential", "best_peak", "best_score", "best_distance"]
    expected = table["r"].clip(lower=0).groupby(table["gene"]).sum()
    np.testing.assert_allclose(result.set_index("gene")["potential"], expected[result["gene"]])


def test_bulks_are_taken_as_well() -> None:
    bulks = MuData({"rna": AnnData(np.ones((2, 1)))})
    bulks.uns["cre_links"] = links()
    result = mn.tl.summarise_genes(bulks)
    assert set(result["gene"]) == set(bulks.uns["cre_links"]["gene"].astype(str))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "p"}, "probabilities have no sum"),
        ({"score": "no"}, "`score` is 'no'"),
        ({"max_fdr": -1}, "`max_fdr` is -1"),
        ({"min_distance": -1}, "`min_distance` is -1"),
        ({"min_distance": 10**7}, "no peak is that far"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mn.tl.summarise_genes(links(), **change)
