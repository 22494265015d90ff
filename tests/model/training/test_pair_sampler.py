from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model import PairDataModule, PairSampler, Recipe
from scminnet.model.training.pair_data import PairDataset
from scminnet.model.training.pair_sampler import DrawnBatch


def sampler(present: np.ndarray, *, frozen: bool = False, seed: int = 0, cells=None, **changes) -> PairSampler:
    recipe = Recipe(batch_size=changes.pop("batch_size", 8), **changes)
    cells = np.arange(len(present)) if cells is None else np.asarray(cells)
    return PairSampler(cells, present, recipe, seed=seed, frozen=frozen)


def drawn_pairs(batches) -> list[tuple[int, int, int, int]]:
    """All pairs as (modality, cell, modality, cell)."""
    return [
        (p.first, int(b.cells[p.first][i]), p.second, int(b.cells[p.second][j]))
        for b in batches
        for p in b.pairs
        for i, j in zip(p.left, p.right, strict=True)
    ]


paired = np.ones((50, 2), dtype=bool)
partly = paired.copy()
partly[:20, 1] = False
partly[20:35, 0] = False
three = np.random.default_rng(0).random((60, 3)) < 0.7
three[~three.any(axis=1), 0] = True


def test_every_cell_is_in_one_batch_of_nearly_equal_size() -> None:
    batches = list(sampler(paired, batch_size=8))
    assert len(batches) == 7
    np.testing.assert_array_equal(np.sort(np.concatenate([b.cells[0] for b in batches])), np.arange(50))
    assert {b.n_cells for b in batches} <= {7, 8}


@pytest.mark.parametrize("pairing", ["in_batch", "sampled"])
def test_epochs_follow_from_seed_and_epoch_alone(pairing: str) -> None:
    def epoch(seed: int, number: int, *, frozen: bool = False) -> list:
        s = sampler(paired, seed=seed, pairing=pairing, frozen=frozen)
        s.set_epoch(number)
        return [c.tolist() for b in s for c in b.cells]

    assert epoch(0, 3) == epoch(0, 3)
    assert epoch(0, 3) != epoch(0, 4)
    assert epoch(0, 3) != epoch(1, 3)
    assert epoch(0, 3, frozen=True) == epoch(0, 9, frozen=True)


def test_cells_go_to_the_modalities_they_were_measured_in() -> None:
    for batch in sampler(partly, batch_size=10):
        for m in (0, 1):
            assert partly[batch.cells[m], m].all()


@pytest.mark.parametrize("strategy", ["between", "within"])
@pytest.mark.parametrize("present", [paired, partly, three], ids=["paired", "partly", "three"])
def test_sampled_pairs_join_measured_cells_of_the_right_modalities(present: np.ndarray, strategy: str) -> None:
    pairs = drawn_pairs(sampler(present, pairing="sampled", pair_strategy=strategy))
    for m, i, other, j in pairs:
        assert present[i, m]
        assert present[j, other]
        if i == j:
            assert m != other  # a cell meets itself in another modality only
        else:
            assert (m == other) == (strategy == "within")
    # every cell has one partner in each of its modalities
    anchors = sorted((m, i) for m, i, _, _ in pairs)
    assert anchors == sorted((m, int(i)) for i, m in np.argwhere(present))


def test_one_in_four_partners_is_the_cell_itself_and_the_others_are_uniform() -> None:
    pairs = []
    s = sampler(np.ones((10, 2), dtype=bool), pairing="sampled", batch_size=10)
    for number in range(600):
        s.set_epoch(number)
        pairs += drawn_pairs(s)
    left, right = np.array([(i, j) for _, i, _, j in pairs]).T
    assert np.mean(left == right) == pytest.approx(0.25, abs=0.02)
    counts = np.bincount(right[(left == 3) & (right != 3)], minlength=10)
    assert counts[3] == 0
    others = np.delete(counts, 3)
    assert others.min() > 0.7 * others.mean()


def test_partners_come_from_the_split() -> None:
    cells = np.arange(10, 30)
    assert {j for *_, j in drawn_pairs(sampler(paired, pairing="sampled", cells=cells))} <= set(cells.tolist())


def test_a_cell_with_nobody_to_meet_has_no_pair() -> None:
    present = np.array([[True, False], [True, False], [False, True]])
    pairs = drawn_pairs(sampler(present, pairing="sampled", pair_strategy="within"))
    assert {(m, i) for m, i, _, _ in pairs} == {(0, 0), (0, 1)}  # the only cell of modality 1 meets no one


def test_split_is_seeded_and_complete() -> None:
    a, b, c = (PairDataModule(paired, Recipe(train_size=0.8), seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.train_idx, b.train_idx)
    assert not np.array_equal(a.train_idx, c.train_idx)
    assert len(a.train_idx) == 40
    np.testing.assert_array_equal(np.sort(np.concatenate([a.train_idx, a.val_idx])), np.arange(50))
    assert PairDataModule(paired, Recipe(train_size=1.0), seed=0).val_dataloader() is None


def test_matches_and_labelled_cells_of_a_batch() -> None:
    present = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], dtype=bool)
    positions = np.where(present, np.cumsum(present, axis=0) - 1, -1)
    labels = np.array([0, -1, 1, -1, 1])
    graph = sparse.csr_matrix(1.0 - np.eye(5))
    matrices = {"rna": np.ones((4, 3), np.float32), "atac": np.ones((4, 2), np.float32)}
    dataset = PairDataset(matrices, positions, labels, GeodesicIndex(graph), np.arange(5), projected=False)
    batch = dataset[DrawnBatch(5, [np.array([4, 1, 3, 0]), np.array([0, 2, 3, 4])], None)]
    assert {m: rows.tolist() for m, rows in batch["labelled"].items()} == {"rna": [0, 3], "atac": [0, 1, 3]}
    left, right = batch["matches"]["rna", "atac"]
    assert left.tolist() == [0, 2, 3]  # cells 4, 3 and 0
    assert right.tolist() == [3, 2, 0]
    assert all(rows.dtype == torch.int64 for rows in (left, right))
