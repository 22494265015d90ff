from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet.metrics import foscttm


def random_pair(seed: int, n: int = 37, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x + rng.normal(size=(n, d))


def naive(x: np.ndarray, y: np.ndarray) -> float:
    fractions = []
    for i in range(len(x)):
        own = sum((x[i] - y[i]) ** 2)
        fractions.append(sum(sum((x[i] - y[j]) ** 2) < own for j in range(len(y))) / len(y))
    return float(np.mean(fractions))


@pytest.mark.parametrize("chunk_size", [1, 7, 37, 1000])
def test_equals_the_naive_loops_whatever_the_chunk(chunk_size):
    x, y = random_pair(0)
    result = foscttm(x, y, chunk_size=chunk_size)
    assert result.x_to_y == pytest.approx(naive(x, y), abs=1e-12)
    assert result.y_to_x == pytest.approx(naive(y, x), abs=1e-12)
    assert result.mean == (result.x_to_y + result.y_to_x) / 2
    assert type(result.x_to_y) is float


def test_worked_case():
    # x: 0 .. 3;  y: the cells' matches lie at 0, 2, 1, 3
    #   cell 1 (x 1, match at 2): only cell 2's match, at 1, is closer; cell 2 likewise; 0 and 3 lie on their matches
    x, y = np.array([[0.0], [1], [2], [3]]), np.array([[0.0], [2], [1], [3]])
    assert foscttm(x, y).x_to_y == 2 / 16
    # farthest possible: everybody else is closer than the match
    assert foscttm(np.array([[0.0], [10]]), np.array([[10.0], [0]])).mean == 1 / 2


def test_ties_do_not_count():
    x = np.array([[0.0], [0.0]])
    assert foscttm(x, np.array([[1.0], [-1.0]])).x_to_y == 0
    assert foscttm(np.zeros((5, 3)), np.zeros((5, 3))).mean == 0
    # many duplicates far from the origin, where rounding would break ties
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(10, 7)), 13, axis=0).astype(np.float32) + 1e3
    assert foscttm(x, x).mean == 0
    y = np.repeat(rng.normal(size=(10, 7)), 13, axis=0).astype(np.float32) + 1e3
    once = foscttm(x[::13], y[::13])
    for chunk_size in (1, 50, 512):
        repeated = foscttm(x, y, chunk_size=chunk_size)
        assert (repeated.x_to_y, repeated.y_to_x) == pytest.approx((once.x_to_y, once.y_to_x), abs=1e-12)


def test_float32_far_from_the_origin():
    x, y = random_pair(1, n=200)
    x, y = (np.round(m * 64) / 64 + 4096 for m in (x, y))  # exact in float32
    assert foscttm(x.astype(np.float32), y.astype(np.float32)) == foscttm(x - 4096, y - 4096)


def test_random_pairing_is_a_half():
    rng = np.random.default_rng(0)
    assert foscttm(rng.normal(size=(800, 4)), rng.normal(size=(800, 4))).mean == pytest.approx(0.5, abs=0.02)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), d=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_properties(seed, n, d):
    x, y = random_pair(seed, n, d)
    result = foscttm(x, y)
    assert 0 <= result.x_to_y <= (n - 1) / n
    assert foscttm(x, x).mean == 0
    swapped = foscttm(y, x)
    assert (swapped.x_to_y, swapped.y_to_x) == (result.y_to_x, result.x_to_y)

    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for a, b in ((x[order], y[order]), (x @ rotation + 3, y @ rotation + 3), (5 * x, 5 * y)):
        moved = foscttm(a, b)
        assert (moved.x_to_y, moved.y_to_x) == pytest.approx((result.x_to_y, result.y_to_x), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "arguments", "named"),
    [
        (np.ones(3), np.ones((3, 1)), {}, "`x` has shape"),
        (np.ones((3, 1)), np.full((3, 1), np.nan), {}, "`y` holds NaN"),
        (np.ones((3, 2)), np.ones((3, 1)), {}, r"`y` has shape \(3, 1\), `x` \(3, 2\)"),
        (np.ones((3, 2)), np.ones((4, 2)), {}, "`y` has shape"),
        (np.ones((1, 2)), np.ones((1, 2)), {}, "`x` holds 1 cells"),
        (np.ones((3, 2)), np.ones((3, 2)), {"chunk_size": 0}, "`chunk_size`"),
        (np.ones((3, 2)), np.ones((3, 2)), {"chunk_size": 2.5}, "`chunk_size`"),
    ],
)
def test_bad_input_is_named(x, y, arguments, named):
    with pytest.raises(ValueError, match=named):
        foscttm(x, y, **arguments)
