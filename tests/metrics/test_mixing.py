from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from scminnet.metrics import foscttm, neighbor_mixing, silhouette_modality


def drawn(n: int = 300, apart: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [n // 2, n // 3, n - n // 2 - n // 3])
    return rng.normal(size=(n, 4)) + apart * codes[:, None], np.array(["rna", "atac", "adt"])[codes]


def naive(embedding: np.ndarray, groups: np.ndarray, k: int) -> float:
    distance = cdist(embedding, embedding)
    np.fill_diagonal(distance, np.inf)
    values = []
    for group in np.unique(groups):
        own = groups == group
        chance = (~own).sum() / (len(groups) - 1)
        shares = [(groups[np.argsort(distance[i])[:k]] != group).mean() for i in np.flatnonzero(own)]
        values.append(np.mean(shares) / chance)
    return float(np.mean(values))


@pytest.mark.parametrize("apart", [0.0, 0.5, 3.0])
def test_equals_the_naive_loop(apart):
    embedding, groups = drawn(apart=apart)
    assert neighbor_mixing(embedding, groups, n_neighbors=7) == pytest.approx(naive(embedding, groups, 7))


def test_is_1_for_one_distribution_and_0_for_separate_groups():
    assert neighbor_mixing(*drawn(n=3000)) == pytest.approx(1, abs=0.03)
    assert neighbor_mixing(*drawn(n=3000, apart=50)) == 0


def test_sees_a_shift_that_other_measures_do_not():
    # cells of two modalities on a wide circle, those of the other a little outside
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    rna, atac = np.hstack([circle, np.zeros((500, 1))]), np.hstack([circle, np.full((500, 1), 0.3)])
    both, modality = np.concatenate([rna, atac]), np.repeat(["rna", "atac"], 500)
    assert foscttm(rna, atac).mean == 0
    assert silhouette_modality(both, modality) > 0.9
    assert neighbor_mixing(both, modality, n_neighbors=20) == 0


@given(seed=st.integers(0, 10_000), factor=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_invariant_to_order_scale_and_translation(seed, factor, shift):
    embedding, groups = drawn(n=90, apart=0.3)
    order = np.random.default_rng(seed).permutation(90)
    moved = neighbor_mixing(factor * embedding[order] + shift, groups[order], n_neighbors=5)
    assert moved == pytest.approx(neighbor_mixing(embedding, groups, n_neighbors=5))


def test_one_group_and_too_few_cells_are_refused():
    embedding, groups = drawn(n=30)
    with pytest.raises(ValueError, match="`groups` has 1 groups"):
        neighbor_mixing(embedding, np.repeat("rna", 30))
    with pytest.raises(ValueError, match="`n_neighbors` is 30, there are 30 cells"):
        neighbor_mixing(embedding, groups)
    with pytest.raises(ValueError, match="`n_neighbors`"):
        neighbor_mixing(embedding, groups, n_neighbors=0)
