"""Silhouettes: do types form groups of their own, and do modalities and batches not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import silhouette_score

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.embeddings import check_embedding
from scminnet.metrics._checks import NotDefinedError, check_labels

#: Memory in MiB for a block of distances; scikit-learn's default of 1,024 would hold all at once.
_WORKING_MEMORY = 128


@check_types
def silhouette_label(embedding: np.ndarray, labels: Any, *, max_cells: int = 10_000, seed: int = 0) -> float:
    """Measure how well cells of one type are separated from other types.

    The mean over the cells of scikit-learn's silhouette by Euclidean distance, not rescaled, as in the paper.

    Parameters
    ----------
    embedding
        Array (n, d), the cells of all modalities below one another.
    labels
        Type of each cell, n values, none missing.
    max_cells
        Exact up to this many cells; beyond, on a random sample of this size drawn without replacement, as the time
        grows with the square (about a second for 10,000 cells of 32 dimensions).
    seed
        Seed of the sample.

    Returns
    -------
    Silhouette in [-1, 1]; higher is better.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        The embedding is no finite numeric matrix, or the labels do not fit. The cells (of the sample) are of one group,
        or each of its own.
    """
    return _silhouette(embedding, labels, "labels", max_cells, seed)


@check_types
def silhouette_modality(embedding: np.ndarray, modalities: Any, *, max_cells: int = 10_000, seed: int = 0) -> float:
    """Measure how well modalities mix: 1 - abs(s), with s the mean silhouette of the cells by modality.

    Parameters
    ----------
    embedding
        Array (n, d), the cells of all modalities below one another.
    modalities
        Modality of each row, n values, none missing.
    max_cells, seed
        As in :func:`silhouette_label`.

    Returns
    -------
    Number in [0, 1]; higher is better.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        As in :func:`silhouette_label`.
    """
    return 1 - abs(_silhouette(embedding, modalities, "modalities", max_cells, seed))


@check_types
def silhouette_batch(embedding: np.ndarray, batches: Any, *, max_cells: int = 10_000, seed: int = 0) -> float:
    """Measure how well batches mix: 1 - abs(s), with s the mean silhouette of the cells by batch.

    Batches of different composition cannot score 1 without mixing types: compare methods on the same cells only.

    Parameters
    ----------
    embedding
        Array (n, d), the cells of all modalities below one another.
    batches
        Batch of each row, n values, none missing.
    max_cells, seed
        As in :func:`silhouette_label`.

    Returns
    -------
    Number in [0, 1]; higher is better.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        As in :func:`silhouette_label`.
    """
    return 1 - abs(_silhouette(embedding, batches, "batches", max_cells, seed))


def _silhouette(embedding: np.ndarray, groups: Any, argument: str, max_cells: int, seed: int) -> float:
    """Return the mean silhouette, of a sample if there are more than ``max_cells``."""
    embedding = check_embedding(embedding, "embedding")
    groups = check_labels(groups, len(embedding), argument)
    check_count(max_cells, "max_cells", minimum=3)
    if len(embedding) > max_cells:
        sample = np.random.default_rng(seed).choice(len(embedding), max_cells, replace=False)
        embedding, groups = embedding[sample], groups[sample]
    codes, names = pd.factorize(groups)
    if not 2 <= len(names) < len(groups):
        raise NotDefinedError(
            f"`{argument}` has {len(names)} groups over {len(groups):,} cells: a silhouette needs two or more groups, "
            "fewer than cells. Leave the measure out."
        )
    with sklearn.config_context(working_memory=_WORKING_MEMORY):
        return float(silhouette_score(embedding.astype(np.float64), codes))
