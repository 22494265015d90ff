from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.shared.tables import mean_and_deviation, merged, ordered

TABLE = pd.DataFrame(
    {
        "method": ["b", "b", "b", "a", "c", "c"],
        "foscttm": [0.1, 0.2, 0.3, 0.25, np.nan, np.nan],
        "ari": [0.5, 0.5, 0.5, 1 / 3, 0.0, 1.0],
    }
)


def test_mean_and_deviation_in_the_order_of_the_table() -> None:
    text = mean_and_deviation(TABLE.groupby("method", sort=False)[["foscttm", "ari"]])
    assert text.index.tolist() == ["b", "a", "c"]
    assert text["foscttm"].tolist() == ["0.200 ± 0.100", "0.250", ""]
    assert text["ari"].tolist() == ["0.500 ± 0.000", "0.333", "0.500 ± 0.707"]


def test_one_column_as_it_is_in_a_table() -> None:
    grouped = TABLE.groupby("method", sort=False)
    pd.testing.assert_series_equal(
        mean_and_deviation(grouped["ari"]), mean_and_deviation(grouped[["foscttm", "ari"]])["ari"]
    )


def test_digits_of_counts() -> None:
    counts = pd.DataFrame({"method": ["a", "a", "b"], "called": [10, 13, 7]}).groupby("method")["called"]
    assert mean_and_deviation(counts, 0).tolist() == ["12 ± 2", "7"]


def test_new_rows_replace_the_rows_of_their_runs() -> None:
    old = pd.DataFrame({"method": ["b", "b", "a"], "seed": [0, 1, 0], "value": [1, 2, 3]})
    new = pd.DataFrame({"method": ["b", "c"], "seed": [1, 0], "value": [4, 5]})
    assert merged(new, None, ["method", "seed"]) is new
    table = merged(new, old, ["method", "seed"])
    assert table["value"].tolist() == [1, 3, 4, 5]
    assert ordered(table, ["method", "seed"], {"method": ["c", "b", "a"]})["value"].tolist() == [5, 1, 4, 3]
    # where nothing stays, empty rows do not change the types of columns
    assert merged(new, old.iloc[:0].astype(object), ["method"])["value"].dtype == new["value"].dtype
