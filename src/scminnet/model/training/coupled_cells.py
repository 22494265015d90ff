"""Couples the unpaired cells of a training: samples them, reads what is compared, and draws their partners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core.matrices import dense, read_rows
from scminnet.coupling.couple import MANY_LINKS, Pairs, Side, couple, standardise
from scminnet.coupling.coupling import Coupling
from scminnet.coupling.linked_features import LinkedFeatures
from scminnet.coupling.trust import LinkAgreement, link_agreement
from scminnet.coupling.unmatched import Partners, find_partners
from scminnet.model.network.canonical import Components, Moments
from scminnet.model.network.whitening import Standardisation, standardised_deviation

#: Largest number of cells of each modality to couple. With many links single cells are coupled, and memory grows with
#: the square of their number. With few links metacells are coupled.
MAX_CELLS_MANY_LINKS = 10_000
MAX_CELLS_FEW_LINKS = 50_000

#: Fewest cells of a modality to couple. Fewer do not represent its cell types.
MIN_CELLS = 50

#: Fewest links to couple by. Only links whose features vary in both modalities count.
MIN_LINKS = 3

#: Partners drawn for each cell.
N_PARTNERS = 32


class Part(NamedTuple):
    """Unpaired cells of one modality and origin: the reference's or the query's."""

    matrix: Any
    """Row matrix of the modality, wherever it is stored."""
    moments: tuple[np.ndarray, np.ndarray] | None
    """Mean and standard deviation of each feature, to standardise by. ``None``: the reference's."""
    rows: np.ndarray
    """Rows of the cells in the matrix, int64."""
    cells: np.ndarray
    """Numbers of the cells in the training, int64."""
    groups: np.ndarray
    """Group of each cell, int64. Cells are coupled within groups that both modalities have."""
    types: np.ndarray
    """Type of each cell, int64, -1 where unknown."""

    def take(self, chosen: np.ndarray) -> Part:
        """Return the part with the chosen cells only."""
        return self._replace(
            rows=self.rows[chosen],
            cells=self.cells[chosen],
            groups=self.groups[chosen],
            types=self.types[chosen],
        )


class Trust(NamedTuple):
    """How far a coupling can be trusted."""

    links: LinkAgreement
    partners: tuple[Partners, Partners]
    """By side, whether the coupled cells have partners."""
    link_side: int
    """Side whose features name the links."""
    link_features: np.ndarray
    """Feature of that side of each link, int64."""


class CoupledCells(NamedTuple):
    """The coupled cells of two modalities."""

    coupling: Coupling
    cells: tuple[np.ndarray, np.ndarray]
    """By side, the number of each coupled cell in the training, int64."""
    partners: tuple[np.ndarray, np.ndarray]
    """By side, the numbers of the drawn partners, int64, (cells, N_PARTNERS)."""
    trust: Trust


def couple_parts(
    first: Sequence[Part],
    second: Sequence[Part],
    components: tuple[Components, Components],
    links: sparse.csr_matrix,
    *,
    names: tuple[str, str],
    pairs: Pairs | None = None,
    rho: float | None,
    seed: int,
) -> CoupledCells:
    """Couple the cells of two modalities.

    Parameters
    ----------
    first, second
        Cells of each modality, as :func:`sample_parts` returned them.
    components
        Principal components of each modality.
    links
        Weights of the links: features of the first modality x features of the second.
    names
        The modalities, for error texts.
    pairs
        Covariances of the components among the cells measured in both modalities. ``None``: there are no such cells.
    rho
        Price of a cell without a partner, as in :func:`scminnet.coupling.couple.couple`.
    seed
        Seed of the coupling and of the partners.

    Raises
    ------
    ValueError
        Fewer than ``MIN_LINKS`` links join features that vary in both modalities.
    """
    prepared = prepare_sides(first, second, components, links, names=names)
    coupling = couple(*prepared.sides, prepared.weights, pairs=pairs, rho=rho, seed=seed)
    left, right = (np.concatenate([part.cells for part in parts]) for parts in (first, second))
    partners = right[coupling.draw_partners(0, N_PARTNERS, seed)], left[coupling.draw_partners(1, N_PARTNERS, seed)]
    # borrowed components hold the left-out links, so these would agree whatever is linked
    own = [s._replace(scores=s.scores[:, : c.n_own]) for s, c in zip(prepared.sides, components, strict=True)]
    trust = Trust(
        link_agreement(own[0], own[1], prepared.weights, rho=rho, seed=seed),
        find_partners(coupling, prepared.sides, prepared.weights, seed),
        prepared.link_side,
        prepared.link_features,
    )
    return CoupledCells(coupling, (left, right), partners, trust)


class Prepared(NamedTuple):
    """The cells of two modalities, ready to couple, and their links."""

    sides: tuple[Side, Side]
    weights: np.ndarray
    """Weight of each link, float32."""
    link_side: int
    """Side whose features name the links."""
    link_features: np.ndarray
    """Feature of that side of each link, int64."""


def prepare_sides(
    first: Sequence[Part],
    second: Sequence[Part],
    components: tuple[Components, Components],
    links: sparse.csr_matrix,
    *,
    names: tuple[str, str],
) -> Prepared:
    """Read what is compared of two modalities' cells. Arguments and errors as in :func:`couple_parts`."""
    anchors = LinkedFeatures.of(links)
    both = first, second
    values = [
        [_read(part, fitted, anchors.of_side(side)) for part in parts]
        for side, (parts, fitted) in enumerate(zip(both, components, strict=True))
    ]
    linked = [np.vstack([own_linked for _, own_linked in side]) for side in values]
    varies = np.asarray(linked[0].any(axis=0) & linked[1].any(axis=0))
    _refuse_constant(varies, names)
    groups = _common_groups([np.concatenate([part.groups for part in parts]) for parts in both])
    sides = [
        Side(
            np.vstack([scores for scores, _ in own]).astype(np.float32),
            x[:, varies],
            group,
            np.concatenate([part.types for part in parts]),
        )
        for own, x, group, parts in zip(values, linked, groups, both, strict=True)
    ]
    return Prepared((sides[0], sides[1]), anchors.weights[varies], anchors.side, anchors.features[varies])


def check_links_vary(
    parts: tuple[Sequence[Part], Sequence[Part]],
    links: sparse.csr_matrix,
    moments: tuple[Moments, Moments],
    names: tuple[str, str],
) -> None:
    """Raise if hardly any link joins features that vary, before any cells are read.

    Parameters
    ----------
    parts, links, names
        As in :func:`couple_parts`, which checks the sampled cells once more.
    moments
        Mean and standard deviation of each feature of both modalities of the reference.
    """
    anchors = LinkedFeatures.of(links)
    varies = [
        np.any([anchors.of_side(side).T @ ((part.moments or own)[1] > 0) > 0 for part in of_side], axis=0)
        for side, (of_side, own) in enumerate(zip(parts, moments, strict=True))
    ]
    _refuse_constant(varies[0] & varies[1], names)


def _refuse_constant(varies: np.ndarray, names: tuple[str, str]) -> None:
    if varies.sum() < MIN_LINKS:
        raise ValueError(
            f"{int(varies.sum())} of {len(varies)} links between {names[0]!r} and {names[1]!r} join features that vary "
            f"in both modalities, but at least {MIN_LINKS} are needed. Link more features "
            "(`scminnet.pp.feature_links`), or keep the linked ones when selecting features."
        )


def sample_parts(parts: Sequence[Part], links: sparse.csr_matrix, seed: tuple[int, int]) -> list[Part]:
    """Draw as many cells as can be coupled by these links, from all parts together. The order is kept."""
    many = len(LinkedFeatures.of(links).weights) >= MANY_LINKS
    n = MAX_CELLS_MANY_LINKS if many else MAX_CELLS_FEW_LINKS
    sizes = [len(part.rows) for part in parts]
    total = sum(sizes)
    if total <= n:
        return list(parts)
    chosen = np.sort(np.random.default_rng(seed).choice(total, n, replace=False))
    starts = np.cumsum([0, *sizes])
    return [
        part.take(chosen[(chosen >= start) & (chosen < end)] - start)
        for part, start, end in zip(parts, starts, starts[1:], strict=False)
    ]


def _read(part: Part, components: Components, links: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return the centred scores and the standardised linked features of the cells of a part."""
    values = read_rows(part.matrix, part.rows)
    by = Standardisation.of(*(part.moments or components.moments), components.peaks)
    scores = standardised_deviation(values, by) @ components.weights
    linked = dense(values @ links).astype(np.float32, copy=False)
    return scores - scores.mean(axis=0) if len(scores) else scores, standardise(linked) if len(linked) else linked


def _common_groups(groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the group of each cell. Groups with fewer than ``MIN_CELLS`` cells of either modality are joined."""
    counts = [dict(zip(*np.unique(g, return_counts=True), strict=True)) for g in groups]
    common = [g for g in counts[0] if min(counts[0][g], counts[1].get(g, 0)) >= MIN_CELLS]
    own = [np.isin(g, common) for g in groups]
    rest = -1
    # if the joined group is too small itself, its cells go to the largest group
    if common and any((~o).sum() < MIN_CELLS for o in own):
        rest = max(common, key=lambda g: counts[0][g] + counts[1][g])
    return [np.where(o, g, rest).astype(np.int64) for o, g in zip(own, groups, strict=True)]
