"""Metacells: small groups of similar cells, which stand for their cells in a coupling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans


class Metacells(NamedTuple):
    """Metacells of one modality, numbered group after group."""

    code: np.ndarray
    """Metacell of each cell, int64, (cells,)."""
    size: np.ndarray
    """Cells of each metacell, float32, (metacells,)."""
    group: np.ndarray
    """Group of each metacell, int64, (metacells,)."""


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; a row of zeros stays."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-9))


def find_metacells(scores: np.ndarray, group: np.ndarray, n: int, seed: int) -> Metacells:
    """Cluster cells by k-means on the directions of their components, within each group.

    Parameters
    ----------
    scores
        Cells x components, float32.
    group
        Group of each cell, int64. No metacell spans two groups.
    n
        Number of metacells. If there are no more cells, each cell stands for itself.
    seed
        Seed of k-means.
    """
    if n >= len(scores):
        return Metacells(np.arange(len(scores)), np.ones(len(scores), np.float32), group.astype(np.int64))
    code, first = np.zeros(len(scores), np.int64), 0
    for name in np.unique(group):
        at = np.flatnonzero(group == name)
        k = min(max(1, round(n * len(at) / len(scores))), len(at))
        means = MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=4096)
        # k-means may leave a centre without cells
        _, part = np.unique(means.fit_predict(unit_rows(scores[at])), return_inverse=True)
        code[at] = part + first
        first += part.max() + 1
    of = np.zeros(first, np.int64)
    of[code] = group
    return Metacells(code, np.bincount(code).astype(np.float32), of)


def averages(x: np.ndarray, cells: Metacells) -> np.ndarray:
    """Return the mean of ``x`` (cells x features) over each metacell, float32."""
    n = len(cells.code)
    share = sparse.csr_matrix(
        (1 / cells.size[cells.code], (cells.code, np.arange(n))), shape=(len(cells.size), n), dtype=np.float32
    )
    return share @ x
