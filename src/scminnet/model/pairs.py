"""Who meets whom: draws the pairs of every batch and delivers the batches to the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model.module import modality_pairs
from scminnet.model.processes import Processes
from scminnet.model.recipe import Recipe
from scminnet.model.rows import take_rows


class DrawnPairs(NamedTuple):
    """Pairs of two modalities' cells, as positions in the batch's cells of each modality."""

    first: int
    second: int
    left: np.ndarray
    right: np.ndarray


class DrawnBatch(NamedTuple):
    """What a sampler draws: positions in the reference, nothing read yet."""

    n_cells: int
    """Cells of the epoch that this batch stands for."""
    cells: list[np.ndarray]
    """By modality, the cells to read."""
    pairs: list[DrawnPairs] | None
    """The pairs, or ``None`` for all cross-modality pairs of the batch."""


class Pairs(NamedTuple):
    """Pairs as the loss takes them: two modalities, row positions, distances on the margin graph.

    ``distances`` is ``(l, r)`` for all pairs of rows, ``(p,)`` for row-by-row pairs.
    """

    first: str
    second: str
    left: Tensor
    right: Tensor
    distances: Tensor


class PairSampler(Sampler[DrawnBatch]):
    """Draws the batches of an epoch from (seed, epoch).

    Parameters
    ----------
    cells
        Cells of the split, int64 positions in the MuData.
    present
        Cells of the MuData x modalities: who was measured in what.
    recipe
        ``pairing``, ``pair_strategy``, ``positive_share`` and ``batch_size`` are read.
    seed
        Seed of all epochs.
    frozen
        Draw every epoch alike, as validation needs. (Lightning tells validation samplers the epoch as well.)

    Notes
    -----
    ``pairing="in_batch"``: the cells are shuffled and cut into batches of nearly equal size; all pairs of a batch's
    cells in different modalities count.

    ``pairing="sampled"``: besides, each cell of the batch gets, in each of its modalities, one partner: itself in another
    of its modalities with probability ``positive_share``, else another cell of the split, uniformly; from another
    modality with ``pair_strategy="between"``, from the same with ``"within"``.
    """

    def __init__(self, cells: np.ndarray, present: np.ndarray, recipe: Recipe, *, seed: int, frozen: bool) -> None:
        self.cells = cells
        self.present = present
        self.recipe = recipe
        self.seed = seed
        self.frozen = frozen
        self.epoch = 0
        self.pools = [cells[present[cells, m]] for m in range(present.shape[1])]

    def set_epoch(self, epoch: int) -> None:
        """Tell which epoch is drawn next; Lightning calls this."""
        if not self.frozen:
            self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.cells) // self.recipe.batch_size)

    def __iter__(self) -> Iterator[DrawnBatch]:
        rng = np.random.default_rng((self.seed, self.epoch, int(self.frozen)))
        for batch in np.array_split(rng.permutation(self.cells), len(self)):
            anchors = [batch[self.present[batch, m]] for m in range(len(self.pools))]
            if self.recipe.pairing == "in_batch":
                yield DrawnBatch(len(batch), anchors, None)
            else:
                yield self._with_partners(anchors, len(batch), rng)

    def _with_partners(self, anchors: list[np.ndarray], n_cells: int, rng: np.random.Generator) -> DrawnBatch:
        drawn = [
            (m, other, own[chosen], partner[chosen])
            for m, own in enumerate(anchors)
            if len(own)
            for partner, partner_modality in [self._partners(own, m, rng)]
            for other in np.unique(partner_modality[partner_modality >= 0])
            for chosen in [partner_modality == other]
        ]
        needed = [
            np.unique(
                np.concatenate(
                    [anchors[m], *(left for a, _, left, _ in drawn if a == m), *(r for _, b, _, r in drawn if b == m)]
                )
            )
            for m in range(len(anchors))
        ]
        pairs = [
            DrawnPairs(m, other, np.searchsorted(needed[m], left), np.searchsorted(needed[other], right))
            for m, other, left, right in drawn
        ]
        return DrawnBatch(n_cells, needed, pairs)

    def _partners(self, own: np.ndarray, modality: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a partner and its modality for each anchor; modality -1 where there is nobody to meet."""
        n_modalities = len(self.pools)
        others = np.array([m for m in range(n_modalities) if m != modality])

        # itself, in a modality drawn among the others that it was measured in
        measured = self.present[own][:, others]
        weights = np.where(measured, rng.random(measured.shape), -1.0)
        itself = others[weights.argmax(axis=1)]
        positive = (rng.random(len(own)) < self.recipe.positive_share) & measured.any(axis=1)

        # another cell: uniform over the pool without the anchor, by skipping its place
        if self.recipe.pair_strategy == "within":
            meets = np.full(len(own), modality)
        else:
            meets = rng.choice(others, size=len(own))
        partner = np.empty(len(own), dtype=np.int64)
        for m in np.unique(meets):
            at = np.flatnonzero(meets == m)
            pool = self.pools[m]
            in_pool = self.present[own[at], m]
            n_others = len(pool) - in_pool
            drawn = np.floor(rng.random(len(at)) * n_others).astype(np.int64)
            place = np.searchsorted(pool, own[at])
            drawn += in_pool & (drawn >= place)
            alone = n_others <= 0
            partner[at] = pool[np.where(alone, 0, drawn)] if len(pool) else -1
            meets[at[alone]] = -1

        return np.where(positive, own, partner), np.where(positive, itself, meets)


class PairDataset(Dataset[dict[str, Any]]):
    """Reads drawn batches: rows of each modality, labels, identities, pairs with their distances.

    Parameters
    ----------
    matrices
        By modality, the row matrix of its cells in the modality's own order, wherever it is stored.
    projected
        The matrices went through the network's input layer before.
    positions
        Cells of the MuData x modalities, int64: the cell's row in the modality's matrix, -1 where not measured.
    labels
        Label code of each cell of the MuData, int64, -1 for unlabelled cells.
    geodesics
        Distances of the cells on the margin graph.
    graph_rows
        Node of each cell of the MuData in ``geodesics``, -1 for cells without one.

    Attributes
    ----------
    processes
        Over which each batch is spread: every process knows all cells of the batch, and reads the rows of its own.
    """

    def __init__(
        self,
        matrices: dict[str, Any],
        positions: np.ndarray,
        labels: np.ndarray,
        geodesics: GeodesicIndex,
        graph_rows: np.ndarray,
        *,
        projected: bool,
    ) -> None:
        self.matrices = matrices
        self.projected = projected
        self.modalities = tuple(matrices)
        self.positions = positions
        self.labels = labels
        self.geodesics = geodesics
        self.graph_rows = graph_rows
        self.processes = Processes()

    def __getitem__(self, drawn: DrawnBatch) -> dict[str, Any]:
        by_modality = dict(zip(self.modalities, drawn.cells, strict=True))
        return {
            "x": {
                m: take_rows(self.matrices[m], self.positions[cells[self.processes.own(len(cells))], i])
                for i, (m, cells) in enumerate(by_modality.items())
            },
            "labels": {m: torch.from_numpy(self.labels[cells]) for m, cells in by_modality.items()},
            "cells": {m: torch.from_numpy(cells) for m, cells in by_modality.items()},
            # found here, where they are known: found on the device, each batch would wait for it
            "labelled": {
                m: torch.from_numpy(np.flatnonzero(self.labels[cells] >= 0)) for m, cells in by_modality.items()
            },
            "matches": {
                pair: _matches(by_modality[pair[0]], by_modality[pair[1]]) for pair in modality_pairs(self.modalities)
            },
            "pairs": self._all_pairs(by_modality) if drawn.pairs is None else self._drawn_pairs(drawn),
            "n_cells": drawn.n_cells,
            "projected": self.projected,
            "processes": self.processes,
        }

    def _all_pairs(self, cells: dict[str, np.ndarray]) -> list[Pairs]:
        blocks = []
        for first, second in modality_pairs(self.modalities):
            left, right = cells[first], cells[second]
            if len(left) and len(right):
                distances = self.geodesics.block(self.graph_rows[left], self.graph_rows[right])
                rows = torch.arange(len(left)), torch.arange(len(right))
                blocks.append(Pairs(first, second, *rows, torch.from_numpy(distances)))
        return blocks

    def _drawn_pairs(self, drawn: DrawnBatch) -> list[Pairs]:
        lists = []
        for pairs in drawn.pairs or []:
            left = self.graph_rows[drawn.cells[pairs.first][pairs.left]]
            right = self.graph_rows[drawn.cells[pairs.second][pairs.right]]
            lists.append(
                Pairs(
                    self.modalities[pairs.first],
                    self.modalities[pairs.second],
                    torch.from_numpy(pairs.left),
                    torch.from_numpy(pairs.right),
                    torch.from_numpy(self.geodesics.pairs(left, right)),
                )
            )
        return lists


def _matches(left: np.ndarray, right: np.ndarray) -> tuple[Tensor, Tensor]:
    """Positions of the cells that stand in both arrays, in the order of the first."""
    _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    order = np.argsort(at_left)
    return torch.from_numpy(at_left[order]), torch.from_numpy(at_right[order])


class PairDataModule(pl.LightningDataModule):
    """Splits the cells and serves batches of pairs for training and validation.

    Parameters
    ----------
    present
        Cells of the MuData x modalities: who was measured in what.
    recipe
        ``train_size`` and the recipe of the pairs.
    seed
        Seed of split and pairs.

    Attributes
    ----------
    dataset
        Reads drawn batches; set before training, for what it reads may be fitted on the training part.
    train_idx, val_idx, test_idx
        The cells of each part, sorted. All cells not in training are validated; there is no test part.
    """

    trainer: pl.Trainer

    def __init__(self, present: np.ndarray, recipe: Recipe, *, seed: int) -> None:
        super().__init__()
        self.dataset: PairDataset
        self.present = present
        self.recipe = recipe
        self.seed = seed
        n_cells = len(present)
        order = np.random.default_rng(seed).permutation(n_cells)
        self.n_train = max(round(recipe.train_size * n_cells), 1)
        self.n_val = n_cells - self.n_train
        self.train_idx = np.sort(order[: self.n_train])
        self.val_idx = np.sort(order[self.n_train :])
        self.test_idx = np.array([], dtype=np.int64)

    def setup(self, stage: str) -> None:
        """Spread the batches over the processes; Lightning calls this in each."""
        self.dataset.processes = Processes(self.trainer.global_rank, self.trainer.world_size)

    @property
    def n_train_batches(self) -> int:
        """Batches of a training epoch."""
        return len(self._sampler(self.train_idx, frozen=False))

    def _sampler(self, cells: np.ndarray, *, frozen: bool) -> PairSampler:
        return PairSampler(cells, self.present, self.recipe, seed=self.seed, frozen=frozen)

    def _loader(self, cells: np.ndarray, *, frozen: bool) -> DataLoader:
        # batch_size=None: the sampler's batches reach the dataset whole. A generator of its own: the loader draws a number, unused here, from the
        # common one when it starts, and where that falls among dropout's draws differs in a training that goes on from a checkpoint
        return DataLoader(
            self.dataset,
            sampler=self._sampler(cells, frozen=frozen),
            batch_size=None,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def train_dataloader(self) -> DataLoader:
        """Training pairs, redrawn from (seed, epoch)."""
        return self._loader(self.train_idx, frozen=False)

    def val_dataloader(self) -> DataLoader | None:
        """Validation pairs, the same in every epoch; ``None`` without validation cells."""
        return self._loader(self.val_idx, frozen=True) if self.n_val else None
