"""Sampling of batches: draws the cells, and the pairs if not all pairs of a batch count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from scminnet.model.recipe import Recipe


class DrawnPairs(NamedTuple):
    """Pairs of two modalities' cells, as positions among the batch's cells of each modality."""

    first: int
    second: int
    left: np.ndarray
    right: np.ndarray


class DrawnBatch(NamedTuple):
    """A batch as the sampler draws it: positions in the reference. Nothing is read yet."""

    n_cells: int
    """Number of the epoch's cells that this batch stands for."""
    cells: list[np.ndarray]
    """Cells to read, by modality."""
    pairs: list[DrawnPairs] | None
    """Pairs, or ``None`` for all cross-modality pairs of the batch."""


#: By ordered pair of modalities: row of each cell in the partners (-1: none), and the partners (cells x draws).
Partners = Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]]


class PairSampler(Sampler[DrawnBatch]):
    """Draws the batches of an epoch from (seed, epoch).

    Parameters
    ----------
    cells
        Cells of the split, int64 positions in the MuData.
    present
        Cells of the MuData x modalities: whether the cell was measured in the modality.
    recipe
        The sampler uses ``pairing``, ``pair_strategy``, ``positive_share`` and ``batch_size``.
    seed
        Seed of all epochs.
    frozen
        Whether all epochs have the same batches, as validation needs. Lightning sets the epoch of validation samplers,
        too.
    partners
        By ordered pair of modalities, the row of each cell in the partners (-1: none), and the partners that a coupling
        drew (cells x draws).

    Notes
    -----
    The cells are shuffled and cut into batches of nearly equal size.

    ``pairing="in_batch"``: all pairs of a batch's cells in different modalities count. Each coupled cell adds one of
    its partners in the split to the batch, drawn anew each time.

    ``pairing="sampled"``: only drawn pairs count. In each of its modalities, each cell of the batch gets one partner.
    With probability ``positive_share``, the partner is the cell itself in another of its modalities. Otherwise, it is
    another cell of the split, drawn uniformly. With ``pair_strategy="between"`` this cell is from another modality,
    with ``"within"`` from the same one.
    """

    def __init__(
        self,
        cells: np.ndarray,
        present: np.ndarray,
        recipe: Recipe,
        *,
        seed: int,
        frozen: bool,
        partners: Partners | None = None,
    ) -> None:
        self.cells = cells
        self.partners = partners or {}
        self.in_split = np.zeros(len(present), dtype=bool)
        self.in_split[cells] = True
        self.present = present
        self.recipe = recipe
        self.seed = seed
        self.frozen = frozen
        self.epoch = 0
        self.pools = [cells[present[cells, m]] for m in range(present.shape[1])]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch to draw next. Lightning calls this."""
        if not self.frozen:
            self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.cells) // self.recipe.batch_size)

    def __iter__(self) -> Iterator[DrawnBatch]:
        rng = np.random.default_rng((self.seed, self.epoch, int(self.frozen)))
        for batch in np.array_split(rng.permutation(self.cells), len(self)):
            anchors = [batch[self.present[batch, m]] for m in range(len(self.pools))]
            if self.recipe.pairing == "in_batch":
                yield DrawnBatch(len(batch), self._with_coupled(anchors, rng), None)
            else:
                yield self._with_partners(anchors, len(batch), rng)

    def _with_coupled(self, anchors: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Add one partner of every coupled cell to the batch, drawn among its partners in the split."""
        if not self.partners:
            return anchors
        cells = [[own] for own in anchors]
        for (own, other), (row_of, partners) in self.partners.items():
            rows = row_of[anchors[own]]
            candidates = partners[rows[rows >= 0]]
            allowed = self.in_split[candidates]
            drawn = (rng.random(candidates.shape) * allowed).argmax(axis=1)
            found = allowed.any(axis=1)
            cells[other].append(candidates[np.arange(len(candidates)), drawn][found])
        return [np.unique(np.concatenate(parts)) for parts in cells]

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
        """Draw a partner and its modality for each anchor. The modality is -1 if there is no other cell."""
        n_modalities = len(self.pools)
        others = np.array([m for m in range(n_modalities) if m != modality])

        # itself, in another modality that it was measured in
        measured = self.present[own][:, others]
        weights = np.where(measured, rng.random(measured.shape), -1.0)
        itself = others[weights.argmax(axis=1)]
        positive = (rng.random(len(own)) < self.recipe.positive_share) & measured.any(axis=1)

        # another cell: uniform over the pool, skipping the anchor's place
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
