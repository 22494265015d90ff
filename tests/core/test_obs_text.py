"""Values of obs as text: one value, one text; what looks missing; what is continuous."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mudata import MuData

import scminnet as mn
from scminnet._core.obs import label_column, obs_column
from scminnet._core.obs_text import as_text, check_categorical, is_missing_text, warn_of_missing_texts


def forms_of(numbers: list[int]) -> list[pd.Series]:
    """The same whole numbers in all types in which clusters are kept."""
    whole = pd.Series(numbers)
    return [
        whole.astype(np.int32),
        whole.astype(float),
        whole.astype(np.float32),
        whole.astype(str),
        whole.astype(float).astype(str),
        whole.astype("category"),
        whole.astype(float).astype("category"),
        whole.astype("Int64"),
        whole.astype(object),
        pd.Series([np.int64(n) for n in numbers], dtype=object),
    ]


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=8))
def test_whole_numbers_have_one_text_in_all_types(numbers: list[int]) -> None:
    texts = [as_text(form).tolist() for form in forms_of(numbers)]
    assert texts == [[str(n) for n in numbers]] * len(texts)


@given(st.lists(st.one_of(st.none(), st.just(float("nan")), st.text(), st.booleans(), st.floats(allow_nan=False))))
def test_a_text_is_missing_only_where_a_value_is(values: list[Any]) -> None:
    text = as_text(pd.Series(values, dtype=object))
    assert text.isna().tolist() == [v is None or (isinstance(v, float) and np.isnan(v)) for v in values]
    assert all(isinstance(t, str) for t in text.dropna())


def test_texts_stay_as_they_are() -> None:
    assert as_text(pd.Series(["1.0", "B", None])).tolist()[:2] == ["1.0", "B"]
    assert as_text(pd.Series(["1.0", "2.0", "nan"])).tolist() == ["1", "2", "nan"]
    assert as_text(pd.Series([b"T cell"], dtype=object)).tolist() == ["T cell"]


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NA", "", " ", "unassigned", "Unknown", " nan ", "N/A", "<NA>"])
def test_what_looks_missing(text: str) -> None:
    assert is_missing_text(text)


@pytest.mark.parametrize("text", ["Nanog+", "NK", "none of these", "unknown B", "0"])
def test_what_does_not_look_missing(text: str) -> None:
    assert not is_missing_text(text)


def test_missing_texts_and_blanks_are_named_with_the_remedy() -> None:
    text = pd.Series(["B", "nan", "nan", "unassigned", " T"], dtype=object)
    with pytest.warns(UserWarning, match="look like missing|blanks") as caught:
        warn_of_missing_texts(text, "`key`='x'", "Give {names}.", ["Unknown"])
    said = [str(w.message) for w in caught]
    assert "'nan' (2 cells), 'unassigned' (1 cells). Give ['Unknown', 'nan', 'unassigned']." in said[0]
    assert "blanks around them: ' T'" in said[1]


def test_continuous_columns_are_refused() -> None:
    for values in (np.linspace(0, 1, 50), np.linspace(0, 1, 50).astype(str)):
        with pytest.raises(ValueError, match="continuous"):
            check_categorical(as_text(pd.Series(values)), "`x`")
    with pytest.raises(ValueError, match="continuous"):
        check_categorical(as_text(pd.Series([0.5, 1.5] * 9)), "`labels_key`", labels=True)
    with pytest.raises(ValueError, match="30 different numbers"):
        check_categorical(as_text(pd.Series(range(30))), "`labels_key`", labels=True)
    # doses, clusters, names
    check_categorical(as_text(pd.Series([0.5, 1.5] * 9)), "`condition`")
    check_categorical(as_text(pd.Series(list(range(25)) * 9)), "`labels_key`", labels=True)
    check_categorical(as_text(pd.Series([f"cell_{i}" for i in range(50)])), "`batch_key`")


@pytest.fixture
def mdata() -> MuData:
    mdata = mn.datasets.simulate_multiome(60, n_types=3, n_lineages=1, n_genes=20, n_peaks=30)
    codes = mdata.obs["cell_type"].cat.codes
    mdata["rna"].obs["cluster"] = codes.astype(int)
    mdata["atac"].obs["cluster"] = codes.astype(float)
    mdata.obs["cluster"] = codes.astype(str)
    return mdata


def test_clusters_agree_across_tables_of_other_types(mdata: MuData) -> None:
    found = obs_column(mdata, "cluster", ["rna", "atac"], "labels_key")
    assert found.tolist() == mdata.obs["cluster"].tolist()
    mdata["atac"].obs["cluster"] += 1
    with pytest.raises(ValueError, match="60 cells have a different value"):
        obs_column(mdata, "cluster", ["rna", "atac"], "labels_key")


def test_unlabelled_categories_are_missing(mdata: MuData) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = label_column(mdata, "cluster", ["rna"], "labels_key", ["0", "nowhere"])
    assert found.isna().tolist() == (mdata.obs["cluster"] == "0").tolist()
