"""The core of bridge integration (Hao et al., Nature Biotechnology 2024), in a few lines of our own.

Cells of one modality are written as combinations of the reference's paired cells (least squares in that modality's
components). The reference's graph of both modalities gives its cells coordinates, the leading eigenvectors of the
normalised Laplacian, and the combinations carry these over. Seurat weighs the modalities of each cell when it builds
the graph, and corrects the coordinates by anchors: neither is done here.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse.linalg
from exchange import arguments, read_task, write_embedding
from prepare import N_COMPONENTS, joint_components, unit_rows
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

#: As in the tutorial: eigenvectors, neighbours.
N_EIGENVECTORS, N_NEIGHBORS = 50, 20


def laplacian_coordinates(points: np.ndarray, seed: int) -> np.ndarray:
    """Return the leading eigenvectors of the normalised Laplacian of the neighbours' graph, but for the constant."""
    near = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(points).kneighbors(return_distance=False)
    n = len(points)
    graph = sparse.csr_matrix((np.ones(near.size), (np.repeat(np.arange(n), N_NEIGHBORS), near.ravel())), shape=(n, n))
    # shared neighbours, as in Seurat's graphs
    shared = (graph + sparse.identity(n)) @ (graph + sparse.identity(n)).T
    root = sparse.diags(1 / np.sqrt(np.asarray(shared.sum(axis=1)).ravel()))
    start = np.random.default_rng(seed).normal(size=n)
    wanted = min(N_EIGENVECTORS + 1, n - 2)
    values, vectors = scipy.sparse.linalg.eigsh(root @ shared @ root, k=wanted, which="LA", v0=start)
    return vectors[:, np.argsort(-values)[1:]]


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    parts = joint_components(task, given.seed)
    n_pairs = task.pairs["rna"].n_obs
    both = np.hstack([unit_rows(points[:n_pairs]) for points in parts.values()])
    coordinates = laplacian_coordinates(both, given.seed)
    embedding = {}
    for m, points in parts.items():
        carried, *_ = np.linalg.lstsq(points[:n_pairs], coordinates, rcond=1 / N_COMPONENTS**2)
        embedding[m] = unit_rows(points[n_pairs:] @ carried)
    write_embedding(given.out, embedding, task.cells, "numpy", "scipy", "scikit-learn")


if __name__ == "__main__":
    main()
