"""Canonical components of reference and validation cells, for each form of chromatin and each regularisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks.shared import development_sets
from benchmarks.shared.development_sets import DevelopmentSet, validation_split
from scminnet._core.principal_axes import principal_axes, sums_of_products
from scminnet.model import Recipe
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.network.whitening import Standardisation, leading_components, standardised_deviation

MAX_COMPONENTS = 200
N_CANONICAL = Recipe().n_canonical


class Components(NamedTuple):
    """Principal component scores of the reference and of the validation cells, and the variances."""

    train: np.ndarray
    validation: np.ndarray
    variance: np.ndarray


def chromatin(data: DevelopmentSet, folder: Path) -> dict[str, tuple[Any, Any, bool]]:
    """Return the forms of chromatin: matrices of training and validation cells, and whether to standardise them."""
    wide = validation_split(development_sets.load("snareseq_mouse_cortex", folder, peaks=True))
    n_genes = data.train["activity"].n_vars
    sides = [wide.train["chromatin"], wide.test["chromatin"]]
    # TF-IDF only needs to know which values are zero, and log(1 + x) keeps them
    lsi = [tf_idf(side[:, n_genes:].copy()) for side in sides]
    return {
        "activity": (data.train["activity"].X, data.test["activity"].X, True),
        "peaks": (*(side.X[:, n_genes:] for side in sides), True),
        "peaks, TF-IDF, not standardised": (*lsi, False),
        "peaks, TF-IDF, standardised": (*lsi, True),
        "activity and peaks": (*(side.X for side in sides), True),
    }


def tf_idf(adata: Any) -> sparse.csr_matrix:
    """Return log(1 + 10,000 x) of the TF-IDF of binarised peaks."""
    binary = sparse.csr_matrix((np.ones(adata.X.nnz, np.float32), adata.X.indices, adata.X.indptr), shape=adata.shape)
    rarity = np.log1p(adata.n_obs / (1 + binary.sum(axis=0).A1))
    weighted = sparse.diags(1 / np.maximum(binary.sum(axis=1).A1, 1)) @ binary @ sparse.diags(rarity)
    weighted.data = np.log1p(1e4 * weighted.data)
    return sparse.csr_matrix(weighted, dtype=np.float32)


def components(
    train: Any,
    validation: Any,
    *,
    standardise: bool,
    with_query: bool = False,
    batches: tuple[np.ndarray, np.ndarray] | None = None,
) -> Components:
    """Fit principal components on the reference, and on the validation cells too if ``with_query``.

    Each side, or each batch if ``batches`` are given, is standardised by its own statistics, as a query is.
    """
    sides, zeros, rows = [], [], []
    for k, matrix in enumerate((as_row_matrix(train), as_row_matrix(validation))):
        groups = np.zeros(matrix.shape[0]) if batches is None else batches[k]
        rows.append([np.flatnonzero(groups == group) for group in np.unique(groups)])
        parts = [matrix[cells] for cells in rows[k]]
        if not standardise:
            sides.append(parts)
            zeros.append([np.zeros(matrix.shape[1], np.float32)] * len(parts))
            continue
        moments = [feature_moments(part) for part in parts]
        no_peaks = np.zeros(matrix.shape[1], bool)
        by = [Standardisation.of(*of, no_peaks) for of in moments]
        sides.append([standardised_deviation(part, one) for part, one in zip(parts, by, strict=True)])
        zeros.append([one.zero for one in by])
    n_components = min(MAX_COMPONENTS, train.shape[0] - 1, train.shape[1])
    fitted = sides[0] + sides[1] if with_query else sides[0]
    variance, directions = leading_components(fitted, n_components, 0)
    scores = []
    for k, side in enumerate(sides):
        found = [part @ directions + zero @ directions for part, zero in zip(side, zeros[k], strict=True)]
        scores.append(np.concatenate(found)[np.argsort(np.concatenate(rows[k]))])
    centre = scores[0].mean(axis=0)
    return Components(scores[0] - centre, scores[1] - centre, variance)


def by_the_reference(cells: Components, n_components: int) -> Components:
    """Rotate the first components into the principal components of the reference."""
    train, validation = (scores[:, :n_components] for scores in (cells.train, cells.validation))
    axes = principal_axes(sums_of_products(train), *train.shape)
    return Components(train @ axes.loadings, validation @ axes.loadings, axes.variances)


def canonical(a: Components, b: Components, n_components: int, ridge: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fit regularised canonical components as ``scminnet.model.network.canonical`` does, for each modality."""
    n_cells = len(a.train)
    white = []
    for side in (a, b):
        variance = side.variance[:n_components]
        scale = (variance + ridge / n_cells * variance.sum()) ** -0.5
        white.append([scores[:, :n_components] * scale for scores in (side.train, side.validation)])
    left, agreement, right = np.linalg.svd(white[0][0].T @ white[1][0] / n_cells, full_matrices=False)
    turns = (left * agreement, right.T * agreement)
    return [tuple(s @ turn for s in scores) for scores, turn in zip(white, turns, strict=True)]


def unit_length(projected: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Scale the leading canonical components of the validation cells to unit length."""
    return [
        side[1][:, :N_CANONICAL] / np.linalg.norm(side[1][:, :N_CANONICAL], axis=1, keepdims=True) for side in projected
    ]
