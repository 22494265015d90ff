"""Neighbour mixing: how many of a cell's neighbours are of another modality or batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.embeddings import check_embedding
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.metrics._checks import NotDefinedError, check_labels


@check_types
def neighbor_mixing(embedding: np.ndarray, groups: Any, *, n_neighbors: int = 30, seed: int = 0) -> float:
    r"""Measure how well modalities, or batches, mix among the nearest neighbours of each cell.

    The share of a cell's neighbours that are of another group, as a multiple of what chance gives, is averaged over the
    cells of each group, and then over the groups. With N cells, n_g of them in group g, and the mean share
    :math:`o_g`,

    .. math:: \frac{1}{G}\sum_g o_g \frac{N - 1}{N - n_g}

    1 is perfect: neighbours do not depend on the group. 0 means that each group lies by itself. A UMAP shows such
    groups apart, even if they lie so near to each other that FOSCTTM, label transfer and
    :func:`~scminnet.metrics.silhouette_modality` are good. Groups of different composition stay below 1. With
    more cells the neighbours are nearer, and the value falls.

    Parameters
    ----------
    embedding
        Array (n, d), the cells of all groups below one another.
    groups
        Modality or batch of each row, n values, none missing.
    n_neighbors
        Number of nearest neighbours by Euclidean distance, the cell itself left out. The default is that of label
        transfer in the benchmarks.
    seed
        Seed of the neighbour search, which is approximate on large data.

    Returns
    -------
    Number of at least 0; higher is better. It is above 1 only if neighbours avoid the cell's own group.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        The embedding is no finite numeric matrix, or the groups do not fit; there are fewer than two groups, or not
        more cells than ``n_neighbors``; or ``n_neighbors`` is not a whole number of at least 1.

    Examples
    --------
    >>> neighbor_mixing([[0.0], [1.0], [5.0], [6.0]], ["rna", "atac", "rna", "atac"], n_neighbors=1)
    1.5
    """
    embedding = check_embedding(embedding, "embedding")
    groups = check_labels(groups, len(embedding), "groups")
    check_count(n_neighbors, "n_neighbors")
    codes, names = pd.factorize(groups)
    if len(names) < 2:
        raise NotDefinedError(f"`groups` has {len(names)} groups: mixing needs two or more. Leave the measure out.")
    if len(embedding) <= n_neighbors:
        raise NotDefinedError(f"`n_neighbors` is {n_neighbors}, there are {len(embedding)} cells. Give a lower number.")
    return mixing_of(embedding, codes, n_neighbors, seed)


def mixing_of(embedding: np.ndarray, codes: np.ndarray, n_neighbors: int, seed: int) -> float:
    """Return what :func:`neighbor_mixing` returns, of groups given by their codes 0, 1, ..., int64."""
    n = len(codes)
    other = codes[nearest_neighbors(embedding, n_neighbors, seed=seed).indices] != codes[:, None]
    sizes = np.bincount(codes)
    shares = np.bincount(codes, other.mean(axis=1)) / sizes
    return float(np.mean(shares * (n - 1) / (n - sizes)))
