from __future__ import annotations

import numpy as np
import pytest

from scminnet.model.data.moments import feature_moments
from scminnet.model.inference.forward_pass import project_rows
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe


@pytest.mark.parametrize("adapt_norm", [True, False])
def test_components_of_cells_standardised_by_themselves_are_centred(adapt_norm: bool) -> None:
    # values of features that 1 cell in 400 has are clipped, so that their mean is no longer 0
    matrix = (np.arange(400)[:, None] == np.arange(5)).astype(np.float32)
    module = SiameseModule({"rna": 5}, 0, Recipe(adapt_norm=adapt_norm, n_canonical=30))
    weight = np.random.default_rng(0).normal(size=(5, 30)).astype(np.float32)
    module.encoder("rna").input.set_weights(weight, np.zeros(30, np.float32))
    mean, std = feature_moments(matrix)
    expected = np.clip((matrix - mean) / std, -10, 10) @ weight
    assert np.abs(expected.mean(axis=0)).max() > 0.01
    if adapt_norm:
        expected -= expected.mean(axis=0)
    projected = project_rows(module, matrix, "rna", moments=(mean, std))
    np.testing.assert_allclose(projected, expected, atol=1e-5)
    module.encoder("rna").input.set_moments(mean, std, np.zeros(5, bool))
    np.testing.assert_allclose(
        project_rows(module, matrix, "rna").mean(axis=0),
        (np.clip((matrix - mean) / std, -10, 10) @ weight).mean(0),
        atol=1e-5,
    )
