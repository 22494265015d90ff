from __future__ import annotations

import pandas as pd

from benchmarks.accuracy import main_job


def test_shares_are_of_the_means_over_seeds_and_empty_where_a_baseline_was_not_run() -> None:
    values = {
        ("400", "default"): [0.2, 0.4],
        ("400", "default, with query"): [0.1, 0.2],
        ("400", "cca"): [0.5, 0.7],
        ("400", "cca, unit length"): [0.6],
        ("400", "cca, unit length, with query"): [0.3],
        ("all", "default"): [0.1],
        ("all", "default, with query"): [0.1],
        ("all", "paper"): [0.2],
    }
    rows = [
        {"data": "set", "reference": reference, "method": method, "seed": seed, "metric": metric, "value": value}
        for (reference, method), found in values.items()
        for seed, value in enumerate(found)
        for metric in ("foscttm_mean", "ari")
    ]
    shares = main_job.shares(pd.DataFrame(rows)).set_index("reference")
    assert shares.loc["400", "default, with query / cca"] == "0.25"
    assert shares.loc["400", "default / cca"] == "0.50"
    assert shares.loc["400", "default, with query / cca, unit length, with query"] == "0.50"
    assert shares.loc["all", ["default / paper", "default / cca"]].tolist() == ["0.50", ""]
    assert "default / cca, unit length, with query" not in shares
