"""The fixed input layers: canonical components, which are correlated across the modalities of paired cells.

With few paired cells and thousands of features, a first layer learned by gradient descent overfits. The principal
components of each modality are whitened instead, and rotated so that paired cells agree (canonical correlation
analysis). This takes seconds, and the network needs no other input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scminnet._core.logging import logger
from scminnet._core.matrices import Block, read_rows
from scminnet._core.principal_axes import signs_of
from scminnet.coupling.couple import PAIRED_COMPONENTS
from scminnet.coupling.linked_features import LinkedFeatures
from scminnet.model.network.borrowed import borrowed_share, linked_directions, of_standardised, with_borrowed
from scminnet.model.network.module import modality_pairs
from scminnet.model.network.whitening import (
    Standardisation,
    rarity_weights,
    standardised_deviation,
    whitened_components,
)

#: Few cells and many components give canonical correlations by chance. Whitening therefore adds this multiple of the
#: total variance per paired cell to each component's variance (the search: ``benchmarks/accuracy/recipe_search``).
RIDGE = 10.0

#: Ridge of coupled cells, in units of the components' mean variance (``docs/decisions.md``).
COUPLED_RIDGE = 0.05

#: Largest number of paired cells, and of other cells, that the components are fitted on. 100,000 cells determine the
#: components of thousands of features to a few percent. Their values fit into memory for a reference of any size.
MAX_FITTED = 100_000


def _drawn(positions: np.ndarray, seed: int) -> np.ndarray:
    """Draw the cells to fit on, and sort them."""
    rng = np.random.default_rng(seed)
    paired = (positions >= 0).sum(axis=1) > 1
    parts = [np.flatnonzero(paired), np.flatnonzero(~paired)]
    return np.sort(
        np.concatenate([p if len(p) <= MAX_FITTED else rng.choice(p, MAX_FITTED, replace=False) for p in parts])
    )


#: Mean and standard deviation of each feature of a modality.
Moments = tuple[np.ndarray, np.ndarray]


class RowsAndMoments(NamedTuple):
    """A row matrix in memory or on disk, and the mean and standard deviation that standardise each feature."""

    matrix: Any
    moments: tuple[np.ndarray, np.ndarray]


class Components(NamedTuple):
    """Whitened principal components of a modality. The scores are ``(z - z0) @ weights``."""

    weights: np.ndarray
    """Features x components, float32."""
    variances: np.ndarray
    """Variance of each score over the cells that whiten, at most 1."""
    moments: tuple[np.ndarray, np.ndarray]
    """Mean and standard deviation of each feature, which standardise the reference's values."""
    peaks: np.ndarray
    """Whether each feature is a peak, bool."""
    n_own: int
    """Number of leading components that are not borrowed."""


#: Covariance of the scores of cells measured in two modalities, and the number of these cells, by pair of modalities.
PairedCovariances = Mapping[tuple[str, str], tuple[np.ndarray, int]]


def _varies(values: Block) -> bool:
    """Tell whether any feature has two values."""
    if values.shape[0] < 2:
        return False
    highest, lowest = values.max(axis=0), values.min(axis=0)
    apart = highest - lowest
    return bool((apart if isinstance(apart, np.ndarray) else apart.toarray()).max() > 0)


def _drawn_rows(matrix: Any, moments: Moments, peaks: np.ndarray, seed: int) -> Block:
    """Return the standardised deviations of a query's cells, of at most ``MAX_FITTED`` drawn cells."""
    rows = _drawn(np.zeros((matrix.shape[0], 1)), seed)
    return standardised_deviation(read_rows(matrix, rows), Standardisation.of(*moments, peaks))


def paired_covariances(
    scores: Mapping[str, np.ndarray], positions: np.ndarray
) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
    """Return the cross-covariance of each two modalities' scores over their shared cells, and the number of these.

    Parameters
    ----------
    scores
        By modality, cells x components.
    positions
        Cells x modalities: row in the modality's scores, -1 if not measured.

    Returns
    -------
    By pair of modalities with at least two shared cells: components x components, and the number of shared cells.
    """
    return {
        pair: (left.T @ right / (len(left) - 1), len(left))
        for pair, (left, right) in _paired_scores(scores, positions).items()
    }


def _paired_scores(
    scores: Mapping[str, np.ndarray], positions: np.ndarray
) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Return the centred scores of the cells that two modalities share, if these are at least two."""
    names = list(scores)
    found = {}
    for a, b in modality_pairs(names):
        rows = positions[:, [names.index(a), names.index(b)]]
        rows = rows[(rows >= 0).all(axis=1)]
        if len(rows) > 1:
            left, right = scores[a][rows[:, 0]], scores[b][rows[:, 1]]
            found[a, b] = left - left.mean(axis=0), right - right.mean(axis=0)
    return found


def canonical_rotations(
    covariances: Mapping[tuple[str, str], np.ndarray], sizes: Mapping[str, int], n_canonical: int
) -> dict[str, np.ndarray]:
    """Rotate each modality's whitened scores so that cells agree across modalities, best agreement first.

    For two modalities, this is canonical correlation analysis, regularised if the scores are. Each component is scaled
    by its correlation. For more modalities, the components are the leading eigenvectors of the block matrix of all
    cross-covariances, scaled by the mean correlation. With two modalities, both are the same.

    Parameters
    ----------
    covariances
        By pair of modalities, cross-covariance of the whitened scores, components x components. A pair may be missing.
    sizes
        By modality, number of components.
    n_canonical
        Number of canonical components.

    Returns
    -------
    By modality, components x n_canonical. Columns are zero if the modalities share fewer components.
    """
    names = list(sizes)
    ends = np.cumsum([sizes[m] for m in names])
    blocks = {m: slice(end - sizes[m], end) for m, end in zip(names, ends, strict=True)}
    cross = np.zeros((ends[-1], ends[-1]))
    for (a, b), covariance in covariances.items():
        cross[blocks[a], blocks[b]] = covariance
        cross[blocks[b], blocks[a]] = covariance.T
    values, vectors = np.linalg.eigh(cross)
    order = np.argsort(values)[::-1][:n_canonical]
    agreement = np.maximum(values[order], 0) / (len(names) - 1)
    # an eigenvector has length 1 over all blocks together; the root gives each modality's part a length of about 1
    turned = vectors[:, order] * agreement * np.sqrt(len(names))
    rotations = {}
    for m in names:
        rotation = np.zeros((sizes[m], n_canonical), dtype=np.float32)
        rotation[:, : len(order)] = turned[blocks[m]]
        rotations[m] = rotation
    return rotations


def shrunk_covariances(
    scores: Mapping[str, np.ndarray], positions: np.ndarray, components: Mapping[str, Components]
) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
    """Return what :func:`paired_covariances` returns, as few pairs among many other cells know it.

    The components are whitened by all cells. Among the pairs alone they vary more or less, and correlate by chance.
    They are whitened again, with the ridge of that number of pairs, and only the leading ``PAIRED_COMPONENTS`` count.
    """
    found = {}
    for (a, b), (left, right) in _paired_scores(scores, positions).items():
        n = len(left)
        leading = [x[:, :PAIRED_COMPONENTS] for x in (left, right)]
        roots = [_whitening_of_pairs(x, components[m]) for m, x in zip((a, b), leading, strict=True)]
        covariance = np.zeros((left.shape[1], right.shape[1]))
        block = roots[0] @ (leading[0].T @ leading[1] / (n - 1)) @ roots[1]
        covariance[: block.shape[0], : block.shape[1]] = block
        found[a, b] = covariance, n
    return found


def _whitening_of_pairs(scores: np.ndarray, components: Components) -> np.ndarray:
    """Return the symmetric matrix that whitens centred scores of pairs with the ridge of pairs alone."""
    n, size = scores.shape
    variances = np.minimum(components.variances[:size], 1 - 1e-6)
    # a score of variance s has s / (1 - s) times the variance that the ridge added before it was divided
    total = (variances / (1 - variances)).sum()
    added = max(RIDGE / n * total, 1.0) * (1 - variances)
    values, vectors = np.linalg.eigh(scores.T.astype(np.float64) @ scores / (n - 1) + np.diag(added))
    return (vectors / np.sqrt(values)) @ vectors.T


#: Couples cells by the components of each modality and what pairs say of these. Returns the covariance of coupled
#: cells, and of pairs if there are any, by coupled pair of modalities.
Couple = Callable[[Mapping[str, Components], PairedCovariances], Mapping[tuple[str, str], np.ndarray]]


def fit_projections(
    matrices: Mapping[str, Any],
    moments: Mapping[str, Moments],
    peaks: Mapping[str, np.ndarray],
    positions: np.ndarray,
    *,
    n_components: int,
    n_canonical: int,
    seed: int,
    query: Mapping[str, RowsAndMoments] | None = None,
    couple: Couple | None = None,
    linked: Mapping[tuple[str, str], LinkedFeatures] | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fit the projections of all modalities on some cells.

    Parameters
    ----------
    matrices
        By modality, row matrices of all cells, in memory or on disk.
    moments
        By modality, mean and standard deviation of each feature.
    peaks
        By modality, whether each feature is a peak, bool.
    positions
        Cells to fit on x modalities: row in the modality, -1 if not measured. At most ``MAX_FITTED`` paired cells and
        ``MAX_FITTED`` others are drawn.
    n_components
        Largest number of principal components of each modality.
    n_canonical
        Number of canonical components.
    seed
        Seed of the drawn cells and of the decompositions.
    query
        Further cells that the modalities' principal components are fitted on.
    couple
        Couples cells without pairs. ``None``: pairs alone determine the canonical components.
    linked
        By pair of modalities, the linked features. Peaks borrow components through them.

    Returns
    -------
    By modality, weights (features x n_canonical) and bias (n_canonical). They turn z, the standardised and clipped
    values, into centred canonical components.
    """
    query, linked = query or {}, linked or {}
    positions = positions[_drawn(positions, seed)]
    n_paired = int(((positions >= 0).sum(axis=1) > 1).sum())
    components: dict[str, Components] = {}
    standardisations = {m: Standardisation.of(*moments[m], peaks[m]) for m in matrices}
    rows = {m: positions[positions[:, i] >= 0, i] for i, m in enumerate(matrices)}

    def read_parts(modality: str) -> list[Block]:
        """Read the reference's cells, and the query's if there are any."""
        values = standardised_deviation(read_rows(matrices[modality], rows[modality]), standardisations[modality])
        if not _varies(values):
            raise ValueError(
                f"modality {modality!r} of `mdata` does not vary among the {values.shape[0]:,} cells that are trained "
                "on. Give more cells, or leave the modality out."
            )
        return [values, _drawn_rows(*query[modality], peaks[modality], seed)] if modality in query else [values]

    def lent_to(modality: str) -> Iterator[tuple[sparse.csr_matrix, np.ndarray]]:
        """Yield the features of a modality that are linked to another one, and the directions of the other's cells."""
        for pair, found in linked.items():
            if modality in pair:
                side = pair.index(modality)
                logger.info("%s borrows components of %s through their feature links", modality, pair[1 - side])
                own, lent = (of_standardised(found.of_side(i), standardisations[pair[i]]) for i in (side, 1 - side))
                yield own, linked_directions(read_parts(pair[1 - side]), lent, found.weights, seed)

    scores, local, centres = {}, np.full_like(positions, -1), {}
    for i, (modality, matrix) in enumerate(matrices.items()):
        local[positions[:, i] >= 0, i] = np.arange(len(rows[modality]))
        parts = read_parts(modality)
        described = [(matrix.shape[0], *moments[modality])]
        if modality in query:
            described.append((query[modality].matrix.shape[0], *query[modality].moments))
        ridge = _ridge(n_paired, min(n_components, matrix.shape[1]), coupled=couple is not None)
        rarity = rarity_weights(described, peaks[modality]) if peaks[modality].any() else None
        fitted = whitened_components(
            parts, n_components, seed, ridge=ridge, by_all=couple is not None, feature_weights=rarity
        )
        n_own = fitted.weights.shape[1]
        share = 0.0 if rarity is None else borrowed_share(rarity, sum(part.shape[0] for part in parts))
        for own, directions in lent_to(modality) if share else ():
            fitted = with_borrowed(fitted, parts, own, directions, share)
        components[modality] = Components(*fitted, moments[modality], peaks[modality], n_own)
        scores[modality] = parts[0] @ components[modality].weights
        centres[modality] = scores[modality].mean(axis=0)
    paired = paired_covariances(scores, local) if couple is None else shrunk_covariances(scores, local, components)
    covariances = {pair: covariance for pair, (covariance, _) in paired.items()}
    if couple is not None:
        covariances |= couple(components, paired)
    rotations = canonical_rotations(covariances, {m: s.shape[1] for m, s in scores.items()}, n_canonical)
    if couple is not None:
        rotations = _scaled_to_unit(rotations)
    weights = {modality: components[modality].weights @ rotation for modality, rotation in rotations.items()}
    # a flipped component changes the trained embedding, so all storages and machines must give the same signs
    signs = signs_of(next(iter(weights.values())))
    projections = {}
    for modality, weight in weights.items():
        # centres are means of z - z0
        bias = -(centres[modality] @ rotations[modality] + standardisations[modality].zero @ weight)
        projections[modality] = (weight * signs, bias * signs)
    return projections


def _scaled_to_unit(rotations: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scale all components together so that the first has about unit variance, as those of pairs have.

    Correlations of coupled cells are lower than those of pairs, because each cell has many partners.
    """
    largest = max(float(np.linalg.norm(rotation[:, 0])) for rotation in rotations.values())
    return {m: rotation / np.float32(largest) if largest > 0 else rotation for m, rotation in rotations.items()}


def _ridge(n_paired: int, n_components: int, *, coupled: bool) -> float:
    """Return what whitening adds to each component's variance, as a share of the total variance."""
    known = n_paired / RIDGE + (n_components / COUPLED_RIDGE if coupled else 0)
    return 1 / known
