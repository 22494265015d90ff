from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scminnet.metrics import silhouette_batch, silhouette_label, silhouette_modality


def groups(n: int = 60, apart: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(3, size=n)
    return rng.normal(size=(n, 4)) + apart * codes[:, None], np.array(["x", "y", "z"])[codes]


def naive(embedding: np.ndarray, labels: np.ndarray) -> float:
    distance = cdist(embedding, embedding)
    values = []
    for i, label in enumerate(labels):
        others = np.arange(len(labels)) != i
        a = distance[i, others & (labels == label)].mean()
        b = min(distance[i, labels == other].mean() for other in set(labels) - {label})
        values.append((b - a) / max(a, b))
    return float(np.mean(values))


def test_equals_the_naive_loops():
    embedding, labels = groups()
    expected = naive(embedding, labels)
    assert silhouette_label(embedding, labels) == pytest.approx(expected)
    assert silhouette_modality(embedding, labels) == pytest.approx(1 - abs(expected))
    assert silhouette_batch(embedding, labels) == pytest.approx(1 - abs(expected))


def test_worked_case():
    # a = 1 within both groups; b = 9.5 or 10.5 for the cells on the near and far side of theirs
    embedding, labels = np.array([[0.0], [1], [10], [11]]), ["x", "x", "y", "y"]
    expected = (2 * (9.5 / 10.5) + 2 * (8.5 / 9.5)) / 4
    assert silhouette_label(embedding, labels) == pytest.approx(expected)


def test_negative_silhouettes_are_no_better_mixed():
    # three groups of one distribution: the nearest other group is a little nearer than the own, on average
    embedding, labels = groups(apart=0)
    value = silhouette_label(embedding, labels)
    assert value < 0
    assert silhouette_batch(embedding, labels) == silhouette_modality(embedding, labels) == 1 + value


def test_invariant_to_rotation_translation_scale_and_order():
    embedding, labels = groups()
    rng = np.random.default_rng(1)
    rotation, order = np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.permutation(60)
    moved = silhouette_label((3 * embedding @ rotation + 100)[order], labels[order])
    assert moved == pytest.approx(silhouette_label(embedding, labels))


def test_sample_beyond_max_cells_is_seeded_and_near_the_exact_value():
    embedding, labels = groups(n=2000)
    exact = silhouette_label(embedding, labels)
    assert silhouette_label(embedding, labels, max_cells=2000) == exact
    sampled = silhouette_label(embedding, labels, max_cells=600, seed=1)
    assert sampled == silhouette_label(embedding, labels, max_cells=600, seed=1)
    assert sampled != silhouette_label(embedding, labels, max_cells=600, seed=2)
    assert sampled != exact
    assert sampled == pytest.approx(exact, abs=0.05)
    # all but two cells: without replacement hardly anything changes
    assert silhouette_label(embedding, labels, max_cells=1998) == pytest.approx(exact, abs=5e-4)


@pytest.mark.parametrize(
    ("measure", "argument"),
    [(silhouette_label, "labels"), (silhouette_modality, "modalities"), (silhouette_batch, "batches")],
)
def test_bad_input_is_named(measure, argument):
    embedding, labels = groups(n=10)
    with pytest.raises(ValueError, match=f"`{argument}` has 1 groups"):
        measure(embedding, ["x"] * 10)
    with pytest.raises(ValueError, match=f"`{argument}` has 10 groups"):
        measure(embedding, range(10))
    with pytest.raises(ValueError, match=f"`{argument}` has shape"):
        measure(embedding, labels[:-1])
    with pytest.raises(ValueError, match=f"`{argument}` lacks a value for 1 of 10"):
        measure(embedding, [*labels[:-1], np.nan])
    with pytest.raises(ValueError, match="`embedding` holds NaN"):
        measure(np.full((10, 2), np.nan), labels)
    with pytest.raises(ValueError, match="`max_cells` is 2"):
        measure(embedding, labels, max_cells=2)
