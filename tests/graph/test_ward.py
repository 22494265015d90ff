from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import is_valid_linkage, linkage

from scminnet.graph.ward import ward_order


def within(points: np.ndarray, order: np.ndarray, n_pieces: int) -> float:
    """Share of the variance that is within consecutive pieces of a row."""
    pieces = np.array_split(points[order], n_pieces)
    return sum(((p - p.mean(axis=0)) ** 2).sum() for p in pieces) / ((points - points.mean(axis=0)) ** 2).sum()


def mixture(seed: int, n: int = 600) -> np.ndarray:
    """Cells along three lines in ten dimensions."""
    rng = np.random.default_rng(seed)
    which = rng.integers(3, size=n)
    start, way = rng.normal(size=(2, 3, 10))
    return start[which] + rng.uniform(size=(n, 1)) * way[which] + 0.05 * rng.normal(size=(n, 10))


@given(seed=st.integers(0, 10_000), n=st.integers(1, 14), d=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_equals_ward_by_definition(naive_ward_order, seed: int, n: int, d: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, d))
    assert ward_order(points).tolist() == naive_ward_order(points)


@given(seed=st.integers(0, 10_000), n=st.integers(3, 60))
@settings(max_examples=20, deadline=None)
def test_pieces_of_the_tree_stay_together_and_order_of_rows_does_not_matter(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3)).astype(np.float32)
    order = ward_order(points)
    assert sorted(order) == list(range(n))
    shuffled = rng.permutation(n)
    np.testing.assert_array_equal(shuffled[ward_order(points[shuffled])], order)
    tree = linkage(points.astype(float), method="ward")
    assert is_valid_linkage(tree)
    members = [{i} for i in range(n)]
    rank = np.argsort(order)
    for a, b in tree[:, :2].astype(int):
        members.append(members[a] | members[b])
        ranks = [rank[i] for i in members[-1]]
        assert max(ranks) - min(ranks) == len(ranks) - 1


@pytest.mark.parametrize("exact_points", [4096, 20])
def test_points_on_a_line_are_sorted(exact_points: int) -> None:
    line = np.random.default_rng(0).uniform(size=(300, 1)) * [[1.0, 2.0]]
    np.testing.assert_array_equal(ward_order(line, exact_points=exact_points), np.argsort(line[:, 0]))


@pytest.mark.parametrize("exact_points", [4096, 20])
def test_points_along_an_arc_are_in_its_order_from_either_end(exact_points: int) -> None:
    angle = np.sort(np.random.default_rng(0).uniform(0, 5, size=300))
    order = ward_order(np.column_stack([np.cos(angle), np.sin(angle)]), exact_points=exact_points)
    assert order.tolist() in (list(range(300)), list(range(300))[::-1])


def test_large_data_are_ordered_about_as_well_as_small() -> None:
    for seed in range(3):
        points = mixture(seed)
        exact, scaled = ward_order(points), ward_order(points, exact_points=50)
        assert sorted(scaled) == list(range(600))
        assert within(points, scaled, 20) < 1.3 * within(points, exact, 20) < 0.2
        # a row by chance leaves nearly all variance within its pieces
        assert within(points, np.arange(600), 20) > 0.9


def test_the_seed_decides() -> None:
    points = np.random.default_rng(0).normal(size=(400, 5))
    first, again, other = (ward_order(points, seed=seed, exact_points=30) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("n_others", [0, 1, 40])
@pytest.mark.filterwarnings("error")
def test_identical_points_come_to_an_end(n_others: int) -> None:
    points = np.zeros((500, 4), dtype=np.float32)
    points[:n_others] = np.random.default_rng(0).normal(size=(n_others, 4))
    order = ward_order(points, exact_points=10)
    assert sorted(order) == list(range(500))
