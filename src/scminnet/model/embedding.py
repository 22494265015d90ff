"""Embeds cells: streams rows through the trained network, batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from scminnet.model.module import Moments, SiameseModule
from scminnet.model.rows import feature_moments, take_rows

#: Cells that go through the network at once: large enough to fill it, small enough to need little memory.
BATCH_SIZE = 2048

#: Fewer cells than this have no mean and variance worth standardising by.
MIN_CELLS_FOR_STATISTICS = 30


def moments_tensors(matrix: sparse.csr_matrix | np.ndarray) -> Moments:
    """Mean and standard deviation of each feature of a row matrix, as tensors."""
    mean, std = feature_moments(matrix)
    return torch.from_numpy(mean), torch.from_numpy(std)


@torch.inference_mode()
def embed_rows(
    module: SiameseModule,
    matrix: sparse.csr_matrix | np.ndarray,
    modality: str,
    *,
    moments: Moments | None,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Embed and classify all rows of a matrix.

    Parameters
    ----------
    module
        The network.
    matrix
        Cells x features, a row matrix.
    modality
        Whose encoder to use.
    moments
        What to standardise by; ``None`` for the reference's statistics.
    batch_size
        Cells at once.

    Returns
    -------
    Embedding (cells x n_latent) and type probabilities (cells x n_labels), float32.
    """
    module.eval()
    n_cells = matrix.shape[0]
    embedding = np.empty((n_cells, module.embedding_head.out_features), dtype=np.float32)
    probabilities = np.empty((n_cells, module.label_head.out_features), dtype=np.float32)
    given = {} if moments is None else {modality: tuple(m.to(module.device) for m in moments)}
    for start in range(0, n_cells, batch_size):
        part = slice(start, start + batch_size)
        out = module.inference({modality: take_rows(matrix, part)}, moments=given)
        embedding[part] = out["embedding"][modality].cpu().numpy()
        probabilities[part] = out["logits"][modality].softmax(dim=1).cpu().numpy()
    return embedding, probabilities


def mean_over_modalities(parts: list[np.ndarray], positions: np.ndarray) -> np.ndarray:
    """Average what the modalities say of each cell.

    Parameters
    ----------
    parts
        By modality, rows in the modality's order.
    positions
        Cells x modalities: row in the modality, -1 where the cell was not measured.

    Returns
    -------
    Cells x columns, float32.
    """
    total = np.zeros((len(positions), parts[0].shape[1]), dtype=np.float32)
    for part, rows in zip(parts, positions.T, strict=True):
        measured = rows >= 0
        total[measured] += part[rows[measured]]
    return total / (positions >= 0).sum(axis=1, keepdims=True, dtype=np.float32)
