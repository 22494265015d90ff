from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import take_rows
from scminnet.model.network.layers import CLIP, StandardisedLinear

ALL = slice(None)


def layer_and_data(seed: int, *, dropout: float = 0.0) -> tuple[StandardisedLinear, sparse.csr_matrix]:
    rng = np.random.default_rng(seed)
    matrix = sparse.random(30, 9, density=0.3, format="csr", dtype=np.float32, random_state=rng)
    matrix.data *= 50  # some standardised values beyond the clip
    matrix[0, 1] = 1e4
    matrix[:, 2] = 0
    matrix = sparse.csr_matrix(matrix)
    matrix.eliminate_zeros()
    torch.manual_seed(seed)
    layer = StandardisedLinear(9, 4, learned=True, dropout=dropout)
    layer.set_moments(*feature_moments(matrix[5:]), np.zeros(9, bool))
    return layer, matrix


def standardised(matrix: sparse.csr_matrix, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (matrix.toarray() - mean) / std
    return np.clip(np.where(std > 0, z, 0), -CLIP, CLIP)


@settings(deadline=None)
@given(seed=st.integers(0, 50))
def test_sparse_dense_and_explicit_standardisation_agree(seed: int) -> None:
    layer, matrix = layer_and_data(seed)
    expected = standardised(matrix, layer.mean.numpy(), layer.std.numpy()) @ layer.weight.detach().numpy()
    expected = expected + layer.bias.detach().numpy()
    for kind in (matrix, matrix.toarray()):
        np.testing.assert_allclose(layer(take_rows(kind, ALL)).detach().numpy(), expected, atol=2e-4)


def test_gradients_of_sparse_and_dense_agree() -> None:
    layer, matrix = layer_and_data(3)
    gradients = []
    for kind in (matrix, matrix.toarray()):
        layer.zero_grad()
        layer(take_rows(kind, ALL)).square().sum().backward()
        gradients.append(layer.weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-2)


def test_given_moments_take_the_place_of_the_reference_s() -> None:
    layer, matrix = layer_and_data(1)
    moments = tuple(torch.from_numpy(m) for m in feature_moments(matrix))
    z = standardised(matrix, *feature_moments(matrix))
    expected = z @ layer.weight.detach().numpy() + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(take_rows(matrix, ALL), moments).detach().numpy(), expected, atol=2e-4)


def test_input_dropout_acts_on_standardised_values_in_training_only() -> None:
    layer, matrix = layer_and_data(2, dropout=0.5)
    rows = take_rows(matrix, ALL)
    torch.manual_seed(0)
    dropped = layer(rows)
    torch.manual_seed(0)
    keep = (torch.rand(9, 1) >= 0.5).numpy() / 0.5
    z = standardised(matrix, layer.mean.numpy(), layer.std.numpy())
    expected = z @ (layer.weight.detach().numpy() * keep) + layer.bias.detach().numpy()
    np.testing.assert_allclose(dropped.detach().numpy(), expected, atol=2e-4)
    layer.eval()
    torch.testing.assert_close(layer(rows), layer(rows))


def test_rare_peaks_are_clipped_at_twice_their_value_when_open() -> None:
    matrix = sparse.csr_matrix(np.eye(900, 4, dtype=np.float32))
    matrix[1:400, 2] = 1
    moments = feature_moments(matrix)
    layer = StandardisedLinear(4, 4, learned=True)
    layer.set_weights(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    layer.set_moments(*moments, np.array([True, False, True, False]))
    # one of 900 cells is open: 30 when open. The third peak is frequent, and the others are no peaks.
    outliers = sparse.csr_matrix(np.full((1, 4), 100, np.float32))
    for kind in (outliers, outliers.toarray()):
        clipped = layer(take_rows(kind, ALL)).detach().numpy()
        np.testing.assert_allclose(clipped, [[60, CLIP, CLIP, CLIP]], rtol=0.01)
    open_once = layer(take_rows(matrix[:1], ALL)).detach().numpy()
    assert open_once[0, 0] == pytest.approx(30, rel=0.01)
