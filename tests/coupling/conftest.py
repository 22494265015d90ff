from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

from scminnet.coupling.couple import Side, standardise

N_TYPES = 4


class Truth(NamedTuple):
    """Two views of the same cells, the second shuffled."""

    first: Side
    second: Side
    weights: np.ndarray
    order: np.ndarray
    """Row of the second side's cell i in the first."""
    types: np.ndarray
    """Cell type of the first side's rows."""


def links_of(entries: dict[tuple[int, int], float], shape: tuple[int, int]) -> sparse.csr_matrix:
    rows, columns = zip(*entries, strict=True)
    return sparse.csr_matrix((np.float32(list(entries.values())), (rows, columns)), shape=shape)


def two_views(n_links: int, n: int = 400, noise: float = 0.7, seed: int = 0, keep: np.ndarray | None = None) -> Truth:
    """Two noisy linear views of latent cells: whitened components of each side, and features that both measure.

    ``keep`` chooses cells of the second side among the first side's.
    """
    rng = np.random.default_rng(seed)
    types = rng.integers(0, N_TYPES, n)
    latent = rng.normal(size=(N_TYPES, 5))[types] * 1.5 + rng.normal(size=(n, 5))
    latent = (latent - latent.mean(0)) / latent.std(0)
    order = rng.permutation(n if keep is None else np.flatnonzero(keep))
    shared = latent @ rng.normal(size=(5, n_links))

    def side(rows: np.ndarray) -> Side:
        mixed = latent[rows] @ np.linalg.qr(rng.normal(size=(8, 8)))[0][:5]
        scores = mixed + rng.normal(size=mixed.shape) * 0.3
        linked = shared[rows] + rng.normal(size=(len(rows), n_links)) * noise * shared.std()
        known = np.full(len(rows), -1)
        whole = np.zeros(len(rows), np.int64)
        return Side(np.float32(scores - scores.mean(0)), standardise(linked.astype(np.float32)), whole, known)

    return Truth(side(np.arange(n)), side(order), np.ones(n_links, np.float32), order, types)


def five_types(
    n_links: int = 20,
    n: int = 300,
    missing: int | None = None,
    seed: int = 0,
    noise: float = 1.0,
    distinct: float = 1.0,
) -> tuple[Side, Side, np.ndarray]:
    """Cells of five types on either side, and the first side's types. The second side may lack a type.

    ``noise`` is that of the linked features. Type 2 is so many times as far from the others as ``distinct`` says.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 8))
    centres[2] *= distinct
    loadings = rng.normal(size=(8, n_links))
    made, types = [], []
    for side in (0, 1):
        own = rng.integers(5, size=n)
        if side and missing is not None:
            own = own[own != missing]
        state = centres[own] + 0.4 * rng.normal(size=(len(own), 8))
        scores = state @ rng.normal(size=(8, 12)) + 0.3 * rng.normal(size=(len(own), 12))
        linked = state @ loadings + noise * rng.normal(size=(len(own), n_links))
        whitened = (scores - scores.mean(axis=0)) / scores.std(axis=0)
        made.append(
            Side(
                whitened.astype(np.float32),
                standardise(linked.astype(np.float32)),
                np.zeros(len(own), np.int64),
                np.full(len(own), -1),
            )
        )
        types.append(own)
    return made[0], made[1], types[0]


@pytest.fixture(params=[12, 90], ids=["few links", "many links"])
def n_links(request) -> int:
    return request.param
