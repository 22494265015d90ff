"""Directions along which linked features vary together. The components of coupled modalities hold these as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from scminnet._core.matrices import dense, read_rows
from scminnet.coupling.couple import LINK_COMPONENTS, MANY_LINKS
from scminnet.model.network.canonical import Moments
from scminnet.model.network.whitening import standardised_deviation
from scminnet.model.training.coupled_cells import Part
from scminnet.model.training.linked_features import LinkedFeatures

#: Standardised linked features are clipped here. Single cells with a very high value of a feature would otherwise be
#: directions of their own (``docs/decisions.md``).
CLIP = 3.0

#: A linked feature that varies less is constant.
MIN_DEVIATION = 1e-6


def linked_directions(
    parts: tuple[Sequence[Part], Sequence[Part]],
    links: sparse.csr_matrix,
    moments: tuple[Moments, Moments],
    *,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions along which the linked features of both modalities vary together.

    The principal components of sparse chromatin hardly hold what its linked features tell (``docs/decisions.md``).

    Parameters
    ----------
    parts, links
        As in :func:`couple_parts`.
    moments
        Mean and standard deviation of each feature of both modalities of the reference.
    seed
        Seed of the decomposition.

    Returns
    -------
    By side, features x directions, float32, each of length 1. There are none with few links: each is noisy, and no two
    vary together.
    """
    anchors = LinkedFeatures.of(links)
    root = np.sqrt(anchors.weights).astype(np.float32)
    if len(root) < MANY_LINKS:
        return tuple(np.zeros((n, 0), np.float32) for n in links.shape)  # type: ignore[return-value]
    values, scales = [], []
    for side, (of_side, own) in enumerate(zip(parts, moments, strict=True)):
        linked = []
        for part in of_side:
            deviation = standardised_deviation(read_rows(part.matrix, part.rows), *(part.moments or own))
            sums = dense(deviation @ anchors.of_side(side)).astype(np.float32, copy=False)
            linked.append(sums - sums.mean(axis=0))
        values.append(np.vstack(linked))
        std = values[-1].std(axis=0)
        scales.append(np.divide(1, std, out=np.zeros_like(std), where=std > MIN_DEVIATION))
    stacked = np.vstack([np.clip(x * scale, -CLIP, CLIP) for x, scale in zip(values, scales, strict=True)])
    _, _, axes = randomized_svd(stacked * root, LINK_COMPONENTS, random_state=seed)
    directions = [anchors.of_side(side) @ (axes * root * scale).T for side, scale in enumerate(scales)]
    lengths = [np.maximum(np.linalg.norm(d, axis=0), MIN_DEVIATION) for d in directions]
    first, second = ((d / length).astype(np.float32) for d, length in zip(directions, lengths, strict=True))
    return first, second
