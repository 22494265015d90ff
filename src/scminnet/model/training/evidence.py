"""What a training learns from: pairs of cells, feature links, cell types."""

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
from scminnet.model.network.canonical import RowsAndMoments
from scminnet.model.network.module import modality_pairs
from scminnet.model.recipe import N_COMPONENTS
from scminnet.model.training.coupled_cells import MIN_CELLS, Part, sample_parts

#: Unpaired cells per modality from which a coupling has its full worth in pairs (``docs/decisions.md``).
CELLS_OF_FULL_WORTH = 5000

ModalityPair = tuple[str, str]


class Coupled(NamedTuple):
    """Two modalities that are coupled: their links, and the unpaired cells of either."""

    links: sparse.csr_matrix
    parts: tuple[list[Part], list[Part]]


class Evidence(NamedTuple):
    """What a training learns from."""

    n_pairs: dict[ModalityPair, int]
    """By pair of modalities, training cells measured in both."""
    coupled: dict[ModalityPair, Coupled]
    """By pair of modalities, what is coupled without pairs."""
    n_labelled: dict[str, int]
    """By modality, labelled training cells."""
    n_types: int
    """Cell types."""

    def cells_in_training(self, positions: np.ndarray) -> np.ndarray:
        """Return which cells of the reference meet others: those measured in two modalities, and coupled ones."""
        chosen = (positions >= 0).sum(axis=1) > 1
        for found in self.coupled.values():
            for part in (*found.parts[0], *found.parts[1]):
                chosen[part.cells[part.cells < len(positions)]] = True
        return chosen

    def sentence(self) -> str:
        """Say in one line what the training learns from."""
        found = [f"{n:,} cells measured in {a} and {b}" for (a, b), n in self.n_pairs.items() if n]
        found += [
            f"{_n_cells(c.parts[0]):,} cells of {a} and {_n_cells(c.parts[1]):,} of {b}, coupled by {c.links.nnz:,} feature links"
            for (a, b), c in self.coupled.items()
        ]
        if self.n_types:
            cells = " and ".join(f"{n:,} cells of {m}" for m, n in self.n_labelled.items() if n)
            found.append(f"{self.n_types} cell types of {cells}")
        return "; ".join(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the evidence as plain values, which a saved model keeps."""
        return {
            "pairs": {f"{a}, {b}": n for (a, b), n in self.n_pairs.items()},
            "coupled_cells": {f"{a}, {b}": [_n_cells(part) for part in c.parts] for (a, b), c in self.coupled.items()},
            "feature_links": {f"{a}, {b}": int(c.links.nnz) for (a, b), c in self.coupled.items()},
            "labelled_cells": dict(self.n_labelled),
            "cell_types": self.n_types,
            "summary": self.sentence(),
        }


def _n_cells(parts: Sequence[Part]) -> int:
    return sum(len(part.rows) for part in parts)


def gather_evidence(
    mdata: MuData,
    modalities: Sequence[str],
    matrices: Mapping[str, Any],
    positions: np.ndarray,
    train: np.ndarray,
    labels: np.ndarray,
    n_types: int,
    query: Mapping[str, RowsAndMoments],
    groups: np.ndarray,
    *,
    links_key: str | None,
    can_couple: bool,
    seed: int,
) -> Evidence:
    """Find what there is to learn from, or raise if it is nothing.

    Parameters
    ----------
    mdata
        The reference, whose ``uns`` may hold feature links.
    modalities
        The model's modalities.
    matrices
        By modality, row matrix of the reference.
    positions
        Cells x modalities: row in the modality, -1 where not measured.
    train
        Cells of the training part, whose pairs and labels are used.
    labels
        Code of each cell's type, -1 if unlabelled.
    n_types
        Number of cell types.
    query
        By modality, the query's rows and moments. Numbered after the reference's cells, modality by modality.
    groups
        Group of each cell of the reference: cells are coupled within groups.
    links_key
        Key of the feature links in ``uns``; ``None``: do not couple.
    can_couple
        Whether the recipe can learn from coupled cells.
    seed
        Seed of the sample of cells.

    Raises
    ------
    ValueError
        There are neither pairs nor feature links, for a modality or at all, or too few cells to couple; ``links_key`` is
        not there.
    """
    measured = positions >= 0
    names = list(modalities)
    n_pairs = {
        (a, b): int((measured[train][:, names.index(a)] & measured[train][:, names.index(b)]).sum())
        for a, b in modality_pairs(names)
    }
    if links_key is not None and links_key != FEATURE_LINKS_KEY and links_key not in mdata.uns:
        raise ValueError(
            f"`feature_links` is {links_key!r}, which mdata.uns lacks. Call `scminnet.pp.feature_links(mdata, ..., "
            f"key_added={links_key!r})` first."
        )
    coupled: dict[ModalityPair, Coupled] = {}
    few: list[str] = []
    if links_key is not None and can_couple and links_key in mdata.uns:
        starts = _starts_of_query(query, len(positions))
        for a, b in modality_pairs(names):
            if not has_feature_links(mdata, a, b, links_key):
                continue
            first, second = (
                _unpaired_parts(own, other, names, matrices, positions, labels, query, starts, groups)
                for own, other in ((a, b), (b, a))
            )
            sizes = {a: _n_cells(first), b: _n_cells(second)}
            if min(sizes.values()) < MIN_CELLS:
                few += [f"{m} has {n}" for m, n in sizes.items() if n < MIN_CELLS]
                continue
            if n_pairs[a, b] > _rule_from(min(sizes.values()), *(mdata.mod[m].n_vars for m in (a, b))):
                logger.info("%s pairs of %s and %s tell more than coupled cells: not coupled", n_pairs[a, b], a, b)
                continue
            links = read_feature_links(mdata, a, b, links_key, unknown="drop")
            sampled = sample_parts(first, links, (seed, 0)), sample_parts(second, links, (seed, 1))
            coupled[a, b] = Coupled(links, sampled)
    if not coupled and not any(n_pairs.values()):
        raise ValueError(_nothing(mdata, names, links_key, can_couple, few))
    if coupled:
        _check_all_joined(names, n_pairs, coupled)
    in_training = np.zeros(len(positions), dtype=bool)
    in_training[train] = True
    labelled = in_training & (labels >= 0)
    n_labelled = {m: int((labelled & measured[:, i]).sum()) for i, m in enumerate(names)}
    evidence = Evidence(n_pairs, coupled, n_labelled, n_types)
    logger.info("learning from %s", evidence.sentence())
    return evidence


def _rule_from(n_unpaired: int, n_first: int, n_second: int) -> float:
    """Return the number of pairs from which a coupling of so many cells and features adds nothing."""
    worth = worth_in_pairs(min(n_first, N_COMPONENTS), min(n_second, N_COMPONENTS))
    return worth * min(1.0, n_unpaired / CELLS_OF_FULL_WORTH)


def _nothing(mdata: MuData, names: list[str], links_key: str | None, can_couple: bool, few: list[str]) -> str:
    """Say why there is nothing to learn from, and what to do."""
    no_pairs = f"no cell of the training part was measured in two of the modalities {names}"
    call = f"`scminnet.pp.feature_links(mdata, {names[0]!r}, {names[1]!r})`"
    if not can_couple:
        return (
            f"{no_pairs}. Feature links can replace pairs only with input_layer='canonical' and pairing='in_batch', the defaults; "
            "give one cell the same obs_names in each of its modalities, or use the default preset."
        )
    if few:
        return f"{no_pairs}, and there are too few unpaired cells to couple: {shorten(few)}, at least {MIN_CELLS} are needed. Add cells."
    if links_key is None:
        return f"{no_pairs}, and `feature_links` is None. Leave it out, or give one cell the same obs_names in each of its modalities."
    return (
        f"{no_pairs}, and mdata.uns has no links between their features. Link the features that both measure: {call}; or, for "
        "paired data, give one cell the same obs_names in each of its modalities."
    )


def _check_all_joined(
    names: list[str], n_pairs: Mapping[ModalityPair, int], coupled: Mapping[ModalityPair, Coupled]
) -> None:
    """Raise if cells of a modality meet those of no other."""
    joined = {m for pair in coupled for m in pair} | {m for pair, n in n_pairs.items() if n for m in pair}
    alone = [m for m in names if m not in joined]
    if alone:
        other = next(m for m in names if m in joined)
        raise ValueError(
            f"neither pairs nor feature links join {shorten(alone)} to another modality. Link its features: "
            f"`scminnet.pp.feature_links(mdata, {alone[0]!r}, {other!r})`; or leave it out of `modalities`."
        )


def _starts_of_query(query: Mapping[str, RowsAndMoments], n_reference: int) -> dict[str, int]:
    """Return the number of the first query cell of each modality. A query's pairs are not used, so cells count per modality."""
    starts, start = {}, n_reference
    for m, part in query.items():
        starts[m] = start
        start += part.matrix.shape[0]
    return starts


def _unpaired_parts(
    own: str,
    other: str,
    names: list[str],
    matrices: Mapping[str, Any],
    positions: np.ndarray,
    labels: np.ndarray,
    query: Mapping[str, RowsAndMoments],
    starts: Mapping[str, int],
    groups: np.ndarray,
) -> list[Part]:
    """Return the cells of a modality that were not measured in the other: the reference's and the query's."""
    i, j = names.index(own), names.index(other)
    cells = np.flatnonzero((positions[:, i] >= 0) & (positions[:, j] < 0))
    # the reference's moments are known once its input layers are fitted
    parts = [Part(matrices[own], None, positions[cells, i], cells, groups[cells], labels[cells])] if len(cells) else []
    if own in query:
        matrix, moments = query[own]
        rows = np.arange(matrix.shape[0])
        of_query = np.full(len(rows), groups.max(initial=0) + 1)
        parts.append(Part(matrix, moments, rows, starts[own] + rows, of_query, np.full(len(rows), -1)))
    return parts


def coupling_groups(
    mdata: MuData, modalities: Sequence[str], couple_within: str | None, positions: np.ndarray
) -> np.ndarray:
    """Return the group of each cell, within which cells are coupled.

    Parameters
    ----------
    mdata
        The reference.
    modalities
        The model's modalities.
    couple_within
        Column of the groups; ``None``: all cells are one group.
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
            f"`couple_within`={couple_within!r} has no value for {len(missing):,} cells, e.g. {shorten(missing, 3)}. Give every cell a "
            "value."
        )
    values = column.map(str).to_numpy()
    present = [set(values[positions[:, i] >= 0]) for i in range(len(modalities))]
    if not any(a & b for k, a in enumerate(present) for b in present[k + 1 :]):
        found = "; ".join(f"{m}: {shorten(sorted(v))}" for m, v in zip(modalities, present, strict=True))
        raise ValueError(
            f"`couple_within` is {couple_within!r}, of which no value has cells of two modalities ({found}). Name a column that the "
            "modalities share, or leave it out."
        )
    return np.unique(values, return_inverse=True)[1]
