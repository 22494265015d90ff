from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scminnet.coupling.couple import Pairs, worth_in_pairs
from scminnet.model.data.moments import feature_moments
from scminnet.model.network.canonical import (
    Components,
    RowsAndMoments,
    canonical_rotations,
    fit_projections,
    paired_covariances,
    shrunk_covariances,
)
from scminnet.model.network.whitening import (
    RARE,
    Standardisation,
    rarity_weights,
    standardised_deviation,
    weighted,
    whitened_components,
)


def shared_signal(n_cells: int = 400, n_features: tuple[int, ...] = (30, 20), n_signals: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_cells, n_signals)) * np.arange(n_signals, 0, -1)
    return [
        np.abs(signal @ rng.normal(size=(n_signals, p)) + rng.normal(size=(n_cells, p)) + 6).astype(np.float32)
        for p in n_features
    ]


def everyone(n_cells: int, n_modalities: int = 2) -> np.ndarray:
    return np.tile(np.arange(n_cells)[:, None], (1, n_modalities))


def fit_without_peaks(matrices: dict[str, np.ndarray], moments: dict, positions: np.ndarray, **kwargs) -> dict:
    peaks = {m: np.zeros(matrix.shape[1], bool) for m, matrix in matrices.items()}
    return fit_projections(matrices, moments, peaks, positions, **kwargs)


def standardisation(moments: tuple[np.ndarray, np.ndarray]) -> Standardisation:
    return Standardisation.of(*moments, np.zeros(len(moments[0]), bool))


def rotations_of(scores: dict[str, np.ndarray], positions: np.ndarray, n_canonical: int) -> dict[str, np.ndarray]:
    """Canonical rotations by the cells that modalities share."""
    covariances = {pair: found for pair, (found, _) in paired_covariances(scores, positions).items()}
    return canonical_rotations(covariances, {m: x.shape[1] for m, x in scores.items()}, n_canonical)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("n_features", [40, 600])
def test_components_are_white_and_sorted_as_an_svd_finds_them(kind, n_features: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((300, n_features)) * (rng.random((300, n_features)) < 0.3) * np.linspace(4, 1, n_features)
    values = values.astype(np.float32)
    components = whitened_components([kind(values)], 10, seed=0).weights
    scores = values @ components
    np.testing.assert_allclose(np.cov(scores.T), np.eye(10), atol=2e-3)
    u = np.linalg.svd(values - values.mean(0), full_matrices=False)[0][:, :10]
    agreement = np.abs(np.corrcoef(scores.T, u.T)[:10, 10:]).diagonal()
    np.testing.assert_allclose(agreement, 1, atol=1e-3)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("n_features", [40, 600])
def test_what_differs_between_parts_is_no_component(kind, n_features: int) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(300, 3)) @ rng.normal(size=(3, n_features)) * 3
    values = (signal + rng.normal(size=signal.shape)).astype(np.float32)
    centred = np.concatenate([values[:100] - values[:100].mean(0), values[100:] - values[100:].mean(0)])
    shifted = [kind(values[:100]), kind(values[100:] + 50)]
    found = whitened_components(shifted, 3, seed=0).weights
    expected = np.linalg.svd(centred, full_matrices=False)[2][:3].T
    # the same space, whatever its axes' signs
    np.testing.assert_allclose(np.linalg.svd(np.linalg.qr(found)[0].T @ expected)[1], 1, atol=1e-4)
    # all parts say which, the first one how far its cells spread
    np.testing.assert_allclose(np.cov(values[:100] @ found, rowvar=False), np.eye(3), atol=1e-3)


def test_ridge_divides_by_variance_and_a_share_of_all_variances() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(200, 6)) * [9, 5, 3, 2, 1, 0.5]).astype(np.float32)
    variances = np.sort(np.linalg.eigvalsh(np.cov(values.T)))[::-1][:4]
    found = whitened_components([values], 4, seed=0, ridge=0.1)
    expected = variances / (variances + 0.1 * variances.sum())
    np.testing.assert_allclose((values @ found.weights).var(0, ddof=1), expected, rtol=1e-3)
    np.testing.assert_allclose(found.variances, expected, rtol=1e-3)


def test_chance_correlations_of_few_cells_shrink() -> None:
    # nothing is shared: what correlates in 60 cells with 40 components each is chance
    rng = np.random.default_rng(0)
    matrices = {m: rng.random((60, 300)).astype(np.float32) for m in "ab"}
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    fitted = fit_without_peaks(matrices, moments, everyone(60), n_components=40, n_canonical=5, seed=0)
    values = {m: np.clip((matrices[m] - mean) / std, -10, 10) for m, (mean, std) in moments.items()}
    lengths = [np.linalg.norm(values[m] @ fitted[m][0] + fitted[m][1], axis=1).mean() for m in "ab"]
    assert max(lengths) < 0.5  # whitened, they have length about 2


def test_components_stop_at_the_rank() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 2)) @ rng.normal(size=(2, 8))).astype(np.float32)
    assert whitened_components([values], 8, seed=0).weights.shape == (8, 2)


def test_two_modalities_are_canonical_correlations_scaled_by_themselves() -> None:
    a, b = shared_signal()
    scores = {m: x @ whitened_components([x], 10, 0).weights for m, x in (("a", a), ("b", b))}
    scores = {m: s - s.mean(0) for m, s in scores.items()}
    rotations = rotations_of(scores, everyone(400), 5)
    u, correlations, vt = np.linalg.svd(scores["a"].T @ scores["b"] / 399)
    for m, vectors in (("a", u), ("b", vt.T)):
        expected = vectors[:, :5] * correlations[:5]
        np.testing.assert_allclose(np.abs(rotations[m]), np.abs(expected), atol=1e-4)
    agree = (scores["a"] @ rotations["a"] * (scores["b"] @ rotations["b"])).sum(0)
    assert (agree > 0).all()  # signs go together


def test_three_modalities_agree_though_no_cell_has_all() -> None:
    parts = shared_signal(600, (30, 25, 20))
    scores = {m: x @ whitened_components([x], 8, 0).weights for m, x in zip("abc", parts, strict=True)}
    positions = everyone(600, 3)
    for i in range(3):
        positions[i * 200 : (i + 1) * 200, i] = -1
    rotations = rotations_of(scores, positions, 3)
    turned = {m: s @ rotations[m] for m, s in scores.items()}
    for first, second in ("ab", "ac", "bc"):
        for k in range(3):
            assert np.corrcoef(turned[first][:, k], turned[second][:, k])[0, 1] > 0.8


def test_covariances_are_those_of_shared_cells() -> None:
    rng = np.random.default_rng(0)
    scores = {m: rng.normal(size=(20, n)) for m, n in (("a", 3), ("b", 2), ("c", 4))}
    positions = np.tile(np.arange(20)[:, None], (1, 3))
    positions[:, 1] = positions[::-1, 1]
    positions[:6, 0] = -1
    positions[15:, 1] = -1
    positions[1:, 2] = -1
    found = paired_covariances(scores, positions)
    assert set(found) == {("a", "b")}  # the others share one cell or none
    covariance, n_pairs = found["a", "b"]
    assert n_pairs == 9
    expected = np.cov(scores["a"][6:15].T, scores["b"][5:14][::-1].T)[:3, 3:]
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_more_pairs_weigh_more_beside_a_coupling() -> None:
    pairs = np.zeros((3, 40))
    worth = worth_in_pairs(10_000, 3, 40)
    assert worth == pytest.approx(25 * np.sqrt(3 * 30))  # pairs tell of 30 components at most
    for n, share in ((1, 1 / (1 + worth)), (worth, 0.5), (10**9, 1.0)):
        assert Pairs(pairs, n).share(10_000) == pytest.approx(share, abs=1e-6)
    assert worth_in_pairs(500, 3, 40) == pytest.approx(worth / 10)  # few unpaired cells are poorly coupled


def few_among_many(n_pairs: int, n_shared: int) -> tuple[dict[str, np.ndarray], dict[str, Components]]:
    """Scores of pairs, whose components many cells determine."""
    rng = np.random.default_rng(0)
    scores, components = {}, {}
    signal = rng.normal(size=(5000, n_shared))
    for m, p in (("a", 60), ("b", 50)):
        noise = rng.normal(size=(5000, p)) * 0.5
        values = (signal @ rng.normal(size=(n_shared, p)) + noise).astype(np.float32)
        fitted = whitened_components([values], 40, 0, ridge=1e-3)
        components[m] = Components(*fitted, (np.zeros(p), np.ones(p)), np.zeros(p, bool), 40)
        scores[m] = values[:n_pairs] @ fitted.weights
    return scores, components


def test_few_pairs_are_canonical_correlations_with_their_own_ridge() -> None:
    n = 80
    scores, components = few_among_many(n, 3)
    covariance, n_pairs = shrunk_covariances(scores, everyone(n), components)["a", "b"]
    assert n_pairs == n
    assert not covariance[30:].any()
    assert not covariance[:, 30:].any()
    # the same in the principal axes of the pairs, with the ridge added to their variances
    whitened = []
    for m, x in scores.items():
        variance = 1e-3 * components[m].variances / (1 - components[m].variances)  # as shares of the total
        x = ((x - x.mean(0)) * np.sqrt(variance + 1e-3))[:, :30]
        total = variance[:30].sum()
        values, vectors = np.linalg.eigh(x.T @ x / (n - 1) + 10 / n * total * np.eye(30))
        whitened.append(x @ vectors / np.sqrt(values))
    expected = np.linalg.svd(whitened[0].T @ whitened[1] / (n - 1), compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(covariance, compute_uv=False)[:30], expected, rtol=1e-3, atol=1e-5)


def test_many_pairs_have_the_covariance_that_they_have() -> None:
    scores, components = few_among_many(5000, 3)
    found, _ = shrunk_covariances(scores, everyone(5000), components)["a", "b"]
    expected, _ = paired_covariances(scores, everyone(5000))["a", "b"]
    np.testing.assert_allclose(found[:3, :3], expected[:3, :3], atol=0.05)


def test_coupled_covariances_stand_for_pairs() -> None:
    matrices = dict(zip("ab", shared_signal(), strict=True))
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    positions = np.full((800, 2), -1)
    positions[:400, 0] = positions[400:, 1] = np.arange(400)
    seen = {}

    def couple(components, paired) -> dict[tuple[str, str], np.ndarray]:
        seen.update(components)
        values = {m: standardised_deviation(matrices[m], standardisation(moments[m])) for m in components}
        scores = {m: values[m] @ c.weights for m, c in components.items()}
        return {pair: found for pair, (found, _) in paired_covariances(scores, everyone(400)).items()}

    fitted = fit_without_peaks(matrices, moments, positions, n_components=10, n_canonical=3, seed=0, couple=couple)
    assert set(seen) == {"a", "b"}
    values = {m: np.clip((matrices[m] - mean) / std, -10, 10) for m, (mean, std) in moments.items()}
    turned = {m: values[m] @ fitted[m][0] + fitted[m][1] for m in "ab"}
    for k in range(3):
        assert np.corrcoef(turned["a"][:, k], turned["b"][:, k])[0, 1] > 0.9


def test_fewer_components_than_asked_leave_zero_columns() -> None:
    a, b = shared_signal(100, (3, 2))
    scores = {m: x @ whitened_components([x], 10, 0).weights for m, x in (("a", a), ("b", b))}
    rotations = rotations_of(scores, everyone(100), 9)
    assert rotations["a"].shape == (3, 9)
    assert (rotations["a"][:, 5:] == 0).all()


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_fitted_projections_give_centred_agreeing_components(kind) -> None:
    a, b = (np.where(x < 4, 0, x) for x in shared_signal())
    matrices = {"a": kind(a), "b": kind(b[::-1])}  # the other modality in reverse order
    positions = np.stack([np.arange(400), np.arange(400)[::-1]], axis=1)
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    fitted = fit_without_peaks(matrices, moments, positions[:300], n_components=10, n_canonical=4, seed=0)
    projected = []
    for m, matrix in (("a", a), ("b", b[::-1])):
        mean, std = moments[m]
        weight, bias = fitted[m]
        z = np.clip((matrix - mean) / std, -10, 10)
        projected.append(z @ weight + bias)
    x, y = projected[0], projected[1][::-1]
    np.testing.assert_allclose(x[:300].mean(0), 0, atol=1e-3)
    assert np.corrcoef(x[300:, 0], y[300:, 0])[0, 1] > 0.9  # cells that it was not fitted on


@pytest.mark.parametrize("n_features", [(30, 20), (600, 20)])
def test_signs_are_the_same_whichever_way_the_decompositions_turn(monkeypatch, n_features: tuple[int, int]) -> None:
    matrices = dict(zip("ab", shared_signal(n_features=n_features), strict=True))
    moments = {m: feature_moments(x) for m, x in matrices.items()}

    def fitted() -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return fit_without_peaks(matrices, moments, everyone(400), n_components=10, n_canonical=3, seed=0)

    expected, eigh = fitted(), np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda x: (eigh(x)[0], -eigh(x)[1]))
    for m, (weight, bias) in fitted().items():
        np.testing.assert_array_equal(weight, expected[m][0])
        np.testing.assert_array_equal(bias, expected[m][1])
    largest = np.abs(expected["a"][0]).argmax(axis=0)
    assert (expected["a"][0][largest, np.arange(3)] > 0).all()


def test_query_tells_the_components_that_few_cells_do_not() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(1060, 2))
    turns = [rng.normal(size=(2, 400)) for _ in "ab"]
    cells = {
        m: (signal @ t + rng.normal(size=(1060, 400)) * 8 + 30).astype(np.float32)
        for m, t in zip("ab", turns, strict=True)
    }
    matrices = {m: x[:60] for m, x in cells.items()}
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    # the query's modalities are measured in different cells, and are shifted
    further = {"a": cells["a"][60:560] + 3, "b": cells["b"][560:]}
    query = {m: RowsAndMoments(x, feature_moments(x)) for m, x in further.items()}

    def agreement(**kwargs) -> float:
        fitted = fit_without_peaks(matrices, moments, everyone(60), n_components=10, n_canonical=2, seed=0, **kwargs)
        held_out = [
            np.clip((cells[m] - moments[m][0]) / moments[m][1], -10, 10)[60:] @ fitted[m][0] + fitted[m][1]
            for m in "ab"
        ]
        return np.corrcoef(held_out[0][:, 0], held_out[1][:, 0])[0, 1]

    assert agreement(query=query) > agreement() + 0.05


def test_deviation_is_zero_where_the_matrix_is() -> None:
    matrix = sparse.random(20, 6, density=0.3, format="csr", dtype=np.float32, random_state=0)
    moments = feature_moments(matrix)
    found = standardised_deviation(matrix, standardisation(moments))
    assert found.nnz == matrix.nnz
    dense = standardised_deviation(matrix.toarray(), standardisation(moments))
    np.testing.assert_allclose(found.toarray(), dense, atol=1e-5)


def test_rare_peaks_count_less_and_are_not_clipped() -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.random((400, 6)) < [0.5, 0.2, 0.1, 0, 0, 0.3]).astype(np.float32)
    matrix[0, 3] = 1
    mean, std = feature_moments(matrix)
    peaks = np.array([True] * 5 + [False])
    by = Standardisation.of(mean, std, peaks)
    found = standardised_deviation(matrix, by) + by.zero
    np.testing.assert_allclose(found[:, :4], (matrix[:, :4] - mean[:4]) / std[:4], rtol=1e-3, atol=1e-5)
    assert found[:, 3].max() == pytest.approx(20, rel=0.01)
    np.testing.assert_allclose(found[:, 4], 0)
    n_open = matrix.sum(axis=0)
    # both halves together know as much as all cells
    parts = [(len(half), *feature_moments(half)) for half in (matrix[:150], matrix[150:])]
    for given in ([(400, mean, std)], parts):
        weights = rarity_weights(given, peaks)
        np.testing.assert_allclose(weights[:5] ** 2, n_open[:5] / (n_open[:5] + RARE), rtol=0.02)
        assert weights[5] == 1
    for kind in (np.asarray, sparse.csr_matrix):
        product = weighted(kind(matrix), weights)
        np.testing.assert_allclose(product if isinstance(product, np.ndarray) else product.toarray(), matrix * weights)


def test_rare_peaks_have_less_of_the_projection() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(500, 2))
    a = np.abs(signal @ rng.normal(size=(2, 12)) + rng.normal(size=(500, 12)) + 6).astype(np.float32)
    limit = np.repeat([0.0, 4.0], 20)
    b = (signal @ rng.normal(size=(2, 40)) + rng.normal(size=(500, 40)) > limit).astype(np.float32)
    matrices = {"a": a, "b": sparse.csr_matrix(b)}
    moments = {m: feature_moments(x) for m, x in matrices.items()}
    assert b[:, 20:].sum(axis=0).mean() < 20

    def rare_share(peaks: bool) -> float:
        are_peaks = {"a": np.zeros(12, bool), "b": np.full(40, peaks)}
        fitted = fit_projections(matrices, moments, are_peaks, everyone(500), n_components=8, n_canonical=2, seed=0)
        squares = np.square(fitted["b"][0]).sum(axis=1)
        return squares[20:].sum() / squares.sum()

    assert rare_share(True) < 0.7 * rare_share(False)
