"""Finds what a training learns from: pairs of cells, feature links and cell types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mudata import MuData
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.logging import logger
from scminnet._core.obs import obs_column
from scminnet.coupling.couple import worth_in_pairs
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY, has_feature_links, read_feature_links
from scminnet.model.network.module import modality_pairs
from scminnet.model.training.coupled_cells import MIN_CELLS, Part, sample_parts
from scminnet.model.training.training_data import TrainingData

#: A coupling is left out if there are this many times as many pairs as it is worth (``docs/decisions.md``).
PAIRS_THAT_RULE = 4.0

ModalityPair = tuple[str, str]

#: The unpaired cells of two modalities.
Unpaired = tuple[list[Part], list[Part]]


class Evidence(NamedTuple):
    """What a training learns from."""

    n_pairs: dict[ModalityPair, int]
    """By pair of modalities, number of training cells measured in both."""
    coupled: dict[ModalityPair, Unpaired]
    """By pair of modalities, the unpaired cells to couple."""
    links: dict[ModalityPair, sparse.csr_matrix]
    """By pair of modalities, the feature links, whether or not cells are coupled by them."""
    n_labelled: dict[str, int]
    """By modality, number of labelled training cells."""
    n_types: int
    """Number of cell types."""

    def cells_in_training(self, positions: np.ndarray) -> np.ndarray:
        """Return which cells of the reference are in pairs: those measured in two modalities, and the coupled ones."""
        chosen = (positions >= 0).sum(axis=1) > 1
        for first, second in self.coupled.values():
            for part in (*first, *second):
                chosen[part.cells[part.cells < len(positions)]] = True
        return chosen

    def sentence(self) -> str:
        """Return in one line what the training learns from."""
        found = [f"{n:,} cells measured in {a} and {b}" for (a, b), n in self.n_pairs.items() if n]
        found += [
            f"{_n_cells(first):,} cells of {a} and {_n_cells(second):,} of {b}, "
            f"coupled by {self.links[a, b].nnz:,} feature links"
            for (a, b), (first, second) in self.coupled.items()
        ]
        if self.n_types:
            cells = " and ".join(f"{n:,} cells of {m}" for m, n in self.n_labelled.items() if n)
            found.append(f"{self.n_types} cell types of {cells}")
        return "; ".join(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the evidence as plain values for the saved model."""
        return {
            "pairs": {f"{a}, {b}": n for (a, b), n in self.n_pairs.items()},
            "coupled_cells": {
                f"{a}, {b}": [_n_cells(parts) for parts in both] for (a, b), both in self.coupled.items()
            },
            "feature_links": {f"{a}, {b}": int(links.nnz) for (a, b), links in self.links.items()},
            "labelled_cells": dict(self.n_labelled),
            "cell_types": self.n_types,
            "summary": self.sentence(),
        }


def _n_cells(parts: Sequence[Part]) -> int:
    return sum(len(part.rows) for part in parts)


def gather_evidence(
    mdata: MuData,
    data: TrainingData,
    train: np.ndarray,
    *,
    links_key: str | None,
    can_couple: bool,
    seed: int,
) -> Evidence:
    """Find what there is to learn from, or raise if there is nothing.

    Two modalities are coupled if links join them, unless their pairs are worth more than the coupling.

    Parameters
    ----------
    mdata
        The reference, whose ``uns`` may hold feature links.
    data
        Its cells, and the query's.
    train
        Training cells. Only their pairs and labels are used.
    links_key
        Key of the feature links in ``uns``; ``None``: do not couple.
    can_couple
        Whether the recipe can learn from coupled cells.
    seed
        Seed of the sample of cells.

    Raises
    ------
    ValueError
        There are neither pairs nor feature links, for one modality or for all; there are too few cells to couple;
        ``uns`` lacks ``links_key``.
    """
    measured = data.positions >= 0
    names = list(data.modalities)
    n_pairs = {
        (a, b): int((measured[train][:, names.index(a)] & measured[train][:, names.index(b)]).sum())
        for a, b in modality_pairs(names)
    }
    if links_key is not None and links_key != FEATURE_LINKS_KEY and links_key not in mdata.uns:
        raise ValueError(
            f"`feature_links` is {links_key!r}, which mdata.uns lacks. Call `scminnet.pp.feature_links(mdata, ..., "
            f"key_added={links_key!r})` first."
        )
    coupled: dict[ModalityPair, Unpaired] = {}
    given: dict[ModalityPair, sparse.csr_matrix] = {}
    few: list[str] = []
    if links_key is not None and can_couple and links_key in mdata.uns:
        for a, b in modality_pairs(names):
            if not has_feature_links(mdata, a, b, links_key):
                continue
            links = given[a, b] = read_feature_links(mdata, a, b, links_key, unknown="drop")
            first, second = (_unpaired_parts(data, own, other) for own, other in ((a, b), (b, a)))
            sizes = {a: _n_cells(first), b: _n_cells(second)}
            if min(sizes.values()) < MIN_CELLS:
                few += [f"{m} has {n}" for m, n in sizes.items() if n < MIN_CELLS]
                continue
            worth = worth_in_pairs(min(sizes.values()), *(mdata.mod[m].n_vars for m in (a, b)))
            if n_pairs[a, b] > PAIRS_THAT_RULE * worth:
                logger.info("not coupling %s and %s: %s pairs are more informative", a, b, f"{n_pairs[a, b]:,}")
                continue
            coupled[a, b] = sample_parts(first, links, (seed, 0)), sample_parts(second, links, (seed, 1))
    if not coupled and not any(n_pairs.values()):
        raise ValueError(_nothing(mdata, names, links_key, can_couple, few))
    if coupled:
        _check_all_joined(names, n_pairs, coupled)
    in_training = np.zeros(len(data.positions), dtype=bool)
    in_training[train] = True
    labelled = in_training & (data.labels >= 0)
    n_labelled = {m: int((labelled & measured[:, i]).sum()) for i, m in enumerate(names)}
    evidence = Evidence(n_pairs, coupled, given, n_labelled, len(data.types))
    logger.info("learning from %s", evidence.sentence())
    return evidence


def _nothing(mdata: MuData, names: list[str], links_key: str | None, can_couple: bool, few: list[str]) -> str:
    """Return why there is nothing to learn from, and what to do."""
    no_pairs = f"no cell of the training part of `mdata` was measured in two of the modalities {names}"
    call = f"`scminnet.pp.feature_links(mdata, {names[0]!r}, {names[1]!r})`"
    if not can_couple:
        return (
            f"{no_pairs}. Give one cell the same obs_names in each of its modalities. Or use the default preset: "
            "feature links replace pairs only with input_layer='canonical' and pairing='in_batch'."
        )
    if few:
        return (
            f"{no_pairs}, and there are too few unpaired cells to couple: {shorten(few)}, but at least {MIN_CELLS} are "
            "needed. Add cells."
        )
    if links_key is None:
        return (
            f"{no_pairs}, and `feature_links` is None. Leave `feature_links` out, or give one cell the same "
            "obs_names in each of its modalities."
        )
    return (
        f"{no_pairs}, and mdata.uns has no links between their features. Link the features: {call}. If the data are "
        "paired, give one cell the same obs_names in each of its modalities."
    )


def _check_all_joined(
    names: list[str], n_pairs: Mapping[ModalityPair, int], coupled: Mapping[ModalityPair, Unpaired]
) -> None:
    """Raise if neither pairs nor links join a modality to another."""
    joined = {m for pair in coupled for m in pair} | {m for pair, n in n_pairs.items() if n for m in pair}
    alone = [m for m in names if m not in joined]
    if alone:
        other = next(m for m in names if m in joined)
        raise ValueError(
            f"neither pairs nor feature links of `mdata` join {shorten(alone)} to another modality. "
            f"Link its features: `scminnet.pp.feature_links(mdata, {alone[0]!r}, {other!r})`. "
            "Or leave it out of `modalities`."
        )


def _unpaired_parts(data: TrainingData, own: str, other: str) -> list[Part]:
    """Return the unpaired cells of a modality: those of the reference not measured in the other, and the query's."""
    i, j = (list(data.modalities).index(m) for m in (own, other))
    cells = np.flatnonzero((data.positions[:, i] >= 0) & (data.positions[:, j] < 0))
    parts = []
    if len(cells):
        # the moments of the reference come with the fitted components
        rows, types = data.positions[cells, i], data.labels[cells]
        parts.append(Part(data.matrices[own], None, rows, cells, data.groups[cells], types))
    if own in data.query:
        matrix, moments = data.query[own]
        rows = np.arange(matrix.shape[0])
        group = np.full(len(rows), data.groups.max(initial=0) + 1)
        parts.append(Part(matrix, moments, rows, data.first_of_query()[own] + rows, group, np.full(len(rows), -1)))
    return parts


def coupling_groups(
    mdata: MuData, modalities: Sequence[str], couple_within: str | None, positions: np.ndarray
) -> np.ndarray:
    """Return the group of each cell. Cells are coupled within groups.

    Parameters
    ----------
    mdata
        The reference.
    modalities
        The model's modalities.
    couple_within
        Column of the groups. ``None``: all cells are one group.
    positions
        Cells x modalities: row in the modality, -1 where not measured.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        Cells have no group, or no group has cells of two modalities.
    """
    if couple_within is None:
        return np.zeros(len(positions), dtype=np.int64)
    column = obs_column(mdata, couple_within, list(modalities), "couple_within")
    missing = column.index[column.isna()]
    if len(missing):
        raise ValueError(
            f"`couple_within`={couple_within!r} has no value for {len(missing):,} cells, e.g. {shorten(missing, 3)}. "
            "Give every cell a value."
        )
    values = column.to_numpy()
    present = [set(values[positions[:, i] >= 0]) for i in range(len(modalities))]
    if not any(a & b for k, a in enumerate(present) for b in present[k + 1 :]):
        found = "; ".join(f"{m}: {shorten(sorted(v))}" for m, v in zip(modalities, present, strict=True))
        raise ValueError(
            f"`couple_within` is {couple_within!r}, but none of its values has cells of two modalities ({found}). "
            "Name a column whose values the modalities share, or leave `couple_within` out."
        )
    return np.unique(values, return_inverse=True)[1]
