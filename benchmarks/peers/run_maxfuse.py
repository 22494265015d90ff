"""MaxFuse as in its tutorial on CITE-seq PBMC (docs/citeseq_pbmc_evaluate.ipynb), with LSI of peaks.

The tutorial compares cells by correlation over the first 15 dimensions. So these are centred and scaled to unit length,
and Euclidean distances agree.
"""

from __future__ import annotations

import maxfuse as mf
import numpy as np
import scanpy as sc
from anndata import AnnData
from exchange import Task, arguments, read_task, shared_features, write_embedding
from prepare import lsi

DIMENSIONS = 15


def lognormalised(adata: AnnData, target_sum: float | None) -> AnnData:
    """Normalise counts to a sum, take logarithms and standardise, as the tutorial does to RNA and protein alike."""
    adata = AnnData(adata.layers["counts"].astype(np.float32), var=adata.var[[]])
    sc.pp.normalize_total(adata, target_sum=target_sum)
    sc.pp.log1p(adata)
    return adata


def scaled(adata: AnnData) -> np.ndarray:
    """Standardise; features without variance leave."""
    values = adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X
    adata = adata[:, values.std(axis=0) > 1e-5].copy()
    sc.pp.scale(adata)
    return np.asarray(adata.X)


def active(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All features that a modality is described by."""
    rna = lognormalised(task.rna, None)
    sc.pp.highly_variable_genes(rna)
    first = scaled(rna[:, rna.var["highly_variable"]].copy())
    if task.second == "chromatin":
        return first, lsi(task.of_kind("peak"), seed)
    return first, scaled(lognormalised(task.cells[task.second], None))


def shared(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Shared features that vary in both modalities, normalised to one sum."""
    parts = shared_features(task.rna, task.cells[task.second])
    counts = [part.layers["counts"].toarray() for part in parts]
    varies = np.logical_and(*(c.std(axis=0) > 1e-5 for c in counts))
    target = np.mean([np.median(c[:, varies].sum(axis=1)) for c in counts])
    return tuple(scaled(lognormalised(part[:, varies].copy(), target)) for part in parts)


def directions(points: np.ndarray) -> np.ndarray:
    """Centre each cell over its dimensions and scale it to length 1."""
    points = points[:, :DIMENSIONS] - points[:, :DIMENSIONS].mean(axis=1, keepdims=True)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    np.random.seed(given.seed)  # noqa: NPY002  it has no other seed
    shared1, shared2 = shared(task)
    active1, active2 = active(task, given.seed)

    def at_most(wanted: int, array: np.ndarray) -> int:
        return min(wanted, array.shape[1] - 1)

    fusor = mf.model.Fusor(shared_arr1=shared1, shared_arr2=shared2, active_arr1=active1, active_arr2=active2)
    fusor.split_into_batches(max_outward_size=5000, matching_ratio=3, metacell_size=2, verbose=True)
    components = {"svd_components1": at_most(30, active1), "svd_components2": at_most(30, active2)}
    fusor.construct_graphs(
        n_neighbors1=15, n_neighbors2=15, **components, resolution1=2, resolution2=2, resolution_tol=0.1, verbose=True
    )
    fusor.find_initial_pivots(
        wt1=0.7, wt2=0.7, svd_components1=at_most(25, shared1), svd_components2=at_most(20, shared2)
    )
    fusor.refine_pivots(
        wt1=0.7,
        wt2=0.7,
        **components,
        cca_components=min(20, *components.values()),
        n_iters=3,
        randomized_svd=False,
        svd_runs=1,
        verbose=True,
    )
    fusor.filter_bad_matches(target="pivot", filter_prop=0.3)
    found = fusor.get_embedding(active_arr1=fusor.active_arr1, active_arr2=fusor.active_arr2)
    embedding = {m: directions(np.asarray(points)) for m, points in zip(task.cells, found, strict=True)}
    write_embedding(given.out, embedding, task.cells, "maxfuse", "scanpy", "scikit-learn")


if __name__ == "__main__":
    main()
