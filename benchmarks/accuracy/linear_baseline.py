"""Linear baseline: canonical correlations of the paired training cells, which take a second and no network."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA

from benchmarks.shared.development_sets import DevelopmentSet


def _standardise(values: np.ndarray) -> np.ndarray:
    deviation = values.std(axis=0, ddof=1)
    deviation[deviation == 0] = 1
    return np.clip((values - values.mean(axis=0)) / deviation, -10, 10)


def _dense(matrix: sparse.spmatrix | np.ndarray) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def embed(
    data: DevelopmentSet,
    *,
    seed: int,
    unit_length: bool,
    with_query: bool = False,
    n_components: int = 50,
    n_canonical: int = 20,
) -> None:
    """Write the canonical components of the test cells, weighted by their correlations, into ``obsm["X_cca"]``.

    Each modality's standardised features are reduced to fifty whitened principal components. The canonical components
    are the singular vectors of their cross-covariance over the training pairs. The test cells are standardised by
    their own statistics, as for the network. ``with_query`` fits the principal components on the test cells as well,
    and whitens them by the training cells.
    """
    scores, queries = [], []
    for modality in data.modalities:
        train, test = (_standardise(_dense(part[modality].X)) for part in (data.train, data.test))
        n = min(n_components, train.shape[1] - 1, train.shape[0] - 1)
        pca = PCA(n, random_state=seed).fit(np.concatenate([train, test]) if with_query else train)
        white = PCA(whiten=True, random_state=seed).fit(pca.transform(train))
        scores.append(white.transform(pca.transform(train)))
        queries.append(white.transform(pca.transform(test)))
    left, correlations, right = np.linalg.svd(scores[0].T @ scores[1] / len(scores[0]), full_matrices=False)
    turns = (left[:, :n_canonical] * correlations[:n_canonical], right.T[:, :n_canonical] * correlations[:n_canonical])
    for modality, query, turn in zip(data.modalities, queries, turns, strict=True):
        embedding = query @ turn
        if unit_length:
            embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        data.test[modality].obsm["X_cca"] = embedding.astype(np.float32)
