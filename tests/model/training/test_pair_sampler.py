from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model import PairDataModule, PairSampler, Recipe
from scminnet.model.training.coupled_cells import CoupledCells
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


@st.composite
def couplings(draw) -> tuple[np.ndarray, np.ndarray, dict]:
    """Who was measured in what, the cells of a split, and the partners of unpaired cells."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, n_modalities = draw(st.integers(6, 60)), draw(st.integers(2, 3))
    present = np.eye(n_modalities, dtype=bool)[rng.integers(0, n_modalities, n)]
    present |= rng.random(present.shape) < draw(st.sampled_from([0, 0.3]))
    split = np.flatnonzero(rng.random(n) < draw(st.sampled_from([0.5, 1.0])))
    partners = {}
    for own in range(n_modalities):
        for other in range(n_modalities):
            left = np.flatnonzero(present[:, own] & ~present[:, other])
            right = np.flatnonzero(present[:, other] & ~present[:, own])
            # the third modality may be coupled to none
            if own == other or 2 in (own, other) or not (len(left) and len(right)):
                continue
            row_of = np.full(n, -1)
            row_of[left] = np.arange(len(left))
            partners[own, other] = row_of, rng.choice(right, (len(left), 4))
    return present, split, partners


@given(coupling=couplings(), epoch=st.integers(0, 3))
def test_every_coupled_cell_brings_a_partner_of_the_split(coupling, epoch: int) -> None:
    present, split, partners = coupling
    if not len(split):
        return
    given = {"cells": split, "present": present, "recipe": Recipe(batch_size=8), "seed": 0, "frozen": False}
    alone, coupled = PairSampler(**given), PairSampler(**given, partners=partners)
    for s in (alone, coupled):
        s.set_epoch(epoch)
    anchors = next(iter(alone)).cells
    batch = next(iter(coupled)).cells
    for m, cells in enumerate(batch):
        # each cell once, of the split, measured in the modality; anchors are those drawn without a coupling
        assert len(np.unique(cells)) == len(cells)
        assert np.isin(cells, split).all()
        assert present[cells, m].all()
        assert np.isin(anchors[m], cells).all()
        # nobody comes but anchors and partners of anchors
        known = set(anchors[m])
        for (own, other), (row_of, drawn) in partners.items():
            if other == m:
                known |= {p for a in anchors[own] if row_of[a] >= 0 for p in drawn[row_of[a]]}
        assert set(cells) <= known
    for (own, other), (row_of, drawn) in partners.items():
        for anchor in anchors[own]:
            usable = np.intersect1d(drawn[row_of[anchor]], split) if row_of[anchor] >= 0 else []
            if len(usable):
                assert np.isin(usable, batch[other]).any()


@given(coupling=couplings())
def test_coupled_batches_follow_from_seed_and_epoch(coupling) -> None:
    present, split, partners = coupling

    def epoch(number: int) -> list[list[int]]:
        s = PairSampler(split, present, Recipe(batch_size=8), seed=0, frozen=False, partners=partners)
        s.set_epoch(number)
        return [cells.tolist() for batch in s for cells in batch.cells]

    if len(split):
        assert epoch(1) == epoch(1)


def test_partners_are_drawn_evenly_among_those_of_the_split() -> None:
    present = np.zeros((10, 2), dtype=bool)
    present[0, 0] = present[1:, 1] = True
    row_of = np.full(10, -1)
    row_of[0] = 0
    drawn = np.array([[1, 2, 2, 3, 9]])  # 9 is not in the split
    recipe = Recipe(batch_size=2)
    s = PairSampler(np.arange(4), present, recipe, seed=0, frozen=False, partners={(0, 1): (row_of, drawn)})
    counts = np.zeros(10)
    for number in range(1200):
        anchors = s._with_coupled([np.array([0]), np.array([], dtype=np.int64)], np.random.default_rng(number))
        assert len(anchors[1]) == 1
        counts[anchors[1]] += 1
    np.testing.assert_allclose(counts[1:4] / 1200, [0.25, 0.5, 0.25], atol=0.05)
    assert counts[9] == 0


def test_a_data_module_trains_on_cells_that_meet_others() -> None:
    present = np.zeros((60, 2), dtype=bool)
    present[:20] = True  # paired
    present[20:40, 0] = present[40:, 1] = True
    module = PairDataModule(present[:50], Recipe(train_size=0.8), seed=0)
    row_of = np.full((2, 60), -1)
    row_of[0, 20:30] = row_of[1, 40:60] = 0  # of one modality a half is coupled, and the query
    partners = {(0, 1): (row_of[0], np.array([[45]])), (1, 0): (row_of[1], np.array([[25]]))}
    module.couple(present, partners, pairs_share=0.0)
    useful = np.r_[:30, 40:60]
    np.testing.assert_array_equal(
        module.train_cells, np.intersect1d(useful, np.concatenate([module.train_idx, np.arange(50, 60)]))
    )
    np.testing.assert_array_equal(module.val_cells, np.intersect1d(useful, module.val_idx))
    assert module.n_meeting == len(module.train_cells)


@pytest.mark.parametrize(("pairs_share", "times"), [(0.0, 1), (0.25, 2), (0.9, 3)])
def test_few_pairs_among_coupled_cells_are_repeated(pairs_share: float, times: int) -> None:
    present = np.zeros((80, 2), dtype=bool)
    present[:10] = True
    present[10:, 0] = True
    row_of = np.where(np.arange(80) < 10, -1, 0)
    module = PairDataModule(present, Recipe(train_size=1.0), seed=0)
    module.couple(present, {(0, 1): (row_of, np.array([[45]]))}, pairs_share)
    counts = np.bincount(module.train_cells)
    # 70 cells are coupled: a quarter are 23 of 93
    assert set(counts[:10]) == {times}
    assert set(counts[10:]) == {1}
    assert module.n_meeting == 80


def test_targets_are_affinities_and_pairs_are_their_own() -> None:
    class Affinities:
        def affinities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return (0.01 + first[:, None] + 10 * second).astype(np.float32)

    # cell 0 is paired, 1 and 2 are of the first modality, 3 and 4 of the second
    positions = np.array([[0, 0], [1, -1], [2, -1], [-1, 1], [-1, 2]])
    cells = np.array([2, 1]), np.array([3])
    # partners are not read
    found = CoupledCells(Affinities(), cells, (None, None), trust=None)  # type: ignore[arg-type]
    matrices = {"rna": np.ones((3, 3), np.float32), "atac": np.ones((3, 2), np.float32)}
    graph = GeodesicIndex(sparse.csr_matrix(1.0 - np.eye(5)))
    dataset = PairDataset(
        matrices,
        positions,
        np.zeros(5, np.int64),
        graph,
        np.arange(5),
        projected=True,
        coupled={("rna", "atac"): found},
    )
    batch = dataset[DrawnBatch(5, [np.array([0, 1, 2]), np.array([0, 3, 4])], None)]
    targets = batch["targets"]["rna", "atac"]
    torch.testing.assert_close(targets, torch.tensor([[1, 0, 0], [0, 1.01, 0], [0, 0.01, 0]]))
