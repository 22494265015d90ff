"""Preprocessing that the tutorials of several methods share."""

from __future__ import annotations

import anndata as ad
import numpy as np
import scanpy as sc
from anndata import AnnData
from exchange import Task
from scipy import sparse
from sklearn.decomposition import PCA, TruncatedSVD

#: Principal components of a modality.
N_COMPONENTS = 50


def standardised(adata: AnnData, max_value: float | None = 10) -> np.ndarray:
    """Scale features to zero mean and unit variance, clipped as in scanpy's tutorials."""
    adata = AnnData(adata.X.copy())
    sc.pp.scale(adata, max_value=max_value)
    return np.asarray(adata.X, dtype=np.float32)


def pca(values: np.ndarray, seed: int) -> np.ndarray:
    """Return principal components, fewer than there are features."""
    n = min(N_COMPONENTS, *(size - 1 for size in values.shape))
    return PCA(n, random_state=seed).fit_transform(values).astype(np.float32)


def lsi(peaks: AnnData, seed: int) -> np.ndarray:
    """Latent semantic indexing as in Signac: scaled singular vectors of log(1 + 10,000 TF-IDF).

    The first vector is left out, because it reflects depth.
    """
    counts = sparse.csr_matrix(peaks.layers["counts"], dtype=np.float32)
    depth = np.asarray(counts.sum(axis=1)).ravel()
    frequency = np.asarray(counts.sum(axis=0)).ravel()
    weights = counts.shape[0] / np.maximum(frequency, 1)
    values = sparse.diags(1e4 / np.maximum(depth, 1)) @ counts @ sparse.diags(weights)
    values.data = np.log1p(values.data)
    points = TruncatedSVD(N_COMPONENTS, random_state=seed).fit_transform(values)[:, 1:]
    return ((points - points.mean(axis=0)) / points.std(axis=0)).astype(np.float32)


def second_components(task: Task, seed: int) -> np.ndarray:
    """Components of the other modality: LSI of peaks, or the standardised proteins, which are few."""
    if task.second == "chromatin":
        return lsi(task.of_kind("peak"), seed)
    return standardised(task.cells[task.second])


def joint_components(task: Task, seed: int) -> dict[str, np.ndarray]:
    """Components of each modality, over the reference and the cells to embed, the reference first.

    Each of both parts is standardised by itself, because their batches differ.
    """
    result = {}
    for modality in task.cells:
        parts = task.pairs[modality], task.cells[modality]
        if modality == "chromatin":
            kept = (parts[0].var["kind"] == "peak").to_numpy()
            points = lsi(ad.concat([part[:, kept] for part in parts]), seed)
        else:
            points = np.concatenate([standardised(part) for part in parts])
            points = pca(points, seed) if points.shape[1] > N_COMPONENTS else points
        result[modality] = points
    return result


def unit_rows(points: np.ndarray) -> np.ndarray:
    """Scale each row to length 1."""
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
