"""Reading of drawn batches, and the split of the cells into training and validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model.data.sparse_rows import take_rows
from scminnet.model.network.module import modality_pairs
from scminnet.model.network.processes import Processes
from scminnet.model.recipe import Recipe
from scminnet.model.training.coupled_cells import CoupledCells
from scminnet.model.training.pair_sampler import DrawnBatch, PairSampler, Partners

#: Pairs among many coupled cells are repeated at most this many times in an epoch. More than 3 brought nothing.
MAX_REPEATS = 3


class Pairs(NamedTuple):
    """Pairs for the loss: two modalities, row positions, and distances on the margin graph.

    ``distances`` has shape ``(l, r)`` for all pairs of rows, and ``(p,)`` for row-by-row pairs.
    """

    first: str
    second: str
    left: Tensor
    right: Tensor
    distances: Tensor


class PairDataset(Dataset[dict[str, Any]]):
    """Reads drawn batches: rows of each modality, labels, cell identities, and pairs with their distances.

    Parameters
    ----------
    matrices
        By modality, the row matrix of its cells in the modality's own order, in memory or on disk.
    projected
        Whether the matrices are outputs of the network's input layer.
    positions
        Cells of the MuData x modalities, int64: the cell's row in the modality's matrix, -1 if not measured.
    labels
        Label code of each cell of the MuData, int64, -1 for unlabelled cells.
    geodesics
        Distances of the cells on the margin graph.
    graph_rows
        Node of each cell of the MuData in ``geodesics``, -1 for cells without one.
    coupled
        By pair of modalities, the cells that a coupling joins.

    Attributes
    ----------
    processes
        Processes that share each batch. Every process knows all cells of the batch, and reads the rows of its own.
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
        coupled: Mapping[tuple[str, str], CoupledCells] | None = None,
    ) -> None:
        self.coupled = coupled or {}
        self.coupled_rows = {pair: _rows_of(found, len(positions)) for pair, found in self.coupled.items()}
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
            # found here, because each batch would wait for the device if they were found there
            "labelled": {
                m: torch.from_numpy(np.flatnonzero(self.labels[cells] >= 0)) for m, cells in by_modality.items()
            },
            "matches": {
                pair: _matches(by_modality[pair[0]], by_modality[pair[1]]) for pair in modality_pairs(self.modalities)
            },
            "targets": {pair: self._targets(by_modality, pair) for pair in self.coupled},
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

    def _targets(self, cells: dict[str, np.ndarray], pair: tuple[str, str]) -> Tensor:
        """Return the weight of each two cells as partners, rows x columns. A pair has weight 1."""
        left, right = (cells[m] for m in pair)
        rows, columns = (row[c] for row, c in zip(self.coupled_rows[pair], (left, right), strict=True))
        targets = np.zeros((len(left), len(right)), dtype=np.float32)
        at_left, at_right = np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0)
        if len(at_left) and len(at_right):
            affinities = self.coupled[pair].coupling.affinities(rows[at_left], columns[at_right])
            targets[np.ix_(at_left, at_right)] = affinities
        # a cell measured in both modalities is its only partner
        _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
        targets[at_left], targets[:, at_right] = 0, 0
        targets[at_left, at_right] = 1
        return torch.from_numpy(targets)

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


def _rows_of(found: CoupledCells, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of each cell in the coupling, by side (-1: none)."""
    rows = np.full((2, n_cells), -1, dtype=np.int64)
    for side in (0, 1):
        rows[side, found.cells[side]] = np.arange(len(found.cells[side]))
    return rows[0], rows[1]


def _matches(left: np.ndarray, right: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the positions of the cells that are in both arrays, in the order of the first."""
    _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    order = np.argsort(at_left)
    return torch.from_numpy(at_left[order]), torch.from_numpy(at_right[order])


class PairDataModule(pl.LightningDataModule):
    """Splits the cells, and gives batches of pairs for training and validation.

    Parameters
    ----------
    present
        Cells of the MuData x modalities: whether the cell was measured in the modality.
    recipe
        The module uses ``train_size`` and the hyperparameters of the pairs.
    seed
        Seed of split and pairs.

    Attributes
    ----------
    dataset
        Reads drawn batches. It is set after the split, because its matrices may be fitted on the training cells.
    train_idx, val_idx, test_idx
        The reference's cells of each part, sorted. All cells outside training are for validation. The test part is
        empty.
    train_cells, val_cells
        Cells that batches are made of. They are those of the parts, unless :meth:`couple` changed them.
    """

    trainer: pl.Trainer

    def __init__(self, present: np.ndarray, recipe: Recipe, *, seed: int) -> None:
        super().__init__()
        self.dataset: PairDataset
        self.partners: Partners = {}
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
        self.train_cells, self.val_cells = self.train_idx, self.val_idx

    def couple(self, present: np.ndarray, partners: Partners, pairs_share: float) -> None:
        """Train on paired and coupled cells only. Coupled cells may be those of a query.

        Parameters
        ----------
        present
            Cells of the training x modalities: the cells of the MuData, then the query's.
        partners
            Partners of coupled cells, as in :class:`PairSampler`.
        pairs_share
            Share of the pairs in what is known. Pairs are repeated within an epoch until they are that share of its
            cells, at most ``MAX_REPEATS`` times.
        """
        useful = present.sum(axis=1) > 1
        for row_of, _ in partners.values():
            useful |= row_of >= 0
        beyond = np.arange(len(self.present), len(present))
        self.present, self.partners = present, partners
        self.train_cells = np.concatenate([self.train_idx, beyond])
        self.train_cells = self.train_cells[useful[self.train_cells]]
        paired = self.train_cells[present[self.train_cells].sum(axis=1) > 1]
        if len(paired):
            wanted = pairs_share / max(1 - pairs_share, 1e-6) * (len(self.train_cells) - len(paired)) / len(paired)
            repeats = round(min(max(wanted, 1.0), MAX_REPEATS))
            self.train_cells = np.concatenate([self.train_cells, *[paired] * (repeats - 1)])
        self.val_cells = self.val_idx[useful[self.val_idx]]

    @property
    def n_meeting(self) -> int:
        """Number of training cells that are paired or coupled."""
        cells = np.unique(self.train_cells)
        meet = self.present[cells].sum(axis=1) > 1
        for row_of, _ in self.partners.values():
            meet |= row_of[cells] >= 0
        return int(meet.sum())

    def setup(self, stage: str) -> None:
        """Spread the batches over the processes. Lightning calls this in each process."""
        self.dataset.processes = Processes(self.trainer.global_rank, self.trainer.world_size)

    @property
    def n_train_batches(self) -> int:
        """Number of batches of a training epoch."""
        return len(self._sampler(self.train_cells, frozen=False))

    def _sampler(self, cells: np.ndarray, *, frozen: bool) -> PairSampler:
        return PairSampler(cells, self.present, self.recipe, seed=self.seed, frozen=frozen, partners=self.partners)

    def _loader(self, cells: np.ndarray, *, frozen: bool) -> DataLoader:
        # batch_size=None, so that the dataset gets whole batches
        # own generator, because a starting loader draws a number, which would shift dropout's draws after a checkpoint
        return DataLoader(
            self.dataset,
            sampler=self._sampler(cells, frozen=frozen),
            batch_size=None,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def train_dataloader(self) -> DataLoader:
        """Return the training pairs, drawn anew from (seed, epoch)."""
        return self._loader(self.train_cells, frozen=False)

    def val_dataloader(self) -> DataLoader | None:
        """Return the validation pairs, the same in every epoch, or ``None`` without validation cells."""
        return self._loader(self.val_cells, frozen=True) if len(self.val_cells) else None
