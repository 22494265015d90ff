from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scminnet import pl

SETTINGS = ["raw", "5", "true pair"]


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (f"g{i}", f"p{i}", setting, rng.normal(0.1 * k, 0.2)) for k, setting in enumerate(SETTINGS) for i in range(30)
    ]
    return pd.DataFrame(rows, columns=["gene", "peak", "setting", "r"]).sample(frac=1, random_state=1)


def medians(axis: plt.Axes) -> list[float]:
    """Heights of the boxes' medians: lines of two points at one height, wider than caps."""
    lines = [line for line in axis.lines if line.get_linewidth() == 1.2]
    return [line.get_ydata()[0] for line in lines]


def dashed(axis: plt.Axes) -> list[float]:
    return [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"]


def names(axis: plt.Axes) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axis.get_xticklabels()]


def test_each_setting_has_its_median_and_the_reference_is_dashed(table: pd.DataFrame) -> None:
    table["setting"] = pd.Categorical(table["setting"], categories=SETTINGS)
    axis = pl.smoothing_gain(table)
    expected = table.groupby("setting", observed=True)["r"].median()
    assert names(axis) == SETTINGS
    np.testing.assert_allclose(medians(axis), expected[SETTINGS])
    np.testing.assert_allclose(dashed(axis), expected["true pair"])
    assert not dashed(pl.smoothing_gain(table, reference=None))


def test_settings_come_in_the_order_of_the_table(table: pd.DataFrame) -> None:
    table = table.sort_values("setting", ascending=False)
    assert names(pl.smoothing_gain(table)) == ["true pair", "raw", "5"]


def test_gain_is_taken_link_by_link(table: pd.DataFrame) -> None:
    table.loc[(table["gene"] == "g3") & (table["setting"] == "raw"), "r"] = np.nan
    axis = pl.smoothing_gain(table.sort_values("setting"), baseline="raw")
    wide = table.pivot(index=["gene", "peak"], columns="setting", values="r")
    expected = wide[["5", "true pair"]].sub(wide["raw"], axis=0).median()
    assert names(axis) == ["5", "true pair"]
    np.testing.assert_allclose(medians(axis), expected)
    np.testing.assert_allclose(dashed(axis), expected["true pair"])
    assert axis.get_ylabel() == "gain in r over raw"


def test_smoothing_gain_names_what_is_wrong(table: pd.DataFrame) -> None:
    with pytest.raises(TypeError, match="`table` is a list"):
        pl.smoothing_gain([1])
    with pytest.raises(ValueError, match="`table` lacks the columns 'setting'"):
        pl.smoothing_gain(table.drop(columns="setting"))
    with pytest.raises(ValueError, match="lacks the columns 'gene', 'peak'"):
        pl.smoothing_gain(table[["setting", "r"]], baseline="raw")
    with pytest.raises(ValueError, match="`reference` is 'pairs'.*'true pair'"):
        pl.smoothing_gain(table, reference="pairs")
    with pytest.raises(ValueError, match="`baseline` is '50'"):
        pl.smoothing_gain(table, baseline="50")
    with pytest.raises(ValueError, match="2 links twice in a setting"):
        pl.smoothing_gain(pd.concat([table, table.head(2)]), baseline="raw")
    with pytest.raises(ValueError, match=r"no value of r in the settings \['5'\]"):
        pl.smoothing_gain(table.assign(r=table["r"].where(table["setting"] != "5")))
    with pytest.raises(ValueError, match="in column 'r'"):
        pl.smoothing_gain(table.assign(r="high"))


LINKS = pd.DataFrame(
    {
        "distance": [-1, 10, -24_999, 25_000, -60_000, -149_999, -150_000, 400_000],
        "r": [0.1, 0.3, 0.8, 0.7, -0.2, 0.4, 9.0, 9.0],
        "supported": [True, False, True, True, False, True, True, True],
    }
)


def counts(axis: plt.Axes) -> list[int]:
    return [int(text.get_text().replace(",", "")) for text in axis.texts]


def test_links_are_binned_by_distance_on_either_side() -> None:
    axis = pl.correlation_by_distance(LINKS)
    np.testing.assert_allclose(medians(axis), [0.3, 0.7, -0.2, 0.4])
    assert counts(axis) == [3, 1, 1, 1]
    assert [text.get_position()[0] for text in axis.texts] == [0, 1, 2, 5]
    assert names(axis) == ["0", "25", "50", "75", "100", "125", "150"]


def test_links_are_split_by_a_column() -> None:
    axis = pl.correlation_by_distance(LINKS, by="supported", edges=[0, 25_000, 500_000])
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["supported", "not supported"]
    by_place = {round(text.get_position()[0], 1): int(text.get_text()) for text in axis.texts}
    assert by_place == {-0.2: 2, 0.2: 1, 0.8: 4, 1.2: 1}


def test_several_tables_are_a_heatmap_of_means() -> None:
    tables = {"raw": LINKS, "smoothed": LINKS.assign(r=2 * LINKS["r"])}
    axis = pl.correlation_by_distance(tables, edges=[0, 25_000, 50_000, 75_000])
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.4, 0.7, -0.2], [0.8, 1.4, -0.4]])
    assert axis.images[0].get_clim() == (-1.4, 1.4)
    assert [t.get_text() for t in axis.get_yticklabels()] == ["raw", "smoothed"]
    split = pl.correlation_by_distance(tables, by="supported", edges=[0, 25_000, 50_000])
    np.testing.assert_allclose(
        split.images[0].get_array().filled(np.nan), [[0.45, 0.7], [0.3, np.nan], [0.9, 1.4], [0.6, np.nan]]
    )
    assert [t.get_text() for t in split.get_yticklabels()][:2] == ["raw, supported", "raw, not supported"]


def test_bulks_with_links_will_do(bulks: MuData) -> None:
    axis = pl.correlation_by_distance(bulks, by="promoter")
    near = bulks.uns["cre_links"]["distance"].abs() < 150_000
    assert sum(counts(axis)) == near.sum()
    assert pl.correlation_by_distance({"a": bulks, "b": LINKS}).images


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"links": {}}, ValueError, "`links` is empty"),
        ({"links": [1]}, TypeError, "`links` is a list"),
        ({"links": {"raw": LINKS.drop(columns="r")}}, ValueError, r"`links\['raw'\]` lacks the columns 'r'"),
        ({"by": "r"}, ValueError, "`by` is 'r', which is a column of float64"),
        ({"by": "hic"}, ValueError, "`by` is 'hic', which is not a column"),
        ({"edges": [0, 0]}, ValueError, "`edges`.*ascending"),
        ({"edges": [-5, 5]}, ValueError, "`edges`"),
        ({"edges": [1e6, 2e6]}, ValueError, "`edges`: no link lies 1,000,000 to 2,000,000"),
    ],
)
def test_correlation_by_distance_names_what_is_wrong(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pl.correlation_by_distance(**{"links": LINKS, **arguments})
    assert not plt.get_fignums()


def test_bulks_without_links_are_refused(bulks: MuData) -> None:
    with pytest.raises(KeyError, match=r"`links` is a MuData without uns\['mine'\].*cre_links"):
        pl.correlation_by_distance(bulks, key="mine")


@pytest.mark.parametrize("by", [None, "supported"])
def test_no_text_overlaps(table: pd.DataFrame, by: str | None, text_apart) -> None:
    long = table.assign(setting="neighbours in the embedding: " + table["setting"])
    text_apart(pl.smoothing_gain(table).figure)
    text_apart(pl.smoothing_gain(long, reference=None).figure)
    text_apart(pl.correlation_by_distance(LINKS[:6], by=by).figure)
    text_apart(pl.correlation_by_distance(dict.fromkeys("abcdefgh", LINKS), by=by).figure)
