from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from scminnet.metrics import matching_score


def random_pair(seed: int, n: int = 37, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x + 0.7 * rng.normal(size=(n, d))


def nearest(point: np.ndarray, cells: np.ndarray, k: int) -> set[int]:
    distance = [sum((point - cell) ** 2) for cell in cells]
    return set(sorted(range(len(cells)), key=lambda j: (distance[j], j))[:k])


def naive(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """The definition, cell by cell and in sets."""
    shares = []
    for i in range(len(x)):
        weights = []
        for j in range(len(y)):
            shared = len(nearest(x[i], x, k) & nearest(y[j], x, k)) + len(nearest(x[i], y, k) & nearest(y[j], y, k))
            weights.append(shared / (4 * k - shared))
        shares.append(weights[i] / sum(weights))
    return float(np.mean(shares))


def of_clue(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """The matrix of the competition's winner, as its published code makes it of unit vectors: graphs and products."""
    among_x, among_y = (NearestNeighbors(n_neighbors=k).fit(z) for z in (x, y))
    shared = among_y.kneighbors_graph(x) @ among_y.kneighbors_graph(y).T
    shared += (among_x.kneighbors_graph(y) @ among_x.kneighbors_graph(x).T).T
    jaccard = shared.toarray()
    return jaccard / (4 * k - jaccard)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("chunk_size", [1, 7, 37, 1000])
def test_equals_the_naive_loops_whatever_the_chunk(k, chunk_size):
    x, y = random_pair(0)
    result = matching_score(x, y, n_neighbors=k, chunk_size=chunk_size)
    assert result.x_to_y == pytest.approx(naive(x, y, k), abs=1e-12)
    assert result.y_to_x == pytest.approx(naive(y, x, k), abs=1e-12)
    assert result.x_to_y != result.y_to_x
    assert result.mean == (result.x_to_y + result.y_to_x) / 2
    assert type(result.x_to_y) is float


@pytest.mark.parametrize("k", [1, 10])
def test_equals_the_matrix_of_the_winning_method(k):
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in random_pair(1, n=300))
    weights = of_clue(x, y, k)
    own = np.diag(weights)
    result = matching_score(x, y, n_neighbors=k)
    # the competition's score: the share of the true match, mean over the cells of the one modality
    assert result.x_to_y == pytest.approx(np.mean(own / weights.sum(axis=1)), abs=1e-12)
    assert result.y_to_x == pytest.approx(np.mean(own / weights.sum(axis=0)), abs=1e-12)


def test_worked_case():
    # x_1 is the nearest of y_1 and of y_2, y_1 that of x_1 and of x_2; nobody's nearest is x_2 or y_2
    x, y = np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [0.9]])
    weights = np.array([[1, 0, 0], [0, 1, 1 / 3], [0, 1 / 3, 0]])
    result = matching_score(x, y)
    assert result.x_to_y == pytest.approx(np.mean(np.diag(weights) / weights.sum(axis=1)))
    assert result.x_to_y == pytest.approx((1 + 3 / 4 + 0) / 3)
    # nobody's nearest cell is the own one
    assert matching_score(np.array([[0.0], [10]]), np.array([[10.0], [0]])).mean == 0


def test_a_collapsed_embedding_scores_nearly_nothing():
    zeros = np.zeros((50, 3))
    assert matching_score(zeros, zeros, chunk_size=7).mean < 2 / 50
    # one point a type: at best one cell of each type finds itself
    points = np.repeat(np.arange(5.0), 10)[:, None]
    assert matching_score(points, points).mean <= 5 / 50


def test_random_pairing_is_one_of_n():
    rng = np.random.default_rng(0)
    assert matching_score(rng.normal(size=(800, 4)), rng.normal(size=(800, 4))).mean == pytest.approx(0, abs=0.01)


def test_closer_matches_score_higher():
    x, y = random_pair(2, n=200)
    scores = [matching_score(x, x + share * (y - x)).mean for share in (1.0, 0.5, 0.1)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.3


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), d=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_properties(seed, n, d):
    x, y = random_pair(seed, n, d)
    result = matching_score(x, y)
    assert 0 <= result.x_to_y <= 1
    assert matching_score(x, x).mean == 1
    swapped = matching_score(y, x)
    assert (swapped.x_to_y, swapped.y_to_x) == pytest.approx((result.y_to_x, result.x_to_y), abs=1e-12)

    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for a, b in ((x[order], y[order]), (x @ rotation + 3, y @ rotation + 3), (5 * x, 5 * y)):
        moved = matching_score(a, b)
        assert (moved.x_to_y, moved.y_to_x) == pytest.approx((result.x_to_y, result.y_to_x), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "arguments", "named"),
    [
        (np.ones(3), np.ones((3, 1)), {}, "`x` has shape"),
        (np.ones((3, 1)), np.full((3, 1), np.nan), {}, "`y` holds NaN"),
        (np.ones((3, 2)), np.ones((3, 1)), {}, r"`y` has shape \(3, 1\), `x` \(3, 2\)"),
        (np.ones((3, 2)), np.ones((4, 2)), {}, "`y` has shape"),
        (np.ones((1, 2)), np.ones((1, 2)), {}, "`x` holds 1 cells"),
        (np.ones((3, 2)), np.ones((3, 2)), {"n_neighbors": 4}, "`n_neighbors` is 4, `x` holds 3 cells"),
        (np.ones((3, 2)), np.ones((3, 2)), {"n_neighbors": 0}, "`n_neighbors`"),
        (np.ones((3, 2)), np.ones((3, 2)), {"chunk_size": 0}, "`chunk_size`"),
        (np.ones((3, 2)), np.ones((3, 2)), {"chunk_size": 2.5}, "`chunk_size`"),
    ],
)
def test_bad_input_is_named(x, y, arguments, named):
    with pytest.raises(ValueError, match=named):
        matching_score(x, y, **arguments)
