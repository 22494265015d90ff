from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scminnet.model.diagnosis.statistics import (
    MIN_PER_TYPE,
    MIXING_NEIGHBORS,
    Typed,
    expected_level_correlation,
    level_correlation,
    level_ratio,
    modality_mixing,
)


def cloud(rng: np.random.Generator, counts: tuple[int, ...], shift: float = 0.0) -> Typed:
    """Types 0, 1, ... far from each other, so many cells of each."""
    types = np.repeat(np.arange(len(counts)), counts)
    return Typed(rng.normal(size=(len(types), 3)) + 100 * types[:, None] + shift, types)


def test_level_correlation(rng: np.random.Generator) -> None:
    a, b = rng.random(50).astype(np.float32), rng.random(50).astype(np.float32)
    assert level_correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert level_correlation(a, 3 * a + 1) == pytest.approx(1)
    assert level_correlation(a[:2], b[:2]) is None
    assert level_correlation(np.ones(5), b[:5]) is None


@pytest.mark.parametrize("n_cells", [30, 300])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_expected_level_correlation_is_what_draws_have(n_cells: int, spread: float, rng: np.random.Generator) -> None:
    mean, std = rng.normal(5, spread, 400), rng.uniform(0.5, 1.5, 400)
    drawn = [level_correlation(rng.normal(mean, std / np.sqrt(n_cells)), mean) for _ in range(20)]
    assert expected_level_correlation(mean, std, n_cells) == pytest.approx(np.mean(drawn), abs=0.02)


def test_expected_level_correlation_of_features_that_are_alike(rng: np.random.Generator) -> None:
    assert expected_level_correlation(np.ones(10), np.ones(10), 100) == 0
    assert expected_level_correlation(np.ones(2), np.ones(2), 100) == 0


def test_level_ratio() -> None:
    assert level_ratio(np.array([2.0, 4.0]), np.array([1.0, 2.0])) == 2
    assert level_ratio(np.array([]), np.array([])) is None


def test_mixing_of_cells_drawn_alike_is_one(rng: np.random.Generator) -> None:
    found = modality_mixing(*(cloud(rng, (150, 150)) for _ in range(4)), seed=0)
    assert found.query == pytest.approx(1, abs=0.06)
    assert found.reference == pytest.approx(1, abs=0.06)


def test_mixing_falls_as_modalities_part(rng: np.random.Generator) -> None:
    reference = cloud(rng, (100, 100)), cloud(rng, (100, 100))
    values = [
        modality_mixing(cloud(rng, (100, 100)), cloud(rng, (100, 100), shift), *reference, seed=0).query
        for shift in (0.0, 1.0, 5.0)
    ]
    assert values[0] > values[1] > values[2]
    assert values[2] < 0.05


def test_mixing_does_not_depend_on_the_shares_of_types(rng: np.random.Generator) -> None:
    reference = cloud(rng, (100, 100)), cloud(rng, (100, 100))
    found = modality_mixing(cloud(rng, (400, 40)), cloud(rng, (40, 400)), *reference, seed=0)
    assert found.query == pytest.approx(1, abs=0.1)
    # a type that one modality lacks has no say
    found = modality_mixing(cloud(rng, (100, 100)), cloud(rng, (100,)), *reference, seed=0)
    assert found.query == pytest.approx(1, abs=0.1)


def test_mixing_against_loops(rng: np.random.Generator) -> None:
    """One type, as many cells in all groups, so that every draw has all cells."""
    groups = [cloud(rng, (30,), shift) for shift in (0.0, 0.7, 0.0, 0.1)]

    def share(a: np.ndarray, b: np.ndarray) -> float:
        points, is_b = np.concatenate([a, b]), np.arange(60) >= 30
        others = 0
        for i, row in enumerate(cdist(points, points)):
            near = [j for j in np.argsort(row) if j != i][:MIXING_NEIGHBORS]
            others += sum(is_b[j] != is_b[i] for j in near)
        return others / (60 * MIXING_NEIGHBORS) / (30 / 59)

    found = modality_mixing(*groups, seed=0)
    assert found.query == pytest.approx(share(groups[0].embedding, groups[1].embedding))
    assert found.reference == pytest.approx(share(groups[2].embedding, groups[3].embedding))


def test_too_few_cells_of_every_type_say_nothing(rng: np.random.Generator) -> None:
    many, few = cloud(rng, (50, 50)), cloud(rng, (MIN_PER_TYPE - 1,) * 2)
    assert modality_mixing(many, few, many, many, seed=0) is None
    assert modality_mixing(many, many, many, few, seed=0) is None
