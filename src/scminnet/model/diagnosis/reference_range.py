"""Range of the reference: what a model keeps of it, to compare a query with it without the reference's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from scminnet._core.matrices import group_sums, read_rows
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.metrics.foscttm import foscttm
from scminnet.model.data.moments import feature_moments
from scminnet.model.diagnosis.statistics import level_correlation
from scminnet.model.inference.forward_pass import MIN_CELLS_FOR_STATISTICS, embed_projected, project_rows
from scminnet.model.network.module import SiameseModule, modality_pairs

#: Training cells and held-out cells of each modality that are kept: with 32 dimensions 0.5 MB and 0.25 MB.
MAX_LANDMARKS = 4000
MAX_HELD_OUT = 2000

#: A cell's distance to the reference is the mean distance to this many neighbours.
N_NEIGHBORS = 10

#: Share of the held-out cells within a limit, as in :func:`scminnet.tl.transfer_labels`.
QUANTILE = 0.95

#: With fewer held-out cells, quantiles mean nothing.
MIN_HELD_OUT = 20


class HeldOut(TypedDict):
    """A modality's held-out cells, on which the network was not trained."""

    embedding: np.ndarray
    """Cells x n_latent, float32."""
    types: np.ndarray
    """Code of the most probable type of each cell, int64."""
    half: np.ndarray
    """Half (0 or 1) of each cell, the same in all modalities, to compare two modalities over different cells."""
    max_distance: float
    """``QUANTILE`` of the cells' mean distances to their nearest landmarks."""
    min_confidence: float
    """Probability of the most probable type that a share ``QUANTILE`` of the cells reaches."""
    signal: float
    """Variance of the input layer's output, summed over its dimensions."""
    features: float
    """Share of the input layer's weight on features that vary among the cells."""


class ReferenceRange(TypedDict):
    """Plain arrays and numbers, saved with the model."""

    landmarks: dict[str, np.ndarray]
    """By modality, embedding of training cells. Same modalities as ``held_out``."""
    levels: dict[str, float]
    """By modality, the lowest correlation of a batch's feature means with the other batches'. 1 for one batch."""
    held_out: dict[str, HeldOut]
    """By modality, unless fewer than ``MIN_HELD_OUT`` of its cells were held out."""
    foscttm: dict[str, dict[str, float]]
    """FOSCTTM of held-out cells by first and second modality, if enough cells were measured in both."""


def fit_reference_range(
    module: SiameseModule,
    matrices: Mapping[str, Any],
    positions: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    batches: np.ndarray,
    *,
    seed: int,
) -> ReferenceRange:
    """Compute the range of the reference with a trained network.

    The limits come from the held-out cells, because the network is overfitted to its training cells.

    Parameters
    ----------
    module
        The trained network.
    matrices
        By modality, row matrices of all cells.
    positions
        Cells x modalities: row in the modality, -1 where not measured.
    train, held_out
        Indices of the training cells and of the held-out cells.
    batches
        Batch of each cell.
    seed
        Seed of the samples.
    """
    rng = np.random.default_rng(seed)
    train, held_out = rng.permutation(train), rng.permutation(held_out)
    half = np.arange(len(held_out)) % 2
    result = ReferenceRange(landmarks={}, levels={}, held_out={}, foscttm={})
    kept: dict[str, np.ndarray] = {}
    for i, (modality, matrix) in enumerate(matrices.items()):
        rows = positions[:, i]
        result["levels"][modality] = _levels_between_batches(matrix, rows, batches)
        chosen = rows[train][rows[train] >= 0][:MAX_LANDMARKS]
        # in the order of the draw, so that the modalities share as many cells as possible
        of_held_out = np.flatnonzero(rows[held_out] >= 0)[:MAX_HELD_OUT]
        if len(chosen) < N_NEIGHBORS or len(of_held_out) < MIN_HELD_OUT:
            continue
        kept[modality] = of_held_out
        landmarks, _ = embed_projected(module, project_rows(module, read_rows(matrix, chosen), modality), modality)
        values = read_rows(matrix, rows[held_out[of_held_out]])
        projected = project_rows(module, values, modality)
        embedding, probabilities = embed_projected(module, projected, modality)
        result["landmarks"][modality] = landmarks
        result["held_out"][modality] = HeldOut(
            embedding=embedding,
            types=most_probable(probabilities),
            half=half[of_held_out],
            max_distance=float(np.quantile(distance_to(landmarks, embedding, seed), QUANTILE)),
            min_confidence=float(np.quantile(probabilities.max(axis=1, initial=0.0), 1 - QUANTILE)),
            signal=float(projected.var(axis=0, ddof=1).sum()),
            features=varying_share(input_weight(module, modality), feature_moments(values)[1]),
        )
    for a, b in modality_pairs(tuple(kept)):
        both, at_a, at_b = np.intersect1d(kept[a], kept[b], assume_unique=True, return_indices=True)
        if len(both) >= MIN_HELD_OUT:
            x, y = result["held_out"][a]["embedding"][at_a], result["held_out"][b]["embedding"][at_b]
            result["foscttm"].setdefault(a, {})[b] = foscttm(x, y).mean
    return result


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Return the code of each cell's most probable type, int64; 0 for all cells where the model knows no types."""
    return probabilities.argmax(axis=1) if probabilities.shape[1] else np.zeros(len(probabilities), dtype=np.int64)


def _levels_between_batches(matrix: Any, rows: np.ndarray, batches: np.ndarray) -> float:
    """Correlate each batch's feature means with the other batches'. Return the lowest correlation."""
    measured = np.flatnonzero(rows >= 0)
    codes, names = pd.factorize(batches[measured])
    if len(names) < 2:
        return 1.0
    batch_of = np.full(matrix.shape[0], -1, dtype=np.int64)
    batch_of[rows[measured]] = codes
    sums = group_sums(matrix, batch_of, len(names), np.float64)
    sums = sums if isinstance(sums, np.ndarray) else sums.toarray()
    sizes = np.bincount(codes)
    found = [
        level_correlation(own / n, (sums.sum(axis=0) - own) / (sizes.sum() - n))
        for n, own in zip(sizes, sums, strict=True)
        if n >= MIN_CELLS_FOR_STATISTICS
    ]
    return min((r for r in found if r is not None), default=1.0)


def input_weight(module: SiameseModule, modality: str) -> np.ndarray:
    """Return the squared weight of each feature in a modality's input layer, as a share of the sum."""
    squares = module.encoder(modality).input.weight.detach().square().sum(dim=1).cpu().numpy()
    return squares / max(squares.sum(), np.finfo(np.float32).tiny)


def varying_share(weight: np.ndarray, std: np.ndarray) -> float:
    """Return the share of the weight on features that vary. Constant features have no effect."""
    return float(weight[std > 0].sum())


def distance_to(landmarks: np.ndarray, embedding: np.ndarray, seed: int) -> np.ndarray:
    """Return each cell's mean distance to its nearest landmarks."""
    return nearest_neighbors(landmarks, N_NEIGHBORS, query=embedding, seed=seed).distances.mean(axis=1)
