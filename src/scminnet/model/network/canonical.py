"""The linear start of the network: canonical components that paired cells share across modalities.

Between a handful of paired cells and thousands of features a first layer learnt by gradient overfits. Principal components of
each modality, whitened, and turned so that paired cells agree (canonical correlation analysis) are found in seconds and are all that
the network needs to see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from scminnet._core.matrices import Block, read_rows
from scminnet._core.principal_axes import CELLS_PER_FEATURE, axes_of, principal_axes, signs_of, sums_of_products
from scminnet.model.network.layers import CLIP
from scminnet.model.network.module import modality_pairs

#: Up to here the features' covariance is the cheaper way for any number of cells; beyond, ARPACK is where cells are few.
MAX_COVARIANCE_FEATURES = 500

#: Cells whose values are made dense at a time.
_BLOCK = 4096

#: Principal components with less than this share of the first one's deviation are rounding errors of float32 covariances.
MIN_RELATIVE_DEVIATION = 1e-3

#: Canonical correlations of few cells are chance where components are many. Whitening adds to each component's variance this
#: multiple of the components' total variance per paired cell (the search: ``benchmarks/accuracy/recipe_search``).
RIDGE = 10.0

#: Ridge of coupled cells, in units of the components' mean variance, and how many pairs a coupling is worth
#: (``docs/decisions.md``).
COUPLED_RIDGE = 0.1
COUPLING_WORTH = 500


#: Cells that the components are fitted on, at most as many paired ones and as many others: 100,000 tell components of thousands of features to a
#: few percent, and their values fit into memory whatever the size of the reference.
MAX_FITTED = 100_000


def _drawn(positions: np.ndarray, seed: int) -> np.ndarray:
    """Draw the cells to fit on, sorted."""
    rng = np.random.default_rng(seed)
    paired = (positions >= 0).sum(axis=1) > 1
    parts = [np.flatnonzero(paired), np.flatnonzero(~paired)]
    return np.sort(
        np.concatenate([p if len(p) <= MAX_FITTED else rng.choice(p, MAX_FITTED, replace=False) for p in parts])
    )


class RowsAndMoments(NamedTuple):
    """A row matrix, wherever it is stored, and the mean and standard deviation of each of its features to standardise it by."""

    matrix: Any
    moments: tuple[np.ndarray, np.ndarray]


def _scale_and_zero(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 / std, 0 for a constant feature, and each feature's standardised zero."""
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    return scale, np.clip(-mean * scale, -CLIP, CLIP)


def standardised_deviation(matrix: Block, mean: np.ndarray, std: np.ndarray) -> Block:
    """Return z - z0: the standardised, clipped values less each feature's standardised zero; as sparse as the input."""
    scale, zero = _scale_and_zero(mean, std)
    if isinstance(matrix, np.ndarray):
        return np.clip((matrix - mean) * scale, -CLIP, CLIP).astype(np.float32) - zero
    columns = matrix.indices
    values = np.clip((matrix.data - mean[columns]) * scale[columns], -CLIP, CLIP) - zero[columns]
    return sparse.csr_matrix((values.astype(np.float32), columns, matrix.indptr), shape=matrix.shape)


def _drawn_rows(matrix: Any, moments: tuple[np.ndarray, np.ndarray], seed: int) -> Block:
    """Standardised deviations of a query's cells, of ``MAX_FITTED`` drawn where they are more."""
    rows = _drawn(np.zeros((matrix.shape[0], 1)), seed)
    return standardised_deviation(read_rows(matrix, rows), *moments)


def leading_components(parts: Sequence[Block], n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of cells of which each part is centred by itself: variances, falling, and directions (features x components)."""
    n_cells, n_features = sum(part.shape[0] for part in parts), parts[0].shape[1]
    if n_features <= MAX_COVARIANCE_FEATURES or n_cells > CELLS_PER_FEATURE * n_features:
        scatter = np.zeros((n_features, n_features))
        for part in parts:
            sums = _sums(part)
            scatter += sums[1:] - np.outer(sums[0], sums[0]) / part.shape[0]
        return axes_of(scatter / (n_cells - 1), n_components)
    means = [np.asarray(part.mean(axis=0), dtype=np.float32).ravel() for part in parts]

    def scattered(direction: np.ndarray) -> np.ndarray:
        direction = direction.astype(np.float32, copy=False)
        return sum(
            part.T @ (part @ direction) - part.shape[0] * mean * (mean @ direction)
            for part, mean in zip(parts, means, strict=True)
        )

    start = np.random.default_rng(seed).uniform(-1, 1, n_features).astype(np.float32)
    operator = LinearOperator((n_features, n_features), matvec=scattered, dtype=np.float32)
    values, vectors = eigsh(operator, n_components, v0=start)
    return np.maximum(values[::-1], 0) / (n_cells - 1), vectors[:, ::-1]


def _sums(part: Block) -> np.ndarray:
    blocks = (part[start : start + _BLOCK] for start in range(0, part.shape[0], _BLOCK))
    dense = (block if isinstance(block, np.ndarray) else block.toarray() for block in blocks)
    return reduce(np.add, map(sums_of_products, dense))


def whitened_components(parts: Sequence[Block], n_components: int, seed: int, *, ridge: float = 0.0) -> np.ndarray:
    """Weights of the principal components, each of unit variance over the first part's cells, or a little less.

    Parameters
    ----------
    parts
        Cells x features; each part is centred by itself, so that what differs between parts is no component. All parts say which directions
        matter, the first one how its cells spread over them: measured by others, whose types come in other shares, paired cells would no
        longer be white, nor what is turned to agree between modalities canonical.
    n_components
        At most this many; fewer where cells, features or their rank are fewer.
    seed
        Start of the iteration.
    ridge
        A component of variance v is divided by the root of v + ridge times the sum of all components' variances: 0 whitens, more
        spares the components of small variance, which few cells tell badly.

    Returns
    -------
    Features x components, float32.
    """
    n_features = parts[0].shape[1]
    whole = n_features <= MAX_COVARIANCE_FEATURES
    n_components = min(n_components, sum(part.shape[0] for part in parts) - 1, n_features if whole else n_features - 1)
    variance, directions = leading_components(parts, n_components, seed)
    if len(parts) > 1:
        scores = parts[0] @ directions
        axes = principal_axes(sums_of_products(scores), *scores.shape)
        variance, directions = axes.variances, directions @ axes.loadings
    kept = np.sqrt(variance) > MIN_RELATIVE_DEVIATION * np.sqrt(variance[0])
    variance = variance[kept]
    return (directions[:, kept] / np.sqrt(variance + ridge * variance.sum())).astype(np.float32)


def paired_covariances(
    scores: Mapping[str, np.ndarray], positions: np.ndarray
) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
    """Return the cross-covariance of every two modalities' scores over the cells that they share, and their number.

    Parameters
    ----------
    scores
        By modality, cells x components.
    positions
        Cells x modalities: row in the modality's scores, -1 where not measured.

    Returns
    -------
    By pair of modalities with at least two shared cells: components x components, and the number of shared cells.
    """
    names = list(scores)
    found = {}
    for a, b in modality_pairs(names):
        rows = positions[:, [names.index(a), names.index(b)]]
        rows = rows[(rows >= 0).all(axis=1)]
        if len(rows) < 2:
            continue
        left, right = scores[a][rows[:, 0]], scores[b][rows[:, 1]]
        found[a, b] = (left - left.mean(0)).T @ (right - right.mean(0)) / (len(rows) - 1), len(rows)
    return found


def canonical_rotations(
    covariances: Mapping[tuple[str, str], np.ndarray], sizes: Mapping[str, int], n_canonical: int
) -> dict[str, np.ndarray]:
    """Rotate each modality's whitened scores so that cells agree across modalities, best agreement first.

    Two modalities: canonical correlation analysis, regularised where the scores are. Each component is scaled by its
    correlation. More modalities: the leading eigenvectors of the block matrix of all cross-covariances, scaled by the mean
    correlation; for two modalities this is the same.

    Parameters
    ----------
    covariances
        By pair of modalities, cross-covariance of the whitened scores, components x components. A pair may be missing.
    sizes
        By modality, number of components.
    n_canonical
        Canonical components wanted.

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
    # a component of all modalities has length 1 over the blocks together; each modality's part shall have about 1
    turned = vectors[:, order] * agreement * np.sqrt(len(names))
    rotations = {}
    for m in names:
        rotation = np.zeros((sizes[m], n_canonical), dtype=np.float32)
        rotation[:, : len(order)] = turned[blocks[m]]
        rotations[m] = rotation
    return rotations


def combine_covariances(
    paired: Mapping[tuple[str, str], tuple[np.ndarray, int]], coupled: Mapping[tuple[str, str], np.ndarray]
) -> dict[tuple[str, str], np.ndarray]:
    """Average the covariances of pairs and of coupled cells, each by how much it knows."""
    combined = dict(coupled)
    for pair, (covariance, n_pairs) in paired.items():
        share = n_pairs / (n_pairs + COUPLING_WORTH) if pair in coupled else 1.0
        combined[pair] = share * covariance + ((1 - share) * coupled[pair] if pair in coupled else 0)
    return combined


class Components(NamedTuple):
    """Whitened principal components of a modality: ``(z - z0) @ weights`` are the scores."""

    weights: np.ndarray
    """Features x components, float32."""
    moments: tuple[np.ndarray, np.ndarray]
    """Mean and standard deviation of each feature, by which the reference's values are standardised."""


#: Couples cells, given the components of each modality: the covariance of coupled cells by pair of modalities.
Couple = Callable[[Mapping[str, Components]], Mapping[tuple[str, str], np.ndarray]]


def fit_projections(
    matrices: Mapping[str, Any],
    moments: Mapping[str, tuple[np.ndarray, np.ndarray]],
    positions: np.ndarray,
    *,
    n_components: int,
    n_canonical: int,
    seed: int,
    query: Mapping[str, RowsAndMoments] | None = None,
    couple: Couple | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fit the projections of all modalities on some cells.

    Parameters
    ----------
    matrices
        By modality, row matrices of all cells, wherever they are stored.
    moments
        By modality, mean and standard deviation of each feature.
    positions
        Cells to fit on x modalities: row in the modality, -1 where not measured. Of more than ``MAX_FITTED`` paired cells,
        and of the others, so many are drawn.
    n_components
        Principal components of each modality, at most.
    n_canonical
        Canonical components.
    seed
        Seed of the decompositions.
    query
        Further cells, on which the modalities' principal components are found as well.
    couple
        Couples cells without pairs. ``None``: pairs alone say which components agree.

    Returns
    -------
    By modality, weights (features x n_canonical) and bias (n_canonical), which turn z, the standardised and clipped values,
    into centred canonical components.
    """
    positions = positions[_drawn(positions, seed)]
    n_paired = int(((positions >= 0).sum(axis=1) > 1).sum())
    components: dict[str, Components] = {}
    scores, local, centres = {}, np.full_like(positions, -1), {}
    for i, (modality, matrix) in enumerate(matrices.items()):
        measured = positions[:, i] >= 0
        local[measured, i] = np.arange(measured.sum())
        values = standardised_deviation(read_rows(matrix, positions[measured, i]), *moments[modality])
        parts = [values]
        if query and modality in query:
            parts.append(_drawn_rows(*query[modality], seed))
        ridge = _ridge(n_paired, min(n_components, matrix.shape[1]), coupled=couple is not None)
        components[modality] = Components(
            whitened_components(parts, n_components, seed, ridge=ridge), moments[modality]
        )
        scores[modality] = values @ components[modality].weights
        centres[modality] = scores[modality].mean(axis=0)
    covariances = combine_covariances(
        paired_covariances(scores, local), couple(components) if couple is not None else {}
    )
    rotations = canonical_rotations(covariances, {m: s.shape[1] for m, s in scores.items()}, n_canonical)
    weights = {modality: components[modality].weights @ rotation for modality, rotation in rotations.items()}
    # the network learns another embedding from a component turned round, so storages and machines must agree on signs
    signs = signs_of(next(iter(weights.values())))
    projections = {}
    for modality, weight in weights.items():
        _, zero = _scale_and_zero(*moments[modality])
        # centres are means of z - z0
        bias = -(centres[modality] @ rotations[modality] + zero @ weight)
        projections[modality] = (weight * signs, bias * signs)
    return projections


def _ridge(n_paired: int, n_components: int, *, coupled: bool) -> float:
    """Return what whitening adds to each component's variance, as a share of the total variance."""
    known = n_paired / RIDGE + (n_components / COUPLED_RIDGE if coupled else 0)
    return 1 / known
