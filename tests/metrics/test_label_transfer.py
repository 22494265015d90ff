from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score
from sklearn.neighbors import KNeighborsClassifier

from scminnet.metrics import label_transfer_accuracy


def clusters(seed: int, n: int = 150, n_types: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters whose centres are those of seed 0, whatever the seed of the cells."""
    centres = np.random.default_rng(0).normal(size=(n_types, 3))
    rng = np.random.default_rng(seed)
    types = rng.integers(n_types, size=n)
    return centres[types] + 0.8 * rng.normal(size=(n, 3)), np.array(list("abcd"))[types]


@pytest.mark.parametrize("k", [1, 5, 30])
def test_equals_scikit_learn(k):
    (source, source_labels), (target, target_labels) = clusters(1), clusters(2, n=90)
    result = label_transfer_accuracy(source, source_labels, target, target_labels, n_neighbors=k)
    expected = KNeighborsClassifier(k, weights="distance").fit(source, source_labels).predict(target)
    assert (result.predictions == expected).all()
    assert result.accuracy == pytest.approx((expected == target_labels).mean())
    assert result.macro_accuracy == pytest.approx(recall_score(target_labels, expected, average="macro"))
    assert result.n_neighbors == k
    expected_per_type = recall_score(target_labels, expected, average=None, labels=result.per_type.index.to_list())
    np.testing.assert_allclose(result.per_type, expected_per_type)


def test_equals_scikit_learn_amid_duplicates():
    source = np.array([[0.0], [0], [0], [0.1], [0.1], [0.1]])
    labels = np.array(["b", "a", "b", "c", "c", "c"])
    target = np.array([[0.0], [0.04], [0.09]])
    expected = KNeighborsClassifier(6, weights="distance").fit(source, labels).predict(target)
    assert list(expected) == ["b", "b", "c"]
    result = label_transfer_accuracy(source, labels, target, expected, n_neighbors=6)
    assert list(result.predictions) == list(expected)


def test_worked_case():
    # near 0: one a at distance 1 (weight 1) against two b at distance 3 (weight 2/3): distance decides, not number
    source, labels = np.array([[1.0], [-3], [3]]), ["a", "b", "b"]
    result = label_transfer_accuracy(source, labels, np.array([[0.0], [2.9]]), ["a", "z"], n_neighbors=3)
    assert list(result.predictions) == ["a", "b"]
    # the target's type z is unknown to the source and counts as wrong
    assert (result.accuracy, result.macro_accuracy) == (0.5, 0.5)
    assert result.per_type.to_dict() == {"a": 1, "z": 0}
    assert result.per_type.name == "accuracy"
    # a tie goes to the first in sorted order
    tied = label_transfer_accuracy(np.array([[-1.0], [1]]), ["b", "a"], np.array([[0.0]]), ["a"], n_neighbors=2)
    assert tied.predictions[0] == "a"


def test_the_best_k_is_chosen_and_the_smallest_of_equals():
    (source, source_labels), (target, target_labels) = clusters(1), clusters(2)
    arguments = (source, source_labels, target, target_labels)
    alone = {k: label_transfer_accuracy(*arguments, n_neighbors=k).accuracy for k in (1, 3, 15, 60)}
    best = label_transfer_accuracy(*arguments, n_neighbors=(60, 3, 1, 15))
    assert best.accuracy == max(alone.values())
    assert best.n_neighbors == min(k for k, accuracy in alone.items() if accuracy == best.accuracy)
    assert len(set(alone.values())) > 1

    apart = label_transfer_accuracy(source, ["a"] * 150, target, ["a"] * 150, n_neighbors=(60, 3))
    assert (apart.accuracy, apart.n_neighbors) == (1, 3)


def test_k_beyond_the_source_is_passed_over():
    source, labels = clusters(1, n=12)
    assert label_transfer_accuracy(source, labels, source, labels, n_neighbors=(5, 200)).n_neighbors == 5


def test_labels_may_be_categorical_with_unused_categories_or_a_series_with_another_index():
    (source, source_labels), (target, target_labels) = clusters(1), clusters(2)
    plain = label_transfer_accuracy(source, source_labels, target, target_labels)
    categorical = pd.Categorical(source_labels, categories=list("zdcba"))
    series = pd.Series(target_labels, index=np.arange(len(target))[::-1])
    other = label_transfer_accuracy(source, categorical, target, series)
    assert (plain.predictions == other.predictions).all()
    assert plain.accuracy == other.accuracy
    assert list(other.per_type.index) == list("abcd")


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_properties(seed, k):
    (source, source_labels), (target, target_labels) = clusters(seed), clusters(seed + 1, n=40)
    result = label_transfer_accuracy(source, source_labels, target, target_labels, n_neighbors=k)
    assert 0 <= result.accuracy <= 1
    assert 0 <= result.macro_accuracy <= 1
    rng = np.random.default_rng(seed)
    order, rotation = rng.permutation(len(source)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = label_transfer_accuracy(
        4 * (source[order] @ rotation + 1),
        source_labels[order],
        4 * (target @ rotation + 1),
        target_labels,
        n_neighbors=k,
    )
    assert (moved.predictions == result.predictions).all()
    itself = label_transfer_accuracy(source, source_labels, source, source_labels, n_neighbors=k)
    assert itself.accuracy == 1  # each cell lies on itself, and only it votes


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": np.full((150, 3), np.inf)}, "`source` holds NaN or infinite"),
        ({"target": np.ones((90, 2))}, "`target` has 2 dimensions, `source` 3"),
        ({"source_labels": ["a"] * 3}, "`source_labels` has shape"),
        ({"target_labels": "a"}, "`target_labels` has shape"),
        ({"target_labels": [None] + ["a"] * 89}, "`target_labels` lacks a value for 1 of 90"),
        ({"target": np.empty((0, 3)), "target_labels": []}, "`target` holds no cells"),
        ({"n_neighbors": 0}, "`n_neighbors` is 0"),
        ({"n_neighbors": (5, 2.5)}, "`n_neighbors` is \\(5, 2.5"),
        ({"n_neighbors": ()}, "`n_neighbors` is empty"),
        ({"n_neighbors": 151}, "`n_neighbors` is 151"),
    ],
)
def test_bad_input_is_named(change, named):
    (source, source_labels), (target, target_labels) = clusters(1), clusters(2, n=90)
    arguments = {
        "source": source,
        "source_labels": source_labels,
        "target": target,
        "target_labels": target_labels,
    }
    with pytest.raises(ValueError, match=named):
        label_transfer_accuracy(**(arguments | change))
