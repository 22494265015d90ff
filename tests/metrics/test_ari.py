from __future__ import annotations

import warnings
from math import comb

import numpy as np
import pandas as pd
import pytest

from scminnet.metrics import ari, ari_curve
from scminnet.metrics.ari import best_of_curve


@pytest.fixture(scope="module")
def islands() -> tuple[np.ndarray, np.ndarray]:
    """Nine groups of 40 cells, far apart."""
    rng = np.random.default_rng(0)
    types = np.repeat(np.arange(9), 40)
    return (20 * rng.normal(size=(9, 8)))[types] + rng.normal(size=(360, 8)), types


def test_islands_are_found_and_match_their_types(islands):
    curve = ari_curve(*islands, resolutions=(0.1, 0.3))
    assert list(curve.columns) == ["resolution", "n_clusters", "ari"]
    assert curve["resolution"].to_list() == [0.1, 0.3]
    assert curve["n_clusters"].to_list() == [9, 9]
    np.testing.assert_allclose(curve["ari"], 1)
    assert ari(*islands, resolutions=(0.1, 0.3)) == pytest.approx(1)


def test_index_of_merged_types_is_the_textbook_value(islands):
    embedding, types = islands
    merged = types // 3  # three types over nine clusters: every cluster within one type
    together = 9 * comb(40, 2)  # pairs in one cluster, all of them in one type
    pairs, in_type = comb(360, 2), 3 * comb(120, 2)
    expected = together * in_type / pairs
    index = (together - expected) / ((together + in_type) / 2 - expected)
    assert ari_curve(embedding, merged, resolutions=(0.3,))["ari"][0] == pytest.approx(index)


def test_shuffled_labels_score_about_zero(islands):
    embedding, types = islands
    assert abs(ari(embedding, np.random.default_rng(0).permutation(types), resolutions=(0.3,))) < 0.05


def test_seed_decides_and_input_stays():
    rng = np.random.default_rng(0)
    embedding, types = rng.normal(size=(300, 5)), rng.integers(4, size=300)
    before = embedding.copy()
    first, again = (ari_curve(embedding, types, resolutions=(0.5, 2), seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(ari_curve(embedding, types, resolutions=(0.5, 2), seed=2))
    np.testing.assert_array_equal(embedding, before)


def test_few_neighbors_make_small_clusters():
    rng = np.random.default_rng(0)
    cloud, types = rng.normal(size=(300, 3)), rng.integers(2, size=300)
    few, many = (ari_curve(cloud, types, n_neighbors=k, resolutions=(1,)) for k in (4, 60))
    assert few["n_clusters"][0] > many["n_clusters"][0]


def test_no_warning_reaches_the_user(islands):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        warnings.simplefilter("error", UserWarning)
        ari_curve(*islands, resolutions=(1,))


@pytest.mark.parametrize(
    ("n_types", "expected"),
    [
        (10, 0.5),  # 8 to 10 clusters: rows of 8 and 10, not the better one of 7
        (8, 0.4),  # 8 clusters alone
        (5, 0.3),  # fewer than 8 types: as many clusters as types
        (4, 0.8),  # none has 4: 3 and 5 are as near, the better one counts
        (2, 0.8),  # none has 2: 3 is nearest
    ],
)
def test_best_of_curve(n_types, expected):
    curve = pd.DataFrame({"n_clusters": [3, 5, 7, 8, 10, 14], "ari": [0.8, 0.3, 0.9, 0.4, 0.5, 0.95]})
    assert best_of_curve(curve, n_types) == expected


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"embedding": np.ones(5)}, "`embedding` has shape"),
        ({"labels": ["a"]}, "`labels` has shape"),
        ({"labels": ["a"] * 30}, "`labels` are all of one type"),
        ({"labels": [None] * 30}, "`labels` lacks a value for 30"),
        ({"n_neighbors": 30}, "`n_neighbors` is 30, `embedding` holds 30"),
        ({"n_neighbors": 1.5}, "`n_neighbors` is 1.5"),
        ({"resolutions": ()}, "`resolutions` is"),
        ({"resolutions": 1.0}, "`resolutions` is"),
        ({"resolutions": (1.0, 0.0)}, "`resolutions` is 0.0"),
    ],
)
@pytest.mark.parametrize("measure", [ari, ari_curve])
def test_bad_input_is_named(measure, change, named):
    arguments = {"embedding": np.random.default_rng(0).normal(size=(30, 2)), "labels": list("abc") * 10}
    with pytest.raises((TypeError, ValueError), match=named):
        measure(**(arguments | change))
