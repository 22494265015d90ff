"""Adjusted Rand index of Leiden clusters and types, over a range of resolutions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score
from tqdm.auto import tqdm

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_positive
from scminnet._core.embeddings import check_embedding
from scminnet._core.keys import SHOW_PROGRESS_FROM
from scminnet.metrics._checks import NotDefinedError, check_labels

#: From a handful of clusters to more than any annotation has, in steps of about a fifth.
RESOLUTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)

#: Fewest clusters at which the paper compares methods.
FEWEST_CLUSTERS = 8


@check_types
def ari_curve(
    embedding: np.ndarray,
    labels: Any,
    *,
    n_neighbors: int = 20,
    resolutions: Sequence[float] = RESOLUTIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Cluster the cells at several resolutions and compare each clustering with the types.

    Neighbours and Leiden clusters are scanpy's (``flavor="igraph"``, two iterations, undirected).

    Parameters
    ----------
    embedding
        Array (n, d), the cells of all modalities below one another.
    labels
        Type of each cell, n values, none missing.
    n_neighbors
        Neighbours a cell in the graph that is clustered. The default is the paper's.
    resolutions
        Resolutions of Leiden, each greater than 0: the higher, the more clusters.
    seed
        Seed of the neighbour search and of Leiden.

    Returns
    -------
    One row a resolution, in the order given, with ``resolution``, ``n_clusters`` and ``ari``, the adjusted Rand index,
    which is 1 for the same partition and about 0 for an unrelated one.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        The embedding is no finite numeric matrix. The labels do not fit, or are of one type only. There are no more
        cells than ``n_neighbors``. A resolution is not positive.
    """
    embedding = check_embedding(embedding, "embedding")
    labels = check_labels(labels, len(embedding), "labels")
    check_count(n_neighbors, "n_neighbors", minimum=2)
    if np.ndim(resolutions) != 1 or len(resolutions) == 0:
        raise ValueError(f"`resolutions` is {resolutions!r}. Give a sequence of positive numbers.")
    for resolution in resolutions:
        check_positive(resolution, "resolutions", minimum=np.finfo(float).tiny)
    if len(embedding) <= n_neighbors:
        raise NotDefinedError(
            f"`n_neighbors` is {n_neighbors}, `embedding` holds {len(embedding)} cells. "
            "Give fewer neighbours or more cells."
        )
    codes, types = pd.factorize(labels)
    if len(types) < 2:
        raise NotDefinedError("`labels` are all of one type: the index compares partitions into two or more.")

    adata = AnnData(embedding)
    rows = []
    with warnings.catch_warnings():
        # scanpy and umap announce changed defaults and overridden numbers of threads, on which the user has no hold
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        sc.pp.neighbors(adata, n_neighbors=n_neighbors, use_rep="X", random_state=seed)
        for resolution in tqdm(resolutions, desc="Leiden", disable=len(embedding) < SHOW_PROGRESS_FROM):
            sc.tl.leiden(
                adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed
            )
            clusters = adata.obs["leiden"]
            rows.append((float(resolution), clusters.nunique(), adjusted_rand_score(codes, clusters)))
    return pd.DataFrame(rows, columns=["resolution", "n_clusters", "ari"])


@check_types
def ari(
    embedding: np.ndarray,
    labels: Any,
    *,
    n_neighbors: int = 20,
    resolutions: Sequence[float] = RESOLUTIONS,
    seed: int = 0,
) -> float:
    """Return the best adjusted Rand index among clusterings with 8 clusters to as many as there are types.

    The paper compares methods in this range. With fewer than 8 types, the number of clusters must be the number of
    types. If no resolution gives a number of clusters within the range, the numbers nearest to it count.

    Parameters
    ----------
    embedding, labels, n_neighbors, resolutions, seed
        As in :func:`ari_curve`.

    Returns
    -------
    Adjusted Rand index, at most 1; higher is better.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        As in :func:`ari_curve`.
    """
    curve = ari_curve(embedding, labels, n_neighbors=n_neighbors, resolutions=resolutions, seed=seed)
    return best_of_curve(curve, n_types=pd.Series(labels).nunique())


def best_of_curve(curve: pd.DataFrame, n_types: int) -> float:
    """Return the greatest ``ari`` among the rows whose ``n_clusters`` is in, or else nearest to, the paper's range."""
    fewest = min(FEWEST_CLUSTERS, n_types)
    outside = (fewest - curve["n_clusters"]).clip(lower=0) + (curve["n_clusters"] - n_types).clip(lower=0)
    return float(curve.loc[outside == outside.min(), "ari"].max())
