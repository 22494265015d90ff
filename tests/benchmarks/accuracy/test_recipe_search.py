"""Principal components of the search are those of a decomposition of the standardised cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from benchmarks.accuracy.recipe_search.components import components


@pytest.mark.parametrize("with_query", [False, True])
def test_components_are_those_of_standardised_cells(with_query: bool) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 30)) * [3]
    values = np.maximum(signal + rng.normal(size=signal.shape), 0).astype(np.float32)
    train, validation = values[:100], values[100:]
    found = components(sparse.csr_matrix(train), sparse.csr_matrix(validation), standardise=True, with_query=with_query)
    sides = [np.clip((x - x.mean(0)) / x.std(0, ddof=1), -10, 10) for x in (train, validation)]
    fitted = np.concatenate(sides) if with_query else sides[0]
    axes = np.linalg.svd(fitted - fitted.mean(0), full_matrices=False)[2][:3].T
    for x, scores in zip(sides, (found.train, found.validation), strict=True):
        expected = (x - sides[0].mean(0)) @ axes
        np.testing.assert_allclose(np.abs(scores[:, :3]), np.abs(expected), atol=2e-2)
