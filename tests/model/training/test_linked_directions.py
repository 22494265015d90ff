"""Directions along which linked features vary together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scminnet.coupling.couple import LINK_COMPONENTS, MANY_LINKS
from scminnet.model.data.moments import feature_moments
from scminnet.model.network.whitening import whitened_components
from scminnet.model.training.coupled_cells import Part
from scminnet.model.training.linked_directions import linked_directions

N_LINKS = 80


def part(matrix: sparse.csr_matrix, moments=None) -> Part:
    n = matrix.shape[0]
    return Part(matrix, moments, np.arange(n), np.arange(n), np.zeros(n, int), np.full(n, -1))


@pytest.fixture
def sides() -> tuple[list[sparse.csr_matrix], np.ndarray]:
    """Two peaks for each of 80 genes, and a programme of 20 genes that both modalities have, in other cells."""
    rng = np.random.default_rng(0)
    programme = np.r_[np.ones(20), np.zeros(N_LINKS - 20)]
    found = []
    for n, repeats, noise in ((300, 1, 0.6), (120, 2, 2.0)):
        level = 2 + rng.normal(size=(n, 1)) * np.repeat(programme, repeats)
        values = np.maximum(level + noise * rng.normal(size=level.shape), 0)
        found.append(sparse.csr_matrix(values.astype(np.float32)))
    return found, programme


def links() -> sparse.csr_matrix:
    genes = np.repeat(np.arange(N_LINKS), 2)
    one = np.ones(len(genes), np.float32)
    return sparse.csr_matrix((one, (genes, np.arange(len(genes)))), shape=(N_LINKS, len(genes)))


def test_the_first_direction_is_what_both_modalities_vary_in(sides) -> None:
    matrices, programme = sides
    moments = tuple(feature_moments(x) for x in matrices)
    found = linked_directions(([part(matrices[0])], [part(matrices[1])]), links(), moments, seed=0)
    for side, expected in enumerate((programme, np.repeat(programme, 2))):
        assert found[side].shape == (len(expected), LINK_COMPONENTS)
        assert found[side].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found[side], axis=0), 1, rtol=1e-4)
        assert abs(np.corrcoef(found[side][:, 0], expected)[0, 1]) > 0.9


def test_parts_are_centred_by_themselves_and_standardised_by_their_own_moments(sides) -> None:
    matrices, _ = sides
    moments = tuple(feature_moments(x) for x in matrices)
    whole = linked_directions(([part(matrices[0])], [part(matrices[1])]), links(), moments, seed=0)
    shifted = sparse.csr_matrix(3 * matrices[1].toarray() + 7)
    query = part(shifted, feature_moments(shifted))
    found = linked_directions(([part(matrices[0])], [query]), links(), moments, seed=0)
    np.testing.assert_allclose(np.abs(found[0][:, 0]), np.abs(whole[0][:, 0]), atol=1e-3)


def test_a_single_odd_cell_is_no_direction(sides) -> None:
    matrices, programme = sides
    odd = matrices[0].toarray()
    odd[:, 20:] = 0
    # sixty genes that only the first cell has
    odd[0, 20:] = 5
    matrices[0] = sparse.csr_matrix(odd)
    moments = tuple(feature_moments(x) for x in matrices)
    found = linked_directions(([part(matrices[0])], [part(matrices[1])]), links(), moments, seed=0)
    assert (found[0][programme > 0, 0] ** 2).sum() > 0.8


def test_a_feature_that_does_not_vary_has_no_part_in_a_direction(sides) -> None:
    matrices, _ = sides
    constant = matrices[0].toarray()
    constant[:, 3] = 1
    matrices[0] = sparse.csr_matrix(constant)
    moments = tuple(feature_moments(x) for x in matrices)
    found = linked_directions(([part(matrices[0])], [part(matrices[1])]), links(), moments, seed=0)
    assert (found[0][3] == 0).all()
    assert np.isfinite(found[0]).all()


def test_few_links_have_none() -> None:
    few = links()[: MANY_LINKS - 1]
    found = linked_directions(([], []), few, ((np.array([]),) * 2,) * 2, seed=0)
    assert [x.shape for x in found] == [(few.shape[0], 0), (few.shape[1], 0)]


@pytest.mark.parametrize("n_features", [60, 700])
def test_components_express_further_directions(n_features: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, n_features)) * np.linspace(5, 1, n_features)
    values = values.astype(np.float32)
    direction = np.eye(n_features, dtype=np.float32)[:, -2:]
    plain = whitened_components([values], 5, 0)
    found = whitened_components([values], 5, 0, further=direction)
    assert found.weights.shape == (n_features, 7)
    scores = values @ found.weights
    np.testing.assert_allclose(np.cov(scores.T), np.eye(7), atol=5e-3)
    for target in (values @ direction, values @ plain.weights):
        fitted = scores @ np.linalg.lstsq(scores - scores.mean(0), target - target.mean(0), rcond=None)[0]
        np.testing.assert_allclose(fitted - fitted.mean(0), target - target.mean(0), atol=1e-2)


def test_directions_within_the_components_add_none() -> None:
    values = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    plain = whitened_components([values], 6, 0)
    found = whitened_components([values], 6, 0, further=np.eye(6, dtype=np.float32)[:, :3])
    assert found.weights.shape == (6, 6)
    np.testing.assert_allclose(np.abs(found.weights), np.abs(plain.weights), atol=1e-3)
    none = whitened_components([values], 4, 0, further=np.zeros((6, 0), np.float32))
    np.testing.assert_allclose(np.abs(none.weights), np.abs(whitened_components([values], 4, 0).weights), atol=1e-3)
