"""The fixed input layers: canonical components, which are correlated across the modalities of paired cells.

With few paired cells and thousands of features, a first layer learned by gradient descent overfits. The principal
components of each modality are whitened instead, and rotated so that paired cells agree (canonical correlation
analysis). This takes seconds, and the network needs no other input.
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

#: Up to this many features, their covariance is always cheaper. Above, ARPACK is cheaper for few cells.
MAX_COVARIANCE_FEATURES = 500

#: Number of cells that are made dense at a time.
_BLOCK = 4096

#: Components below this share of the first one's deviation are rounding errors of float32 covariances.
MIN_RELATIVE_DEVIATION = 1e-3

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


def _scale_and_zero(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 / std (0 for a constant feature), and the standardised zero of each feature."""
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    return scale, np.clip(-mean * scale, -CLIP, CLIP)


def standardised_deviation(matrix: Block, mean: np.ndarray, std: np.ndarray) -> Block:
    """Return z - z0: standardised, clipped values minus each feature's standardised zero. It is as sparse as x."""
    scale, zero = _scale_and_zero(mean, std)
    if isinstance(matrix, np.ndarray):
        return np.clip((matrix - mean) * scale, -CLIP, CLIP).astype(np.float32) - zero
    columns = matrix.indices
    values = np.clip((matrix.data - mean[columns]) * scale[columns], -CLIP, CLIP) - zero[columns]
    return sparse.csr_matrix((values.astype(np.float32), columns, matrix.indptr), shape=matrix.shape)


def _varies(values: Block) -> bool:
    """Tell whether any feature has two values."""
    if values.shape[0] < 2:
        return False
    highest, lowest = values.max(axis=0), values.min(axis=0)
    apart = highest - lowest
    return bool((apart if isinstance(apart, np.ndarray) else apart.toarray()).max() > 0)


def _drawn_rows(matrix: Any, moments: tuple[np.ndarray, np.ndarray], seed: int) -> Block:
    """Return the standardised deviations of a query's cells, of at most ``MAX_FITTED`` drawn cells."""
    rows = _drawn(np.zeros((matrix.shape[0], 1)), seed)
    return standardised_deviation(read_rows(matrix, rows), *moments)


def leading_components(parts: Sequence[Block], n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the principal components of cells. Each part is centred separately.

    Returns
    -------
    Variances in falling order, and directions (features x components).
    """
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


def whitened_components(
    parts: Sequence[Block], n_components: int, seed: int, *, ridge: float = 0.0, by_all: bool = False
) -> np.ndarray:
    """Return the weights of the principal components, each of at most unit variance over the first part's cells.

    Parameters
    ----------
    parts
        Cells x features. Each part is centred separately, so a shift between parts is no component. All parts
        determine the directions. Whitening uses the variance of the first part only. Other parts would bias the
        components if they have a different cell-type composition.
    n_components
        Largest number of components. There are fewer if the number of cells or features, or the rank, is smaller.
    seed
        Seed of the start of the iteration.
    ridge
        A component of variance v is divided by the root of v + ridge times the total variance of the components. 0
        whitens. A larger ridge shrinks components of small variance, which few cells estimate poorly.
    by_all
        Whiten by the variance of all parts' cells, if the other parts' cells are coupled as well.

    Returns
    -------
    Features x components, float32.
    """
    n_features = parts[0].shape[1]
    whole = n_features <= MAX_COVARIANCE_FEATURES
    n_components = min(n_components, sum(part.shape[0] for part in parts) - 1, n_features if whole else n_features - 1)
    variance, directions = leading_components(parts, n_components, seed)
    if len(parts) > 1 and not by_all:
        scores = parts[0] @ directions
        axes = principal_axes(sums_of_products(scores), *scores.shape)
        variance, directions = axes.variances, directions @ axes.loadings
    kept = np.sqrt(variance) > MIN_RELATIVE_DEVIATION * np.sqrt(variance[0])
    variance = variance[kept]
    return (directions[:, kept] / np.sqrt(variance + ridge * variance.sum())).astype(np.float32)


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


def _shrink_pairs(
    paired: Mapping[tuple[str, str], tuple[np.ndarray, int]],
    scores: Mapping[str, np.ndarray],
    ridges: Mapping[str, float],
) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
    """Return the covariances as if whitened with the ridge of the pairs alone, which is larger than ``ridges``.

    A component's variance over the scores is v / (v + ridge), v its share of the total variance.
    """
    variances = {m: np.minimum(s.var(axis=0), 1 - 1e-6) for m, s in scores.items()}
    shrunk = {}
    for (a, b), (covariance, n) in paired.items():
        left, right = (
            np.sqrt(ridges[m] / (ridges[m] * variances[m] + max(RIDGE / n, ridges[m]) * (1 - variances[m])))
            for m in (a, b)
        )
        shrunk[a, b] = left[:, None] * covariance * right, n
    return shrunk


class Components(NamedTuple):
    """Whitened principal components of a modality. The scores are ``(z - z0) @ weights``."""

    weights: np.ndarray
    """Features x components, float32."""
    moments: tuple[np.ndarray, np.ndarray]
    """Mean and standard deviation of each feature, which standardise the reference's values."""


#: Covariance of the scores of cells measured in two modalities, and the number of these cells, by pair of modalities.
PairedCovariances = Mapping[tuple[str, str], tuple[np.ndarray, int]]

#: Couples cells by the components of each modality and what pairs say of these. Returns the covariance of coupled
#: cells, and of pairs if there are any, by coupled pair of modalities.
Couple = Callable[[Mapping[str, Components], PairedCovariances], Mapping[tuple[str, str], np.ndarray]]


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
        By modality, row matrices of all cells, in memory or on disk.
    moments
        By modality, mean and standard deviation of each feature.
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

    Returns
    -------
    By modality, weights (features x n_canonical) and bias (n_canonical). They turn z, the standardised and clipped
    values, into centred canonical components.
    """
    positions = positions[_drawn(positions, seed)]
    n_paired = int(((positions >= 0).sum(axis=1) > 1).sum())
    components: dict[str, Components] = {}
    scores, local, centres, ridges = {}, np.full_like(positions, -1), {}, {}
    for i, (modality, matrix) in enumerate(matrices.items()):
        measured = positions[:, i] >= 0
        local[measured, i] = np.arange(measured.sum())
        values = standardised_deviation(read_rows(matrix, positions[measured, i]), *moments[modality])
        if not _varies(values):
            raise ValueError(
                f"modality {modality!r} of `mdata` does not vary among the {values.shape[0]:,} cells that are trained "
                "on. Give more cells, or leave the modality out."
            )
        parts = [values]
        if query and modality in query:
            parts.append(_drawn_rows(*query[modality], seed))
        ridges[modality] = _ridge(n_paired, min(n_components, matrix.shape[1]), coupled=couple is not None)
        fitted = whitened_components(parts, n_components, seed, ridge=ridges[modality], by_all=couple is not None)
        components[modality] = Components(fitted, moments[modality])
        scores[modality] = values @ components[modality].weights
        centres[modality] = scores[modality].mean(axis=0)
    paired = paired_covariances(scores, local)
    covariances = {pair: covariance for pair, (covariance, _) in paired.items()}
    if couple is not None:
        covariances |= couple(components, _shrink_pairs(paired, scores, ridges))
    rotations = canonical_rotations(covariances, {m: s.shape[1] for m, s in scores.items()}, n_canonical)
    if couple is not None:
        rotations = _scaled_to_unit(rotations)
    weights = {modality: components[modality].weights @ rotation for modality, rotation in rotations.items()}
    # a flipped component changes the trained embedding, so all storages and machines must give the same signs
    signs = signs_of(next(iter(weights.values())))
    projections = {}
    for modality, weight in weights.items():
        _, zero = _scale_and_zero(*moments[modality])
        # centres are means of z - z0
        bias = -(centres[modality] @ rotations[modality] + zero @ weight)
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
