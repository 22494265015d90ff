"""Tests of what the tables show of several seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from over_seeds import mean_and_deviation

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
