from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scminnet.model.network import losses


def tensors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


points = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-5, 5, width=32))


@given(a=points, b=points)
def test_squared_distances_of_all_pairs_match_a_loop(a: np.ndarray, b: np.ndarray) -> None:
    found = losses.squared_distances(torch.from_numpy(a), torch.from_numpy(b), outer=True).numpy()
    expected = np.array([[np.sum((p.astype(float) - q) ** 2) for q in b] for p in a])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert (found >= 0).all()


def test_squared_distances_row_by_row_are_the_diagonal() -> None:
    a, b = tensors(5, 4), tensors(5, 4, seed=1)
    torch.testing.assert_close(
        losses.squared_distances(a, b, outer=False), losses.squared_distances(a, b, outer=True).diagonal()
    )


def test_margins_worked_example() -> None:
    distances = torch.tensor([[0.5, 2.0, 1.0]])
    left, right = torch.tensor([[1]]), torch.tensor([1, 0, -1])
    # same type: m0 d; other type: m0 (d + c); unlabelled partner: no surcharge
    torch.testing.assert_close(
        losses.margins(distances, left, right, m0=10.0, c=3.0), torch.tensor([[5.0, 50.0, 10.0]])
    )


def naive_contrastive(squared, same, margin, form, share):
    positive, negative = [], []
    for d2, is_same, m in zip(squared, same, margin, strict=True):
        if is_same:
            positive.append(0.5 * (d2 + 0.001) if form == "code" else d2)
        elif form == "code":
            negative.append(max(0.0, m - (d2 + 0.001) ** 0.5) ** 2)
        else:
            negative.append(max(0.0, m - d2))
    if not negative:
        return np.mean(positive)
    if not positive:
        return np.mean(negative)
    return share * np.mean(positive) + (1 - share) * np.mean(negative)


@pytest.mark.parametrize("form", ["code", "text"])
@pytest.mark.parametrize("kind", ["both", "positive", "negative"])
def test_contrastive_loss_matches_a_loop(form: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    squared, margin = rng.uniform(0, 9, 40), rng.uniform(0, 5, 40)
    same = {"both": rng.random(40) < 0.3, "positive": np.ones(40, bool), "negative": np.zeros(40, bool)}[kind]
    found = losses.contrastive_loss(
        torch.from_numpy(squared), torch.from_numpy(same), torch.from_numpy(margin), form=form, positive_share=0.25
    )
    assert found.item() == pytest.approx(naive_contrastive(squared, same, margin, form, 0.25))


def test_contrastive_loss_has_a_gradient_where_cells_coincide() -> None:
    a = torch.zeros(2, 3, requires_grad=True)
    squared = losses.squared_distances(a, torch.zeros(2, 3), outer=False)
    losses.contrastive_loss(
        squared, torch.tensor([False, True]), torch.ones(2), form="code", positive_share=0.5
    ).backward()
    assert torch.isfinite(a.grad).all()


def test_info_nce_matches_a_loop() -> None:
    a, b = tensors(6, 4), tensors(6, 4, seed=3)
    x, y = (t.numpy() / np.linalg.norm(t.numpy(), axis=1, keepdims=True) for t in (a, b))
    cosines = x @ y.T / 0.2
    rows = [-np.log(np.exp(cosines[i, i]) / np.exp(cosines[i]).sum()) for i in range(6)]
    columns = [-np.log(np.exp(cosines[i, i]) / np.exp(cosines[:, i]).sum()) for i in range(6)]
    assert losses.info_nce(a, b, temperature=0.2).item() == pytest.approx(np.mean([rows, columns]), rel=1e-5)


def test_info_nce_prefers_matched_order() -> None:
    a = tensors(8, 4)
    assert losses.info_nce(a, a, temperature=0.1) < losses.info_nce(a, a.flip(0), temperature=0.1)


def naive_supervised(cosines: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Mean over the cells of the mean over their type's cells of the negative log share."""
    terms = []
    for i, label in enumerate(left):
        known = np.flatnonzero(right >= 0)
        same = known[right[known] == label]
        if label >= 0 and len(same):
            terms.append(np.mean([-np.log(np.exp(cosines[i, j]) / np.exp(cosines[i, known]).sum()) for j in same]))
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("right", [[0, 0, 1, 3, -1], [0, 1, 2, 2, 2], [-1, -1, -1, -1, -1], [4, 4, 4, 4, 4]])
def test_supervised_contrast_matches_a_loop(right: list[int]) -> None:
    # type 2 and the unlabelled cell have no partner in the first case, nobody has one in the last two
    left, right = np.array([0, 1, 0, 2, -1, 1]), np.array(right)
    a, b = tensors(6, 4), tensors(5, 4, seed=3)
    x, y = (t.numpy() / np.linalg.norm(t.numpy(), axis=1, keepdims=True) for t in (a, b))
    cosines = x @ y.T / 0.2
    expected = (naive_supervised(cosines, left, right) + naive_supervised(cosines.T, right, left)) / 2
    # the loss is given labelled cells only
    known = [torch.from_numpy(np.flatnonzero(labels >= 0)) for labels in (left, right)]
    parts = [
        values[rows] for values, rows in zip((a, b, *map(torch.from_numpy, (left, right))), known * 2, strict=True)
    ]
    found = losses.supervised_contrast(*parts, temperature=0.2)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_pair_accuracy_worked_example() -> None:
    # cells 10, 11, 12 in one modality, 11, 10, 13 in the other: 12 and 13 have no counterpart
    distances = torch.tensor([[5.0, 1.0, 2.0], [3.0, 1.0, 9.0], [0.0, 9.0, 9.0]])
    rows, columns = losses.pair_accuracy(distances, torch.tensor([10, 11, 12]), torch.tensor([11, 10, 13]))
    assert rows.item() == 0.5  # 10 finds itself, 11 finds 10
    assert columns.item() == 0.5  # column 11 is nearest to 12; column 10 ties between 10 and 11, first wins
    nothing, _ = losses.pair_accuracy(distances, torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6]))
    assert torch.isnan(nothing)


@pytest.mark.parametrize("temperature", [0.05, 0.2])
def test_soft_targets_of_pairs_are_info_nce(temperature: float) -> None:
    a, b = tensors(7, 4), tensors(7, 4, seed=1)
    same = torch.full((7,), temperature)
    found = losses.soft_info_nce(a, b, torch.eye(7) * 3, left=same, right=same)
    torch.testing.assert_close(found, losses.info_nce(a, b, temperature=temperature))


def test_soft_info_nce_matches_a_loop() -> None:
    a, b, targets = tensors(5, 3), tensors(4, 3, seed=1), tensors(5, 4, seed=2).clamp_min(0)
    targets[1], targets[:, 2] = 0, 0  # competitors only
    left, right = torch.linspace(0.1, 0.5, 5), torch.linspace(0.2, 0.3, 4)
    x, y = (t.numpy() / np.linalg.norm(t.numpy(), axis=1, keepdims=True) for t in (a, b))
    terms = []
    for cosines, target, temperature in ((x @ y.T, targets, left), (y @ x.T, targets.T, right)):
        rows = []
        for row, share, t in zip(cosines, target.numpy(), temperature.numpy(), strict=True):
            if share.sum() > 0:
                probability = np.exp(row / t) / np.exp(row / t).sum()
                rows.append(-(share / share.sum() * np.log(probability)).sum())
        terms.append(np.mean(rows))
    found = losses.soft_info_nce(a, b, targets, left=left, right=right)
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-5)


def test_soft_info_nce_without_targets_is_zero_and_has_gradients() -> None:
    a, b = tensors(5, 3).requires_grad_(), tensors(4, 3, seed=1)
    half = torch.full((5,), 0.5), torch.full((4,), 0.5)
    found = losses.soft_info_nce(a, b, torch.zeros(5, 4), left=half[0], right=half[1])
    found.backward()
    assert found.item() == 0
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_partners_share_the_weight_of_a_cell() -> None:
    targets = torch.tensor([[0.2, 0.6, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    weights = losses.shares_of_partners(targets)
    # cell 0 divides one half by 1 : 3, and is the only partner of columns 0 and 1
    torch.testing.assert_close(weights, torch.tensor([[0.625, 0.875, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(losses.shares_of_partners(torch.eye(4)), torch.eye(4))


@pytest.mark.parametrize("form", ["code", "text"])
def test_pairs_as_attraction_are_positive_pairs(form: str) -> None:
    squared, margin = tensors(30).square(), tensors(30, seed=1).square()
    for same in (torch.arange(30) % 7 == 0, torch.zeros(30, dtype=torch.bool)):
        given = {"form": form, "positive_share": 0.25}
        expected = losses.contrastive_loss(squared, same, margin, **given)
        found = losses.contrastive_loss(squared, same, margin, **given, attraction=same.float())
        torch.testing.assert_close(found, expected)
